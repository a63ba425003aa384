"""A search as a client writes it: criteria, and how the answer is to be given."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fhir.errors import Invalid, NotSupported
from fhir.includes import included_parameters
from fhir.paging import decode
from fhir.parameters import PARAMETERS, Parameter
from fhir.repository import Position, Sort
from fhir.search import parameter

Pairs = Sequence[tuple[str, str]]

DEFAULT_COUNT = 20
MAX_COUNT = 200


@dataclass(slots=True)
class Query:
    """A search request, read.

    Attributes:
        criteria: What decides which resources are found.
        count: Most on a page; 0 asks for the total alone.
        after: Where the page before ended.
        honoured: The parameters that had a part in the answer, for its links.
    """

    criteria: list[tuple[str, str]]
    sort: tuple[Sort, ...]
    count: int
    after: Position | None
    include: list[Parameter]
    counted: bool
    honoured: list[tuple[str, str]]


def read_query(resource: str, pairs: Pairs, *, strict: bool) -> Query:
    """Read a search; unknown parameters are left out of it, or refused if so preferred.

    Raises:
        NotSupported: A parameter, modifier or value that this server does not know.
        Invalid: A value that makes no sense.
    """
    given: dict[str, list[str]] = {name: [] for name in _RESULT}
    searched, honoured = [], []
    for name, value in pairs:
        if not value and not strict:
            continue  # an empty value asks for nothing
        if name in _RESULT:
            if name == "_summary" and value not in {"count", "false"}:
                _unknown(resource, strict=strict)
                continue
            given[name].append(value)
        elif re.split(r"[:.]", name)[0] in PARAMETERS[resource]:
            searched.append((name, value))
        elif name not in _REPRESENTATION:
            _unknown(resource, strict=strict)
            continue
        if name not in _REPRESENTATION and name not in {"_cursor", "_count"}:
            honoured.append((name, value))
    count = _count(given["_count"])
    if given["_count"]:
        honoured.append(("_count", str(count)))
    if "count" in given["_summary"]:
        count = 0
    sort = _sort(resource, ",".join(given["_sort"]))
    return Query(
        searched,
        sort,
        count,
        decode(given["_cursor"][-1], sort) if given["_cursor"] else None,
        included_parameters(resource, given["_include"]),
        _is_counted(given["_total"]) or count == 0,
        honoured,
    )


# Parameters about the answer rather than about the resources.
_RESULT = ("_count", "_sort", "_include", "_total", "_summary", "_cursor")
_REPRESENTATION = frozenset({"_format", "_pretty"})


def _unknown(resource: str, *, strict: bool) -> None:
    if strict:
        known = ", ".join((*PARAMETERS[resource], *_RESULT[:-1]))
        raise NotSupported(f"unknown parameter; {resource} takes {known}")


def _count(values: Sequence[str]) -> int:
    if not values:
        return DEFAULT_COUNT
    if not re.fullmatch(r"[0-9]{1,9}", values[-1]):
        raise Invalid("_count takes a whole number, 0 or more")
    return min(int(values[-1]), MAX_COUNT)


def _is_counted(values: Sequence[str]) -> bool:
    if any(value not in {"none", "estimate", "accurate"} for value in values):
        raise Invalid("_total takes none, estimate or accurate")
    return not values or values[-1] != "none"


def _sort(resource: str, value: str) -> tuple[Sort, ...]:
    order: dict[str, Sort] = {}
    for name in filter(None, value.split(",")):
        row = parameter(resource, name.removeprefix("-"))
        if not row.sortable:
            able = ", ".join(one.name for one in PARAMETERS[resource].values() if one.sortable)
            raise NotSupported(f"_sort takes {able} here, with a hyphen before it to descend")
        order.setdefault(row.name, Sort(row.name, descending=name.startswith("-")))
    return tuple(order.values())
