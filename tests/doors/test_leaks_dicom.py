"""What is closed cannot be asked about by DICOM keys, wildcards, orders or totals."""

import pytest

from fhir.dicom_keys import BUILT_IN, LEVELS, SHOWN, coordinates_of_path, path_named
from fhir.pseudonyms import Pseudonyms
from tests.doors.judge import Judge
from tests.doors.people import PROJECT, RESEARCHER, Person
from tests.doors.planted import WORDS
from tests.doors.qido_probe import ROWS
from tests.doors.sight import Json, as_text, filled
from tests.doors.test_leaks import ASKING, NAMED
from tests.doors.world import World, real_ids

ADDRESSES = {"study": "studies", "series": "series", "instance": "studies/{study}/instances"}
# By level and key: one value that finds what is planted, one of the same form that does not.
ASKED: dict[str, dict[str, tuple[str, str]]] = {
    "study": {
        "StudyInstanceUID": ("{study}", "2.25.1"),
        "StudyDate": ("20230607", "19230607"),
        "StudyTime": ("1000-1100", "2300-2301"),
        "AccessionNumber": ("PLANTEDACC", "ABSENTACC"),
        "ModalitiesInStudy": ("CT", "US"),
        "ReferringPhysicianName": ("Zzplantedreferrer*", "Zzabsent*"),
        "StudyDescription": ("*planteddesc*", "*absentdesc*"),
        "PatientName": ("zzplanted*", "zzabsent*"),
        "PatientID": ("PLANTED?RN", "ABSENT?RN"),
        "PatientBirthDate": ("19600101-19620101", "18700101-18710101"),
        "PatientSex": ("F", "O"),
        "StudyID": ("7", "no"),
        "NumberOfStudyRelatedInstances": ("1", "99"),
        "AdmissionID": ("PLANTEDADM", "ABSENTADM"),
        "NameOfPhysiciansReadingStudy": ("Zzplantedreader^B", "Zzabsent^B"),
        "ProcedureCodeSequence.CodeMeaning": ("Zzplantedproc*", "Zzabsent*"),
    },
    "series": {
        "SeriesInstanceUID": ("{series}", "2.25.1"),
        "Modality": ("CT", "US"),
        "SeriesNumber": ("3", "999"),
        "SeriesDescription": ("Zzplantedseries", "Zzabsent"),
        "NumberOfSeriesRelatedInstances": ("1", "99"),
        "BodyPartExamined": ("CHEST", "FOOT"),
        "OperatorsName": ("Zzplantedoperator^C", "Zzabsent^C"),
        "InstitutionalDepartmentName": ("Zzplantedplace", "Zzabsent"),
        "SeriesDate": ("20230607", "19230607"),
        "PatientName": ("zzplanted*", "zzabsent*"),
    },
    "instance": {
        "SOPInstanceUID": ("{instance}", "2.25.1"),
        "SOPClassUID": ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"),
        "InstanceNumber": ("5", "999"),
        "Rows": ("16", "999"),
        "ImageType": ("AXIAL", "ABSENT"),
        "PatientName": ("zzplanted*", "zzabsent*"),
        "OperatorsName": ("Zzplantedoperator^C", "Zzabsent^C"),
    },
}
UIDS = {"study": "0020000D", "series": "0020000E", "instance": "00080018"}


async def asked(
    world: World, person: Person, level: str, query: str
) -> tuple[int, Json, list[str]]:
    """Give status, total and UIDs of the rows of a search."""
    address = filled(f"/dicomweb/{ADDRESSES[level]}?{query}", world.target(person))
    answer = await world.client.get(address, headers=world.headers(person))
    rows = answer.json() if answer.status_code == 200 else []
    found = [one[UIDS[level]]["Value"][0] for one in rows]
    return answer.status_code, answer.headers.get("x-total-count"), found


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("person", sorted(ASKING, key=str), ids=str)
async def test_a_search_by_a_closed_key_tells_nothing(
    person: Person, level: str, world: World, judge: Judge
) -> None:
    row = getattr(world.target(person), level)
    for key, values in ASKED[level].items():
        there, absent = [
            await asked(world, person, level, filled(f"{key}={value}", world.target(person)))
            for value in values
        ]
        needed = {*coordinates_of_path(path_named(key)), *ROWS[level]}
        assert row not in absent[2], key
        for status, total, found in (there, absent):
            assert total == (None if status == 403 else str(len(found))), key
        if not judge.allows_all(person, needed, person.held.get("ImagingStudy", frozenset())):
            assert row not in there[2], key
            assert {there[0], absent[0]} in ({403}, {204}, {200, 204}, {200}), key
        elif person != RESEARCHER:
            assert row in there[2], key
        if there[0] == 403 or absent[0] == 403:
            assert there[0] == absent[0], key


@pytest.mark.parametrize("person", sorted(ASKING, key=str), ids=str)
async def test_a_total_is_that_of_the_rows_that_are_seen(person: Person, world: World) -> None:
    for level in LEVELS:
        status, total, found = await asked(world, person, level, "")
        for way in ("limit=0", "offset=1000"):
            less = await asked(world, person, level, way)
            assert less[1] == total
        assert total == (None if status == 403 else str(len(found)))


@pytest.mark.parametrize("person", sorted(NAMED, key=str), ids=str)
async def test_pages_by_offset_are_the_whole_list_in_its_order(
    person: Person, world: World
) -> None:
    for level in LEVELS:
        status, _, found = await asked(world, person, level, "")
        if status == 200:
            pages = [
                (await asked(world, person, level, f"limit=1&offset={at}"))[2]
                for at in range(len(found))
            ]
            assert [uid for page in pages for uid in page] == found


async def test_an_order_by_date_needs_the_right_on_every_row(world: World, judge: Judge) -> None:
    for person in NAMED:
        status, _, found = await asked(world, person, "study", "")
        if status == 200 and not judge.allows(person, "ImagingStudy.started"):
            assert found == sorted(found), person


async def test_without_identity_a_search_is_by_pseudonym_or_refused(world: World) -> None:
    target = world.target(RESEARCHER)
    pseudonyms = Pseudonyms(
        world.archive.pseudonym_key, PROJECT, world.archive.settings.date_shift_days
    )
    number, accession = pseudonyms.number(world.normal.patient), pseudonyms.accession("PLANTEDACC")
    await asked(world, RESEARCHER, "study", "")
    for query in (
        f"StudyInstanceUID={target.study}",
        f"StudyInstanceUID={target.study}&PatientID={number}",
        f"StudyInstanceUID={target.study}&AccessionNumber={accession}",
        f"StudyInstanceUID={target.study}&ModalitiesInStudy=CT",
    ):
        assert (await asked(world, RESEARCHER, "study", query))[2] == [target.study], query
    for query in (
        f"StudyInstanceUID={world.normal.study}",
        "PatientID=PLANTEDMRN",
        "AccessionNumber=PLANTEDACC",
        f"PatientID={world.normal.patient}",
    ):
        assert await asked(world, RESEARCHER, "study", query) == (204, "0", []), query
    for query in ("PatientID=P*", "PatientName=Z*", "StudyDate=2023*", "ModalitiesInStudy=C*"):
        address = f"/dicomweb/studies?{query}"
        answer = await world.client.get(address, headers=world.headers(RESEARCHER))
        assert answer.status_code in {400, 403}, query
    found = await world.client.get(
        f"/dicomweb/studies/{target.study}/instances?includefield=all",
        headers=world.headers(RESEARCHER),
    )
    assert found.status_code == 200
    text = as_text(found)
    assert not [word for word in (*WORDS, *real_ids(world)) if word in text]


async def test_a_refused_search_is_in_the_audit_with_what_was_asked(world: World) -> None:
    person = next(one for one in NAMED if one.role == "admin")
    status, *_ = await asked(world, person, "study", "PatientName=zzplanted*")
    assert status == 403
    entry = await world.archive.database["audit_events"].find_one(
        {"door": "dicomweb", "action": "search", "who": person.agent}, sort=[("recorded", -1)]
    )
    assert entry is not None
    assert (entry["outcome"], entry["refused"]) == ("refused", ["Patient.name"])


async def test_a_search_is_in_the_audit_with_its_query_patients_and_rows(world: World) -> None:
    person = next(one for one in NAMED if one.role == "radiologist")
    query = f"StudyInstanceUID={world.normal.study}"
    await asked(world, person, "study", query)
    entry = await world.archive.database["audit_events"].find_one(
        {"door": "dicomweb", "action": "search", "who": person.agent}, sort=[("recorded", -1)]
    )
    assert entry is not None
    assert entry["query"] == f"studies?{query}"
    assert (entry["ids"], entry["patients"], entry["total"]) == (
        [world.normal.study],
        [world.normal.patient],
        1,
    )


def test_every_default_attribute_can_be_searched_by() -> None:
    for level in LEVELS:
        assert set(SHOWN[level]) <= set(BUILT_IN[level])
