"""Whatever is selected, however it is written, nothing closed comes back and nothing open lacks."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import orjson
import pytest
from graphql import GraphQLObjectType, get_named_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.archive import Archive
from fhir.access import Access
from fhir.elements import COORDINATES
from fhir.guarded import GuardedRepository
from policies.caller import Caller
from policies.grants import Policy
from policies.reader import read_rules
from schema.build import build_schema
from schema.context import Context
from schema.execution import Query, perform, run
from schema.limits import Limits
from schema.plans import plans_of
from tests.build import study
from tests.schema.library import store

SCHEMA = build_schema()
WIDE = Limits(
    tokens=100_000,
    depth=1_000,
    aliases=10_000,
    root_fields=100,
    fields=10_000,
    repeats=10_000,
    directives=10_000,
    fragments=1_000,
    cost=1_000_000,
)

# Coordinate: what the answer says only if it is open. No other element says the same.
CANARIES = {
    "Patient.name": "Canaryname",
    "Patient.birthDate": "1931-07-09",
    "Patient.identifier": "CANARY-ID",
    "Patient.telecom": "555-0199",
    "Patient.address": "Canary Lane",
    "ImagingStudy.started": "2003-02-01",
    "ImagingStudy.description": "Canary study",
    "ImagingStudy.referrer": "Canaryreferrer",
    "ImagingStudy.series.description": "Canary series",
    "ImagingStudy.series.started": "2004-03-02",
    "ImagingStudy.series.bodySite": "69536005",
    "ImagingStudy.series.performer": "Canaryoperator",
    "Image.transferSyntax": '"1.2.840.10008.1.2.1"',
    "Image.photometricInterpretation": "MONOCHROME2",
    "Image.rescaleIntercept": "-1024.0",
    "Image.pixels": "/rendered",
}
ROOTS = {
    "studies": "studies(first: 3)",
    "patients": "patients(first: 3)",
    "images": "images(first: 3)",
    "study": 'study(uid: "1.6.1")',
    "series": 'series(uid: "1.6.1.1")',
    "image": 'image(uid: "1.6.1.1.1")',
    "PatientList": "PatientList",
    "ImagingStudyConnection": "ImagingStudyConnection",
}


@pytest.fixture(scope="module", autouse=True)
async def _filled(archive: Archive) -> None:
    said: dict[str, Any] = {
        "PatientName": "Canaryname^Ann",
        "PatientBirthDate": "19310709",
        "PatientTelephoneNumbers": "555-0199",
        "PatientAddress": "Canary Lane 1",
        "StudyDate": "20030201",
        "StudyDescription": "Canary study",
        "SeriesDate": "20040302",
        "SeriesDescription": "Canary series",
        "ReferringPhysicianName": "Canaryreferrer^Ron",
        "OperatorsName": "Canaryoperator^Oda",
        "BodyPartExamined": "HEAD",
    }
    for number in (1, 2):
        objects = study(
            2, 2, StudyInstanceUID=f"1.6.{number}", PatientID=f"CANARY-ID{number}", **said
        )
        await store(archive, *objects)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Write a valid query: fragments, aliases, `@skip` and `@include` wherever they may stand."""
    return _Writer(draw).document()


class _Writer:
    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._names = count()
        self._fragments: list[str] = []

    def document(self) -> str:
        names = self._draw(st.lists(st.sampled_from(sorted(ROOTS)), min_size=1, max_size=2))
        query = SCHEMA.query_type
        assert query is not None
        roots = " ".join(self._field(query, name, ROOTS[name], 7) for name in names)
        head = "query ($yes: Boolean = true, $no: Boolean!)"
        used = "used: __typename @skip(if: $yes) @include(if: $no)"
        return f"{head} {{{used} {roots}}} {' '.join(self._fragments)}"

    def _field(self, parent: GraphQLObjectType, name: str, written: str, depth: int) -> str:
        kind = get_named_type(parent.fields[name].type)
        # every field has an alias, so that none clashes with another of its name
        said = f"f{next(self._names)}: {written}{self._condition()}"
        if isinstance(kind, GraphQLObjectType):
            said += f" {{{self._selection(kind, depth - 1)}}}"
        return said

    def _selection(self, kind: GraphQLObjectType, depth: int) -> str:
        names = [
            name
            for name, field in kind.fields.items()
            if depth > 0 or not isinstance(get_named_type(field.type), GraphQLObjectType)
        ]
        if not names:
            return "__typename"
        # pages are walked through, else nothing but page numbers would come up
        onwards = [
            name for name in ("edges", "node", "series", "instance", "image") if name in names
        ]
        chosen = [*self._draw(st.lists(st.sampled_from(names), min_size=1, max_size=4)), *onwards]
        pieces = [self._wrapped(kind, self._field(kind, name, name, depth)) for name in chosen]
        return " ".join(pieces)

    def _wrapped(self, kind: GraphQLObjectType, piece: str) -> str:
        match self._draw(st.integers(0, 5)):
            case 0:
                return f"... on {kind.name}{self._condition()} {{{piece}}}"
            case 1:
                return f"...{self._condition()} {{{piece}}}"
            case 2:
                name = f"G{next(self._names)}"
                self._fragments.append(f"fragment {name} on {kind.name} {{{piece}}}")
                return f"...{name}{self._condition()}"
        return piece

    def _condition(self) -> str:
        return self._draw(
            st.sampled_from(
                [""] * 8
                + [
                    " @skip(if: $no)",
                    " @include(if: $yes)",
                    " @skip(if: false)",
                    " @include(if: true)",
                ]
                + [" @skip(if: $yes)", " @include(if: $no)"]
            )
        )


def differences(full: Any, seen: Any) -> Iterator[tuple[Any, Any]]:
    """List what is not the same in two answers of one shape."""
    if isinstance(full, dict) and isinstance(seen, dict):
        assert list(full) == list(seen)
        for key in full:
            yield from differences(full[key], seen[key])
    elif isinstance(full, list) and isinstance(seen, list):
        assert len(full) == len(seen)
        for one, other in zip(full, seen, strict=True):
            yield from differences(one, other)
    elif full != seen:
        yield full, seen


# Closed, they take open elements with them.
_AROUND = {
    "Patient.id",
    "ImagingStudy.id",
    "ImagingStudy.subject",
    "ImagingStudy.series",
    "ImagingStudy.series.uid",
    "ImagingStudy.series.instance",
    "Image.id",
    "Image.study",
    "Image.series",
    "Image.numberOfFrames",
}
_SERVED = sorted(one for one in COORDINATES if not one.startswith("AuditEvent."))


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(document=documents(), closed=st.sets(st.sampled_from(_SERVED), max_size=12))
async def test_random_selections_give_what_is_open_and_nothing_else(
    archive: Archive, document: str, closed: set[str]
) -> None:
    full = await _answer(archive, document, "")
    assert "errors" not in full, full["errors"]
    denied = "".join(f"p, nurse, {one}, read, any, deny\n" for one in sorted(closed))
    seen = await _answer(archive, document, denied)

    shut = {
        one
        for one in _SERVED
        if any(one == other or one.startswith(f"{other}.") for other in closed)
    }
    if "Patient.name" in shut:
        shut.add("ImagingStudy.subject.display")
    errors = seen.get("errors", [])
    named = [one["extensions"]["coordinate"] for one in errors]
    assert {one["extensions"]["code"] for one in errors} <= {"FORBIDDEN"}
    assert len(set(named)) == len(named)
    assert set(named) <= shut
    whole, text = (orjson.dumps(one["data"]).decode() for one in (full, seen))
    for coordinate, canary in CANARIES.items():
        if coordinate in shut:
            assert canary not in text
        elif not shut & _AROUND:
            assert (canary in text) is (canary in whole)
    changed = list(differences(full["data"], seen["data"]))
    assert all(other is None for _, other in changed)
    assert bool(named) or not changed


async def _answer(archive: Archive, document: str, denied: str) -> dict[str, Any]:
    kinds = ("Patient", "ImagingStudy", "Image", "Endpoint")
    rules = "".join(f"p, nurse, {kind}.*, read, any, allow\n" for kind in kinds) + denied
    policy = Policy("test", read_rules(rules, COORDINATES, {}), {})
    access = Access(Caller("me", frozenset({"nurse"})), policy)
    guarded = GuardedRepository(archive.repository, access)
    query = Query(document, {"no": False})
    answer = await run(SCHEMA, guarded, "http://host", query, WIDE)
    assert answer.failures == ()
    assert answer.compiled
    # graphql-core's executor gives the same, over the same denials
    planned = replace(
        plans_of(SCHEMA).planned(query.text, query.variables, None, WIDE), projection=None
    )
    stock = await perform(SCHEMA, guarded, "http://host", planned, query.variables, WIDE, Context())
    assert not stock.compiled
    assert orjson.dumps(stock.body) == orjson.dumps(answer.body)
    return dict(answer.body)
