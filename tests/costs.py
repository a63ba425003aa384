"""What operations cost, worked out by the measure that refuses them."""

from typing import Final

from schema.build import build_schema
from schema.limits import Limits
from schema.paging import DEFAULT_PAGE
from schema.plans import plans_of

RULES: Final = f"""\
Each patient, study, series, instance, image, frame and endpoint is one object, and so is each row
of any other list. `first` and `_count` multiply what is asked for within them, whether or not
there are so many; a list without them is a page of {DEFAULT_PAGE}. Series, instances and frames of
a record count once here, and as many as there are when they are read. Names, codes, totals and
what else lies within a record cost nothing. `extensions.cost.objects` of an answer says what it
was.

"""
# With every number written out: a cost that depends on variables is that of their values.
OPERATIONS: Final = (
    "{ __typename }",
    '{ study(uid: "1.2.3") { id description started } }',
    "{ studies(first: 1) { totalCount } }",
    "{ studies { edges { node { id } } } }",
    "{ studies(first: 50) { edges { node { id patient { name { text } } series { uid } } } } }",
    "{ patients(first: 7) { edges { node { id studies(first: 3) { edges { node { id } } } } } } }",
    "{ PatientList(_count: 30) { id birthDate } }",
    'mutation { releaseStudy(study: "1.2.3") { record { id } errors { message } } }',
)


def objects(operation: str) -> int:
    """Give the cost of an operation without variables."""
    return plans_of(build_schema()).planned(operation, {}, None, Limits()).cost


def table() -> str:
    rows = [f"| `{one}` | {objects(one):,} |" for one in OPERATIONS]
    return RULES + "\n".join(["| what is asked | objects |", "|---|---|", *rows]) + "\n"
