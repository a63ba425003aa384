"""Whole instance records in memory: what is closed to a caller is taken out of them afterwards."""

from collections import OrderedDict
from typing import Final

import bson

from app.cache.cache import Cache
from app.cache.keys import Key
from fhir.repository import State

_STUDIES_KEPT: Final = 10_000


class Records:
    """Documents of instances, each with the state of its study that was known before it was read.

    A study that is in this state still has not changed since before the document was read, so
    the document is true. Whoever takes one compares the state with that of the study as it is.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._turn = 0
        self._states: OrderedDict[str, tuple[State, int, int]] = OrderedDict()

    def saw(self, study: str, state: State) -> None:
        """Note the state that a study is in, as just read.

        Args:
            study: Its UID.
            state: Life and version.
        """
        self._turn += 1
        known = self._states.get(study)
        turn = self._turn if known is None or known[0] != state else known[1]
        self._states[study] = (state, turn, self._cache.since())
        self._states.move_to_end(study)
        if len(self._states) > _STUDIES_KEPT:
            self._states.popitem(last=False)

    def turn(self) -> int:
        """Say when reading begins, for `put`."""
        return self._turn

    async def get(self, instance: str) -> tuple[bytes, State] | None:
        """Give a document and the state of its study then, or None."""
        found = await self._cache.get(self._key(instance))
        if found is None:
            return None
        length = int.from_bytes(found[:4], "little")  # as BSON begins
        state = bson.decode(found[length:])
        return found[:length], (state["life"], state["version"])

    async def put(self, instance: str, study: str, document: bytes, turn: int) -> None:
        """Keep a document, if the state of its study was known before it was read.

        Args:
            instance: SOP Instance UID.
            study: Study Instance UID.
            document: BSON.
            turn: Of before it was read.
        """
        known = self._states.get(study)
        if known is None or known[1] > turn:
            return
        (life, version), _, since = known
        value = document + bson.encode({"life": life, "version": version})
        # not if it was forgotten since its study was last seen: it may be deleted, and still there
        await self._cache.put(self._key(instance, study), value, since)

    def mistaken(self, instance: str) -> None:
        """Take back a hit: the study has moved on."""
        self._cache.mistaken(self._key(instance))

    def _key(self, instance: str, study: str = "") -> Key:
        return self._cache.names.key("records", study, instance)
