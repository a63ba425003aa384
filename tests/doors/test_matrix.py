"""Role × coordinate × door: what each door shows is what Casbin allows, no less and no more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from app.archive import Archive
from app.doors import DOORS
from app.main import create_app
from fhir.elements import COORDINATES, REPEATS
from policies.book import enforcer
from policies.rules import ROLES, parts
from tests.build import dicom, uid
from tests.doors.planted import INSTANCE, STUDY, WORDS, planted
from tests.doors.probes import PROBES, Sight

pytestmark = pytest.mark.usefixtures("_filled")

Headers = Callable[..., dict[str, str]]
OF_A_PATIENT = {"patient", "proxy"}
POLICY = Path(__file__).parents[2] / "policies"
# Elements that the planted study cannot say anything in; everything else is seen by somebody.
SILENT = {
    "fhir": {
        f"{resource}.{name}"
        for resource, names in {
            "Patient": "text contained extension active deceased maritalStatus multipleBirth "
            "photo contact communication generalPractitioner managingOrganization link",
            "ImagingStudy": "text contained extension procedureReference reasonReference "
            "series.endpoint",
            "Endpoint": "text contained extension identifier name managingOrganization contact "
            "period header",
        }.items()
        for name in names.split()
    }
}


@pytest.fixture(scope="module")
async def _filled(archive: Archive) -> None:
    async def chunks(data: bytes) -> Any:
        yield data

    for data in (planted(), dicom(PatientID="OTHER", PatientName="Other^Person")):
        outcome = await archive.ingest.store(chunks(data))
        assert outcome.status == "stored", outcome


@pytest.fixture
async def patient(archive: Archive) -> str:
    stored = await archive.ledger.study(STUDY)
    assert stored is not None
    return str(stored["resource"]["subject"]["reference"]).removeprefix("Patient/")


@pytest.fixture(scope="module")
def allows() -> Callable[[str, str], bool]:
    """Ask Casbin itself, about the planted study, as its patient for the roles of patients."""
    judge = enforcer((POLICY / "model.conf").read_text(), (POLICY / "rules.csv").read_text())

    def ask(role: str, coordinate: str) -> bool:
        held = frozenset({"unrestricted", *(("own", "proxied") if role in OF_A_PATIENT else ())})
        wanted = [coordinate, *([REPEATS[coordinate]] if coordinate in REPEATS else [])]
        return all(
            judge.enforce(frozenset({role}), part, "read", held)
            for one in wanted
            for part in parts(one)
        )

    return ask


async def look(
    door: str, role: str, client: httpx.AsyncClient, acting_as: Headers, patient: str, who: str
) -> Sight:
    claims = {"patient": who} if role in OF_A_PATIENT else {}
    return await PROBES[door](client, acting_as(role, **claims), patient)


def test_every_door_has_a_probe() -> None:
    assert {door.name for door in DOORS} == PROBES.keys()


def test_every_route_is_behind_a_door_or_shows_no_record(archive: Archive) -> None:
    doors = tuple(f"{door.prefix}/" for door in DOORS)
    app = create_app(archive.settings, archive)
    plain = {route.path for route in app.routes if isinstance(route, Route)}
    outside = {
        path for path in plain | app.openapi()["paths"].keys() if not f"{path}/".startswith(doors)
    }
    assert outside == {
        "/",
        "/start.css",
        "/start.js",
        "/start.svg",
        "/health",
        "/ready",
        "/docs",
        "/docs/oauth2-redirect",
        "/openapi.json",
        "/development/token",
    }


@pytest.mark.parametrize("door", PROBES)
@pytest.mark.parametrize("role", sorted(ROLES))
async def test_a_door_shows_a_role_what_casbin_allows_and_nothing_else(
    door: str,
    role: str,
    client: httpx.AsyncClient,
    acting_as: Headers,
    patient: str,
    allows: Callable[[str, str], bool],
) -> None:
    everything = await look(door, "radiologist", client, acting_as, patient, patient)
    seen = await look(door, role, client, acting_as, patient, patient)
    expected = {
        label
        for label, coordinates in everything.labels.items()
        if all(allows(role, one) for one in coordinates)
    }
    assert seen.labels.keys() == expected
    for word, coordinates in WORDS.items():
        if not any(allows(role, one) for one in coordinates):
            assert word not in seen.text, f"{word} leaks"


@pytest.mark.parametrize("door", PROBES)
@pytest.mark.parametrize("role", sorted(OF_A_PATIENT))
async def test_through_no_door_does_a_patient_see_anybody_else(
    door: str, role: str, client: httpx.AsyncClient, acting_as: Headers, patient: str
) -> None:
    stranger = "00000000-0000-4000-8000-000000000000"
    seen = await look(door, role, client, acting_as, patient, stranger)
    endpoint = {label for label in seen.labels if "Endpoint" in label}
    assert seen.labels.keys() == endpoint
    assert not [word for word in WORDS if word in seen.text]


@pytest.mark.parametrize("door", PROBES)
async def test_no_token_opens_no_door(
    door: str, client: httpx.AsyncClient, acting_as: Headers, patient: str
) -> None:
    prefix = next(one.prefix for one in DOORS if one.name == door)
    for path in (prefix, f"{prefix}/ImagingStudy", f"{prefix}/studies/{STUDY}"):
        for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic eDp5"}):
            answer = await client.get(path, headers=headers)
            assert answer.status_code == 401, (path, answer.text)


async def test_the_probes_together_look_at_every_element(
    client: httpx.AsyncClient, acting_as: Headers, patient: str
) -> None:
    told: set[str] = set()
    for door in PROBES:
        sight = await look(door, "radiologist", client, acting_as, patient, patient)
        told |= {one for coordinates in sight.labels.values() for one in coordinates}
    missing = {one for one in COORDINATES - told if not one.startswith("AuditEvent.")}
    assert missing <= SILENT["fhir"]


async def test_every_look_is_in_the_audit(
    archive: Archive, client: httpx.AsyncClient, acting_as: Headers, patient: str
) -> None:
    for door in PROBES:
        for role, outcome in (("radiologist", "allowed"), ("auditor", "refused")):
            await archive.database["audit_events"].delete_many({})
            await look(door, role, client, acting_as, patient, patient)
            outcomes = await archive.database["audit_events"].distinct(
                "outcome", {"door": door, "roles": role}
            )
            assert outcome in outcomes
            assert role == "radiologist" or "allowed" not in outcomes


async def test_a_new_instance_is_closed_to_whoever_may_not_store(
    archive: Archive, client: httpx.AsyncClient, acting_as: Headers
) -> None:
    before = await archive.database["instances"].count_documents({})
    for role in ROLES:
        may = role in {"admin", "radiologist", "technologist"}
        for address, kind in (
            ("/dicomweb/studies", "application/dicom"),
            ("/postdicom/studies", "multipart/form-data; boundary=x"),
        ):
            answer = await client.post(
                address,
                headers={**acting_as(role, **_claims(role)), "Content-Type": kind},
                content=b"not dicom",
            )
            assert (answer.status_code == 403) is not may, (role, address, answer.text)
    assert await archive.database["instances"].count_documents({}) == before


def _claims(role: str) -> dict[str, str]:
    return {"patient": uid(role)} if role in OF_A_PATIENT else {}


async def test_only_an_admin_deletes_and_refusals_change_nothing(
    archive: Archive, client: httpx.AsyncClient, acting_as: Headers, patient: str
) -> None:
    before = await archive.ledger.study(STUDY)
    for role in sorted(set(ROLES) - {"admin"}):
        claims = {"patient": patient} if role in OF_A_PATIENT else {}
        answer = await client.delete(
            f"/postdicom/studies/{STUDY}", headers=acting_as(role, **claims)
        )
        assert answer.status_code == 403, (role, answer.text)
    assert await archive.ledger.study(STUDY) == before
    assert await archive.repository.stored_image(INSTANCE) is not None
