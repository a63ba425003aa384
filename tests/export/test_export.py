"""What a role sees, exported into a folder: which records and objects, and what is left out."""

import csv
import json
import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient

from app.archive import Archive
from app.export import Exported, Order, export
from fhir.errors import AccessDenied, Invalid
from tests.build import dicom, study, uid
from tests.care import look_after, patient_of
from tests.rest.forms import ActingAs, put

ONE, TWO, BURNED = (uid("export", name) for name in ("one", "two", "burned"))
OBJECTS = {
    f"{ONE}/{ONE}.1/{ONE}.1.{number}.dcm": data
    for number, data in enumerate(
        study(instances=2, StudyInstanceUID=ONE, PatientID="EXPORTMRN", PatientName="Secret^Sue"), 1
    )
}
USER = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(scope="module", autouse=True)
async def stored(archive: Archive) -> None:
    """Store a CT of one patient, an MR of another, and one with text in its picture."""
    burned = dicom(
        StudyInstanceUID=BURNED,
        SOPInstanceUID=f"{BURNED}.1",
        PatientID="EXPORTMRN",
        PatientName="Secret^Sue",
        BurnedInAnnotation="YES",
    )
    other = study(
        StudyInstanceUID=TWO, PatientID="OTHERMRN", PatientName="Secret^Tom", Modality="MR"
    )
    await put(archive, *OBJECTS.values(), *other, burned)


def resources(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """Read records, by id."""
    lines = (folder / name).read_text().splitlines()
    found = [json.loads(one) for one in lines]
    assert len({one["id"] for one in found}) == len(found)
    return {one["id"]: one for one in found}


def files(folder: Path) -> dict[str, bytes]:
    """Read the objects, by path."""
    root = folder / "files"
    return {
        str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*") if one.is_file()
    }


def everything(folder: Path) -> dict[str, bytes]:
    """Read whatever is in a folder, by path; folders hold nothing."""
    return {
        str(one.relative_to(folder)): one.read_bytes() if one.is_file() else b""
        for one in folder.rglob("*")
    }


def refused(folder: Path) -> list[dict[str, str]]:
    with (folder / "refused.csv").open() as file:
        return list(csv.DictReader(file))


async def exported(archive: Archive, folder: Path, role: str, **more: Any) -> Exported:
    return await export(archive, Order(role, folder, **more))


async def at_the_door(
    client: AsyncClient, headers: dict[str, str], address: str
) -> dict[str, dict[str, Any]]:
    """Give what the FHIR door shows, by id."""
    answer = await client.get(f"/fhir/{address}", headers=headers)
    return {
        one["resource"]["id"]: one["resource"]
        for one in answer.json().get("entry", ())
        if one["search"]["mode"] == "match"
    }


@pytest.mark.parametrize(
    ("role", "who"),
    [
        ("radiologist", {}),
        ("technologist", {}),
        ("billing", {}),
        ("researcher", {"project": "A"}),
        ("admin", {}),
    ],
)
async def test_records_are_those_of_the_fhir_door(
    archive: Archive,
    client: AsyncClient,
    acting_as: ActingAs,
    tmp_path: Path,
    role: str,
    who: Mapping[str, str],
) -> None:
    folder = tmp_path / "new" / "export"
    done = await exported(archive, folder, role, **who)
    headers = acting_as(role, **who)
    studies = await at_the_door(client, headers, "ImagingStudy?_count=50")
    assert resources(folder, "ImagingStudy.ndjson") == studies
    patients = await at_the_door(client, headers, "Patient?_count=50")
    said = (one["subject"].get("reference", "").partition("/")[2] for one in studies.values())
    named = {one for one in said if one}  # to some it is masked whose they are
    assert resources(folder, "Patient.ndjson") == {one: patients[one] for one in named}
    assert (done.studies, done.patients) == (len(studies), len(named))
    assert len(named) == (0 if role == "admin" else 2)
    assert (done.files, done.refused) == (0, [])
    assert sorted(everything(folder)) == ["ImagingStudy.ndjson", "Patient.ndjson"]
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_a_query_is_a_search_of_the_fhir_door(archive: Archive, tmp_path: Path) -> None:
    done = await exported(
        archive, tmp_path, "radiologist", query="modality=MR&patient.identifier=OTHERMRN"
    )
    assert list(resources(tmp_path, "ImagingStudy.ndjson")) == [TWO]
    assert (done.studies, done.patients) == (1, 1)


async def test_more_studies_than_a_page_come_each_once(archive: Archive, tmp_path: Path) -> None:
    roots = {uid("pages", number) for number in range(101)}
    for root in sorted(roots):
        await put(archive, *study(StudyInstanceUID=root, PatientID="MANY", AccessionNumber="PAGES"))
    done = await exported(archive, tmp_path, "radiologist", query="identifier=PAGES")
    assert set(resources(tmp_path, "ImagingStudy.ndjson")) == roots
    assert (done.studies, done.patients) == (101, 1)


async def test_files_are_those_that_were_stored(archive: Archive, tmp_path: Path) -> None:
    done = await exported(archive, tmp_path, "radiologist", query=f"_id={ONE}", files=True)
    assert files(tmp_path) == OBJECTS
    assert (done.files, refused(tmp_path)) == (2, [])


async def test_a_researchers_files_are_without_identity_and_a_burned_in_one_is_refused(
    archive: Archive, client: AsyncClient, acting_as: ActingAs, tmp_path: Path
) -> None:
    done = await exported(archive, tmp_path, "researcher", project="A", files=True)
    headers = acting_as("researcher", project="A")
    studies = resources(tmp_path, "ImagingStudy.ndjson")
    found = files(tmp_path)
    assert len(found) == done.files
    [left] = refused(tmp_path)
    images = {
        instance["uid"]
        for one in studies.values()
        for series in one["series"]
        for instance in series["instance"]
    }
    assert {Path(one).stem for one in found} == images - {left["id"]}
    assert left["id"] in images
    answer = await client.get(f"/postdicom/images/{left['id']}/data", headers=headers)
    said = answer.json()["error"]
    assert left == {
        "kind": "Image",
        "id": left["id"],
        "code": "ACCESS_DENIED",
        "reason": said["message"],
    }
    for path, data in found.items():
        image = Path(path).stem
        read = await client.get(f"/postdicom/images/{image}/data", headers=headers)
        assert read.content == data
    whole = repr(everything(tmp_path)).encode() + b"".join(everything(tmp_path).values())
    for word in ("Secret", "EXPORTMRN", "OTHERMRN", ONE, TWO, BURNED):
        assert word.encode() not in whole, word


@pytest.mark.parametrize("role", ["technologist", "nurse", "billing"])
async def test_who_may_not_have_files_gets_none_and_each_study_is_listed(
    archive: Archive, tmp_path: Path, role: str
) -> None:
    done = await exported(archive, tmp_path, role, files=True, query=f"_id={ONE},{TWO}")
    assert not (tmp_path / "files").exists()
    listed = refused(tmp_path)
    assert {(one["kind"], one["id"], one["code"]) for one in listed} == {
        ("ImagingStudy", ONE, "ACCESS_DENIED"),
        ("ImagingStudy", TWO, "ACCESS_DENIED"),
    }
    assert all("Image.file" in one["reason"] for one in listed)
    assert len(done.refused) == 2


async def test_links_are_those_of_the_subject_and_a_patient_is_who_is_named(
    archive: Archive, tmp_path: Path
) -> None:
    patient = await patient_of(archive, ONE)
    await look_after(archive, "exporting", patient)
    subject = "urn:radiograph:development#exporting"
    query = f"_id={ONE},{TWO}"
    done = await exported(
        archive, tmp_path / "a", "provider", subject=subject, files=True, query=query
    )
    assert files(tmp_path / "a") == OBJECTS
    assert [one[1] for one in done.refused] == [TWO]
    await exported(archive, tmp_path / "b", "patient", patient=patient, files=True)
    assert set(resources(tmp_path / "b", "ImagingStudy.ndjson")) == {ONE, BURNED}
    nobody = await exported(archive, tmp_path / "c", "patient", files=True)
    assert (nobody.studies, resources(tmp_path / "c", "ImagingStudy.ndjson")) == (0, {})


async def test_the_audit_names_the_user_of_the_operating_system_and_the_role(
    archive: Archive, tmp_path: Path
) -> None:
    events = archive.database["audit_events"]
    before = await events.distinct("_id")
    await exported(
        archive, tmp_path, "radiologist", query=f"_id={ONE}", files=True, subject="x#somebody"
    )
    found = await events.find({"_id": {"$nin": before}}).to_list(None)
    assert {(one["door"], one["who"], one["name"]) for one in found} == {
        ("export", f"cli#{USER}", f"operating-system user {USER}, as x#somebody")
    }
    assert {tuple(one["roles"]) for one in found} == {("radiologist",)}
    assert len({one["requestId"] for one in found}) == 1
    told = [(one["action"], one["resource"], one["outcome"], one["ids"]) for one in found]
    patient = await patient_of(archive, ONE)
    assert sorted(told) == [
        ("read", "Image", "allowed", [f"{ONE}.1.1", f"{ONE}.1.2"]),
        ("search", "ImagingStudy", "allowed", [ONE]),
        ("search", "Patient", "allowed", [patient]),
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"role": "emperor"}, "no such role; there are admin, "),
        ({"role": "finder"}, "no such role; there are admin, "),
        ({"role": "researcher"}, "name it with --project"),
        ({"role": "researcher", "project": "a b"}, "a project has 1 to 64"),
        ({"role": "patient", "patient": "../x"}, "a Patient's id has 1 to 64"),
        ({"query": "Secret"}, "a query is a FHIR search"),
        ({"query": "modality=CT&_count=3"}, "a query has none of _count, _cursor"),
        ({"query": "nothing=Secret"}, "unknown parameter"),
    ],
)
async def test_an_order_that_makes_no_sense_leaves_no_record_behind(
    archive: Archive, tmp_path: Path, more: dict[str, str], said: str
) -> None:
    order: dict[str, Any] = {"role": "radiologist", **more}
    with pytest.raises(Invalid, match=said) as problem:
        await export(archive, Order(folder=tmp_path / "to", **order))
    assert "Secret" not in problem.value.message
    assert everything(tmp_path).keys() <= {"to"}


async def test_who_may_not_search_so_gets_nothing_and_that_is_in_the_audit(
    archive: Archive, tmp_path: Path
) -> None:
    events = archive.database["audit_events"]
    before = await events.distinct("_id")
    with pytest.raises(AccessDenied):
        await exported(archive, tmp_path, "billing", query="description=Secret")
    assert everything(tmp_path) == {}
    [found] = await events.find({"_id": {"$nin": before}}).to_list(None)
    assert (found["door"], found["outcome"], found["roles"]) == ("export", "refused", ["billing"])


async def test_a_folder_that_holds_something_is_left_as_it_is(
    archive: Archive, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(Invalid, match="holds something already"):
        await exported(archive, tmp_path, "radiologist")
    assert everything(tmp_path) == {"kept": b"mine"}
    with pytest.raises(FileExistsError):
        await exported(archive, tmp_path / "kept", "radiologist")


async def test_an_object_that_is_gone_is_refused_and_leaves_nothing(
    archive: Archive, tmp_path: Path
) -> None:
    root = uid()
    await put(archive, *study(instances=2, StudyInstanceUID=root, PatientID=root))
    document = await archive.database["instances"].find_one({"_id": f"{root}.1.2"})
    assert document is not None
    await archive.objects.delete(document["object"])
    done = await exported(archive, tmp_path, "radiologist", query=f"_id={root}", files=True)
    assert list(files(tmp_path)) == [f"{root}/{root}.1/{root}.1.1.dcm"]
    assert done.files == 1
    assert refused(tmp_path) == [
        {
            "kind": "Image",
            "id": f"{root}.1.2",
            "code": "NOT_FOUND",
            "reason": "the bytes of this image are gone: it is being deleted",
        }
    ]
