"""The issuer of development tokens: a key in the data folder, and no server."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict, Unpack

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from app.identity.claims import LABEL, PATIENT_ID
from app.identity.roles import CLEARANCES, ROLES, SPECIALTIES, canonical_specialty, clearances
from app.key_file import create_key_file
from app.settings import DEVELOPMENT_ISSUER, Issuer
from fhir.errors import Invalid

AUDIENCE = "radiograph"
KEY_FILE = "development-issuer.pem"


class Who(TypedDict, total=False):
    """What a token says of its holder besides the role; None is as if it were not given.

    Attributes:
        patient: Id of the Patient resource that the holder is.
        specialty: One of `SPECIALTIES`, in any spelling that issuers may use.
        subject: `sub`; the role's name if absent.
        project: Which project a de-identified view is for.
        site: Where the holder works.
        clearance: One of `CLEARANCES`.
        scope: SMART scopes, separated by blanks.
        context: Id of the Patient that a SMART app was launched for.
    """

    patient: str | None
    specialty: str | None
    subject: str | None
    project: str | None
    site: str | None
    clearance: str | None
    scope: str | None
    context: str | None


class DevelopmentIssuer:
    """Signs tokens that are believed where `Settings.development_issuer` is on.

    Its Ed25519 key is made on first use; processes that start together end up with one key.
    Whoever opens it has signed in: its tokens for one subject are of one session.
    """

    def __init__(self, data_dir: Path) -> None:
        self._key = _key(data_dir / KEY_FILE)
        self._session = secrets.token_hex(16)

    @property
    def issuer(self) -> Issuer:
        """How its tokens are read: roles mean what they say, no shipped map in between."""
        return Issuer.model_validate(
            {
                "issuer": DEVELOPMENT_ISSUER,
                "audiences": (AUDIENCE,),
                "algorithms": ("EdDSA",),
                "role_map": {role: role for role in ROLES},
                # `patient` is only ever the launch: who the holder is stands in `patient_id`
                "patient_claims": ("patient_id",),
            }
        )

    @property
    def public_key(self) -> Ed25519PublicKey:
        """What verifies its tokens."""
        return self._key.public_key()

    def token(self, role: str, *, minutes: int = 60, **who: Unpack[Who]) -> str:
        """Sign a token for one canonical role.

        Args:
            role: One of `ROLES`.
            minutes: From now until it expires, at least 1.
            **who: What else it says of its holder.

        Raises:
            Invalid: An argument is none of these; the message lists what there is.
        """
        if role not in ROLES:
            raise Invalid(f"no such role; there are {', '.join(ROLES)}")
        if minutes < 1:
            raise Invalid("a token lasts at least 1 minute")
        _check(who)
        now = datetime.now(UTC)
        subject = who.get("subject") or role
        claims = {
            "iss": DEVELOPMENT_ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "name": subject,
            "sid": self._session,
            "iat": now,
            "exp": now + timedelta(minutes=minutes),
            "roles": [role],
            "patient_id": who.get("patient"),
            "specialty": who.get("specialty"),
            "project": who.get("project"),
            "site": who.get("site"),
            "clearance": who.get("clearance"),
            "scope": who.get("scope"),
            "patient": who.get("context"),
        }
        present = {claim: value for claim, value in claims.items() if value is not None}
        return jwt.encode(present, self._key, algorithm="EdDSA")


def _check(who: Who) -> None:
    patients = (who.get("patient"), who.get("context"))
    if not all(one is None or PATIENT_ID.fullmatch(one) for one in patients):
        raise Invalid("a Patient's id has 1 to 64 letters, digits, hyphens and dots")
    specialty = who.get("specialty")
    if specialty is not None and canonical_specialty(specialty) is None:
        raise Invalid(f"no such specialty; there are {', '.join(sorted(SPECIALTIES))}")
    clearance = who.get("clearance")
    if clearance is not None and not clearances([clearance]):
        raise Invalid(f"no such clearance; there are {', '.join(CLEARANCES)}")
    labels = (who.get("project"), who.get("site"))
    if not all(one is None or LABEL.fullmatch(one) for one in labels):
        raise Invalid("a project or site has 1 to 64 letters, digits, dots, _ and hyphens")


def _key(path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        create_key_file(path, _fresh())
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as why:
        raise Invalid(f"{path} is not a private key; remove it to get a new one") from why
    if not isinstance(key, Ed25519PrivateKey):
        raise Invalid(f"{path} is not an Ed25519 key; remove it to get a new one")
    return key


def _fresh() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
