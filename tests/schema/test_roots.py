"""Every root and every link, with exact values."""

import pytest

from app.archive import Archive
from tests.build import dicom, study
from tests.schema.asking import Ask, nodes
from tests.schema.library import fill, report, store


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    await fill(archive)
    await store(archive, *study(series=1, instances=3, StudyInstanceUID="1.2.9", PatientID="P9"))
    await store(
        archive,
        dicom(StudyInstanceUID="1.2.10", SOPInstanceUID="1.2.10.1", PatientID="P9", frames=5),
    )
    await store(
        archive, report(StudyInstanceUID="1.2.11", SOPInstanceUID="1.2.11.1", PatientID="P9")
    )


async def test_a_patient_has_fhir_names_and_values(ask: Ask) -> None:
    reply = await ask('{PatientList(identifier: ["P7"]) {id}}')
    [found] = reply.data["PatientList"]
    reply = await ask(
        """query ($id: ID!) {
          patient(id: $id) {
            id active gender birthDate
            name {text family given extension {url valueCode}}
            identifier {use value type {coding {code}}}
            meta {versionId} address {text} contact {name {text}}
          }
          Patient(id: $id) {id birthDate}
        }""",
        variables=found,
    )
    assert reply.data == {
        "patient": {
            "id": found["id"],
            "active": None,
            "gender": "other",
            "birthDate": "2001-12-31",
            "name": [
                {
                    "text": "Zoë Müller",
                    "family": "Müller",
                    "given": ["Zoë"],
                    "extension": [
                        {
                            "url": "http://hl7.org/fhir/StructureDefinition/"
                            "iso21090-EN-representation",
                            "valueCode": "ABC",
                        }
                    ],
                }
            ],
            "identifier": [{"use": "usual", "value": "P7", "type": {"coding": [{"code": "MR"}]}}],
            "meta": {"versionId": "1"},
            "address": None,
            "contact": None,
        },
        "Patient": {"id": found["id"], "birthDate": "2001-12-31"},
    }


async def test_a_study_has_its_series_instances_and_images(ask: Ask) -> None:
    reply = await ask(
        """{study(uid: "1.2.2") {
          id started status description numberOfSeries numberOfInstances
          modality {system code} subject {reference display} endpoint {reference}
          patient {name {text}}
          series {
            uid number modality {code} bodySite {code display} numberOfInstances description
            instance {uid number sopClass {code} title image {
              id study series number rows columns numberOfFrames size transferSyntax bitsStored
              photometricInterpretation pixelSpacing windowCenter windowWidth rescaleIntercept
              rescaleSlope imagePosition imageOrientation sliceThickness
            }}
          }
        }}"""
    )
    found = reply.data["study"]
    assert found["subject"].pop("reference").startswith("Patient/")
    series = found.pop("series")
    assert found == {
        "id": "1.2.2",
        "started": "2021-03-01",
        "status": "available",
        "description": "MR head with contrast",
        "numberOfSeries": 2,
        "numberOfInstances": 4,
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "MR"}],
        "subject": {"display": "Ann Adams"},
        "endpoint": [{"reference": "Endpoint/dicomweb"}],
        "patient": {"name": [{"text": "Ann Adams"}]},
    }
    assert [one["uid"] for one in series] == ["1.2.2.1", "1.2.2.2"]
    first = series[0].pop("instance")
    assert series[0] == {
        "uid": "1.2.2.1",
        "number": 1,
        "modality": {"code": "MR"},
        "bodySite": {"code": "69536005", "display": "Head"},
        "numberOfInstances": 2,
        "description": "Axial",
    }
    assert [one["uid"] for one in first] == ["1.2.2.1.1", "1.2.2.1.2"]
    assert first[1]["image"].pop("size") > 512
    assert first[1] == {
        "uid": "1.2.2.1.2",
        "number": 2,
        "sopClass": {"code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"},
        "title": "ORIGINAL\\PRIMARY\\AXIAL",
        "image": {
            "id": "1.2.2.1.2",
            "study": "1.2.2",
            "series": "1.2.2.1",
            "number": 2,
            "rows": 16,
            "columns": 16,
            "numberOfFrames": 1,
            "transferSyntax": "1.2.840.10008.1.2.1",
            "bitsStored": 12,
            "photometricInterpretation": "MONOCHROME2",
            "pixelSpacing": [0.5, 0.5],
            "windowCenter": [40.0],
            "windowWidth": [400.0],
            "rescaleIntercept": -1024.0,
            "rescaleSlope": 1.0,
            "imagePosition": [-8.0, -8.0, 5.0],
            "imageOrientation": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            "sliceThickness": None,
        },
    }


async def test_addresses_lead_through_dicomweb(ask: Ask, archive: Archive) -> None:
    reply = await ask(
        """{image(uid: "1.2.10.1") {
             frames(first: 2, offset: 3) {number url} rendered thumbnail file}}"""
    )
    [series] = (await ask('{study(uid: "1.2.10") {series {uid}}}')).data["study"]["series"]
    at = (
        f"{archive.settings.base_url}/dicomweb/studies/1.2.10/series/{series['uid']}"
        "/instances/1.2.10.1"
    )
    assert reply.data["image"] == {
        "frames": [
            {"number": 4, "url": f"{at}/frames/4"},
            {"number": 5, "url": f"{at}/frames/5"},
        ],
        "rendered": f"{at}/rendered",
        "thumbnail": f"{at}/thumbnail",
        "file": at,
    }


async def test_an_object_without_pixels_has_a_file_and_no_picture(ask: Ask) -> None:
    reply = await ask(
        '{image(uid: "1.2.11.1") {rows numberOfFrames frames {url} rendered thumbnail file}}'
    )
    address = reply.data["image"].pop("file")
    assert address.endswith("/instances/1.2.11.1")
    assert reply.data["image"] == {
        "rows": None,
        "numberOfFrames": None,
        "frames": [],
        "rendered": None,
        "thumbnail": None,
    }


async def test_a_series_is_found_alone_with_its_own_instances(ask: Ask) -> None:
    reply = await ask(
        """{series(uid: "1.2.9.1") {uid number instance(first: 1, offset: 1) {number}
            all: instance {uid}}}"""
    )
    assert reply.data["series"] == {
        "uid": "1.2.9.1",
        "number": 1,
        "instance": [{"number": 2}],
        "all": [{"uid": "1.2.9.1.1"}, {"uid": "1.2.9.1.2"}, {"uid": "1.2.9.1.3"}],
    }


async def test_a_series_is_found_without_asking_for_its_uid(ask: Ask) -> None:
    reply = await ask('{series(uid: "1.2.3.2") {number}}')
    assert reply.data == {"series": {"number": 2}}


async def test_type_names_alone_are_as_many_as_there_are_records(ask: Ask) -> None:
    reply = await ask('{study(uid: "1.2.9") {series {__typename instance {__typename}}}}')
    [series] = reply.data["study"]["series"]
    assert series == {
        "__typename": "ImagingStudySeries",
        "instance": [{"__typename": "ImagingStudySeriesInstance"}] * 3,
    }


async def test_an_endpoint_says_where_dicomweb_is(ask: Ask, archive: Archive) -> None:
    reply = await ask(
        '{endpoint(id: "dicomweb") {id status address connectionType {code} payloadType {text}}}'
    )
    assert reply.data["endpoint"] == {
        "id": "dicomweb",
        "status": "active",
        "address": f"{archive.settings.base_url}/dicomweb",
        "connectionType": {"code": "dicom-wado-rs"},
        "payloadType": [{"text": "DICOM"}],
    }


async def test_a_patient_leads_to_all_of_their_studies(ask: Ask) -> None:
    reply = await ask(
        """{patients(name: "adams") {totalCount edges {node {
          studies(sort: [STARTED_DESC]) {totalCount pageInfo {hasNextPage} edges {node {id}}}
          ct: studies(modality: ["CT"]) {totalCount edges {node {id}}}
          none: studies(modality: ["NM"]) {totalCount edges {node {id}}}
          first: studies(first: 1) {totalCount pageInfo {hasNextPage endCursor} edges {cursor}}
        }}}}"""
    )
    assert reply.data["patients"]["totalCount"] == 1
    [ann] = nodes(reply.data["patients"], "studies")
    assert ann["totalCount"] == 2
    assert nodes(ann) == ["1.2.2", "1.2.1"]
    assert ann["pageInfo"] == {"hasNextPage": False}
    node = reply.data["patients"]["edges"][0]["node"]
    assert (node["ct"]["totalCount"], nodes(node["ct"])) == (1, ["1.2.1"])
    assert (node["none"]["totalCount"], nodes(node["none"])) == (0, [])
    assert node["first"]["totalCount"] == 2
    assert node["first"]["pageInfo"]["hasNextPage"] is True
    assert node["first"]["edges"][0]["cursor"] == node["first"]["pageInfo"]["endCursor"]


async def test_the_same_selection_twice_with_other_arguments_stays_apart(ask: Ask) -> None:
    reply = await ask(
        """{study(uid: "1.2.9") {
          a: series {instance(first: 1) {uid image {frames(first: 1) {number}}}}
          b: series {instance(offset: 2) {number image {frames(first: 0) {number}}}}
        }}"""
    )
    assert reply.data["study"] == {
        "a": [{"instance": [{"uid": "1.2.9.1.1", "image": {"frames": [{"number": 1}]}}]}],
        "b": [{"instance": [{"number": 3, "image": {"frames": []}}]}],
    }


async def test_images_of_a_study_come_in_pages(ask: Ask) -> None:
    query = """query ($after: String) {images(study: "1.2.9", first: 2, after: $after) {
      totalCount pageInfo {hasNextPage hasPreviousPage endCursor} edges {node {id}}}}"""
    first = (await ask(query)).data["images"]
    assert (first["totalCount"], nodes(first)) == (3, ["1.2.9.1.1", "1.2.9.1.2"])
    after = first["pageInfo"]["endCursor"]
    last = (await ask(query, variables={"after": after})).data["images"]
    assert (last["totalCount"], nodes(last)) == (3, ["1.2.9.1.3"])
    assert last["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": True,
        "endCursor": last["pageInfo"]["endCursor"],
    }
    of_series = (await ask('{images(series: "1.2.2.2") {edges {node {id}}}}')).data["images"]
    assert nodes(of_series) == ["1.2.2.2.1", "1.2.2.2.2"]


async def test_fhir_names_find_the_same_records_by_search_parameters(ask: Ask) -> None:
    reply = await ask(
        """{
          ImagingStudy(id: "1.2.3") {id}
          ImagingStudyList(modality: ["MR,US"], started: ["ge2021", "lt2022"], _sort: "-_id") {id}
          both: ImagingStudyList(modality: ["MR", "US"]) {id}
          tagged: ImagingStudyList(_security: ["N"], _count: 2) {id}
          PatientList(family: ["baker"], gender: ["male"]) {name {text}}
          ImagingStudyConnection(modality: ["CT"], _count: 3, _sort: "started") {
            count offset pagesize first previous next last edges {mode score resource {id}}
          }
        }"""
    )
    assert reply.data["ImagingStudy"] == {"id": "1.2.3"}
    assert reply.data["ImagingStudyList"] == [{"id": "1.2.3"}, {"id": "1.2.2"}]
    assert reply.data["both"] == []
    assert reply.data["tagged"] == [{"id": "1.2.1"}, {"id": "1.2.10"}]
    assert reply.data["PatientList"] == [{"name": [{"text": "Bob Baker"}]}]
    page = reply.data["ImagingStudyConnection"]
    cursor = page.pop("next")
    assert page == {
        "count": 5,
        "offset": 0,
        "pagesize": 3,
        "first": "",
        "previous": None,
        "last": None,
        "edges": [
            {"mode": "match", "score": None, "resource": {"id": uid}}
            for uid in ("1.2.1", "1.2.7", "1.2.8")
        ],
    }
    reply = await ask(
        """query ($cursor: String) {
          ImagingStudyConnection(modality: ["CT"], _sort: "started", _cursor: $cursor) {
            count offset next edges {resource {id}}
          }
          again: ImagingStudyConnection(
            modality: ["CT"], _count: 1, _sort: "started", _cursor: ""
          ) {edges {resource {id}}}
        }""",
        variables={"cursor": cursor},
    )
    assert reply.data == {
        "ImagingStudyConnection": {
            "count": 5,
            "offset": None,
            "next": None,
            "edges": [{"resource": {"id": "1.2.10"}}, {"resource": {"id": "1.2.9"}}],
        },
        "again": {"edges": [{"resource": {"id": "1.2.1"}}]},
    }


@pytest.mark.parametrize(
    "root",
    [
        'patient(id: "nobody")',
        'study(uid: "9.9")',
        'series(uid: "9.9")',
        'image(uid: "9.9")',
        'endpoint(id: "nowhere")',
        'Patient(id: "nobody")',
        'ImagingStudy(id: "9.9")',
    ],
)
async def test_what_is_not_there_is_null_and_said(ask: Ask, root: str) -> None:
    reply = await ask(f"{{found: {root} {{__typename}}}}")
    assert reply.status == 200
    assert reply.body["data"] == {"found": None}
    [error] = reply.errors
    assert error["path"] == ["found"]
    assert error["extensions"] == {"code": "NOT_FOUND"}
    assert "9.9" not in error["message"]
    assert "no" + "body" not in error["message"]
