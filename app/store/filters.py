"""A search tree as a MongoDB filter over the stored `index`."""

import re
from typing import Any

from fhir.search import AllOf, Among, AnyOf, During, Filter, Has, Not, Present, Stored, Text

Query = dict[str, Any]


def mongo_filter(tree: Filter) -> Query:
    """Write a tree as a MongoDB filter that finds what `fhir.search.matches` would.

    Values stand under explicit operators, so text never becomes an operator.
    """
    match tree:
        case Has("_id", value):
            return {"_id": {"$eq": value}}
        case Has(parameter, value):
            return {f"index.{parameter}": {"$eq": value}}
        case Among(parameter, values):
            field = "_id" if parameter == "_id" else f"index.{parameter}"
            return {field: {"$in": sorted(values)}}
        case Present(parameter):
            return {f"index.{parameter}": {"$exists": True}}
        case During(parameter):
            return {f"index.{parameter}": {"$elemMatch": _during(tree)}}
        case Text(parameter, value, anywhere):
            return {f"index.{parameter}": {"$regex": _regex(value, anywhere)}}
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


def _any(parts: tuple[Filter, ...]) -> Query:
    # many values of one parameter are one index scan instead of a clause each
    values: dict[str, list[str]] = {}
    others: list[Query] = []
    for part in parts:
        if isinstance(part, Has):
            field = "_id" if part.parameter == "_id" else f"index.{part.parameter}"
            values.setdefault(field, []).append(part.value)
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


def _regex(text: str, anywhere: bool) -> str:
    # folded text holds nothing to escape; who made it otherwise shall not write expressions
    literal = re.escape(text).replace("\\ ", " ")
    return literal if anywhere else f"^{literal}"
