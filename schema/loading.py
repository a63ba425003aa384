"""Fetching what an operation selects: each place in it is one database query, however many rows.

Everything is read before execution, root by root and link by link; execution then only walks
plain FHIR JSON. What the guard refuses is not in it, and is noted for one error each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir.errors import AccessDenied, Invalid, NotFound, ResourceError
from fhir.guarded import Found, GuardedRepository, Page, Row
from fhir.images import Instance, instances, search_images
from fhir.search import Has, Search, any_of, criteria, escape
from fhir.sight import always
from schema.arguments import fhir_search, relay_search
from schema.context import Change, Context
from schema.errors import Refusals
from schema.facets import facets
from schema.limits import Budget
from schema.paging import connection, fhir_connection, fhir_page, relay_page
from schema.pictures import INSTANCE, check_slices, illustrated, sliced, with_instances
from schema.selection import Place

Json = Any
_SERIES_UID = "ImagingStudy.series.uid"


@dataclass(slots=True)
class Loader:
    """Reads the records of one operation.

    Attributes:
        base_url: Of the server, without a slash at the end.
        budget: Records that may still be read.
        refusals: What was refused so far.
        context: Of the server.
    """

    guarded: GuardedRepository
    base_url: str
    budget: Budget
    refusals: Refusals = field(default_factory=Refusals)
    context: Context = field(default_factory=Context)

    async def root(self, place: Place) -> Json:
        """Give the value of a root field; None if it is refused.

        Raises:
            ResourceError: Nothing is found, or the arguments will not do.
        """
        try:
            return await self._root(place)
        except AccessDenied as denial:
            return self.noted(place, denial)

    async def answer(self, place: Place, done: Json) -> Json:
        """Give the value of a mutation, as the caller may see it.

        Args:
            place: The mutation.
            done: What it gave: the id of the record that it is about.

        Raises:
            ResourceError: The record is not there, or not for the caller.
        """
        match place.fetch:
            case "one":
                row = await self.guarded.read(place.resource, done, place.elements)
                return (await self._shown(place, [row]))[0]
            case "given":
                return self._given(place, done)
            case "gone":  # whoever may delete a record knows its id; nothing else is left of it
                return {"id": done}
        raise KeyError(place.fetch)

    def noted(self, place: Place, error: ResourceError) -> ResourceError | None:
        """Give the value of a root that failed: None where it is refused, which is noted."""
        if not isinstance(error, AccessDenied):
            return error
        self._denied(place, error.coordinates)
        return None

    async def _root(self, place: Place) -> Json:
        check_slices(place)
        match place.fetch:
            case "one":
                return await self._one(place)
            case "image":
                return await self._image(place)
            case "series":
                return await self._series(place)
            case "page":
                return await self._page(place)
            case "list" | "connection":
                return await self._fhir(place)
            case "facets":
                counted, refused = await facets(self.guarded, place, self._fhir_url)
                self._refused(place, refused)
                return counted
            case "given" if place.policy.perform:
                change = Change(self.guarded, place.arguments, self.context, place.elements)
                return self._given(place, await place.policy.perform(change))
        raise KeyError(place.fetch)

    def _given(self, place: Place, value: dict[str, Json]) -> dict[str, Json]:
        """Give what no row decides about: an element is open always, or it is not there."""
        access = self.guarded.access
        self._refused(place, frozenset(one for one in place.elements if not always(access, one)))
        named = ((slot, slot.coordinate.rpartition(".")[2]) for slot in place.slots)
        return value | {
            slot.path: sliced(value[name], slot) for slot, name in named if name in value
        }

    async def _one(self, place: Place) -> Json:
        [identifier] = place.arguments.values()
        row = await self.guarded.read(place.resource, identifier, place.elements)
        return (await self._shown(place, [row]))[0]

    async def _image(self, place: Place) -> Json:
        search = Search("Image", Has("_id", place.arguments["uid"]))
        found = await search_images(
            self.guarded, search, Page(1), elements=place.elements, query="_id"
        )
        self._refused(place, found.refused)
        shown = await self._shown(place, found.rows)
        if not shown:
            raise NotFound("no Image of this id is open to you")
        return shown[0]

    async def _series(self, place: Place) -> Json:
        uid = place.arguments["uid"]
        search = criteria("ImagingStudy", [("series", escape(uid))])
        found = await self.guarded.search(
            search, Page(1), elements=place.elements | {_SERIES_UID}, query=f"series={uid}"
        )
        self._refused(place, found.refused)
        shown = await self._shown(place, found.rows)
        if not shown:
            raise NotFound("no series of this UID is open to you")
        parts = zip(_uids(found.rows[0]), shown[0].get("series", ()), strict=False)
        return next((part for one, part in parts if one == uid), None)

    async def _page(self, place: Place) -> Json:
        search, text = relay_search(place.resource, place.arguments, self._fhir_url)
        page = relay_page(place.arguments, counted="totalCount" in place.plumbing)
        found = await self._search(place, search, page, text)
        return connection(found, page, await self._shown(place, found.rows), place.plumbing)

    async def _fhir(self, place: Place) -> Json:
        search, text = fhir_search(place.resource, place.arguments, self._fhir_url)
        page = fhir_page(place.resource, place.arguments, counted="count" in place.plumbing)
        found = await self._search(place, search, page, text)
        shown = await self._shown(place, found.rows)
        return shown if place.fetch == "list" else fhir_connection(found, page, shown)

    async def _search(self, place: Place, search: Search, page: Page, text: str) -> Found:
        if place.resource == "Image":
            found = await search_images(
                self.guarded, search, page, elements=place.elements, query=text
            )
        else:
            found = await self.guarded.search(search, page, elements=place.elements, query=text)
        self._refused(place, found.refused)
        return found

    async def _shown(self, place: Place, rows: Sequence[Row]) -> list[dict[str, Json]]:
        """Give the rows with everything that is asked for inside them and behind their links."""
        self.budget.spend(len(rows))
        for row in rows:
            self._refused(place, row.refused)
        shown = [dict(row.resource) for row in rows]
        if place.resource == "ImagingStudy":
            await self._with_instances(place, rows, shown)
        elif place.resource == "Image":
            for at, row in enumerate(rows):
                granted = place.elements - row.refused
                shown[at], frames = illustrated(shown[at], granted, place, self.base_url)
                self.budget.spend(frames)
        for inner in place.links:
            await self._follow(inner, shown)
        return shown

    async def _with_instances(
        self, place: Place, rows: Sequence[Row], shown: Sequence[dict[str, Json]]
    ) -> None:
        asked = frozenset(one for one in place.asked if one.startswith((INSTANCE, "Image.")))
        for row, study, found in await members(self.guarded, self.budget, asked, rows, shown):
            series = list(zip(_uids(row), study["series"], strict=True))
            study["series"], images = with_instances(series, found, place, self.base_url)
            self.budget.spend(images)

    async def _follow(self, place: Place, shown: Sequence[dict[str, Json]]) -> None:
        """Put what a link leads to into each record, under the link's path."""
        check_slices(place)
        try:
            values = await self._linked(place, shown)
        except AccessDenied as denial:
            self._denied(place, denial.coordinates)
            return
        for record, value in zip(shown, values, strict=True):
            record[place.path] = value

    async def _linked(self, place: Place, shown: Sequence[dict[str, Json]]) -> Sequence[Json]:
        match place.fetch:
            case "subject":
                return await self._patients(place, shown)
            case "studies":
                return await self._studies(place, [record["id"] for record in shown])
        raise KeyError(place.fetch)

    async def _patients(self, place: Place, shown: Sequence[Mapping[str, Json]]) -> Sequence[Json]:
        ids = [_patient_id(study) for study in shown]
        wanted = sorted({one for one in ids if one})
        if not wanted:
            self._refused_anyway(place)
            return [None] * len(ids)
        tree = any_of(Has("_id", one) for one in wanted)
        found = await self.guarded.search(
            Search("Patient", tree, frozenset({"Patient.id"})),
            Page(len(wanted)),
            elements=place.elements,
            query=f"_id={','.join(wanted)}",
            action="read",
        )
        self._refused(place, found.refused)
        by_id = {one["id"]: one for one in await self._shown(place, found.rows)}
        return [by_id.get(one) if one else None for one in ids]

    async def _studies(self, place: Place, patients: Sequence[str]) -> Sequence[Json]:
        search, text = relay_search("ImagingStudy", place.arguments, self._fhir_url)
        page = relay_page(place.arguments, counted="totalCount" in place.plumbing)
        if not patients:
            self._refused_anyway(place)
            return []
        keys = [f"Patient/{one}" for one in patients]
        if page.after is None:
            found = await self.guarded.search_each(
                search, "patient", keys, page, elements=place.elements
            )
        elif len(keys) == 1:
            narrowed = search.and_also(criteria("ImagingStudy", [("patient", keys[0])]))
            text = f"patient={keys[0]}&{text}"
            found = {keys[0]: await self._search(place, narrowed, page, text)}
        else:
            raise Invalid("after: there is more than one patient here; ask for a single one")
        rows = [row for key in keys for row in found[key].rows]
        nodes = iter(await self._shown(place, rows))
        connections = []
        for key in keys:
            self._refused(place, found[key].refused)
            of_patient = [next(nodes) for _ in found[key].rows]
            connections.append(connection(found[key], page, of_patient, place.plumbing))
        return connections

    @property
    def _fhir_url(self) -> str:
        return f"{self.base_url}/fhir"

    def _refused(self, place: Place, coordinates: frozenset[str]) -> None:
        """Note what was refused, as far as it was asked for."""
        for coordinate in coordinates:
            if coordinate in place.asked:
                self.refusals.add(coordinate, place.asked[coordinate])

    def _refused_anyway(self, place: Place) -> None:
        """Note what would be refused if there were a row."""
        plan = self.guarded.plan(place.resource, place.elements)
        if plan.anchor.never:
            self._denied(place, frozenset({f"{place.resource}.id"}))
        else:
            self._refused(place, plan.refused)

    def _denied(self, place: Place, coordinates: frozenset[str]) -> None:
        for coordinate in coordinates:
            self.refusals.add(coordinate, [place.path])


async def members(
    guarded: GuardedRepository,
    budget: Budget,
    asked: frozenset[str],
    rows: Sequence[Row],
    shown: Sequence[dict[str, Json]],
) -> list[tuple[Row, dict[str, Json], list[Instance]]]:
    """Read the instances of studies that are given out, as far as they are asked for.

    Args:
        guarded: Repository of the caller.
        budget: Series and instances are counted in it.
        asked: Coordinates of instances and their images.
        rows: The studies.
        shown: What is shown of each.

    Returns:
        The studies whose instances are open, each with these.
    """
    budget.spend(sum(len(study.get("series", ())) for study in shown))
    if INSTANCE not in asked:
        return []
    opened = [
        (row, study)
        for row, study in zip(rows, shown, strict=True)
        if INSTANCE not in row.refused and "series" in study
    ]
    found = await instances(guarded, [row for row, _ in opened], asked, limit=budget.left + 1)
    budget.spend(sum(len(one) for one in found.values()))
    return [(row, study, found.get(row.id, [])) for row, study in opened]


def _uids(study: Row) -> list[str]:
    return [one["uid"] for one in study.record.resource.get("series", ())]


def _patient_id(study: Mapping[str, Json]) -> str | None:
    kind, _, identifier = study.get("subject", {}).get("reference", "").partition("/")
    return identifier if kind == "Patient" else None
