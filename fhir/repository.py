"""The port behind which records lie: unguarded, for `fhir.guarded` and the ingest alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from fhir.pseudonyms import Disguise
from fhir.search import Filter, Index

Json = Any
Position = tuple[Any, ...]
"""Where a page ended: the sort values of its last record, then its id."""


@dataclass(frozen=True, slots=True)
class Sort:
    """Order by one sortable search parameter."""

    parameter: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One stored resource.

    Attributes:
        resource: FHIR JSON, as far as it was asked for; `resourceType` and `id` are always there.
        index: Search values of the parameters that were asked for.
        position: Sort values and id, for the next page.
        last_updated: None where the caller may not know.
        stored_id: What it is stored under, for the audit, where `id` is a pseudonym.
    """

    id: str
    resource: dict[str, Json]
    version: int
    last_updated: datetime | None
    index: Index = field(default_factory=dict)
    position: Position = ()
    stored_id: str | None = None

    @property
    def real_id(self) -> str:
        """What it is stored under: for the audit, never for an answer."""
        return self.stored_id or self.id


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a record is read from the database.

    Attributes:
        elements: Element paths below the resource; None is the whole resource.
        index: Search parameters whose values are needed to decide about the record.
    """

    elements: frozenset[str] | None = None
    index: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StoredImage:
    """Where one SOP instance lies and how its bytes are to be read.

    Attributes:
        frames: The frame table as stored (`app.imaging.frames`); None without pixel data.
        attributes: DICOM JSON of everything before the pixel data, as stored: not to be given out
            where there is a disguise.
        stored_id: What it is stored under, for the audit, where `id` is a pseudonym.
        disguise: How its bytes are de-identified before they leave; None: they leave as they are.
        withheld: Why neither its bytes nor its pixels leave; None: they do.
    """

    id: str
    study: str
    series: str
    transfer_syntax: str
    object_key: str
    size: int
    sha256: str
    frames: Mapping[str, Any] | None
    attributes: Mapping[str, Any]
    stored_id: str | None = None
    disguise: Disguise | None = None
    withheld: str | None = None

    @property
    def real_id(self) -> str:
        """What it is stored under: for the audit, never for an answer."""
        return self.stored_id or self.id


class Repository(Protocol):
    """Records by type and search tree. Every method is one database command."""

    async def find(
        self,
        resource: str,
        tree: Filter,
        *,
        wanted: Wanted,
        sort: Sequence[Sort] = (),
        limit: int,
        after: Position | None = None,
        skip: int = 0,
    ) -> list[Record]:
        """List records in a stable order (`sort`, then id), beginning after a position.

        `skip` leaves out so many more; its cost grows with it, that of a position does not.
        """
        ...

    async def find_each(
        self,
        resource: str,
        tree: Filter,
        *,
        parameter: str,
        values: Sequence[str],
        wanted: Wanted,
        sort: Sequence[Sort] = (),
        limit: int,
    ) -> dict[str, tuple[int, list[Record]]]:
        """For each value of one parameter, count its records and list the first ones."""
        ...

    async def count(self, resource: str, tree: Filter) -> int:
        """Count records."""
        ...

    async def images_of(
        self, studies: Sequence[str], elements: frozenset[str], limit: int | None = None
    ) -> dict[str, list[dict[str, Json]]]:
        """List the Image records of studies by series, number and id; by study.

        Each has `series` and `id` besides the elements. There are at most `limit` in all.
        """
        ...

    async def stored_image(self, identifier: str) -> StoredImage | None:
        """Give what serving an instance's bytes needs, or None."""
        ...

    async def create(self, resource: Mapping[str, Json]) -> Record:
        """Store a new record as version 1.

        Raises:
            Conflict: There is one of this type and id.
        """
        ...

    async def replace(self, resource: Mapping[str, Json], version: int) -> Record | None:
        """Store a record in place of its version; None, and nothing done, if it has moved on."""
        ...
