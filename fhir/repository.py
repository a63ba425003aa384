"""The port behind which records lie: unguarded, for `fhir.guarded` and the ingest alone."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from fhir.dicom_rows import Asked, DicomRow, Portion
from fhir.pseudonyms import Disguise
from fhir.search import EVERYTHING, Filter, Index

Json = Any
State = tuple[str | None, int]
"""Of a study: its life and version. While it is the same, so is everything in the study."""

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
        life: Of a study, with `version`: another one if it was deleted and came again.
    """

    id: str
    resource: dict[str, Json]
    version: int
    last_updated: datetime | None
    index: Index = field(default_factory=dict)
    position: Position = ()
    stored_id: str | None = None
    life: str | None = None

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
class Tally:
    """Records are to be counted by the values of one search parameter, a token or a date.

    Attributes:
        most: So many values at most: of tokens the most frequent, of days the latest.
        rows: Counted are only records that this finds as well.
    """

    parameter: str
    most: int
    rows: Filter = EVERYTHING


@dataclass(frozen=True, slots=True)
class Tallied:
    """What was counted; a record counts once for each of its values.

    Attributes:
        total: Records in all.
        counts: By parameter, value and count: a token as `system|code` (`fhir.parameters.spelled`),
            a date as YYYY-MM-DD in UTC. What is no day, or has no code, is not counted.
    """

    total: int
    counts: Mapping[str, list[tuple[str, int]]]


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
        stored_study: What its study is stored under, where `study` is a pseudonym.
        known_at: The state of its study before this was read, if it is remembered; else None.
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
    stored_study: str | None = None
    known_at: State | None = None

    @property
    def real_id(self) -> str:
        """What it is stored under: for the audit, never for an answer."""
        return self.stored_id or self.id

    @property
    def real_study(self) -> str:
        """What its study is stored under: for the cache, never for an answer."""
        return self.stored_study or self.study


@dataclass(frozen=True, slots=True)
class StoredHeader:
    """What one SOP instance says of itself.

    Attributes:
        text: DICOM JSON of everything before the pixel data, as stored, in UTF-8; URIs of bulk
            data are relative. Not to be given out where there is a disguise.
        pixels: The form of its pixel data; None where it has none.
        bits_allocated: Of its pixels.
        stored_id: What it is stored under, for the audit, where `id` is a pseudonym.
        disguise: How the text is de-identified before it leaves; None: it leaves as it is.
        withheld: Why nothing of it leaves; None: it does.
    """

    id: str
    series: str
    transfer_syntax: str
    text: bytes
    pixels: Literal["native", "encapsulated"] | None
    bits_allocated: int | None
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

    async def count_by(self, resource: str, tree: Filter, tallies: Sequence[Tally]) -> Tallied:
        """Count records by the values of parameters.

        Raises:
            Unavailable: It takes too long; the text says after how many seconds it was given up.
        """
        ...

    async def images_of(
        self, studies: Sequence[str], elements: frozenset[str], limit: int | None = None
    ) -> dict[str, list[dict[str, Json]]]:
        """List the Image records of studies by series, number and id; by study.

        Each has `series` and `id` besides the elements. There are at most `limit` in all.
        """
        ...

    async def stored_image(self, identifier: str, *, outdated: bool = False) -> StoredImage | None:
        """Give what serving an instance's bytes needs, or None.

        Args:
            identifier: SOP Instance UID.
            outdated: Whether what is remembered of it turned out to be so, for the statistics.
        """
        ...

    async def remembered_image(self, identifier: str) -> StoredImage | None:
        """Give what `stored_image` gave some time ago, without a database command, or None.

        It holds only as long as its study is in the state `known_at`: whoever uses it has just
        read the study, and asks `stored_image` if that has moved on.
        """
        ...

    async def stored_images(
        self, study: str, series: str | None = None, *, headers: bool
    ) -> list[StoredImage]:
        """Give what serving the bytes of a study's instances needs, by series, number and id.

        Args:
            study: Study Instance UID.
            series: Only of this series.
            headers: Whether `attributes` and `frames` are needed; else they may be empty.
        """
        ...

    def headers(
        self, study: str, series: str | None = None, instance: str | None = None
    ) -> AsyncIterator[list[StoredHeader]]:
        """Give the headers of a study's instances by series, number and id, batch by batch.

        A batch has at most 200 of them, or 16 MB, and is one command.

        Args:
            study: Study Instance UID.
            series: Only of this series.
            instance: Only of this instance.
        """
        ...

    async def find_dicom(self, asked: Asked, portion: Portion) -> list[DicomRow]:
        """List studies, their series, or instances by what their headers say.

        Studies that have no record are not found; instances are, whatever their study.
        """
        ...

    async def count_dicom(self, asked: Asked) -> int:
        """Count what `find_dicom` would list without a limit."""
        ...

    async def create(self, resource: Mapping[str, Json]) -> Record:
        """Store a new record as version 1.

        Raises:
            Conflict: There is one of this type and id.
        """
        ...

    async def replace(self, resource: Mapping[str, Json], version: int) -> Record | None:
        """Store a record in place of its version; None, and nothing done, if it has moved on.

        Raises:
            Conflict: Another record has what only one may have.
        """
        ...

    async def remove(self, resource: str, identifier: str) -> bool:
        """Delete a record for good; say whether there was one."""
        ...
