"""Explaining a decision of the policy in force, also on one study and for somebody described."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fhir.access import Access, Entry
from fhir.elements import COORDINATES
from fhir.errors import AccessDenied, Invalid
from fhir.guarded import Row
from fhir.search import coordinates_of, matches, parameter
from policies.caller import Caller
from policies.explanation import Explanation, explain
from policies.rules import ACTIONS
from policies.scopes import LINKED, ROWS, VARIABLES, Scope
from schema.administration import require
from schema.context import Change

Json = Any
Held = Mapping[str, bool | None]


async def explain_access(change: Change) -> dict[str, Json]:
    """Say which lines decide, and on a study which of their scopes hold.

    Raises:
        Invalid: The element, action or a variable is none.
        NotFound: The study is not there for the caller.
        AccessDenied: The words of the policy, or all studies, are closed to the caller.
    """
    require(change, "Policy.text")
    access, given = change.guarded.access, change.arguments
    element, action = given["element"], given["action"]
    if element not in COORDINATES:
        raise Invalid("element: write a FHIR element path that policies know, like Patient.name")
    if action not in ACTIONS:
        raise Invalid(f"action: write {', '.join(ACTIONS)}")
    explained = explain(access.policy, frozenset(given["roles"]), element, action)
    held = await _held(change, explained) if given.get("study") is not None else {}
    access.note(Entry("read", "Policy", "allowed", ids=(access.policy.version,), total=1))
    plain = explained.to_dict()
    for scope in plain["scopes"]:
        texts = scope.pop("texts")
        scope["searches"] = [{"resource": kind, "search": text} for kind, text in texts.items()]
        scope["holds"] = held.get(scope["name"])
    return plain | {"open": _open(explained, held)}


def _open(explained: Explanation, held: Held) -> bool | None:
    decided = explained.decision
    if decided.always or decided.never:
        return decided.always
    if any(held.get(scope) is None for scope in decided.scopes):
        return None
    return decided.holds(frozenset(scope for scope, holds in held.items() if holds))


async def _held(change: Change, explained: Explanation) -> dict[str, bool | None]:
    """Say of each scope whether it holds; None if it looks at what is closed to the caller."""
    policy = change.guarded.access.policy
    scopes = [policy.scopes[one.name] for one in explained.scopes]
    resource = explained.element.partition(".")[0]
    row = await _row(change, ROWS.get(resource, resource), scopes)
    rows = row.record.resource["resourceType"]
    described = _described(change)
    return {
        scope.name: None
        if any(_closed(one, row) for one in _looked_at(scope, rows))
        else all(
            matches(tree, row.record.index) for tree in described.held([scope.name], rows).values()
        )
        for scope in scopes
    }


async def _row(change: Change, resource: str, scopes: list[Scope]) -> Row:
    """Read the study, or the patient it is about."""
    guarded, study = change.guarded, change.arguments["study"]
    if guarded.access.view == "deidentified":
        raise AccessDenied("A study is explained only to those who see it as it is.")
    if resource not in {"ImagingStudy", "Patient"}:
        raise Invalid(f"study: {resource} is not decided about by study; leave it out")
    if resource == "ImagingStudy":
        return await guarded.read(resource, study, _elements(resource, scopes))
    found = await guarded.read("ImagingStudy", study, frozenset({"ImagingStudy.id", _SUBJECT}))
    if _closed(_SUBJECT, found):
        raise AccessDenied("Whom the study is about is closed to you.", frozenset({_SUBJECT}))
    [patient] = found.record.index.get("patient", ()) or ("",)
    return await guarded.read(
        "Patient", patient.removeprefix("Patient/"), _elements(resource, scopes)
    )


_SUBJECT = "ImagingStudy.subject"


def _elements(resource: str, scopes: list[Scope]) -> frozenset[str]:
    return frozenset({f"{resource}.id"}).union(*(_looked_at(one, resource) for one in scopes))


def _looked_at(scope: Scope, resource: str) -> frozenset[str]:
    text = scope.texts.get(resource, "")
    names = {name.partition(":")[0] for name, _ in parse_qsl(text, keep_blank_values=True)}
    found = (coordinates_of(resource, parameter(resource, name)) for name in names)
    return frozenset().union(*found)


def _closed(coordinate: str, row: Row) -> bool:
    return any(coordinate == one or coordinate.startswith(f"{one}.") for one in row.refused)


def _described(change: Change) -> Access:
    """Give the view of whoever is described: nobody who has signed in."""
    given = change.arguments
    variables = {one["name"]: tuple(one["values"]) for one in given.get("variables") or ()}
    unknown = sorted(variables.keys() - VARIABLES)
    if unknown:
        raise Invalid(f"variables: there are {', '.join(sorted(VARIABLES))}")
    claimed = {name: values for name, values in variables.items() if name not in LINKED}
    linked = {name: values for name, values in variables.items() if name in LINKED}
    [subject] = claimed.pop("subject", ("",))[:1] or ("",)
    caller = Caller(subject, frozenset(given["roles"]), variables=claimed)
    return Access(caller, change.guarded.access.policy, linked)
