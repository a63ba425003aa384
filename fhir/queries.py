"""A search as a client writes it: criteria, and how the answer is to be given."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fhir.chains import HAS, Chain, is_chained, read_chains
from fhir.errors import Invalid, NotSupported
from fhir.includes import Elements, Inclusion, read_includes
from fhir.paging import decode
from fhir.parameters import PARAMETERS
from fhir.referring import TYPES
from fhir.repository import Position, Sort
from fhir.search import coordinates_of, parameter
from fhir.summaries import Summary, named_elements, summary_of, wanted

Pairs = Sequence[tuple[str, str]]

DEFAULT_COUNT = 20
MAX_COUNT = 200


@dataclass(frozen=True, slots=True)
class Query:
    """A search request, read.

    Attributes:
        criteria: What decides which resources are found.
        chains: What decides about it at the other end of a reference.
        count: Most on a page; 0 asks for the total alone.
        after: Where the page before ended.
        elements: Those at the top of the type that are asked for; none is no choice.
        honoured: The parameters that had a part in the answer, for its links.
    """

    resource: str
    criteria: list[tuple[str, str]]
    chains: list[Chain]
    sort: tuple[Sort, ...]
    count: int
    after: Position | None
    include: list[Inclusion]
    counted: bool
    summary: Summary
    elements: frozenset[str]
    honoured: list[tuple[str, str]]

    @property
    def wanted(self) -> Elements:
        """Coordinates that are asked for, by type; None is all of them."""
        found = {one: wanted(one, self.summary) for one in TYPES}
        return found | {self.resource: wanted(self.resource, self.summary, self.elements)}

    @property
    def read(self) -> frozenset[str] | None:
        """Coordinates of the type searched that are read: what leads to others, too."""
        asked = self.wanted[self.resource]
        leading = (one for one in self.include if one.source == self.resource)
        return asked and asked.union(
            *(coordinates_of(one.source, one.via) for one in leading if not one.back)
        )


def read_query(resource: str, pairs: Pairs, *, strict: bool) -> Query:
    """Read a search; unknown parameters are left out of it, or refused if so preferred.

    Raises:
        NotSupported: A parameter, modifier or value that this server does not know.
        Invalid: A value that makes no sense.
    """
    given: dict[str, list[tuple[str, str]]] = {name: [] for name in _RESULT}
    searched, chained, honoured = [], [], []
    for name, value in pairs:
        if not value and not strict:
            continue  # an empty value asks for nothing
        result = name.partition(":")[0]
        if name in _RESULT or result in _INCLUDING:
            given[result].append((name, value))
        elif is_chained(resource, name):
            chained.append((name, value))
        elif re.split(r"[:.]", name)[0] in PARAMETERS[resource]:
            searched.append((name, value))
        elif name not in _REPRESENTATION:
            _unknown(resource, strict=strict)
            continue
        if name not in _REPRESENTATION and name not in {"_cursor", "_count"}:
            honoured.append((name, value))
    values = {name: [value for _, value in some] for name, some in given.items()}
    count = _count(values["_count"])
    if values["_count"]:
        honoured.append(("_count", str(count)))
    summary = summary_of(values["_summary"])
    if summary == "count":
        count = 0
    sort = _sort(resource, ",".join(values["_sort"]))
    query = Query(
        resource,
        searched,
        read_chains(resource, chained),
        sort,
        count,
        decode(values["_cursor"][-1], sort) if values["_cursor"] else None,
        read_includes(resource, [one for name in _INCLUDING for one in given[name]]),
        _is_counted(values["_total"]) or count == 0,
        summary,
        named_elements(resource, values["_elements"]),
        honoured,
    )
    _check_part(query)
    return query


# Parameters about the answer rather than about the resources.
_RESULT = (
    "_count",
    "_sort",
    "_include",
    "_revinclude",
    "_total",
    "_summary",
    "_elements",
    "_cursor",
)
_INCLUDING = ("_include", "_revinclude")
_REPRESENTATION = frozenset({"_format", "_pretty"})


def _check_part(query: Query) -> None:
    if query.summary == "text" and query.include:
        raise Invalid("_summary=text: nothing can be included; leave one of them out")
    wanted(query.resource, query.summary, query.elements)


def _unknown(resource: str, *, strict: bool) -> None:
    if strict:
        known = ", ".join((*PARAMETERS[resource], HAS, *_RESULT[:-1]))
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
