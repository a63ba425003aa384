"""A search tree as a MongoDB filter over the stored `index`, a DICOM key as one over `tags`."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson.regex import Regex

from fhir.dicom_matching import Between, Criterion, Empty, Equal, Like, Test
from fhir.repository import Sort
from fhir.search import AllOf, Among, AnyOf, During, Filter, Has, Not, Present, Stored, Text, Words

Query = dict[str, Any]
_LONGEST = timedelta(days=366)  # what FHIR's least precise date covers: a year
_FIRST = datetime.min.replace(tzinfo=UTC)


def mongo_filter(tree: Filter) -> Query:
    """Write a tree as a MongoDB filter that finds what `fhir.search.matches` would.

    Values stand under explicit operators, so text never becomes an operator.
    """
    match tree:
        case Has(parameter, value):
            return {_field(parameter): {"$eq": value}}
        case Among(parameter, values):
            return {_field(parameter): {"$in": sorted(values)}}
        case Present(parameter):
            return {f"index.{parameter}": {"$exists": True}}
        case During(parameter):
            return {f"index.{parameter}": {"$elemMatch": _during(tree)}}
        case Text(parameter, value, anywhere):
            return {f"index.{parameter}": {"$regex": _regex(value, anywhere=anywhere)}}
        case Words(parameter):
            # one scan of one index; flags would keep the beginnings from being its bounds
            begun = [Regex(_regex(value, anywhere=False)) for value in tree.values]
            return {f"index.{parameter}": {"$in": begun}}
        case Not(part):
            return {"$nor": [mongo_filter(part)]}
        case Stored(part):
            return mongo_filter(part)
        case AllOf(parts):
            return {"$and": [mongo_filter(part) for part in parts]} if parts else {}
        case AnyOf(()):
            return {"_id": {"$in": []}}
        case AnyOf(parts):
            return _any(parts)


def _field(parameter: str) -> str:
    return "_id" if parameter == "_id" else f"index.{parameter}"


def _any(parts: tuple[Filter, ...]) -> Query:
    # many values of one parameter are one index scan instead of a clause each
    values: dict[str, list[str]] = {}
    others: list[Query] = []
    for part in parts:
        if isinstance(part, Has):
            values.setdefault(_field(part.parameter), []).append(part.value)
        else:
            others.append(mongo_filter(part))
    clauses = [{field: {"$in": found}} for field, found in values.items()] + others
    return clauses[0] if len(clauses) == 1 else {"$or": clauses}


def _during(asked: During) -> Query:
    low, high = asked.low, asked.high
    match asked.prefix:
        case "eq":
            return {"low": {"$gte": low}, "high": {"$lte": high}}
        case "ne":
            return {"$or": [{"low": {"$lt": low}}, {"high": {"$gt": high}}]}
        case "gt":
            return {"high": {"$gt": high}}
        case "lt":
            return {"low": {"$lt": low}}
        case "ge":
            return {"$or": [{"high": {"$gt": high}}, {"low": {"$gte": low}}]}
        case "le":
            return {"$or": [{"low": {"$lt": low}}, {"high": {"$lte": high}}]}
        case "sa":
            return {"low": {"$gte": high}}
        case "eb":
            return {"high": {"$lte": low}}


def needs_index(tree: Filter) -> bool:
    """Say whether a tree finds nothing but records that are indexed by some parameter."""
    match tree:
        case Has(parameter) | Among(parameter) | Present(parameter):
            return parameter != "_id"
        case During() | Text() | Words():
            return True
        case Stored(part):
            return needs_index(part)
        case AllOf(parts):
            return any(map(needs_index, parts))
        case AnyOf(parts):
            return all(map(needs_index, parts))
        case Not():
            return False


def within_order(tree: Filter, sort: Sequence[Sort]) -> Query:
    """Say of the key that rows are sorted by what a tree says of the same time already.

    It leaves out nothing that the tree finds, and lets the database begin where the rows lie in
    their order, instead of walking all of them or sorting what it found. A parameter that sorts
    has one time at most, and its key is when that begins.
    """
    if not sort:
        return {}
    parts = tree.parts if isinstance(tree, AllOf) else (tree,)
    key = sort[0].parameter
    times = [one for one in parts if isinstance(one, During) and one.parameter == key]
    clauses = [{f"keys.{key}": bound} for one in times if (bound := _beginning(one))]
    return {"$and": clauses} if clauses else {}


def _beginning(asked: During) -> Query:
    """Bound when a time begins that stands in a relation; it may be a year long."""
    low, high = asked.low, asked.high
    before = high - _LONGEST if high - _FIRST > _LONGEST else _FIRST
    match asked.prefix:
        case "eq":
            return {"$gte": low, "$lt": high}
        case "gt":
            return {"$gte": before}
        case "ge":
            return {"$gte": min(low, before)}
        case "lt" | "eb":
            return {"$lt": low}
        case "le":
            return {"$lt": high}
        case "sa":
            return {"$gte": high}
        case "ne":
            return {}


def _regex(text: str, *, anywhere: bool) -> str:
    # folded text holds nothing to escape; who made it otherwise shall not write expressions
    literal = re.escape(text).replace("\\ ", " ")
    return literal if anywhere else f"^{literal}"


def tag_filter(prefix: str, criterion: Criterion, field: str | None = None) -> Query:
    """Write a criterion as a MongoDB filter that finds what `fhir.dicom_matching.meets` would.

    Args:
        prefix: Where the terms lie, with the dot.
        criterion: What they have to meet.
        field: Where the values lie that are not kept among the terms.
    """
    place = field or f"{prefix}{criterion.field}"
    clauses = [
        _within_sequence(place, one)
        if isinstance(one, Between) and len(criterion.path) > 1
        else {place: _test(one)}
        for one in criterion.tests
    ]
    if not clauses:
        return {"_id": {"$in": []}}
    return clauses[0] if len(clauses) == 1 else {"$or": clauses}


def _within_sequence(place: str, test: Between) -> Query:
    """Match one value or one of several: two of them shall not meet a range together."""
    met = _test(test)
    alone = {"$and": [{place: met}, {place: {"$not": {"$type": "array"}}}]}
    return {"$or": [alone, {place: {"$elemMatch": met}}]}


def _test(test: Test) -> Query:
    match test:
        case Equal(values):
            listed = sorted(values, key=str)
            return {"$eq": listed[0]} if len(listed) == 1 else {"$in": listed}
        case Like(expression):
            return {"$regex": expression, "$options": "s"}
        case Between(low, high):
            return {"$gte": low, "$lte": high}
        case Empty():
            return {"$exists": False}
