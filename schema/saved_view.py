"""Searches that people keep for themselves. Ours, not FHIR's."""

import json
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

import strawberry

from fhir.errors import Invalid
from fhir.saved_views import MOST_NAME, MOST_QUERY, MOST_VIEWS, delete_view, save_view
from schema.arguments import (
    FILTERS,
    ID,
    Filter,
    PatientSort,
    StudySort,
    argument,
    relay_arguments,
    relay_search,
)
from schema.context import Change
from schema.coordinates import Right, element, linked
from schema.paging import Connection, relay_page
from schema.payload import changes
from schema.scalars import Instant

Json = Any


@strawberry.enum(description="What a view lists.")
class ViewKind(Enum):
    """Values are names of roots."""

    studies = "studies"
    patients = "patients"


# Kind to the type that it lists, and how that sorts.
_LISTED: Mapping[str, tuple[str, type[Enum]]] = MappingProxyType(
    {"studies": ("ImagingStudy", StudySort), "patients": ("Patient", PatientSort)}
)
_RANGE = frozenset({"from", "to"})


@strawberry.type(description="A search that you keep; nobody else sees it.")
class SavedView:
    """`query` and `sort` are arguments of the root that `kind` names."""

    id: strawberry.ID = element("SavedView.id", "Logical id.")
    agent: str | None = element("SavedView.agent", "Whose it is, as issuer#subject.")
    name: str | None = element("SavedView.name", "What they call it.")
    kind: str | None = element("SavedView.kind", "studies or patients.")
    query: str | None = element("SavedView.query", "Arguments that narrow, as a JSON object.")
    sort: list[str] | None = element("SavedView.sort", "Order, as the enumeration names it.")
    recorded: Instant | None = element("SavedView.recorded", "When it was saved last.")


@strawberry.type
class SavedViewRoots:
    """Looking at views."""

    savedViews = linked(
        "SavedView.id",
        Connection[SavedView] | None,
        "The views that you keep, page by page.",
        fetch="page",
        arguments=relay_arguments("SavedView"),
    )


async def _save(change: Change) -> str:
    given = change.arguments
    kind = given["kind"].value
    sort = list(given.get("sort") or ())
    _check(kind, given["query"], sort)
    return await save_view(
        change.guarded, given.get("id"), given["name"], kind, given["query"], sort
    )


async def _delete(change: Change) -> str:
    return await delete_view(change.guarded, change.arguments["id"])


@strawberry.type
class SavedViewMutations:
    """Keeping views."""

    saveView = changes(
        "SavedView.id",
        "create",
        SavedView | None,
        f"Keeps a search of yours, {MOST_VIEWS} at most. It may hold names: nobody else sees it.",
        arguments=[
            argument(
                "id", strawberry.ID | None, "Which of yours it replaces; absent: it is a new one."
            ),
            argument("name", str, f"1 to {MOST_NAME} characters; one of yours of a kind."),
            argument("kind", ViewKind, "What it lists."),
            argument(
                "query",
                str,
                "Arguments of that root that narrow, as a JSON object of at most "
                f"{MOST_QUERY:,} bytes; without `sort`, `first` and `after`.",
            ),
            argument("sort", list[str] | None, "Values of that root's `sort`."),
        ],
        also=[Right("SavedView.id", "update")],
        perform=_save,
    )
    deleteView = changes(
        "SavedView.id",
        "delete",
        SavedView | None,
        "Deletes a view of yours for good; of its record the id is left.",
        arguments=[ID],
        fetch="gone",
        perform=_delete,
    )


def _check(kind: str, query: str, sort: list[str]) -> None:
    """Hold a view to what its root takes.

    Raises:
        Invalid: It takes something else; the text names the argument and no value.
    """
    resource, sorts = _LISTED[kind]
    if len(query) > MOST_QUERY:
        raise Invalid(f"query: at most {MOST_QUERY:,} bytes")
    try:
        given = json.loads(query)
    except (ValueError, RecursionError):
        raise Invalid("query: not JSON; write the arguments as an object") from None
    if not isinstance(given, dict):
        raise Invalid("query: write the arguments as a JSON object")
    able = {one.name: one for one in FILTERS[resource]}
    if given.keys() - able.keys():
        raise Invalid(f"query: {kind} takes {', '.join(able)}")
    for name, value in given.items():
        if value is not None and not _fits(able[name], value):
            raise Invalid(f"query: {name} is not of its type")
    relay_search(resource, given, "")
    if not all(one in sorts.__members__ for one in sort):
        raise Invalid(f"sort: {kind} sorts by {', '.join(sorts.__members__)}")
    relay_page({"sort": [sorts[one] for one in sort]}, counted=False)


def _fits(one: Filter, value: Json) -> bool:
    match one.form:
        case "any":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "range":
            return (
                isinstance(value, dict)
                and value.keys() <= _RANGE
                and all(end is None or isinstance(end, str) for end in value.values())
            )
        case "there" | "force":
            return isinstance(value, bool)
    return isinstance(value, str)
