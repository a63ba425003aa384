"""What is written over a picture, by what the policy opens of its study."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.archive import Archive
from app.dicomweb.annotation import kinds_of, lines_for
from fhir.access import Access
from fhir.errors import Invalid
from fhir.guarded import GuardedRepository
from fhir.images import stored_image
from policies.caller import Caller
from tests.build import dicom, uid
from tests.policy import book

ALL = "p, provider, *, read, any, allow\n"
INSTANCE = uid("annotated")


@pytest.fixture(scope="module", autouse=True)
async def loaded(archive: Archive) -> None:
    """One image of Jane Doe."""

    async def chunks(data: bytes) -> AsyncIterator[bytes]:
        yield data

    data = dicom(
        SOPInstanceUID=INSTANCE,
        PatientID="P7",
        KVP=120,
        SliceThickness="2.5",
        XRayTubeCurrent=None,
    )
    assert (await archive.ingest.store(chunks(data))).status == "stored"


async def lines(archive: Archive, folder: Path, rules: str, *kinds: str) -> tuple[str, ...]:
    policy = book(folder, rules, "").current
    caller = Caller("somebody", frozenset({"provider"}))
    guarded = GuardedRepository(archive.repository, Access(caller, policy))
    image = await stored_image(guarded, INSTANCE, "Image.pixels")
    return await lines_for(guarded, image, kinds)


@pytest.mark.parametrize(
    ("closed", "expected"),
    [
        ((), ("Doe, Jane", "P7", "19700131", "F", "20240229")),
        (("Patient.name",), ("P7", "19700131", "F", "20240229")),
        (("Patient.identifier",), ("Doe, Jane", "19700131", "F", "20240229")),
        (("Patient.birthDate", "Patient.gender"), ("Doe, Jane", "P7", "20240229")),
        (("ImagingStudy.started",), ("Doe, Jane", "P7", "19700131", "F")),
    ],
)
async def test_what_is_closed_is_not_written(
    archive: Archive, tmp_path: Path, closed: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    rules = ALL + "".join(f"p, provider, {one}, read, any, deny\n" for one in closed)
    assert await lines(archive, tmp_path, rules, "patient") == expected


async def test_how_a_picture_was_made_is_one_line(archive: Archive, tmp_path: Path) -> None:
    expected = ("CT, 120 kV, 2.5 mm thick",)
    assert await lines(archive, tmp_path, ALL, "technique") == expected
    pixels = (
        "p, provider, ImagingStudy.id, read, any, allow\np, provider, Image.*, read, any, allow\n"
    )
    assert not set(await lines(archive, tmp_path, pixels, "patient")) & {"Doe, Jane", "P7"}


def test_kinds_are_listed_in_any_order_and_nothing_else_is() -> None:
    assert kinds_of("technique, patient") == ("technique", "patient")
    assert kinds_of("patient,patient") == ("patient",)
    for wrong in ("", "patients", "patient,", "patient;technique"):
        with pytest.raises(Invalid):
            kinds_of(wrong)
