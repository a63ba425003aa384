"""Reads who the caller is from the claims of a token that has been verified."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from app.identity.roles import (
    MODALITIES_OF_SPECIALTY,
    canonical_roles,
    canonical_specialty,
    clearances,
)
from app.settings import Issuer
from fhir.errors import AccessDenied, Unauthenticated
from policies.caller import Caller

Claims = Mapping[str, object]

PATIENT_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
PATIENT_REFERENCE = re.compile(r"(?:https?://\S+/)?Patient/([A-Za-z0-9\-.]{1,64})")
# Names of sites and projects: they stand in searches and in the key of pseudonyms.
LABEL = re.compile(r"[A-Za-z0-9._-]{1,64}")
SUBJECT_LENGTH = 255  # OpenID Connect Core 2
NAME_LENGTH = 255


def caller(issuer: Issuer, claims: Claims) -> Caller:
    """Translate claims; what is not text or a list of texts is read as absent.

    Raises:
        Unauthenticated: `sub` is no usable text.
        AccessDenied: No role of the token is a role here.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _fits(subject, SUBJECT_LENGTH):
        raise Unauthenticated("the token's sub is not 1 to 255 printable characters")
    specialties = _each_once(_specialties(issuer, claims))
    roles = canonical_roles(_all(claims, issuer.role_claims), specialties, issuer.role_map)
    if not roles:
        raise AccessDenied("the token gives no role that is known here")
    projects = set(_labels(claims, issuer.project_claims))
    variables = {
        "patient": _each_once(_patients(issuer, claims)),
        "specialty": specialties,
        "modality": _each_once(
            code for one in specialties for code in MODALITIES_OF_SPECIALTY.get(one, ())
        ),
        "clearance": clearances(_all(claims, issuer.clearance_claims)),
        "site": _each_once(_labels(claims, issuer.site_claims)),
        # a de-identified view is of one project; of several none is chosen by guessing
        "project": tuple(projects) if len(projects) == 1 else (),
    }
    return Caller(
        subject=f"{issuer.issuer}#{subject}",
        roles=roles,
        name=_name(claims),
        variables=MappingProxyType({name: values for name, values in variables.items() if values}),
        scopes=frozenset(_scopes(claims)),
        context=_context(issuer, claims),
    )


def _each_once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _at(claims: Claims, path: str) -> object:
    if path in claims:  # a name may hold dots itself: https://example.org/roles
        return claims[path]
    found: object = claims
    for step in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (text for text in value if isinstance(text, str))


def _all(claims: Claims, paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        yield from _texts(_at(claims, path))


def _specialties(issuer: Issuer, claims: Claims) -> Iterable[str]:
    for text in _all(claims, issuer.specialty_claims):
        if code := canonical_specialty(text):
            yield code


def _patients(issuer: Issuer, claims: Claims) -> Iterable[str]:
    for path in issuer.patient_claims:
        # SMART App Launch: for a practitioner, `patient` is whose record the app was opened on.
        if path == "patient" and _is_practitioner(claims):
            continue
        for text in _texts(_at(claims, path)):
            if patient := _patient(text, bare=path != "fhirUser"):
                yield patient


def _patient(text: str, *, bare: bool) -> str | None:
    if reference := PATIENT_REFERENCE.fullmatch(text):
        return reference[1]
    return text if bare and PATIENT_ID.fullmatch(text) else None


def _context(issuer: Issuer, claims: Claims) -> str | None:
    """Read whose record a SMART app was opened on: one patient, or it is nobody."""
    told = set(_all(claims, issuer.context_claims))
    return _patient(told.pop(), bare=True) if len(told) == 1 else None


def _labels(claims: Claims, paths: Iterable[str]) -> Iterable[str]:
    return (text for text in _all(claims, paths) if LABEL.fullmatch(text))


def _is_practitioner(claims: Claims) -> bool:
    return any(
        "Practitioner" in text.split("/") or "PractitionerRole" in text.split("/")
        for text in _texts(claims.get("fhirUser"))
    )


def _scopes(claims: Claims) -> Iterable[str]:
    # Those that RFC 6749 3.3 does not allow are kept too, in ASCII: a SMART scope that cannot be
    # read opens nothing, but without it a token might count as one without SMART scopes.
    for text in _all(claims, ("scope", "scp")):
        yield from text.encode("ascii", "backslashreplace").decode().split()


def _name(claims: Claims) -> str | None:
    for claim in ("name", "preferred_username", "client_id"):
        text = claims.get(claim)
        if isinstance(text, str) and _fits(text, NAME_LENGTH):
            return text
    return None


def _fits(text: str, length: int) -> bool:
    # Half a surrogate pair is not printable either: what passes can be stored and logged.
    return 0 < len(text) <= length and text.isprintable()
