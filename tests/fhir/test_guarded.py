"""The guarded repository where no door shows it: parts of records, images and bytes."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from app.archive import Archive
from fhir.access import Access
from fhir.errors import AccessDenied, Invalid, NotFound
from fhir.guarded import GuardedRepository, Page
from fhir.images import instances, search_images, stored_image
from fhir.repository import Sort
from fhir.search import Search, criteria
from policies.caller import Caller
from policies.errors import PolicyError
from tests.build import study, uid
from tests.policy import book

CT, MR = uid("ct"), uid("mr")
SCOPES = """
[ct]
description = "CT"
ImagingStudy = "modality=CT"

[women]
description = "Women"
Patient = "gender=female"

[own]
description = "The caller's"
Patient = "_id={patient}"
ImagingStudy = "patient=Patient/{patient}"
"""
ALL = "p, provider, ImagingStudy.*, read, any, allow\np, provider, Image.*, read, any, allow\n"
Guard = Callable[..., GuardedRepository]


@pytest.fixture(scope="module", autouse=True)
async def loaded(archive: Archive) -> None:
    """A CT study of two series of two instances, and an MR study of one, of two patients."""

    async def chunks(data: bytes) -> AsyncIterator[bytes]:
        yield data

    ct = study(2, 2, StudyInstanceUID=CT, PatientID="P1", PatientSex="F")
    mr = study(1, 1, StudyInstanceUID=MR, Modality="MR", PatientID="P2", PatientSex="M")
    for one in (*ct, *mr):
        assert (await archive.ingest.store(chunks(one))).status == "stored"


@pytest.fixture
def guard(archive: Archive, tmp_path: Path) -> Guard:
    """Guard the archive by some rules, for a provider."""

    def made(rules: str, scopes: str = SCOPES, **variables: str) -> GuardedRepository:
        policy = book(tmp_path, rules, scopes).current
        said = {name: (value,) for name, value in variables.items()}
        caller = Caller("somebody", frozenset({"provider"}), variables=said)
        return GuardedRepository(archive.repository, Access(caller, policy))

    return made


async def test_only_the_elements_that_were_asked_for_come_back(guard: Guard) -> None:
    row = await guard(ALL).read("ImagingStudy", MR, frozenset({"ImagingStudy.series.number"}))
    assert row.resource == {"resourceType": "ImagingStudy", "id": MR, "series": [{"number": 1}]}
    assert row.refused == frozenset()


async def test_what_places_instances_is_never_told_to_whom_it_is_closed(guard: Guard) -> None:
    guarded = guard(f"{ALL}p, provider, ImagingStudy.series.uid, read, any, deny")
    number = "ImagingStudy.series.instance.number"
    row = await guarded.read("ImagingStudy", CT, frozenset({"ImagingStudy.series", number}))
    assert f"{CT}.1" not in str(row.resource)
    assert [one["uid"] for one in row.record.resource["series"]] == [f"{CT}.1", f"{CT}.2"]
    found = await instances(guarded, [row], frozenset({number}))
    assert [(one.series, one.element, one.image) for one in found[CT]] == [
        (f"{CT}.{series}", {"number": at}, {}) for series in (1, 2) for at in (1, 2)
    ]


async def test_elements_of_instances_are_open_where_their_study_is_in_scope(guard: Guard) -> None:
    rules = f"""{ALL}
        p, provider, Image.rows, read, ct, deny
        p, provider, ImagingStudy.series.instance.title, read, ct, deny
    """
    guarded = guard(rules)
    page = Page(10, sort=(Sort("modality"),))
    # nothing of the instances is named here, and it is decided all the same
    rows = (await guarded.search(Search("ImagingStudy"), page, elements=frozenset())).rows
    title = "ImagingStudy.series.instance.title"
    found = await instances(guarded, rows, frozenset({title, "Image.rows"}))
    assert {(str(one.element), str(one.image)) for one in found[CT]} == {("{}", "{}")}
    assert [one.element for one in found[MR]] == [{"title": "ORIGINAL\\PRIMARY\\AXIAL"}]
    assert [one.image for one in found[MR]] == [{"rows": 16}]
    assert guarded.refused == {title, "Image.rows"}


async def test_images_are_listed_with_what_is_open_of_each(guard: Guard) -> None:
    guarded = guard(f"{ALL}p, provider, Image.rows, read, ct, deny")
    wanted = frozenset({"Image.rows", "Image.number"})
    found = await search_images(guarded, Search("Image"), Page(10, counted=True), elements=wanted)
    assert found.total == 5
    by_study = {row.id: (row.resource, row.refused) for row in found.rows}
    assert by_study[f"{MR}.1.1"] == (
        {"resourceType": "Image", "id": f"{MR}.1.1", "rows": 16, "number": 1},
        frozenset(),
    )
    assert by_study[f"{CT}.2.1"] == (
        {"resourceType": "Image", "id": f"{CT}.2.1", "number": 1},
        frozenset({"Image.rows"}),
    )


async def test_images_are_there_where_they_and_their_study_are(guard: Guard) -> None:
    for rules in (
        "p, provider, ImagingStudy.*, read, ct, allow\np, provider, Image.*, read, any, allow",
        "p, provider, ImagingStudy.*, read, any, allow\np, provider, Image.*, read, ct, allow",
    ):
        guarded = guard(rules)
        found = await search_images(
            guarded, Search("Image"), Page(3, counted=True), elements=frozenset({"Image.id"})
        )
        assert (found.total, len(found.rows), found.more) == (4, 3, True)
        rest = Page(3, after=found.rows[-1].record.position)
        further = await search_images(
            guarded, Search("Image"), rest, elements=frozenset({"Image.id"})
        )
        assert sorted(row.id for row in (*found.rows, *further.rows)) == [
            f"{CT}.1.1", f"{CT}.1.2", f"{CT}.2.1", f"{CT}.2.2",
        ]  # fmt: skip


async def test_images_are_not_searched_by_what_is_closed(guard: Guard) -> None:
    by_class = criteria("Image", [("dicom-class", "urn:oid:1.2.840.10008.5.1.4.1.1.2")])
    page, wanted = Page(10, counted=True), frozenset({"Image.id"})
    closed = guard(f"{ALL}p, provider, Image.sopClass, read, any, deny")
    with pytest.raises(AccessDenied) as refusal:
        await search_images(closed, by_class, page, elements=wanted)
    assert refusal.value.coordinates == {"Image.sopClass"}
    some = guard(f"{ALL}p, provider, Image.sopClass, read, ct, deny")
    assert (await search_images(some, by_class, page, elements=wanted)).total == 1
    assert (await search_images(guard(ALL), by_class, page, elements=wanted)).total == 5


@pytest.mark.parametrize("coordinate", ["Image.pixels", "Image.file"])
async def test_bytes_need_the_image_the_study_and_for_files_all_that_a_header_says(
    guard: Guard, coordinate: str
) -> None:
    patient = "p, provider, Patient.*, read, any, allow\n"
    image = f"{CT}.1.1"
    stored = await stored_image(guard(ALL + patient), image, coordinate, CT)
    assert (stored.id, stored.study, stored.series) == (image, CT, f"{CT}.1")
    with pytest.raises(NotFound):
        await stored_image(guard(ALL + patient), image, coordinate, MR)
    with pytest.raises(NotFound):
        await stored_image(guard(ALL + patient), f"{image}.9", coordinate)
    for closing in (
        f"p, provider, {coordinate}, read, any, deny",
        f"p, provider, {coordinate}, read, ct, deny",
        "p, provider, Image.id, read, any, deny",
    ):
        guarded = guard(ALL + patient + closing)
        with pytest.raises(AccessDenied):
            await stored_image(guarded, image, coordinate)
        assert [one.outcome for one in guarded.access.entries] == ["refused"]
    hidden = guard(f"{ALL}{patient}p, provider, ImagingStudy.id, read, ct, deny")
    with pytest.raises(NotFound):
        await stored_image(hidden, image, coordinate)


@pytest.mark.parametrize(
    "closing",
    [
        "p, provider, Patient.name, read, any, deny",
        "p, provider, Patient.name, read, women, deny",
        "p, provider, ImagingStudy.referrer, read, ct, deny",
        "p, provider, Image.rows, read, ct, deny",
        "p, provider, Image.pixels, read, ct, deny",
    ],
)
async def test_a_file_with_one_closed_element_stays_whereas_its_pixels_may_leave(
    guard: Guard, closing: str
) -> None:
    rules = f"{ALL}p, provider, Patient.*, read, any, allow\n{closing}"
    with pytest.raises(AccessDenied):
        await stored_image(guard(rules), f"{CT}.1.1", "Image.file")
    if "pixels" not in closing:
        assert (await stored_image(guard(rules), f"{CT}.1.1", "Image.pixels")).study == CT


async def test_groups_hold_only_what_may_be_seen_and_known(guard: Guard) -> None:
    guarded = guard("p, provider, ImagingStudy.*, read, ct, allow")
    found = await guarded.search_each(
        Search("ImagingStudy"), "modality", ["CT", "MR"], Page(5), elements=frozenset()
    )
    assert {name: (one.total, [row.id for row in one.rows]) for name, one in found.items()} == {
        "CT": (1, [CT]),
        "MR": (0, []),
    }
    closed = guard(f"{ALL}p, provider, ImagingStudy.series.modality, read, any, deny")
    with pytest.raises(AccessDenied) as refusal:
        await closed.search_each(Search("ImagingStudy"), "modality", ["CT"], Page(5))
    assert refusal.value.coordinates == {"ImagingStudy.series.modality"}


async def test_a_deed_needs_its_right_on_this_row(guard: Guard) -> None:
    guarded = guard(f"{ALL}p, provider, ImagingStudy.id, delete, ct, allow")
    assert (await guarded.permitted("ImagingStudy", CT, "delete")).id == CT
    with pytest.raises(AccessDenied):
        await guarded.permitted("ImagingStudy", MR, "delete")
    with pytest.raises(NotFound):
        await guarded.permitted("ImagingStudy", uid("none"), "delete")


async def test_a_variable_without_a_value_opens_no_row(guard: Guard) -> None:
    rules = "p, provider, ImagingStudy.*, read, own, allow"
    page = Page(5, counted=True)
    assert (await guard(rules).search(Search("ImagingStudy"), page)).total == 0
    assert (await guard(rules, patient="").search(Search("ImagingStudy"), page)).total == 0


async def test_a_value_adds_nothing_to_the_search_of_a_scope(guard: Guard) -> None:
    rules = "p, provider, ImagingStudy.*, read, own, allow"
    for value in ("x,Patient/y", "x&_id=1", "%26status=available", "*", "x|y"):
        guarded = guard(rules, patient=value)
        try:
            found = await guarded.search(Search("ImagingStudy"), Page(5, counted=True))
        except Invalid:
            continue
        assert found.total == 0


async def test_a_scope_that_asks_for_nothing_in_particular_is_an_error_and_not_every_row(
    guard: Guard,
) -> None:
    scopes = '[blank]\ndescription = "?"\nImagingStudy = "patient=&status=available"'
    with pytest.raises((Invalid, PolicyError), match="empty value"):
        await guard("p, provider, ImagingStudy.*, read, blank, allow", scopes).search(
            Search("ImagingStudy"), Page(5)
        )
