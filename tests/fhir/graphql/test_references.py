"""Following references (R4 graphql.html#references)."""

from app.archive import Archive
from tests.fhir.graphql.asking import Ask
from tests.fhir.graphql.known import CT, MR, US, Known

PATIENT = "... on Patient { id gender }"


async def test_a_reference_is_followed_to_its_resource(ask: Ask, known: Known) -> None:
    query = (
        f"{{ id subject {{ reference resource {{ __typename {PATIENT} "
        "... on Endpoint { address } } "
        "patient: resource(type: Patient) { ... on Patient { birthDate } } "
        "other: resource(type: [Endpoint, ImagingStudy]) { __typename } } }"
    )
    assert (await ask(query, at=f"ImagingStudy/{CT}")).data == {
        "id": CT,
        "subject": {
            "reference": f"Patient/{known.yamada}",
            "resource": {"__typename": "Patient", "id": known.yamada, "gender": "male"},
            "patient": {"birthDate": "1970-08-09"},
            "other": None,
        },
    }


async def test_references_in_lists_are_followed_and_back_again(ask: Ask, known: Known) -> None:
    query = (
        f'{{ ImagingStudyList(_id: ["{CT}", "{US}"]) {{ id endpoint {{ resource {{ '
        "... on Endpoint { id connectionType { code } } } } subject { resource { ... on Patient { "
        "name(_count: 1) { family } ImagingStudyList(_reference: patient) { id subject { resource "
        f"{{ {PATIENT} }} }} }} }} }} }} }} }}"
    )
    endpoint = [{"resource": {"id": "dicomweb", "connectionType": {"code": "dicom-wado-rs"}}}]
    yamada = {"resource": {"id": known.yamada, "gender": "male"}}
    assert (await ask(query)).data["ImagingStudyList"] == [
        {
            "id": CT,
            "endpoint": endpoint,
            "subject": {
                "resource": {
                    "name": [{"family": "Yamada"}],
                    "ImagingStudyList": [
                        {"id": CT, "subject": yamada},
                        {"id": MR, "subject": yamada},
                    ],
                }
            },
        },
        {
            "id": US,
            "endpoint": endpoint,
            "subject": {
                "resource": {
                    "name": [{"family": "van der Berg"}],
                    "ImagingStudyList": [
                        {
                            "id": US,
                            "subject": {"resource": {"id": known.berg, "gender": "female"}},
                        }
                    ],
                }
            },
        },
    ]


async def test_one_that_leads_nowhere_is_an_error_unless_it_is_optional(ask: Ask) -> None:
    required = await ask(
        "{ id referrer { display resource { __typename } } }", at=f"ImagingStudy/{CT}"
    )
    assert required.body["data"] == {
        "id": CT,
        "referrer": {"display": "Ron Refer", "resource": None},
    }
    assert required.problem == (200, "NOT_FOUND", "not-found")
    assert required.errors[0]["path"] == ["referrer", "resource"]
    optional = await ask(
        "{ referrer { resource(optional: true) { __typename } } }", at=f"ImagingStudy/{CT}"
    )
    assert optional.data == {"referrer": {"resource": None}}
    typed = await ask(
        "{ referrer { resource(type: Patient) { __typename } } }", at=f"ImagingStudy/{CT}"
    )
    assert typed.data == {"referrer": {"resource": None}}


async def test_one_whose_resource_is_gone_is_an_error_unless_it_is_optional(
    ask: Ask, archive: Archive, known: Known
) -> None:
    patients = archive.database["patients"]
    gone = await patients.find_one_and_delete({"_id": known.berg})
    assert gone is not None
    query = "{ ImagingStudyList { id subject { resource%s { ... on Patient { id } } } } }"
    required = await ask(query % "")
    found = {
        one["id"]: one["subject"]["resource"] for one in required.body["data"]["ImagingStudyList"]
    }
    assert found[US] is None
    assert found[CT] == {"id": known.yamada}
    assert required.problem == (200, "NOT_FOUND", "not-found")
    assert (await ask(query % "(optional: true)")).body["data"] == required.body["data"]
    await patients.insert_one(gone)


async def test_only_what_a_list_picks_is_followed(ask: Ask) -> None:
    query = (
        "{ endpoint(_count: 0) { resource { __typename } } "
        "interpreter { resource(optional: true) { __typename } } "
        "none: endpoint(fhirpath: \"reference = 'Endpoint/x'\") { resource { __typename } } }"
    )
    reply = await ask(query, at=f"ImagingStudy/{CT}")
    assert reply.data["endpoint"] == reply.data["none"] == []


async def test_what_is_at_one_path_for_two_types_is_kept_apart(ask: Ask, known: Known) -> None:
    query = (
        "{ PatientList(_count: 1) { ImagingStudyList(_reference: patient, _count: 1) { "
        "subject { resource { __typename ... on Patient { it: resourceType } "
        "... on Endpoint { it: status } ... on ImagingStudy { it: status } } } } } }"
    )
    [patient] = (await ask(query)).data["PatientList"]
    for study in patient["ImagingStudyList"]:
        assert study["subject"]["resource"] == {"__typename": "Patient", "it": "Patient"}


async def test_a_place_is_one_query_however_many_rows(
    ask: Ask, archive: Archive, known: Known
) -> None:
    query = (
        "{ ImagingStudyList { endpoint { resource { ... on Endpoint { id } } } "
        "subject { resource { ... on Patient { id ImagingStudyList(_reference: patient) { id } } } "
        "} } }"
    )
    before = await archive.database["audit_events"].count_documents({"door": "fhir-graphql"})
    assert (await ask(query)).status == 200
    events = archive.database["audit_events"].find({"door": "fhir-graphql"}).skip(before)
    assert sorted([one["resource"] async for one in events]) == [
        "Endpoint",
        "ImagingStudy",
        "ImagingStudy",
        "Patient",
    ]
