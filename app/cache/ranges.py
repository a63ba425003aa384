"""Byte ranges of stored objects, and pictures made of them: both never change under their key."""

from collections.abc import Awaitable, Callable, Sequence

from app import __version__
from app.cache.cache import Cache
from app.cache.keys import Key
from fhir.repository import StoredImage

Range = tuple[int, int]
"""Offset and length, in bytes, as the frame table of the instance counts."""


class Ranges:
    """What was read of instances, by object key: another object has another one."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def read(
        self,
        image: StoredImage,
        ranges: Sequence[Range],
        load: Callable[[Sequence[Range]], Awaitable[list[bytes]]],
    ) -> list[bytes]:
        """Give ranges in their order; those that are not there are loaded together.

        Args:
            image: Whose access was granted already.
            ranges: Of its object.
            load: Reads ranges from storage.
        """
        since = self._cache.since()
        found: dict[Range, bytes] = {}
        for one in ranges:
            if (
                one not in found
                and (value := await self._cache.get(self._key(image, one))) is not None
            ):
                found[one] = value
        missing = [one for one in dict.fromkeys(ranges) if one not in found]
        if missing:
            for one, value in zip(missing, await load(missing), strict=True):
                found[one] = value
                await self._keep(image, one, value, since, None)
        return [found[one] for one in ranges]

    async def holds(self, image: StoredImage, where: Range) -> bool:
        """Say whether a range is there; nothing is counted."""
        return await self._cache.holds(self._key(image, where))

    async def fetch(
        self,
        image: StoredImage,
        where: Range,
        load: Callable[[Sequence[Range]], Awaitable[list[bytes]]],
        rule: str,
    ) -> None:
        """Load a range for whoever asks for it later; nobody asked for it now."""
        since = self._cache.since()
        [value] = await load([where])
        await self._keep(image, where, value, since, rule)

    async def picture(
        self,
        image: StoredImage,
        frame_number: int,
        rendering: object,
        make: Callable[[], Awaitable[bytes]],
    ) -> bytes:
        """Give a picture, made if it is not there.

        Args:
            image: Whose access was granted already.
            frame_number: Counts from 1.
            rendering: Everything that the picture depends on, besides frame and version of ours;
                its `repr` tells it from every other one.
            make: Makes the picture.
        """
        study, key = image.real_study, image.object_key
        name = self._cache.names.key("pictures", study, key, frame_number, rendering, __version__)
        since = self._cache.since()
        found = await self._cache.get(name)
        if found is not None:
            return found
        made = await make()
        await self._cache.put(name, made, since)
        return made

    async def _keep(
        self, image: StoredImage, where: Range, value: bytes, since: int, rule: str | None
    ) -> None:
        if len(value) == where[1]:  # an object that ends too early may be being written
            await self._cache.put(self._key(image, where), value, since, rule)

    def _key(self, image: StoredImage, where: Range) -> Key:
        return self._cache.names.key("frames", image.real_study, image.object_key, *where)
