"""The policy and what can be asked about it. Ours, not FHIR's."""

import strawberry

from schema.arguments import argument
from schema.coordinates import computed, element, part
from schema.payload import MutationError
from schema.scalars import Instant

MOST_VERSIONS = 100


@strawberry.input(description="A file of the policy, as it is to be.")
class PolicyFileInput:
    """Name and content."""

    name: str = strawberry.field(description="model.conf, rules.csv, scopes.toml or tests.toml.")
    text: str = strawberry.field(description="All of it.")


@strawberry.input(description="Values of a variable of scopes.toml, for somebody described.")
class ScopeVariableInput:
    """Name and values."""

    name: str = strawberry.field(description="patient, specialty, care-team, …")
    values: list[str] = strawberry.field(description="Any of them may match.")


@strawberry.type(description="A file of the policy.")
class PolicyFile:
    """Name and content."""

    name: str | None = part("model.conf, rules.csv, scopes.toml or tests.toml.")
    text: str | None = part("All of it.")


@strawberry.type(description="Something that is wrong with the policy, or decides nothing.")
class PolicyProblem:
    """Where and what."""

    file: str | None = part("Name of the file.")
    line: int | None = part("Counts from 1.")
    column: int | None = part("Counts from 1; null if the whole line is meant.")
    message: str | None = part("What is wrong and what to write instead.")
    severity: str | None = part("error, or warning for a line that decides nothing.")


@strawberry.type(description="Files that are not saved as the policy.")
class PolicyRefusedError(MutationError):
    """Mend them."""

    problems: list[PolicyProblem] | None = element(
        "Policy.text", "What is wrong, by file and line.", home=False
    )


@strawberry.type(description="The policy as it was once in force.")
class PolicyVersion:
    """One row of the history."""

    edition: str | None = element("Policy.history", "Names the files.", home=False)
    version: str | None = element("Policy.history", "Names what they decide.", home=False)
    at: Instant | None = element("Policy.history", "Since when.", home=False)
    by: str | None = element(
        "Policy.history", "Who saved it, as issuer#subject; `file`: edited by hand.", home=False
    )
    note: str | None = element("Policy.history", "Why.", home=False)
    files: list[PolicyFile] | None = element("Policy.text", "As they were.", home=False)


@strawberry.type(description="The policy: who may see and do what.")
class Policy:
    """In force, and as the folder holds it now."""

    id: strawberry.ID = element("Policy.id", "Version in force: of rules, scopes and model.")
    edition: str | None = element(
        "Policy.id", "Names what the folder holds; `savePolicy` wants it back.", home=False
    )
    ok: bool | None = element(
        "Policy.id", "Whether the folder could be used when it was loaded last.", home=False
    )
    loaded: Instant | None = element("Policy.id", "When that was.", home=False)
    problems: list[PolicyProblem] | None = element(
        "Policy.text", "Why the folder cannot be used; or lines that decide nothing.", home=False
    )
    text: list[PolicyFile] | None = element("Policy.text", "The files of the folder as they are.")
    history = computed(
        "Policy.history",
        list[PolicyVersion] | None,
        "What was in force, the newest first.",
        arguments=[
            argument("first", int, f"At most so many, up to {MOST_VERSIONS}.", 20),
            argument("offset", int, "So many are passed over.", 0),
        ],
    )


@strawberry.type(description="What came of looking at files that are not saved.")
class PolicyCheck:
    """Problems, and what would be different."""

    ok: bool | None = element("Policy.text", "Whether they could be saved.", home=False)
    problems: list[PolicyProblem] | None = element("Policy.text", "By file and line.", home=False)
    changes: list[str] | None = element(
        "Policy.text",
        "Who gains and loses what against the policy in force, in words; null if that cannot be "
        "said yet.",
        home=False,
    )


@strawberry.type(description="A line of rules.csv that speaks of an element.")
class PolicyLine:
    """Where, what, and whose."""

    place: str | None = part("File and line.")
    text: str | None = part("The line.")
    effect: str | None = part("allow or deny.")
    scope: str | None = part("Name in scopes.toml, or any.")
    path: list[str] | None = part("From a role in question to the role of the line.")
    links: list[str] | None = part("Places of the g lines between them.")
    counts: bool | None = part("Whether the decision rests on it.")


@strawberry.type(description="An element on the way to the one in question.")
class ExplainedPart:
    """What its own lines decide."""

    element: str | None = part("FHIR element path.")
    verdict: str | None = part("On which rows it would be open if nothing were around it.")
    lines: list[PolicyLine] | None = part("Those that speak of it.")


@strawberry.type(description="Rows of a type that a scope has.")
class ScopeSearch:
    """Type and search."""

    resource: str | None = part("Type.")
    search: str | None = part("FHIR search text with {variables}.")


@strawberry.type(description="A scope that the decision depends on.")
class ExplainedScope:
    """As scopes.toml has it."""

    name: str | None = part("Its name.")
    description: str | None = part("What it is for.")
    view: str | None = part("identified or deidentified.")
    searches: list[ScopeSearch] | None = part("By type.")
    holds: bool | None = part(
        "Whether it holds on the study for whom is described; null without a study, and if it "
        "looks at what is closed to you."
    )


@strawberry.type(description="Why some roles may or may not do something.")
class Explanation:
    """Which lines decide."""

    version: str | None = element("Policy.text", "Of the policy that decides.", home=False)
    roles: list[str] | None = element("Policy.text", "Those that it knows.", home=False)
    unknown: list[str] | None = element("Policy.text", "Those that it does not.", home=False)
    action: str | None = element("Policy.text", "What is to be done.", home=False)
    always: bool | None = element("Policy.text", "Open on every row.", home=False)
    never: bool | None = element("Policy.text", "Closed on every row.", home=False)
    verdict: str | None = element("Policy.text", "The decision in words.", home=False)
    open: bool | None = element(
        "Policy.text",
        "Whether it is open on the study to whom is described; null if that cannot be said.",
        home=False,
    )
    parts: list[ExplainedPart] | None = element(
        "Policy.text", "Outermost first; it is open where all of them are.", home=False
    )
    scopes: list[ExplainedScope] | None = element(
        "Policy.text", "Those that it depends on.", home=False
    )
    # last, for it hides the function of this name
    element: str | None = element("Policy.text", "FHIR element path.", home=False)
