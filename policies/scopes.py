"""The scopes of `scopes.toml`: which rows of a resource a rule speaks of."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any, Literal, get_args
from urllib.parse import quote

from policies import toml
from policies.errors import PolicyError, Problem, instead
from policies.files import SCOPES

ANY = "any"
# What a token says of its caller, and what is stored of links to patients and studies; a new
# variable is one more word here, filled where the others are (`app.identity`, `app.store.links`).
CLAIMED = frozenset({"patient", "specialty", "modality", "clearance", "site", "project", "subject"})
LINKED = frozenset(
    {
        "care-team",
        "proxied",
        "assigned",
        "assigned-patient",
        "break-glass",
        "shared",
        "shared-patient",
        "shared-file",
        "shared-file-patient",
    }
)
VARIABLES = CLAIMED | LINKED
View = Literal["identified", "deidentified"]
# A row of the left belongs to one of the right, and a scope reaches it if it reaches that one.
ROWS = MappingProxyType({"Image": "ImagingStudy"})

NAME = re.compile(r"[a-z][a-z0-9-]*")
VARIABLE = re.compile(r"\{([^{}]*)\}")

_ABOUT = frozenset({"description", "view"})  # keys of a scope that are no resource types

CheckScope = Callable[[str, str], str | None]


@dataclass(frozen=True, slots=True)
class Scope:
    """Rows by FHIR search: one search text per resource type, over stored data.

    Attributes:
        texts: Resource type to search text with `{variables}`; a type that is missing has no
            row in this scope.
        view: In which form the rows are shown; in the other form the scope holds on none.
    """

    name: str
    description: str
    texts: Mapping[str, str]
    view: View = "identified"

    @property
    def variables(self) -> frozenset[str]:
        """The variables that the texts use."""
        return frozenset(VARIABLE.findall(" ".join(self.texts.values())))

    def reaches(self, resource: str) -> bool:
        """Say whether rows of a resource type can be in this scope at all."""
        return ROWS.get(resource, resource) in self.texts

    def named(self, resource: str) -> tuple[str, ...]:
        """List the variables in the text for a resource type, as often as they stand there."""
        return tuple(VARIABLE.findall(self.texts.get(resource, "")))

    def searches(self, resource: str, variables: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """Write the search texts for one caller.

        Args:
            resource: Type that the search is for; for images that is `ImagingStudy`.
            variables: Values of the caller; they are escaped for FHIR and then percent-encoded,
                so that none can add to the search.

        Returns:
            Query strings of which a row needs to match any one, percent-encoded where values
            stand; empty if no row can match because the type or a variable's value is missing.
        """
        text = self.texts.get(resource)
        if text is None:
            return ()
        names = sorted(set(VARIABLE.findall(text)))
        choices = product(*(filter(None, variables.get(name, ())) for name in names))
        return tuple(_fill(text, dict(zip(names, values, strict=True))) for values in choices)


def _fill(text: str, values: Mapping[str, str]) -> str:
    return VARIABLE.sub(lambda found: _escape(values[found[1]]), text)


def _escape(value: str) -> str:
    return quote(re.sub(r"([\\,|$])", r"\\\1", value), safe="")


def read_scopes(text: str, resources: frozenset[str], check: CheckScope) -> dict[str, Scope]:
    """Read `scopes.toml`.

    Args:
        text: The file.
        resources: Resource types that exist.
        check: Takes a resource type and a search text as written, variables in place; says
            what is wrong with it, or None.

    Raises:
        PolicyError: With every problem of the file.
    """
    tables = toml.parse(SCOPES, text)
    lines = {section.name: section for section in toml.sections(text)}
    scopes = {}
    problems: list[Problem] = []
    for name, table in tables.items():
        section = lines.get(name, toml.Section(name, 1))
        wrong = list(_problems(name, table, resources, check))
        problems += [Problem(SCOPES, section.line_of(key), None, said) for key, said in wrong]
        if not wrong:
            texts = {key: value for key, value in table.items() if key not in _ABOUT}
            view = table.get("view", "identified")
            scopes[name] = Scope(name, table["description"], MappingProxyType(texts), view)
    if problems:
        raise PolicyError(problems)
    return scopes


def _problems(
    name: str, table: Any, resources: frozenset[str], check: CheckScope
) -> Iterator[tuple[str, str]]:
    """Yield the key a problem stands at ("" for the table itself) and what is wrong there."""
    if name == ANY:
        yield "", f"'{ANY}' is built in and means every row; choose another name"
        return
    if not NAME.fullmatch(name) or not isinstance(table, dict):
        yield "", f"'{name}' is not a scope; write [name] in small letters, digits and hyphens"
        return
    if not isinstance(table.get("description"), str):
        yield "description", f'[{name}] has no description; write description = "…"'
    if table.get("view", "identified") not in get_args(View):
        yield "view", f"unknown view; write one of: {', '.join(get_args(View))}"
    if table.keys() <= _ABOUT:
        yield "", f'[{name}] names no resource and matches nothing; write Patient = "_id=…"'
    for resource, text in table.items():
        if resource in _ABOUT:
            continue
        if resource not in resources:
            yield resource, f"unknown resource '{resource}'; {instead(resource, resources)}"
        elif not isinstance(text, str) or not text.strip():
            yield (
                resource,
                f"{resource} needs a FHIR search text; for every row use '{ANY}' in the rule",
            )
        else:
            yield from ((resource, said) for said in _text_problems(resource, text, check))


def _text_problems(resource: str, text: str, check: CheckScope) -> Iterator[str]:
    for variable in VARIABLE.findall(text):
        if variable not in VARIABLES:
            known = [f"{{{one}}}" for one in VARIABLES]
            yield f"unknown variable '{{{variable}}}'; {instead(f'{{{variable}}}', known)}"
    if re.search(r"[{}]", VARIABLE.sub("", text)):
        yield "a brace stands alone; write {variable}"
    said = check(resource, text)
    if said is not None:
        yield said
