"""What one view is denied is denied in the other as well."""

from pathlib import Path

import pytest

from fhir.access import Access
from fhir.search import matches
from policies.caller import Caller
from tests.policy import book

RULES = """
    p, researcher, ImagingStudy.*, read, unnamed, allow
    p, researcher, ImagingStudy.*, read, of-ct, deny
    p, provider, ImagingStudy.*, read, any, allow
    p, provider, ImagingStudy.*, read, unnamed-mr, deny
"""
SCOPES = """
[unnamed]
description = "everything"
view = "deidentified"
ImagingStudy = "_id:missing=false"

[of-ct]
description = "CT"
ImagingStudy = "modality=CT"

[unnamed-mr]
description = "MR"
view = "deidentified"
ImagingStudy = "modality=MR"
"""


@pytest.mark.parametrize(
    ("role", "view", "opened"),
    [("researcher", "deidentified", {"MR", "US"}), ("provider", "identified", {"CT", "US"})],
)
def test_a_deny_holds_in_both_views(role: str, view: str, opened: set[str], tmp_path: Path) -> None:
    policy = book(tmp_path / "policy", RULES, SCOPES).current
    access = Access(Caller("i#s", frozenset({role})), policy)
    assert access.view == view
    rows = access.rows(access.grant.decision("ImagingStudy.id"), "ImagingStudy")
    studies = {one: {"_id": ["1"], "modality": [one]} for one in ("CT", "MR", "US")}
    assert {one for one, index in studies.items() if matches(rows, index)} == opened
