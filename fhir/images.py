"""SOP instances as a caller may see them: inside their study, as Image records, as bytes."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from fhir.access import Entry
from fhir.elements import COORDINATES, REPEATS
from fhir.errors import Invalid, NotFound, Withheld
from fhir.guarded import Found, GuardedRepository, Page, Plan, Row, patients_of
from fhir.redaction import outermost, projection, without
from fhir.repository import Record, StoredHeader, StoredImage, Wanted
from fhir.search import EVERYTHING, AllOf, Filter, Has, Search, all_of, any_of

Json = Any
MAX_STUDIES = 10_000
_INSTANCE = "ImagingStudy.series.instance"

# A DICOM object leaves only as a whole: everything that a header says has to be open. Without
# identity it says nothing that the policy could close.
FILE_ELEMENTS = frozenset(
    {"Image.file", "Image.pixels"}
    | {one for one in COORDINATES if one.startswith(("Patient.", "ImagingStudy.", "Image."))}
).difference(REPEATS)  # what repeats another element is decided with that one


class Instance(NamedTuple):
    """One instance of a study, as FHIR element and as Image, each without what is refused.

    Attributes:
        granted: Coordinates that were asked for and are open on the study.
    """

    series: str
    element: dict[str, Json]
    image: dict[str, Json]
    granted: frozenset[str]


async def instances(
    guarded: GuardedRepository,
    studies: Sequence[Row],
    elements: frozenset[str],
    limit: int | None = None,
) -> dict[str, list[Instance]]:
    """List the instances of studies that were given out, by series, number and UID; by study.

    Args:
        guarded: The repository that gave the rows.
        studies: ImagingStudy rows.
        elements: Coordinates below `ImagingStudy.series.instance`, and of `Image`.
        limit: At most so many in all are read.
    """
    plan = guarded.plan("ImagingStudy", elements | {_INSTANCE})
    open_to = {study.id: opened(guarded, study.record, plan) for study in studies}
    readable = elements.intersection(frozenset().union(*open_to.values()))
    guarded.refused |= outermost(
        frozenset().union(*(elements - granted for granted in open_to.values()))
    )
    if not readable:
        return {}
    paths = _image_paths(readable)
    stored = await guarded.repository.images_of(
        [study for study, granted in open_to.items() if granted], paths, limit
    )
    shown = {granted: _shown(granted, paths) for granted in set(open_to.values())}
    return {study: _instances(images, shown[open_to[study]]) for study, images in stored.items()}


async def search_images(
    guarded: GuardedRepository,
    search: Search,
    page: Page,
    *,
    elements: frozenset[str],
    query: str | None = None,
) -> Found:
    """List a page of Image records; an image is there for the caller where its study is.

    Raises:
        AccessDenied: Images are closed to the caller.
        Invalid: The caller sees so many studies, yet not all, that one has to be named.
    """
    plan = guarded.plan("Image", elements)
    for coordinate in ("Image.id", "ImagingStudy.id"):
        if not guarded.access.allows(coordinate):
            guarded.access.refuse("search", "Image", {coordinate})
    secret = {one for one in search.coordinates if not guarded.access.allows(one)}
    if secret:
        guarded.refused |= secret
        guarded.access.refuse("search by", "Image", secret)
    tree = all_of((search.tree, await _within_studies(guarded, search, plan)))
    records = await guarded.repository.find(
        "Image",
        tree,
        wanted=Wanted(projection("Image", plan.readable) | {"study"}),
        sort=page.sort,
        limit=page.first + 1,
        after=page.after,
    )
    total = await guarded.repository.count("Image", tree) if page.counted else None
    studies = await _studies_of(guarded, records[: page.first], plan)
    rows = []
    for record in records[: page.first]:
        study = studies.get(record.resource["study"])
        closed = guarded.closed_on(study, plan) if study else plan.readable - plan.granted
        refused = outermost(plan.refused | closed)
        guarded.refused |= refused
        unasked = {"Image.study"} - plan.readable  # read to know whose scopes hold
        rows.append(Row(record, without(record.resource, refused | unasked), refused))
    guarded.access.note(
        Entry(
            "search",
            "Image",
            "allowed",
            ids=tuple(row.record.real_id for row in rows),
            patients=patients_of(studies.values()),
            total=len(rows) if total is None else total,
            query=query,
            refused=tuple(sorted(plan.refused)),
        )
    )
    return Found(rows, total, len(records) > page.first, plan.refused)


async def stored_image(
    guarded: GuardedRepository,
    identifier: str,
    coordinate: str,
    study: str | None = None,
    *,
    asked: str | None = None,
) -> StoredImage:
    """Give what serving an instance's bytes needs, if the caller may have them.

    Args:
        guarded: Repository of the caller.
        identifier: SOP Instance UID.
        coordinate: `Image.pixels` for frames and renderings, `Image.file` for the DICOM object.
        study: Study Instance UID that the address names; another study's instance is not found.
        asked: What the audit says was asked for; absent: the coordinate.

    Raises:
        AccessDenied: The bytes are closed to the caller.
        NotFound: There is no such instance, or none the caller may know of.
    """
    guarded.access.require(coordinate, "read")
    asked = asked or coordinate
    needed = (
        file_elements(guarded)
        if coordinate == "Image.file"
        else frozenset({"Image.id", coordinate})
    )
    plan = guarded.plan("ImagingStudy", needed)
    stored, record = await image_and_study(guarded, identifier, study, plan)
    closed = needed if record is None else needed - opened(guarded, record, plan)
    # a study may be there for the caller of which no image is
    hidden = "Image.id" in closed and guarded.access.allows("Image.id")
    if stored is None or record is None or hidden:
        guarded.access.note(
            Entry("read", "Image", "failed", ids=(identifier,), total=0, query=asked)
        )
        raise NotFound("no instance of this UID is open to you")
    refuse_closed(guarded, closed)
    let_leave(guarded, stored, asked)
    note_read(guarded, stored, record, asked)
    return stored


async def image_and_study(
    guarded: GuardedRepository, identifier: str, study: str | None, plan: Plan
) -> tuple[StoredImage | None, Record | None]:
    """Give an instance, and its study if it is the one that is asked for, as both are now."""
    known = await guarded.repository.remembered_image(identifier)
    if known is not None and study in {None, known.study}:
        record = await study_record(guarded, known.study, plan)
        if record is not None and (record.life, record.version) == known.known_at:
            return known, record
    stored = await guarded.repository.stored_image(identifier, outdated=known is not None)
    if stored is None or study not in {None, stored.study}:
        return stored, None
    return stored, await study_record(guarded, stored.study, plan)


async def opened_around(
    guarded: GuardedRepository, image: StoredImage, coordinates: frozenset[str], query: str
) -> frozenset[str]:
    """Say which elements are open of the study of an image that is given out.

    Args:
        guarded: Repository of the caller.
        image: As `stored_image` gave it.
        coordinates: Of the study, its patient and its images.
        query: What the client wrote, for the audit.
    """
    plan = guarded.plan("ImagingStudy", coordinates | {"ImagingStudy.id"})
    record = await study_record(guarded, image.study, plan)
    granted = opened(guarded, record, plan) if record else frozenset()
    closed = outermost(coordinates - granted)
    guarded.refused |= closed
    guarded.access.note(
        Entry(
            "read",
            "ImagingStudy",
            "allowed",
            ids=(record.real_id,) if record else (),
            patients=patients_of([record] if record else []),
            total=1 if record else 0,
            query=query,
            refused=tuple(sorted(closed)),
        )
    )
    return granted


async def study_record(
    guarded: GuardedRepository,
    study: str,
    plan: Plan,
    elements: frozenset[str] = frozenset({"id"}),
) -> Record | None:
    """Give the study that images are in, as far as a plan needs it to decide about them.

    Args:
        guarded: Repository of the caller.
        study: Study Instance UID.
        plan: What is to be decided.
        elements: What is read of it besides.
    """
    search = Search("ImagingStudy", Has("_id", study))
    tree = guarded.narrowed(search, plan.anchor, "read")
    wanted = Wanted(elements, guarded.deciding(plan))
    records = await guarded.repository.find("ImagingStudy", tree, wanted=wanted, limit=1)
    return records[0] if records else None


def refuse_closed(guarded: GuardedRepository, closed: frozenset[str]) -> None:
    """Refuse, and record, images of which something is closed.

    Raises:
        AccessDenied: Something is.
    """
    if closed:
        guarded.refused |= closed
        guarded.access.refuse("read", "Image", outermost(closed))


def file_elements(guarded: GuardedRepository) -> frozenset[str]:
    """Give the coordinates that have to be open for a DICOM object to leave."""
    if guarded.access.view == "deidentified":
        return frozenset({"Image.id", "Image.file", "Image.pixels"})
    return FILE_ELEMENTS


def note_read(guarded: GuardedRepository, stored: StoredImage, study: Record, asked: str) -> None:
    """Record that something of an instance is given out."""
    guarded.access.note(
        Entry(
            "read",
            "Image",
            "allowed",
            ids=(stored.real_id,),
            patients=patients_of([study]),
            total=1,
            query=asked,
        )
    )


def let_leave(guarded: GuardedRepository, stored: StoredImage | StoredHeader, asked: str) -> None:
    """Refuse, and record, what is asked for of an instance that may show who somebody is.

    Raises:
        Withheld: They may; the text says why.
    """
    if stored.withheld is not None:
        refused = ("Image.file", "Image.pixels")
        guarded.access.note(
            Entry(
                "read",
                "Image",
                "refused",
                ids=(stored.real_id,),
                query=asked,
                refused=refused,
            )
        )
        raise Withheld(stored.withheld)


async def _within_studies(guarded: GuardedRepository, search: Search, plan: Plan) -> Filter:
    """Narrow images to the studies that are open: all of them, or those by name."""
    looked_at = {
        one for name in search.coordinates for one in guarded.access.decisions(name, on="Image")
    }
    narrow = all_of(
        (
            guarded.access.within_scopes("ImagingStudy", "search", "Image.id"),
            *(
                guarded.access.rows(decision, "ImagingStudy")
                for decision in (
                    plan.anchor,
                    guarded.access.grant.decision("ImagingStudy.id", "read"),
                    *looked_at,
                )
            ),
        )
    )
    if narrow == EVERYTHING:
        return EVERYTHING
    parts = search.tree.parts if isinstance(search.tree, AllOf) else (search.tree,)
    named = [
        Has("_id", part.value)
        for part in parts
        if isinstance(part, Has) and part.parameter == "study"
    ]
    records = await guarded.repository.find(
        "ImagingStudy",
        all_of((narrow, *named)),
        wanted=Wanted(frozenset({"id"})),
        limit=MAX_STUDIES + 1,
    )
    if len(records) > MAX_STUDIES:
        raise Invalid(f"images of more than {MAX_STUDIES:,} studies: name a study")
    return any_of(Has("study", record.id) for record in records)


async def _studies_of(
    guarded: GuardedRepository, images: Iterable[Record], plan: Plan
) -> dict[str, Record]:
    uids = {image.resource["study"] for image in images}
    records = await guarded.repository.find(
        "ImagingStudy",
        any_of(Has("_id", uid) for uid in sorted(uids)),
        wanted=Wanted(frozenset({"id"}), guarded.deciding(plan) | {"patient"}),
        limit=max(len(uids), 1),
    )
    return {record.id: record for record in records}


def opened(guarded: GuardedRepository, record: Record, plan: Plan) -> frozenset[str]:
    """List what a plan gives out of one study."""
    return plan.readable - guarded.closed_on(record, plan)


def _image_paths(coordinates: Iterable[str]) -> frozenset[str]:
    """Name the stored Image elements behind coordinates; an instance's uid is the image's id."""
    within = (one for one in coordinates if one != _INSTANCE)
    names = {one.removeprefix(f"{_INSTANCE}.").removeprefix("Image.") for one in within}
    return frozenset("id" if name == "uid" else name for name in names)


class _Shown(NamedTuple):
    """What of an instance is shown, written out once for all that are shown alike.

    Attributes:
        elements: Names with what they are called of an Image.
        closed: Elements of an Image that are read and not shown.
    """

    granted: frozenset[str]
    elements: tuple[tuple[str, str], ...]
    closed: tuple[str, ...]


def _shown(granted: frozenset[str], read: frozenset[str]) -> _Shown:
    return _Shown(
        granted,
        tuple(
            (name, source)
            for name, source in _ELEMENTS_OF_INSTANCE.items()
            if f"{_INSTANCE}.{name}" in granted
        ),
        tuple(one for one in sorted(read | {"series", "id"}) if f"Image.{one}" not in granted),
    )


def _instances(images: Iterable[dict[str, Json]], shown: _Shown) -> list[Instance]:
    """Show the instances of one study; the records that were read become their Images."""
    granted, elements, closed = shown
    found = []
    for image in images:  # of one page there can be tens of thousands
        element = {}
        for name, source in elements:
            if source in image:
                element[name] = image[source]
        series = image["series"]
        for name in closed:
            image.pop(name, None)
        found.append(Instance(series, element, image, granted))
    return found


_ELEMENTS_OF_INSTANCE = {"uid": "id", "sopClass": "sopClass", "number": "number", "title": "title"}
