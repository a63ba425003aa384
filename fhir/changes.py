"""The ordered sequence of what changed: the port, and what of it a caller may know.

One sequence serves the change feed, subscriptions and webhooks.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Literal, Protocol

from fhir.access import Access, Entry
from fhir.elements import ELEMENTS
from fhir.errors import ResourceError
from fhir.guarded import GuardedRepository, Page
from fhir.search import (
    EVERYTHING,
    NOTHING,
    Filter,
    Has,
    Index,
    Search,
    any_of,
    matches,
    parameters_of,
    stored,
)
from fhir.sight import always

Kind = Literal["created", "changed", "deleted"]


class HistoryLost(ResourceError):
    """Nobody can tell any more what changed since; who follows has to read everything again."""

    code = "CHANGES_LOST"
    status = 410

    def __init__(self) -> None:
        super().__init__(
            "what changed since this number is not known any more; note the newest number, read "
            "again what you keep, then follow from that number"
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one record.

    Attributes:
        sequence: Counts from 1, without gaps; of two the greater one is later.
        at: When it was put into the sequence, UTC.
        resource: Type of the record: ImagingStudy, Job or Policy.
        id: Of the record; of the policy, its version.
        index: Of a record that is gone, what it was searched by, as far as that names nobody.
    """

    sequence: int
    at: datetime
    kind: Kind
    resource: str
    id: str
    index: Index = field(default_factory=dict)


class Changes(Protocol):
    """The sequence as every process sees it: the same order, nothing left out.

    Everything raises `Unavailable` where the database does not tell what changes.
    """

    async def newest(self) -> int:
        """Give the number of the latest change; 0 if there is none yet."""
        ...

    async def oldest(self) -> int:
        """Give the number of the oldest change that is kept; `newest() + 1` if none is."""
        ...

    async def page(self, after: int, limit: int) -> Sequence[Change]:
        """List changes in their order, beginning behind a number.

        Raises:
            HistoryLost: What came next is not known any more.
        """
        ...

    def follow(self, after: int) -> AsyncGenerator[Sequence[Change]]:
        """Give changes behind a number as they come; an empty one every few seconds if none do.

        It does not end by itself. At most 100 come at once.

        Raises:
            HistoryLost: What came next is not known any more.
        """
        ...


KEPT: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "ImagingStudy": frozenset(
            {
                "_id",
                "_tag",
                "_security",
                "patient",
                "subject",
                "status",
                "modality",
                "bodysite",
                "started",
                "endpoint",
            }
        )
    }
)
"""Search parameters by which a record that is gone is remembered, so that those learn of it who
could see it: no names, no free text, no number of anybody's."""


def kept(resource: str, index: Index) -> Index:
    """Take from an index what may be remembered of a record that is gone."""
    return {name: index[name] for name in sorted(KEPT.get(resource, ())) if name in index}


async def known_to(guarded: GuardedRepository, changes: Sequence[Change]) -> list[Change]:
    """Give those of some changes that a caller may know of, with the ids that they know.

    What was created or changed is told to whoever may see the record as it is now; a policy to
    whoever may read which one is in force; what is deleted to whoever could see it, as far as
    what is remembered of it says so. Without identity nothing is told of what is deleted. It
    takes one query for each type, and what is told is noted in the audit.

    Args:
        guarded: Of a request that has begun just now: its policy decides.
        changes: In their order.
    """
    shown: dict[tuple[str, str], str] = {}
    gone: set[int] = set()
    for resource in dict.fromkeys(one.resource for one in changes):
        of_type = [one for one in changes if one.resource == resource]
        if not _sees(guarded.access, resource):
            continue
        if resource == "Policy":
            shown |= _policies(guarded, of_type)
            continue
        deleted = [one for one in of_type if one.kind == "deleted"]
        gone |= _gone(guarded, resource, deleted)
        there = {one.id for one in of_type if one.kind != "deleted"}
        if there:
            shown |= await _seen(guarded, resource, there)
    return [
        one if one.kind == "deleted" else replace(one, id=shown[one.resource, one.id])
        for one in changes
        if (one.sequence in gone if one.kind == "deleted" else (one.resource, one.id) in shown)
    ]


def told_of(access: Access) -> frozenset[str]:
    """List the types of which a caller may be told some change, if there is one."""
    return frozenset(one for one in ("ImagingStudy", "Job", "Policy") if _sees(access, one))


def _sees(access: Access, resource: str) -> bool:
    """Say whether some row of a type may be told of; it refuses nothing, and so notes nothing."""
    if resource not in ELEMENTS or access.smart.rows(resource, "s") == NOTHING:
        return False
    if resource == "Policy":  # it has no rows
        return always(access, "Policy.id")
    in_view = access.view == "identified" or resource == "ImagingStudy"
    return in_view and access.allows(f"{resource}.id")


async def _seen(
    guarded: GuardedRepository, resource: str, identifiers: set[str]
) -> dict[tuple[str, str], str]:
    # literally, so that they are found in the view that knows them by other ids, too
    tree = stored(any_of(Has("_id", one) for one in sorted(identifiers)))
    found = await guarded.search(
        Search(resource, tree),
        Page(len(identifiers)),
        elements=frozenset({f"{resource}.id"}),
        query="changes",
    )
    return {(resource, row.record.real_id): row.id for row in found.rows}


def _gone(guarded: GuardedRepository, resource: str, deleted: Sequence[Change]) -> set[int]:
    if not deleted or guarded.access.view != "identified":
        return set()
    plan = guarded.plan(resource, frozenset({f"{resource}.id"}))
    tree = guarded.narrowed(Search(resource), plan.anchor, "search")
    told = [one for one in deleted if _held(tree, resource, one.index)]
    patients = {
        reference.removeprefix("Patient/"): None
        for one in told
        for reference in one.index.get("patient", ())
    }
    _note(guarded.access, resource, told, tuple(patients))
    return {one.sequence for one in told}


def _held(tree: Filter, resource: str, index: Index) -> bool:
    if tree == EVERYTHING:
        return True
    # what was not remembered cannot be seen to hold, nor not to
    decidable = bool(index) and parameters_of(tree) <= KEPT.get(resource, frozenset())
    return decidable and matches(tree, index)


def _policies(guarded: GuardedRepository, changes: Sequence[Change]) -> dict[tuple[str, str], str]:
    _note(guarded.access, "Policy", changes)
    return {("Policy", one.id): one.id for one in changes}


def _note(
    access: Access, resource: str, told: Sequence[Change], patients: tuple[str, ...] = ()
) -> None:
    if told:
        ids = tuple(dict.fromkeys(one.id for one in told))
        access.note(Entry("search", resource, "allowed", ids, patients, len(told), query="changes"))
