"""A real authorization server, and an archive of two patients that believes its tokens."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.archive import Archive, open_archive
from app.embedded.mongod import EmbeddedDatabase
from app.main import create_app
from app.settings import Settings
from tests.build import dicom, uid
from tests.conftest import _pieces
from tests.oidc.flows import REDIRECT, App
from tests.oidc.server import OidcServer, SigningKey, oidc_server

BASE = "http://radiograph.test"
FHIR = f"{BASE}/fhir"
CONFIGURATION = "/fhir/.well-known/smart-configuration"

JANE: dict[str, Any] = {"PatientID": "jane", "PatientName": "Doe^Jane"}
TARO: dict[str, Any] = {"PatientID": "taro", "PatientName": "Yamada^Taro"}
CHEST, KNEE, SKULL = uid("smart chest"), uid("smart knee"), uid("smart skull")
FILES = {
    CHEST: dicom(StudyInstanceUID=CHEST, Modality="CT", **JANE),
    KNEE: dicom(StudyInstanceUID=KNEE, Modality="MR", **JANE),
    SKULL: dicom(StudyInstanceUID=SKULL, Modality="CT", **TARO),
}


@dataclass(frozen=True)
class Known:
    """Ids of the two Patients: Jane has a CT of the chest and an MR of the knee, Taro a CT."""

    jane: str
    taro: str


@pytest.fixture(scope="session")
def issuer_key() -> SigningKey:
    return SigningKey.rs256("issuer-1")


@pytest.fixture(scope="session")
def service_keys() -> dict[str, SigningKey]:
    return {"ES384": SigningKey.es384("service-ec"), "RS384": SigningKey.rs384("service-rsa")}


@pytest.fixture(scope="session")
def oidc(issuer_key: SigningKey, service_keys: dict[str, SigningKey]) -> Iterator[OidcServer]:
    app: dict[str, Any] = {
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "redirect_uris": [REDIRECT],
    }
    services: dict[str, Any] = {
        f"service-{name}": {
            "metadata": {
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_signing_alg": name,
                "jwks": {"keys": [key.public_jwk]},
                "grant_types": ["client_credentials"],
                "redirect_uris": [],
                "response_types": [],
            },
            "claims": {"roles": ["radiologist"]},
        }
        for name, key in service_keys.items()
    }
    stranger = {**services["service-ES384"], "claims": {"roles": ["pharmacist"]}}
    apps = {"viewer": {"metadata": app, "claims": {}}, "stranger": stranger, **services}
    with oidc_server([issuer_key], {}, apps=apps, audience=FHIR) as server:
        yield server


@pytest.fixture(scope="module")
async def archive(
    mongod: EmbeddedDatabase, oidc: OidcServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Archive]:
    """An archive that believes the tokens of the authorization server alone."""
    settings = Settings.model_validate(
        {
            "database_url": mongod.url,
            "database_name": f"test-{uuid4().hex}",
            "data_dir": tmp_path_factory.mktemp("data"),
            "public_url": BASE,
            "issuers": [{"issuer": oidc.issuer, "audiences": [FHIR]}],
        }
    )
    async with open_archive(settings) as opened:
        yield opened
        await opened.database.client.drop_database(settings.database_name)


@pytest.fixture(scope="module")
async def known(archive: Archive, oidc: OidcServer) -> Known:
    """What is in the archive; the two patients and a doctor can log in."""
    patients = {}
    for study, data in FILES.items():
        await archive.ingest.store(_pieces(data))
        document = await archive.ledger.study(study)
        assert document is not None
        patients[study] = document["resource"]["subject"]["reference"].removeprefix("Patient/")
    jane, taro = patients[CHEST], patients[SKULL]
    assert patients[KNEE] == jane
    oidc.enrol(
        {
            "jane": person("patient", jane, patient_id=jane),
            "taro": person("patient", taro, patient_id=taro),
            "doctor": person("radiologist", jane, fhirUser="Practitioner/doctor"),
            "clerk": person("billing", jane, fhirUser="Practitioner/clerk"),
        }
    )
    return Known(jane, taro)


def person(role: str, patient: str, **claims: Any) -> dict[str, Any]:
    """Somebody who chooses a patient when an app is launched."""
    return {"claims": {"roles": [role], **claims}, "patient": patient}


@pytest.fixture
async def client(archive: Archive) -> AsyncIterator[httpx.AsyncClient]:
    """Every door of the archive, called in process."""
    transport = httpx.ASGITransport(app=create_app(archive.settings, archive))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        yield http


@pytest.fixture
async def configuration(client: httpx.AsyncClient, known: Known) -> dict[str, Any]:
    """What the FHIR server tells apps."""
    answer = await client.get(CONFIGURATION)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture
def viewer(configuration: dict[str, Any]) -> App:
    """A public app that people launch."""
    return App("viewer", configuration, FHIR)
