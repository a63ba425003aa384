"""Whoever may store some objects only may store none: an upload is of no row yet."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.archive import Archive
from tests.build import dicom, uid
from tests.policy import book, doors

Headers = Callable[..., dict[str, str]]
SCOPE = (
    '[mine]\ndescription = "of the caller\'s patient"\nImagingStudy = "patient=Patient/{patient}"'
)
STORE = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}


async def uploaded(http: httpx.AsyncClient, headers: dict[str, str], study: str) -> httpx.Response:
    data = dicom(StudyInstanceUID=study)
    content = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--b--\r\n"
    return await http.post("/dicomweb/studies", headers=headers | STORE, content=content)


async def test_a_rule_that_opens_storing_on_some_rows_opens_it_on_none(
    archive: Archive, acting_as: Headers, tmp_path: Path
) -> None:
    lines = """
        p, technologist, Image.file, create, mine, allow
        p, radiologist, Image.file, create, any, allow
        p, radiologist, ImagingStudy.id, read, any, allow
    """
    async with doors(archive, book(tmp_path / "policy", lines, SCOPE)) as http:
        study = uid("scoped")
        refused = await uploaded(http, acting_as("technologist", patient="p1"), study)
        assert (refused.status_code, refused.json()["coordinates"]) == (403, ["Image.file"])
        assert await archive.ledger.study(study) is None
        taken = await uploaded(http, acting_as("radiologist"), study)
        assert taken.status_code == 200, taken.text


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("user/ImagingStudy.cruds", 200),
        ("user/*.write", 200),
        ("user/ImagingStudy.rs", 403),
        ("user/Patient.cruds", 403),
        ("patient/ImagingStudy.cruds", 403),
        ("user/ImagingStudy.cruds?modality=CT", 403),
        ("user/ImagingStudy.dus", 403),
    ],
)
async def test_a_token_stores_if_its_scopes_are_about_every_study(
    archive: Archive,
    client: httpx.AsyncClient,
    acting_as: Headers,
    scope: str,
    status: int,
) -> None:
    study = uid(scope)
    headers = acting_as("technologist", scope=scope, context="p1")
    answer = await uploaded(client, headers, study)
    assert answer.status_code == status, answer.text
    assert (await archive.ledger.study(study) is not None) == (status == 200)
