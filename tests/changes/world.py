"""A policy of a few lines, and who is told what under it."""

from dataclasses import replace
from pathlib import Path

from app.archive import Archive
from fhir.guarded import GuardedRepository
from policies.book import Book
from policies.caller import Caller
from tests.policy import book

RULES = """
    p, radiologist, ImagingStudy.id, read, any, allow
    p, admin, ImagingStudy.id, read, any, allow
    p, admin, Policy.*, read, any, allow
    p, patient, ImagingStudy.id, read, own, allow
    p, provider, ImagingStudy.id, read, any, allow
    p, provider, ImagingStudy.id, read, very-restricted, deny
    p, nurse, ImagingStudy.id, read, described, allow
    p, researcher, ImagingStudy.id, read, nameless, allow
    p, billing, Endpoint.id, read, any, allow
    p, auditor, Policy.id, read, any, allow
"""
_SECURITY = "_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
SCOPES = f"""
[own]
description = "The caller's own"
ImagingStudy = "patient=Patient/{{patient}}"

[very-restricted]
description = "What few may know of"
ImagingStudy = "{_SECURITY}|V"

[described]
description = "What is called a chest"
ImagingStudy = "description=chest"

[nameless]
description = "Everything, without a name"
view = "deidentified"
ImagingStudy = "{_SECURITY}|N"
"""


def policy(folder: Path, rules: str = RULES) -> Book:
    """Open the policy."""
    return book(folder, rules, SCOPES)


def caller(role: str, **variables: str) -> Caller:
    """Make somebody up."""
    said = {name: (value,) for name, value in variables.items()}
    return Caller(f"tests#{role}", frozenset({role}), role, said)


async def begun(archive: Archive, under: Book, role: str, **variables: str) -> GuardedRepository:
    """Begin a request of somebody."""
    return await replace(archive, book=under).begin(caller(role, **variables))
