"""What the FHIR door shows of what is planted: every element, by every way to it."""

import orjson

from app.imaging.ingest import ENDPOINT_ID
from fhir.elements import ELEMENTS
from fhir.referring import TYPES
from tests.doors.searches import FHIR, stands_in
from tests.doors.sight import Json, Visit, filled

_ROW = ("ImagingStudy.id",)
# What a study refers by, and what has to be open for it to be found by what it refers to.
REFERRING = {
    "Patient": ("patient", ("ImagingStudy.subject",)),
    "Endpoint": ("endpoint", ("ImagingStudy.endpoint", "ImagingStudy.series.endpoint")),
}
# Of a study's parameters those that find the planted one alone.
_ONE_STUDY = {"_id": "{study}", "identifier": "urn:oid:{study}", "series": "{series}"}


async def through_fhir(visit: Visit) -> None:
    target = visit.target
    for resource, identifier in (
        ("Patient", target.patient),
        ("ImagingStudy", target.study),
        ("Endpoint", ENDPOINT_ID),
    ):
        read = (await visit.get(f"/fhir/{resource}/{identifier}")).json()
        _resource(visit, "read", resource, read)
        for way, answer in (
            ("search", await visit.get(f"/fhir/{resource}?_id={identifier}")),
            (
                "POST search",
                await visit.ask("POST", f"/fhir/{resource}/_search", data={"_id": identifier}),
            ),
        ):
            found = answer.json()
            if found.get("total"):
                visit.sight.saw(f"{way} {resource} total", f"{resource}.id")
            for entry in found.get("entry", ()):
                _resource(visit, way, resource, entry["resource"])
    including = "_include=ImagingStudy:patient&_include=ImagingStudy:endpoint"
    answer = await visit.get(f"/fhir/ImagingStudy?_id={target.study}&{including}")
    for entry in answer.json().get("entry", ()):
        if entry["search"]["mode"] == "include":
            kind = entry["resource"]["resourceType"]
            by = {"Patient": "ImagingStudy.subject", "Endpoint": "ImagingStudy.endpoint"}[kind]
            _resource(visit, "included", kind, entry["resource"], *_ROW, by)
    await _parts(visit)
    await _referring(visit)
    await _batched(visit)
    await _chained(visit)


def _ids(visit: Visit) -> dict[str, str]:
    return {kind: visit.target.ids.get(kind, ENDPOINT_ID) for kind in TYPES}


async def _parts(visit: Visit) -> None:
    for kind, identifier in _ids(visit).items():
        for part in ("_summary=true", "_summary=text", "_summary=data"):
            found = await visit.get(f"/fhir/{kind}/{identifier}?{part}")
            _resource(visit, part, kind, found.json())
        for path in ELEMENTS[kind]:
            if "." not in path:
                found = await visit.get(f"/fhir/{kind}?_id={identifier}&_elements={path}")
                for entry in found.json().get("entry", ()):
                    _resource(visit, f"{path} of", kind, entry["resource"])


async def _referring(visit: Visit) -> None:
    ids = _ids(visit)
    for kind, (name, by) in REFERRING.items():
        asked = f"/fhir/{kind}?_id={ids[kind]}&_revinclude=ImagingStudy:{name}"
        for entry in (await visit.get(asked)).json().get("entry", ()):
            if entry["resource"]["id"] == visit.target.study:
                found, around = entry["resource"], (f"{kind}.id", *by)
                _resource(visit, f"referring to {kind}", "ImagingStudy", found, *around)


async def _batched(visit: Visit) -> None:
    asked = [
        (way, kind, f"{kind}/{identifier}" if way == "read" else f"{kind}?_id={identifier}")
        for kind, identifier in _ids(visit).items()
        for way in ("read", "search")
    ]
    entries = [{"request": {"method": "GET", "url": url}} for _, _, url in asked]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answer = (await visit.ask("POST", "/fhir", json=bundle)).json()
    for (way, kind, _), entry in zip(asked, answer["entry"], strict=True):
        found = entry.get("resource", {})
        rows = [found] if way == "read" else [one["resource"] for one in found.get("entry", ())]
        for row in rows:
            _resource(visit, f"batched {way}", kind, row)


async def _chained(visit: Visit) -> None:
    target = visit.target
    for kind, (name, by) in REFERRING.items():
        for criterion, (value, _) in sorted(FHIR[kind].items()):
            if value:
                chain = {f"{name}.{criterion}": filled(value, target), "_id": target.study}
                counted = await _count(visit, "ImagingStudy", chain)
                looked_at = (*stands_in(kind, criterion), f"{kind}.id", *by, *_ROW)
                if counted:
                    visit.sight.saw(f"counted by {name}.{criterion}", *looked_at)
        for criterion, value in _ONE_STUDY.items():
            chain = {f"_has:ImagingStudy:{name}:{criterion}": filled(value, target)}
            counted = await _count(visit, kind, chain | {"_id": _ids(visit)[kind]})
            looked_at = (*stands_in("ImagingStudy", criterion), f"{kind}.id", *by, *_ROW)
            if counted:
                visit.sight.saw(f"{kind} counted by {criterion} of a study", *looked_at)


def is_counted_without_identity(label: str) -> bool:
    """Say whether the de-identified view finds by this: real numbers are unknown, times closed."""
    return label not in {"counted by patient.identifier", "counted by patient._lastUpdated"}


async def _count(visit: Visit, kind: str, criteria: dict[str, str]) -> int:
    pairs = {**criteria, "_summary": "count"}
    answer = await visit.client.get(f"/fhir/{kind}", params=pairs, headers=visit.headers)
    assert answer.status_code in {200, 403}, (criteria, answer.text)
    # the links repeat what was asked
    said = {name: value for name, value in answer.json().items() if name != "link"}
    visit.sight.bytes += orjson.dumps(said)
    total: int = said.get("total", 0)
    return total


def _resource(visit: Visit, way: str, resource: str, found: Json, *around: str) -> None:
    if found.get("resourceType") == resource:
        for path in ELEMENTS[resource]:
            if shown(found, path.split(".")):
                visit.sight.saw(f"{way} {resource}.{path}", f"{resource}.{path}", *around)


def shown(value: Json, path: list[str]) -> bool:
    """Say whether an element says more than that it is masked, or subsetted."""
    if isinstance(value, list):
        return any(shown(item, path) for item in value)
    if path:
        return isinstance(value, dict) and path[0] in value and shown(value[path[0]], path[1:])
    if isinstance(value, dict):
        said = {name: inner for name, inner in value.items() if name != "extension"}
        marks = [one for name in ("security", "tag") for one in said.get(name, ())]
        if set(said) <= {"security", "tag"} and all(one["code"] == "SUBSETTED" for one in marks):
            return False
        return bool(said)
    return value is not None
