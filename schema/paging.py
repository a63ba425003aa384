"""Pages in the two shapes that are asked for: Relay's connections and FHIR's.

Each page begins after a cursor, which names the last row of the page before; so no row is seen
twice or missed, whatever is added meanwhile.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any, Generic, TypeVar

import strawberry

from fhir.errors import Invalid, NotSupported
from fhir.guarded import Found, Page
from fhir.paging import decode, encode
from fhir.parameters import PARAMETERS
from fhir.repository import Sort
from schema.coordinates import plumbing

Json = Any
DEFAULT_PAGE = 20
LARGEST_PAGE = 100
_CURSORS = frozenset({"cursor", "startCursor", "endCursor"})


@strawberry.type(description="Where a page of a connection stands.")
class PageInfo:
    """https://relay.dev/graphql/connections.htm#sec-undefined.PageInfo."""

    hasNextPage: bool = plumbing("Whether rows follow.")
    hasPreviousPage: bool = plumbing("Whether the page was asked for with `after`.")
    startCursor: str | None = plumbing("Cursor of the first row of the page.")
    endCursor: str | None = plumbing("Cursor of the last row: `after` of the next page.")


Node = TypeVar("Node")


@strawberry.type(description="A row in a page.")
class Edge(Generic[Node]):
    """Relay's edge."""

    cursor: str = plumbing("Where the row stands; `after` begins behind it.")
    node: Node = plumbing("The row.")


@strawberry.type(description="A page.")
class Connection(Generic[Node]):
    """Relay's connection."""

    totalCount: int | None = plumbing("Rows on all pages that you may see.")
    edges: list[Edge[Node]] = plumbing("The rows of this page.")
    pageInfo: PageInfo = plumbing("Where this page stands.")


def order(names: Sequence[str]) -> tuple[Sort, ...]:
    """Read an order: search parameters, each with a hyphen before it to descend."""
    return tuple(Sort(name.removeprefix("-"), name.startswith("-")) for name in names)


def fhir_order(resource: str, text: str | None) -> tuple[Sort, ...]:
    """Read FHIR's `_sort`.

    Raises:
        NotSupported: It names what does not sort.
    """
    sorts = order(text.split(",")) if text else ()
    able = [row.name for row in PARAMETERS[resource].values() if row.sortable]
    if not all(one.parameter in able for one in sorts):
        raise NotSupported(f"_sort: {resource} sorts by {', '.join(able)}; a hyphen descends")
    return sorts


def relay_page(arguments: Mapping[str, Json], *, counted: bool) -> Page:
    """Read `first`, `after` and `sort`.

    Raises:
        Invalid: A number or cursor that will not do.
    """
    sorts = order([one.value for one in arguments.get("sort") or ()])
    return _page("first", arguments.get("first"), arguments.get("after"), sorts, counted=counted)


def fhir_page(resource: str, arguments: Mapping[str, Json], *, counted: bool) -> Page:
    """Read `_count`, `_cursor` and `_sort`.

    Raises:
        Invalid: A number, cursor or order that will not do.
    """
    sorts = fhir_order(resource, arguments.get("_sort"))
    return _page(
        "_count", arguments.get("_count"), arguments.get("_cursor"), sorts, counted=counted
    )


def _page(
    name: str, size: int | None, cursor: str | None, sorts: tuple[Sort, ...], *, counted: bool
) -> Page:
    if len({one.parameter for one in sorts}) < len(sorts):
        raise Invalid("sort: names something twice")
    size = DEFAULT_PAGE if size is None else size
    if not 1 <= size <= LARGEST_PAGE:
        raise Invalid(f"{name}: ask for 1 to {LARGEST_PAGE}")
    return Page(size, decode(cursor, sorts) if cursor else None, sorts, counted)


def connection(
    found: Found, page: Page, nodes: Sequence[Json], around: Set[str]
) -> dict[str, Json]:
    """Give a page in Relay's shape.

    Args:
        found: The rows.
        page: Which were asked for.
        nodes: What is shown of each row.
        around: Names of the fields that are asked for around them.
    """
    cursors: Sequence[str | None] = [None] * len(found.rows)
    if not _CURSORS.isdisjoint(around):
        cursors = [encode(row.record.position, page.sort) for row in found.rows]
    return {
        "totalCount": found.total,
        "edges": [
            {"cursor": cursor, "node": node} for cursor, node in zip(cursors, nodes, strict=True)
        ],
        "pageInfo": {
            "hasNextPage": found.more,
            "hasPreviousPage": page.after is not None,
            "startCursor": cursors[0] if cursors else None,
            "endCursor": cursors[-1] if cursors else None,
        },
    }


def fhir_connection(found: Found, page: Page, resources: Sequence[Json]) -> dict[str, Json]:
    """Give a page in the shape of FHIR's GraphQL; pages are walked forwards only."""
    return {
        "count": found.total,
        "offset": 0 if page.after is None else None,
        "pagesize": page.first,
        "edges": [{"mode": "match", "resource": resource} for resource in resources],
        "first": "",
        "next": encode(found.rows[-1].record.position, page.sort) if found.more else None,
    }
