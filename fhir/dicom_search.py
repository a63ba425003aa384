"""One search by DICOM attributes, for QIDO-RS and C-FIND: as its caller, row by row redacted."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import orjson

from fhir.access import MAX_IDS, Entry
from fhir.dicom_answers import OURS, SHOWN_COORDINATES, complete, ours, select
from fhir.dicom_keys import (
    INSTANCE_UID,
    LEVELS,
    SERIES_UID,
    SHOWN,
    STUDY_UID,
    Catalogue,
    Level,
    Path,
    coordinates_of_path,
    path_named,
)
from fhir.dicom_matching import Criterion, Equal, Key, criteria_of, is_universal
from fhir.dicom_redaction import HEADER_COORDINATES, redacted
from fhir.dicom_rows import Asked, DicomRow, Portion, Text
from fhir.errors import Invalid
from fhir.guarded import GuardedRepository, Plan, patients_of
from fhir.redaction import outermost
from fhir.repository import Record
from fhir.search import EVERYTHING, Filter, Search, all_of
from policies.grants import Decision

__all__ = ["ALL", "Answer", "Key", "Query", "search_dicom"]

Json = Any
ALL: Final = "all"
MAX_PARENTS: Final = 10_000
_AT_ONCE: Final = 100

# What has to be open on a study for its rows at a level to be there; their addresses tell it.
_ROWS: Final[Mapping[Level, frozenset[str]]] = {
    "study": frozenset({"ImagingStudy.id"}),
    "series": frozenset({"ImagingStudy.id", "ImagingStudy.series.uid"}),
    "instance": frozenset(
        {
            "ImagingStudy.id",
            "ImagingStudy.series.uid",
            "ImagingStudy.series.instance.uid",
            "Image.id",
        }
    ),
}
_PATIENT: Final = frozenset({"patient"})
_STARTED: Final = "ImagingStudy.started"
_NUMBER_OF: Final[Mapping[Level, str]] = {
    "study": _STARTED,
    "series": "ImagingStudy.series.number",
    "instance": "ImagingStudy.series.instance.number",
}
_FEW: Final = frozenset(
    {STUDY_UID, SERIES_UID, INSTANCE_UID, path_named("PatientID"), path_named("AccessionNumber")}
)
_INDEXED: Final = frozenset({INSTANCE_UID, path_named("SOPClassUID"), path_named("InstanceNumber")})


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for.

    Attributes:
        level: Of what is listed.
        keys: Attributes to match, or only to show; a matched one is shown too.
        include: Further attributes to show; `ALL` is everything there is.
        fuzzy: Whether person names match by the beginnings of their words, in any order.
        combined: Whether a date and a time range of one pair are one range.
        limit: At most so many rows.
        offset: So many are left out before.
        counted: Whether the total is wanted too.
        text: What the client wrote, for the audit.
    """

    level: Level
    keys: tuple[Key, ...] = ()
    include: frozenset[Path] | Literal["all"] = frozenset()
    fuzzy: bool = False
    combined: bool = True
    limit: int = 100
    offset: int = 0
    counted: bool = False
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One portion of what was found.

    Attributes:
        texts: DICOM JSON of each row, in UTF-8.
        total: How many rows the caller may see in all, if counted.
        more: Whether further rows follow.
    """

    texts: list[bytes]
    total: int | None = None
    more: bool = False

    @property
    def items(self) -> list[dict[str, Json]]:
        """The rows as objects."""
        return [orjson.loads(text) for text in self.texts]


@dataclass(frozen=True, slots=True)
class _Search:
    """A query as its caller may ask it.

    Attributes:
        paths: What is shown; None is everything.
        levels: Whose texts are read.
        plain: Whether it is just what is always shown of a row and its parents.
        rows: Of which studies.
        portion: What is read.
    """

    query: Query
    plan: Plan
    criteria: Mapping[Level, tuple[Criterion, ...]]
    paths: tuple[Path, ...] | None
    levels: tuple[Level, ...]
    plain: bool
    wanted: frozenset[str]
    rows: Filter
    portion: Portion
    address: str | None


async def search_dicom(
    guarded: GuardedRepository, catalogue: Catalogue, query: Query, *, address: str | None = None
) -> Answer:
    """List a portion of the studies, series or instances that a caller may see.

    A row has the attributes that are always shown at its level, those that were asked for, and,
    where the query does not say in which study or series to look, those of these too. What is
    closed to the caller is empty.

    Args:
        guarded: Repository of the caller.
        catalogue: What can be searched by.
        query: What is searched for.
        address: Base of addresses, without a slash at the end; None: none are given.

    Raises:
        AccessDenied: The rows, or an attribute that is matched, are closed to the caller.
        NotSupported: An attribute cannot be matched at this level.
        Invalid: A value cannot be understood, or everything would have to be looked through.
    """
    search = _understood(guarded, catalogue, query, address)
    if query.level == "instance":
        read, studies, total = await _instances(guarded, catalogue, search)
    else:
        asked = Asked(query.level, search.rows, search.criteria)
        read, total = await _found(guarded, search, asked)
        studies = {row.uids["study"]: row for row in read[: query.limit]}
    more = len(read) > query.limit
    # a study that is being deleted has no record any more
    rows = [row for row in read[: query.limit] if row.uids["study"] in studies]
    opened = {uid: _opened(guarded, study, search.plan) for uid, study in studies.items()}
    texts = []
    parents: dict[bytes, dict[str, Json]] = {}
    for at, row in enumerate(rows, 1):
        uid = row.uids["study"]
        if search.plain and opened[uid] >= search.wanted:
            texts.append(_plain_text(search, row, studies[uid], parents))
        else:
            texts.append(_text(search, row, studies[uid], opened[uid]))
        if at % _AT_ONCE == 0:
            await asyncio.sleep(0)  # others have their turn
    _note(guarded, search, rows, list(studies.values()), opened, total)
    return Answer(texts, total, more)


def _understood(
    guarded: GuardedRepository, catalogue: Catalogue, query: Query, address: str | None
) -> _Search:
    criteria = criteria_of(
        query.keys, query.level, catalogue, fuzzy=query.fuzzy, combined=query.combined
    )
    extra = {key.path for key in query.keys}.union(() if query.include == ALL else query.include)
    around = _around(query)
    asked = {catalogue.level_of(path) for path in extra - {STUDY_UID, SERIES_UID, INSTANCE_UID}}
    levels = tuple(
        level for level in LEVELS[: LEVELS.index(query.level) + 1] if level in around | asked
    )
    shown = {path for level in around for path in SHOWN[level]}
    paths = None if query.include == ALL else tuple(shown | extra)
    plain = (
        guarded.access.view == "identified"  # else the address in the text is none
        and paths is not None
        and address is not None
        and extra <= shown
        and around.issuperset(levels)
    )
    wanted = frozenset().union(*(SHOWN_COORDINATES[level] for level in around))
    if paths is None:
        wanted = HEADER_COORDINATES
    else:
        wanted = wanted.union(*(coordinates_of_path(path) for path in extra))
    anchors = _ROWS[query.level]
    plan = guarded.plan("ImagingStudy", wanted | anchors)
    anchor = _anchor(guarded, anchors)
    rows = _narrowed(guarded, query, criteria, anchor)
    by_time = guarded.access.view == "identified" and _wherever(guarded, _STARTED, anchor)
    portion = Portion(
        texts=_texts(query, levels, shown=shown, paths=paths),
        # whom it is about is for the audit; what scopes look at for what they decide row by row
        index=_PATIENT | (guarded.access.looked_at("ImagingStudy") if plan.conditional else set()),
        newest=by_time,
        numbered=query.level != "study" and _wherever(guarded, _NUMBER_OF[query.level], anchor),
        limit=query.limit + 1,
        skip=query.offset,
    )
    return _Search(query, plan, criteria, paths, levels, plain, wanted, rows, portion, address)


def _around(query: Query) -> frozenset[Level]:
    """Say whose attributes are shown: those of the row, and of parents that are not named."""
    named = {key.path for key in query.keys if not is_universal(key.value)}
    found: set[Level] = {query.level}
    if query.level != "study" and STUDY_UID not in named:
        found.add("study")
    if query.level == "instance" and SERIES_UID not in named:
        found.add("series")
    return frozenset(found)


def _anchor(guarded: GuardedRepository, coordinates: Iterable[str]) -> Decision:
    """Decide whether a row is there for the caller.

    Raises:
        AccessDenied: None is.
    """
    access = guarded.access
    decided = {
        coordinate: access.decisions(coordinate, on="ImagingStudy") for coordinate in coordinates
    }
    closed = {name for name, some in decided.items() if any(one.never for one in some)}
    if closed:
        access.refuse("search", "ImagingStudy", closed)
    first, *others = (one for some in decided.values() for one in some)
    for one in others:
        first = first & one
    if first.never:
        access.refuse("search", "ImagingStudy", decided)
    return first


def _narrowed(
    guarded: GuardedRepository,
    query: Query,
    criteria: Mapping[Level, tuple[Criterion, ...]],
    anchor: Decision,
) -> Filter:
    """Narrow to the studies on which the rows are there and all that is looked at is open."""
    parts = [guarded.narrowed(Search("ImagingStudy"), anchor, "search")]
    looked_at = {
        coordinate
        for some in criteria.values()
        for one in some
        for coordinate in coordinates_of_path(one.path)
    }
    # a time that is matched with its date has no criterion of its own
    for key in query.keys:
        if not is_universal(key.value):
            looked_at |= coordinates_of_path(key.path)
    closed = set()
    for coordinate in looked_at:
        for decision in guarded.access.decisions(coordinate, on="ImagingStudy"):
            if decision.never:
                closed.add(coordinate)
            elif decision & anchor != anchor:
                parts.append(guarded.access.rows(decision, "ImagingStudy"))
    if closed:
        guarded.refused |= closed
        guarded.access.refuse("search by", "ImagingStudy", closed)
    return all_of(parts)


def _wherever(guarded: GuardedRepository, coordinate: str, anchor: Decision) -> bool:
    """Say whether an element is open on every row that is there: an order tells of each."""
    decisions = guarded.access.decisions(coordinate, on="ImagingStudy")
    return all(one & anchor == anchor for one in decisions)


def _texts(
    query: Query, levels: Iterable[Level], *, shown: set[Path], paths: tuple[Path, ...] | None
) -> frozenset[Text]:
    texts: set[Text] = {(level, "shown") for level in levels}
    if paths is None or not shown.issuperset(paths):
        texts |= {(level, "rest") for level in levels if level != "instance"}
        if query.level == "instance":
            texts.add(("instance", "header"))
    return frozenset(texts)


async def _found(
    guarded: GuardedRepository, search: _Search, asked: Asked
) -> tuple[list[DicomRow], int | None]:
    """Read rows, and count them: at once, if there may be more of them."""
    repository, query = guarded.repository, search.query
    named = {
        one.path
        for some in asked.criteria.values()
        for one in some
        if any(isinstance(test, Equal) for test in one.tests)
    }
    few = asked.studies is not None or bool(named & _FEW)
    if query.counted and not few:
        rows, total = await asyncio.gather(
            repository.find_dicom(asked, search.portion), repository.count_dicom(asked)
        )
        return rows, total
    rows = await repository.find_dicom(asked, search.portion)
    if not query.counted:
        return rows, None
    if len(rows) <= query.limit and (rows or not query.offset):
        return rows, query.offset + len(rows)
    return rows, await repository.count_dicom(asked)


async def _instances(
    guarded: GuardedRepository, catalogue: Catalogue, search: _Search
) -> tuple[list[DicomRow], dict[str, DicomRow], int | None]:
    """Read instances, and the studies, or series, that they are in."""
    asked = await _within(guarded, catalogue, search)
    if asked.studies is not None and len(asked.studies) == 1:
        studies, (rows, total) = await asyncio.gather(
            _studies(guarded, search, asked.studies), _found(guarded, search, asked)
        )
        if not studies:
            return [], {}, 0
    else:
        rows, total = await _found(guarded, search, asked)
        uids = frozenset(row.uids["study"] for row in rows[: search.query.limit])
        studies = await _studies(guarded, search, uids) if uids else {}
    if rows and "series" in search.levels:
        rows = await _with_series(guarded, search, rows, frozenset(studies))
    return rows, studies, total


async def _within(guarded: GuardedRepository, catalogue: Catalogue, search: _Search) -> Asked:
    """Say in which studies and series instances are looked for, as far as that is needed."""
    own = search.criteria.get("instance", ())
    series = _uids(search.criteria.get("series", ()), SERIES_UID)
    studies = _uids(search.criteria.get("study", ()), STUDY_UID)
    asked = Asked("instance", criteria={"instance": own}, studies=studies, series=series)
    study_keys, series_keys = (
        [one for one in search.criteria.get(level, ()) if one.path != uid]
        for level, uid in _UIDS.items()
    )
    if series_keys:
        found = await _parents(guarded, search, "series")
        asked = replace(asked, series=frozenset(row.uids["series"] for row in found))
    elif study_keys or (search.rows != EVERYTHING and (studies is None or len(studies) != 1)):
        found = await _parents(guarded, search, "study")
    else:
        if studies is None and series is None:
            _refuse_to_read_all(own, catalogue)
        return asked
    return replace(asked, studies=frozenset(row.uids["study"] for row in found))


_UIDS: Final[Mapping[Level, Path]] = {"study": STUDY_UID, "series": SERIES_UID}


def _uids(criteria: Iterable[Criterion], path: Path) -> frozenset[str] | None:
    """Give the UIDs that are listed for a level, in every list of several; None if none is."""
    found = [
        frozenset(str(uid) for test in one.tests if isinstance(test, Equal) for uid in test.values)
        for one in criteria
        if one.path == path
    ]
    return frozenset.intersection(*found) if found else None


async def _parents(
    guarded: GuardedRepository, search: _Search, level: Literal["study", "series"]
) -> list[DicomRow]:
    """List the studies or series that instances may be in.

    Raises:
        Invalid: There are too many.
    """
    found = await guarded.repository.find_dicom(
        Asked(level, search.rows, {one: search.criteria.get(one, ()) for one in LEVELS[:2]}),
        Portion(numbered=True, limit=MAX_PARENTS + 1),
    )
    if len(found) > MAX_PARENTS:
        raise Invalid(
            f"instances of more than {MAX_PARENTS:,} studies or series: name StudyInstanceUID, or "
            "say more of what you look for"
        )
    return found


def _refuse_to_read_all(own: Sequence[Criterion], catalogue: Catalogue) -> None:
    configured = set(catalogue.instance)
    if own and not any(one.path in _INDEXED or one.path in configured for one in own):
        raise Invalid(
            "this would look through every instance: name StudyInstanceUID, or a key of studies or "
            "series too; whoever runs this server can have the attribute indexed by the setting "
            "RADIOGRAPH_DICOM_KEYS"
        )


async def _studies(
    guarded: GuardedRepository, search: _Search, uids: frozenset[str]
) -> dict[str, DicomRow]:
    """Read the studies of instances, as far as they are there for the caller."""
    criterion = Criterion(STUDY_UID, "", (Equal(frozenset(uids)),))
    rows = await guarded.repository.find_dicom(
        Asked("study", search.rows, {"study": (criterion,)}),
        replace(search.portion, limit=len(uids), skip=0, newest=False),
    )
    return {row.uids["study"]: row for row in rows}


async def _with_series(
    guarded: GuardedRepository, search: _Search, rows: list[DicomRow], studies: frozenset[str]
) -> list[DicomRow]:
    """Give instances the texts of their series."""
    uids = frozenset(row.uids["series"] for row in rows)
    criteria: dict[Level, tuple[Criterion, ...]] = {
        "study": (Criterion(STUDY_UID, "", (Equal(frozenset(studies)),)),),
        "series": (Criterion(SERIES_UID, "0020000E", (Equal(frozenset(uids)),)),),
    }
    found = await guarded.repository.find_dicom(
        Asked("series", search.rows, criteria),
        replace(search.portion, limit=max(len(uids), 1), skip=0, numbered=True),
    )
    texts = {
        row.uids["series"]: {text: said for text, said in row.texts.items() if text[0] == "series"}
        for row in found
    }
    return [replace(row, texts={**row.texts, **texts.get(row.uids["series"], {})}) for row in rows]


def _opened(guarded: GuardedRepository, study: DicomRow, plan: Plan) -> frozenset[str]:
    if not plan.conditional:
        return plan.granted
    return plan.readable - guarded.closed_on(_record(study), plan)


def _record(study: DicomRow) -> Record:
    uid = study.uids["study"]
    resource = {"resourceType": "ImagingStudy", "id": uid}
    return Record(uid, resource, 0, None, study.index, stored_id=study.real_id)


def _plain_text(
    search: _Search, row: DicomRow, study: DicomRow, parents: dict[bytes, dict[str, Json]]
) -> bytes:
    """Write what is always shown of a row that is wholly open."""
    text = complete(row.texts[(search.query.level, "shown")], search.address or "")
    if len(search.levels) == 1:
        return text
    said: dict[str, Json] = {}
    for one in search.levels[:-1]:
        parent = (study if one == "study" else row).texts.get((one, "shown"), b"{}")
        if parent not in parents:
            read = orjson.loads(parent)
            parents[parent] = {key: value for key, value in read.items() if key not in OURS}
        said |= parents[parent]
    return orjson.dumps(dict(sorted({**said, **orjson.loads(text)}.items())))


def _text(search: _Search, row: DicomRow, study: DicomRow, opened: frozenset[str]) -> bytes:
    level = search.query.level
    said: dict[str, Json] = {}
    for one in reversed(search.levels):  # what the row says itself goes first
        texts = study.texts if one == "study" else row.texts
        for part in ("rest", "header", "shown"):
            if (text := texts.get((one, part))) is not None:
                said = {**orjson.loads(text), **said}
    if search.paths is not None:
        said = select(said, (path for path in search.paths if f"{path[0]:08X}" not in OURS))
    kept = redacted({key: one for key, one in said.items() if key not in OURS}, opened)
    url = None if search.address is None else f"{search.address}{_address(row, level)}"
    return orjson.dumps(ours(_without_bulk(kept), level, url))


def _address(row: DicomRow, level: Level) -> str:
    address = f"/studies/{row.uids['study']}"
    if level != "study":
        address += f"/series/{row.uids['series']}"
    return address + (f"/instances/{row.uids['instance']}" if level == "instance" else "")


def _without_bulk(attributes: Mapping[str, Json]) -> dict[str, Json]:
    """Leave out values that are retrieved, not searched for."""
    found: dict[str, Json] = {}
    for key, element in attributes.items():
        if "BulkDataURI" in element:
            continue
        if element["vr"] == "SQ" and element.get("Value"):
            items = [_without_bulk(item or {}) for item in element["Value"]]
            found[key] = {**element, "Value": items}
        else:
            found[key] = element
    return found


def _note(
    guarded: GuardedRepository,
    search: _Search,
    rows: Sequence[DicomRow],
    studies: Sequence[DicomRow],
    opened: Mapping[str, frozenset[str]],
    total: int | None,
) -> None:
    plan = search.plan
    closed = plan.refused.union(*(plan.readable - one for one in set(opened.values())))
    refused = outermost(closed & (search.wanted | _ROWS[search.query.level]))
    guarded.refused |= refused
    guarded.access.note(
        Entry(
            "search",
            "Image" if search.query.level == "instance" else "ImagingStudy",
            "allowed",
            ids=tuple(dict.fromkeys(row.real_id for row in rows[:MAX_IDS])),
            patients=patients_of([_record(one) for one in studies[:MAX_IDS]]),
            total=len(rows) if total is None else total,
            query=search.query.text,
            refused=tuple(sorted(refused)),
        )
    )
