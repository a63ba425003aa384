"""A DICOM object leaves as it is only for whoever may read everything that can be in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.archive import Archive
from fhir.dicom_elements import PRIVATE, coordinate_of, public_tags
from tests.build import dicom, uid
from tests.policy import book, doors

STUDY, SERIES, INSTANCE = (uid("whole", one) for one in ("study", "series", "instance"))
# One element for each part of the table, from every group of it.
CLOSED = sorted({coordinate_of(tag) for tag in public_tags()} | {PRIVATE, "Image.file"})


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    async def chunks() -> Any:
        yield dicom(StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES, SOPInstanceUID=INSTANCE)

    assert (await archive.ingest.store(chunks())).status == "stored"


@pytest.mark.parametrize("closed", [None, *CLOSED])
async def test_one_closed_element_keeps_the_whole_file_back(
    closed: str | None,
    archive: Archive,
    acting_as: Callable[..., dict[str, str]],
    tmp_path: Path,
) -> None:
    lines = "p, radiologist, *, read, any, allow\n"
    if closed:
        lines += f"p, radiologist, {closed}, read, any, deny\n"
    instance = f"/dicomweb/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}"
    async with doors(archive, book(tmp_path / "policy", lines)) as http:
        for address in (
            instance,
            f"/dicomweb/studies/{STUDY}",
            f"/postdicom/images/{INSTANCE}/data",
        ):
            answer = await http.get(address, headers=acting_as("radiologist") | {"Accept": "*/*"})
            if closed is None:
                assert answer.status_code == 200, answer.text
            else:
                # a study whose id is closed is not there at all
                assert answer.status_code in ({403, 404} if closed == STUDY_ID else {403})
                assert b"DICM" not in answer.content


STUDY_ID = "ImagingStudy.id"
