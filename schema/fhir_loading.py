"""Fetching what an operation of FHIR's GraphQL asks for: a place is one query, however many rows.

As in `schema.loading` everything is read through the guard before execution. What is behind
references is one place for each type that may be there, and what refers back is one more.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fhir.errors import AccessDenied, Invalid, NotFound, ResourceError, TooLarge
from fhir.guarded import Found, GuardedRepository, Page, Row
from fhir.parameters import PARAMETERS
from fhir.referring import TYPES
from fhir.search import Has, Search, any_of, coordinates_of
from schema.errors import Refusals, TooComplex
from schema.fhir_criteria import searched
from schema.fhir_cursors import read_cursor, write_cursor
from schema.fhir_lists import pick
from schema.fhir_path import picked
from schema.fhir_schema import MOST_LISTED
from schema.fhir_selection import INSTANCE, FhirPlace, Reference, Step
from schema.fhir_walking import CLOSED
from schema.limits import Budget
from schema.loading import members
from schema.paging import fhir_connection, fhir_page

Json = Any
Shown = dict[str, Json]


@dataclass(slots=True)
class FhirLoader:
    """Reads the records of one operation.

    Attributes:
        fhir_url: Of the FHIR server, without a slash at the end.
        budget: Records that may still be read.
        refusals: What was refused so far.
        referred: Records behind references, by where they are asked for and what refers to them.
        problems: What else went wrong on the way, by response path.
    """

    guarded: GuardedRepository
    fhir_url: str
    budget: Budget
    refusals: Refusals = field(default_factory=Refusals)
    referred: dict[str, dict[str, Shown]] = field(default_factory=dict)
    problems: dict[str, ResourceError] = field(default_factory=dict)

    async def root(self, place: FhirPlace) -> Json:
        """Give the value of a root field; None if it is refused.

        Raises:
            ResourceError: Nothing is found, or the arguments will not do.
        """
        try:
            match place.fetch:
                case "one":
                    row = await self.guarded.read(
                        place.resource, place.arguments["id"], place.elements
                    )
                    return (await self._shown(place, [row]))[0]
                case "list":
                    return await self._list(place)
                case "connection":
                    return await self._connection(place)
        except AccessDenied as denial:
            self._denied(place, denial.coordinates)
            return None
        raise KeyError(place.fetch)

    async def _list(self, place: FhirPlace) -> list[Shown]:
        most = _most(place)
        page = _whole(place, min(most, max(self.budget.left, 1)))
        found = await self._search(place, place.arguments, page)
        _held(place, found, page.first, self.budget)
        return await self._shown(place, self._sifted(place, found.rows))

    async def _connection(self, place: FhirPlace) -> Shown:
        arguments = read_cursor(place.resource, place.arguments)
        page = fhir_page(place.resource, arguments, counted="count" in place.plumbing)
        found = await self._search(place, arguments, page)
        return _connection(found, page, await self._shown(place, found.rows), arguments)

    async def _search(self, place: FhirPlace, arguments: Mapping[str, Json], page: Page) -> Found:
        search, text = searched(place.resource, arguments, self.fhir_url)
        found = await self.guarded.search(search, page, elements=place.elements, query=text)
        self._refused(place, found.refused)
        return found

    def _sifted(self, place: FhirPlace, rows: Sequence[Row]) -> Sequence[Row]:
        """Give the rows of which `fhirpath` is true; it is not where it would look at refused."""
        expression = place.arguments.get("fhirpath")
        if expression is None:
            return rows
        test = picked(expression).test
        kept = []
        for index, row in enumerate(rows):
            self._refused(place, row.refused)
            if place.sifted.isdisjoint(row.refused) and test(row.resource, index):
                kept.append(row)
        self.budget.spend(len(rows) - len(kept))
        return kept

    async def _shown(self, place: FhirPlace, rows: Sequence[Row]) -> list[Shown]:
        """Give the rows with everything that is asked for inside them and behind their links."""
        self.budget.spend(len(rows))
        shown = []
        for row in rows:
            self._refused(place, row.refused)
            shown.append(_marked(place, row))
        if place.resource == "ImagingStudy":
            await self._with_instances(place, rows, shown)
        for link in place.links:
            await self._follow(link, place.resource, shown)
        for reference in place.references:
            await self._refer(reference, shown)
        return shown

    async def _with_instances(
        self, place: FhirPlace, rows: Sequence[Row], shown: Sequence[Shown]
    ) -> None:
        asked = frozenset(one for one in place.asked if one.startswith(INSTANCE))
        for row, study, found in await members(self.guarded, self.budget, asked, rows, shown):
            of_series: dict[str, list[Json]] = {}
            for one in found:
                of_series.setdefault(one.series, []).append(one.element)
            # the record knows every series' UID, even if the caller may not
            uids = [one["uid"] for one in row.record.resource.get("series", ())]
            study["series"] = [
                {**part, "instance": of_series.get(uid, [])}
                for uid, part in zip(uids, study["series"], strict=True)
            ]

    async def _follow(self, link: FhirPlace, resource: str, shown: Sequence[Shown]) -> None:
        """Put what refers to each record beside its elements."""
        try:
            values = await self._referring(link, [f"{resource}/{one['id']}" for one in shown])
        except AccessDenied as denial:
            self._denied(link, denial.coordinates)
            return
        for record, value in zip(shown, values, strict=True):
            record[link.at] = value

    async def _referring(self, link: FhirPlace, keys: Sequence[str]) -> Sequence[Json]:
        by = link.arguments["_reference"]
        search, _ = searched(link.resource, link.arguments, self.fhir_url)
        page, most = self._portion(link, len(keys))
        if not keys:
            row = PARAMETERS[link.resource][by]
            self._refused_anyway(link, search.coordinates | coordinates_of(link.resource, row))
            return []
        found = await self.guarded.search_each(search, by, keys, page, elements=link.elements)
        for key in keys:
            self._refused(link, found[key].refused)
            if link.fetch == "list":
                _held(link, found[key], most, self.budget)
        rows = [self._sifted(link, found[key].rows) for key in keys]
        shown = iter(await self._shown(link, [row for some in rows for row in some]))
        records = [[next(shown) for _ in some] for some in rows]
        if link.fetch == "list":
            return records
        return [
            _connection(found[key], page, some, _narrowed(link.arguments, by, key))
            for key, some in zip(keys, records, strict=True)
        ]

    def _portion(self, link: FhirPlace, parents: int) -> tuple[Page, int]:
        if link.fetch == "connection":
            page = fhir_page(link.resource, link.arguments, counted="count" in link.plumbing)
            return page, page.first
        most = min(_most(link), max(self.budget.left // max(parents, 1), 1))
        return _whole(link, most), most

    async def _refer(self, reference: Reference, shown: Sequence[Shown]) -> None:
        """Find what the references in records refer to."""
        texts = {one for record in shown for one in _texts(record, reference.steps)}
        known = self.referred.setdefault(reference.at, {})
        lost = False
        for kind, place in reference.targets.items():
            wanted = {
                text: identifier
                for text in texts
                for named, identifier in [self._named(text)]
                if named == kind
            }
            lost = await self._target(place, wanted, known) or lost
        # of a type that is not here nothing can be found; of one that is not asked for, nothing is
        strange = any(self._named(text)[0] not in TYPES for text in texts)
        whole = reference.targets.keys() == set(TYPES)
        if (lost or (strange and whole)) and not reference.optional:
            self.problems[reference.path] = NotFound(
                "A reference leads to nothing that is here and open to you; where that is fine, "
                "say optional: true."
            )

    async def _target(
        self, place: FhirPlace, wanted: Mapping[str, str], known: dict[str, Shown]
    ) -> bool:
        """Find records of one type; say whether any is not there."""
        if not wanted:
            return False
        ids = sorted(set(wanted.values()))
        search = Search(
            place.resource,
            any_of(Has("_id", one) for one in ids),
            frozenset({f"{place.resource}.id"}),
        )
        try:
            found = await self.guarded.search(
                search,
                Page(len(ids)),
                elements=place.elements,
                query=f"_id={','.join(ids)}",
                action="read",
            )
        except AccessDenied as denial:
            self._denied(place, denial.coordinates)
            return False
        self._refused(place, found.refused)
        records = await self._shown(place, found.rows)
        by_id = {row.id: one for row, one in zip(found.rows, records, strict=True)}
        known |= {text: by_id[one] for text, one in wanted.items() if one in by_id}
        return len(by_id) < len(ids)

    def _named(self, text: str) -> tuple[str, str]:
        """Give type and id of what a reference refers to; empty where it is not of this server."""
        kind, _, identifier = text.removeprefix(f"{self.fhir_url}/").partition("/")
        return (kind, identifier) if kind in TYPES and identifier else ("", "")

    def _refused(self, place: FhirPlace, coordinates: frozenset[str]) -> None:
        """Note what was refused, as far as it was asked for."""
        for coordinate in coordinates:
            if coordinate in place.asked:
                self.refusals.add(coordinate, place.asked[coordinate])

    def _refused_anyway(self, place: FhirPlace, coordinates: frozenset[str]) -> None:
        """Note what would be refused if there were a row."""
        plan = self.guarded.plan(place.resource, place.elements)
        closed = {one for one in coordinates if not self.guarded.access.allows(one)}
        if plan.anchor.never:
            closed |= {f"{place.resource}.id"}
        self._denied(place, frozenset(closed))
        self._refused(place, plan.refused)

    def _denied(self, place: FhirPlace, coordinates: frozenset[str]) -> None:
        for coordinate in coordinates:
            self.refusals.add(coordinate, [place.path])


async def load(loader: FhirLoader, places: Sequence[FhirPlace]) -> dict[str, Json]:
    """Load every root; the value of one that failed as expected is the exception."""
    found = await asyncio.gather(*map(loader.root, places), return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, ResourceError):
            raise one
    return {place.at: value for place, value in zip(places, found, strict=True)}


def _marked(place: FhirPlace, row: Row) -> Shown:
    """Copy a row; mark on it, and on its series, what would be picked by something refused."""
    shown = dict(row.resource)
    closed = frozenset(at for at, by in place.picked.items() if by & row.refused)
    if closed:
        shown[CLOSED] = closed
        if "series" in shown:
            shown["series"] = [{**one, CLOSED: closed} for one in shown["series"]]
    return shown


def _texts(record: Shown, steps: Sequence[Step]) -> Iterator[str]:
    """List what the references say that an operation takes from a record; "" where nothing."""
    values: list[Json] = [record]
    for one in steps:
        inner = []
        for value in values:
            found = value.get(one.name)
            if isinstance(found, list) and one.at not in value.get(CLOSED, ()):
                items = pick(found, one.picks)
                inner += items[:1] if one.first else items
            elif isinstance(found, dict):
                inner.append(found)
        values = inner
    return (value.get("reference", "") for value in values)


def _narrowed(arguments: Mapping[str, Json], by: str, key: str) -> dict[str, Json]:
    """Say of a search for what refers to a record what it is when it stands alone."""
    own = f'{by} re "{key}"'
    given = arguments.get("_filter")
    return {**arguments, "_filter": own if given is None else f"{own} and {given}"}


def _connection(
    found: Found, page: Page, resources: Sequence[Json], arguments: Mapping[str, Json]
) -> Shown:
    whole = fhir_connection(found, page, resources)
    following = whole["next"]
    return whole | {
        "first": write_cursor(arguments, ""),
        "next": write_cursor(arguments, following) if following else None,
    }


def _most(place: FhirPlace) -> int:
    count = place.arguments.get("_count")
    if count is not None and not 1 <= count <= MOST_LISTED:
        raise Invalid(f"_count: ask for 1 to {MOST_LISTED:,}")
    return MOST_LISTED if count is None else int(count)


def _whole(place: FhirPlace, most: int) -> Page:
    page = fhir_page(place.resource, {**place.arguments, "_count": 1}, counted=False)
    return replace(page, first=most)


def _held(place: FhirPlace, found: Found, most: int, budget: Budget) -> None:
    """Hold a list to all that match, or to as many as were asked for.

    Raises:
        TooLarge: There are more than a list gives.
        TooComplex: There are more than the operation may still read.
    """
    if not found.more:
        return
    if most < _most(place):
        raise TooComplex("cost", budget.most + 1, budget.most)
    if place.arguments.get("_count") is None:
        name = f"{place.resource}List"
        raise TooLarge(
            f"{name}: more than {MOST_LISTED:,} match, and a list is not cut short; narrow it, or "
            f"walk through {place.resource}Connection page by page."
        )
