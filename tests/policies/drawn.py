"""Random rules of the small vocabulary, to hold two answers against each other."""

from hypothesis import strategies as st

from policies.errors import PolicyError
from policies.reader import read_rules
from policies.rules import ACTIONS
from tests.policies.samples import SCOPES, VOCABULARY

ELEMENTS = sorted(VOCABULARY)
GLOBS = [
    "*",
    "Patient.*",
    "ImagingStudy.*",
    "ImagingStudy.series.*",
    "ImagingStudy.series.instance.*",
]
ROLES = ["patient", "nurse", "provider", "fellow", "billing"]

rule_lines = st.builds(
    "p, {}, {}, {}, {}, {}".format,
    st.sampled_from([*ROLES, "clinician"]),
    st.sampled_from([*ELEMENTS, *GLOBS]),
    st.sampled_from([*ACTIONS, "*", "read", "read"]),
    st.sampled_from(["any", "own", "open"]),
    st.sampled_from(["allow", "allow", "deny"]),
)
link_lines = st.builds(
    "g, {}, {}".format, st.sampled_from(ROLES), st.sampled_from([*ROLES, "clinician"])
)
held_scopes = st.frozensets(st.sampled_from(["own", "open"]))
role_sets = st.frozensets(st.sampled_from(ROLES), min_size=1, max_size=3)


def readable(lines: list[str]) -> str:
    """Leave out lines that the reader refuses beside the earlier ones."""
    kept = ["g, nurse, clinician", "p, clinician, Endpoint.id, read, any, allow"]
    for line in lines:
        try:
            read_rules("\n".join([*kept, line]), VOCABULARY, SCOPES)
        except PolicyError:
            continue
        kept.append(line)
    return "\n".join(kept)


texts = st.builds(
    lambda links, rules: readable([*links, *rules]),
    st.lists(link_lines, max_size=5),
    st.lists(rule_lines, min_size=1, max_size=14),
)
