"""What the arguments of FHIR's searches say, as FHIR search.

The values of one argument are alternatives. What has to hold besides is written in `_filter`, of
which this is understood: criteria `name operator value`, joined by `and`; the value is a bare word
or stands in double quotes.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from fhir.errors import Invalid, NotSupported
from fhir.parameters import PARAMETERS, Kind
from fhir.search import Search, criteria, parameter

Json = Any
_CRITERION = re.compile(
    r"\s*(?P<name>[A-Za-z_][\w-]*)\s+(?P<operator>[a-z]{2})\s+"
    r'(?:"(?P<quoted>(?:[^"\\]|\\["\\])*)"|(?P<bare>[^\s"()]+))(?:\s+(?P<more>and)\b|\s*$)'
)
_MOST = 2_000
# By kind of parameter: what each operator is in a search, before the value or after the name.
_OPERATORS: Mapping[Kind, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "date": {one: (one, "") for one in ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")},
        "token": {"eq": ("", ""), "ne": ("", ":not")},
        "string": {"sw": ("", ""), "co": ("", ":contains")},
        "reference": {"eq": ("", ""), "re": ("", "")},
    }
)


def searched(resource: str, arguments: Mapping[str, Json], base_url: str) -> tuple[Search, str]:
    """Read what a search is narrowed by; give it as FHIR search text too.

    Args:
        resource: Type searched.
        arguments: As GraphQL read them.
        base_url: Of the FHIR server, for references that are written out.

    Raises:
        Invalid: A value that cannot be searched for.
        NotSupported: What `_filter` says is not understood.
    """
    pairs = [
        (row.name, _alternatives(row.name, arguments[name]))
        for row in PARAMETERS[resource].values()
        for name in [row.name.replace("-", "_")]
        if arguments.get(name) is not None
    ]
    if arguments.get("_filter") is not None:
        pairs += _filtered(resource, arguments["_filter"])
    text = "&".join(f"{name}={value}" for name, value in pairs)
    return criteria(resource, pairs, base_url=base_url), text


def _alternatives(name: str, values: list[str | None]) -> str:
    given = [one for one in values if one is not None]
    if not given:
        raise Invalid(f"{name}: an empty list; leave the argument out instead")
    return ",".join(given)


def _filtered(resource: str, text: str) -> Iterator[tuple[str, str]]:
    at = 0
    if len(text) > _MOST:
        raise NotSupported(f"_filter: at most {_MOST:,} characters")
    while True:
        found = _CRITERION.match(text, at)
        if found is None:
            raise NotSupported(
                "_filter: this server understands `name operator value`, joined by `and`; a value "
                "with spaces stands in double quotes"
            )
        yield _criterion(resource, found)
        at = found.end()
        if found["more"] is None:
            return


def _criterion(resource: str, found: re.Match[str]) -> tuple[str, str]:
    row = parameter(resource, found["name"])
    value = found["bare"] or re.sub(r"\\(.)", r"\1", found["quoted"] or "")
    operator = found["operator"]
    if operator == "pr":
        if value not in {"true", "false"}:
            raise Invalid("_filter: pr takes true or false")
        return f"{row.name}:missing", str(value == "false").lower()
    known = _OPERATORS[row.kind]
    if operator not in known:
        able = ", ".join((*known, "pr"))
        raise NotSupported(f"_filter: {row.name} is compared by {able}")
    prefix, modifier = known[operator]
    return f"{row.name}{modifier}", prefix + re.sub(r"([,$\\])", r"\\\1", value)
