"""Random operations over a schema that has one of everything, and random values, some corrupt."""

import random
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Union

import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
)
from strawberry.schema.config import StrawberryConfig

from schema.coordinates import part
from schema.scalars import SCALARS, Date, Integer64

Json = Any


@strawberry.enum
class Mood(Enum):
    CALM = "calm"
    WILD = "wild"


class _Named:
    @classmethod
    def is_type_of(cls, value: Mapping[str, Json], _: object) -> bool:
        return bool(value["__typename"] == cls.__name__)


@strawberry.interface
class Thing(_Named):
    id: strawberry.ID = part("There in any case.")
    name: str | None = part("Maybe.")
    like: "list[Thing] | None" = part("Others.")


@strawberry.type
class Stone(Thing):
    weight: float | None = part("In kg.")
    grid: list[list[int | None] | None] | None = part("Rows.")


@strawberry.type
class Animal(Thing):
    legs: int | None = part("How many.")
    moods: list[Mood | None] | None = part("Each in turn.")
    born: Date | None = part("When.")
    heart: "Heart" = part("Each has one.")


@strawberry.type
class Heart:
    beats: int = part("A minute.")
    cells: Integer64 | None = part("About.")
    owner: "Animal | None" = part("Whose.")


Kept = Annotated[Union[Stone, Animal], strawberry.union("Kept")]  # noqa: UP007 -- Strawberry's way


@strawberry.type
class Shelf:
    id: strawberry.ID = part("There in any case.")
    open: bool | None = part("Whether.")
    things: list[Thing] | None = part("Of either kind.")
    kept: Kept | None = part("The best one.")
    all: list[Kept | None] | None = part("Some are missing.")
    hearts: list[Heart] = part("None may be missing.")
    inner: "Shelf | None" = part("One within.")


@strawberry.type
class Query:
    shelf: Shelf | None = part("One.")
    shelves: list[Shelf] | None = part("Many.")
    sure: Shelf = part("One in any case.")


def build() -> GraphQLSchema:
    config = StrawberryConfig(auto_camel_case=False, default_resolver=dict.get, scalar_map=SCALARS)
    return strawberry.Schema(Query, config=config, types=[Stone, Animal])._schema


class Drawing:
    """One random operation."""

    def __init__(self, schema: GraphQLSchema, pick: random.Random) -> None:
        self.schema = schema
        self.pick = pick
        self.fragments: dict[str, tuple[str, str]] = {}
        self.variables = {name: pick.random() < 0.5 for name in ("a", "b")}

    def text(self) -> str:
        root = self.schema.query_type
        assert root is not None
        selected = self._set(root, 4)
        fragments = " ".join(
            f"fragment {name} on {kind} {body}" for name, (kind, body) in self.fragments.items()
        )
        body = f"{selected} {fragments}"
        # a variable that is not used is an error
        self.variables = {
            name: value for name, value in self.variables.items() if f"if: ${name}" in body
        }
        declared = ", ".join(f"${name}: Boolean!" for name in self.variables)
        return f"query{f'({declared})' if declared else ''} {body}"

    def _set(self, kind: Any, depth: int) -> str:
        parts = [self._part(kind, depth) for _ in range(self.pick.randint(1, 4))]
        return f"{{ {' '.join(parts)} }}"

    def _part(self, kind: Any, depth: int) -> str:
        chance = self.pick.random()
        possible = (
            [one.name for one in self.schema.get_possible_types(kind)]
            if not isinstance(kind, GraphQLObjectType)
            else [kind.name]
        )
        if depth and chance < 0.15:
            on = self.pick.choice(possible)
            inner = self.schema.type_map[on]
            return f"... on {on}{self._condition()} {self._set(inner, depth - 1)}"
        if depth and chance < 0.25:
            return f"...{self._condition()} {self._set(kind, depth - 1)}"
        if depth and chance < 0.35 and len(self.fragments) < 6:
            on = self.pick.choice([*possible, kind.name])
            name = f"F{len(self.fragments)}"
            self.fragments[name] = (on, "{ __typename }")
            self.fragments[name] = (on, self._set(self.schema.type_map[on], depth - 1))
            return f"...{name}{self._condition()}"
        if chance < 0.42 or isinstance(kind, GraphQLUnionType):
            return f"{self._alias()}__typename{self._condition()}"
        assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        name = self.pick.choice(sorted(kind.fields))
        return self._field(kind.fields[name], name, depth)

    def _field(self, one: GraphQLField, name: str, depth: int) -> str:
        inner = get_named_type(one.type)
        if is_leaf_type(inner):
            return f"{self._alias()}{name}{self._condition()}"
        if not depth:
            return "__typename"
        return f"{self._alias()}{name}{self._condition()} {self._set(inner, depth - 1)}"

    def _alias(self) -> str:
        return f"x{self.pick.randint(1, 9)}: " if self.pick.random() < 0.1 else ""

    def _condition(self) -> str:
        if self.pick.random() < 0.85:
            return ""
        directive = self.pick.choice(("skip", "include"))
        value = self.pick.choice(("true", "false", *(f"${name}" for name in self.variables)))
        return f" @{directive}(if: {value})"


class Values:
    """Random values of a schema's types; now and then one that is not as the schema says."""

    def __init__(self, schema: GraphQLSchema, pick: random.Random, corrupt: float) -> None:
        self.schema = schema
        self.pick = pick
        self.corrupt = corrupt

    def of_root(self) -> dict[str, Json]:
        """Give the values of the roots."""
        root = self.schema.query_type
        assert root is not None
        found: dict[str, Json] = self._object(root, 3)
        return found

    def of(self, kind: Any, depth: int) -> Json:
        if self.pick.random() < self.corrupt:
            return self.pick.choice(
                (None, 7, "text", [], {}, 1.5, True, [None], float("nan"), 2**40, ("a",), "calm")
            )
        if isinstance(kind, GraphQLNonNull):
            return self._there(kind.of_type, depth)
        return None if self.pick.random() < 0.15 else self._there(kind, depth)

    def _there(self, kind: Any, depth: int) -> Json:
        if isinstance(kind, GraphQLList):
            return [self.of(kind.of_type, depth - 1) for _ in range(self.pick.randint(0, 2))]
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            kind = self.pick.choice(sorted(self.schema.get_possible_types(kind), key=str))
        if isinstance(kind, GraphQLObjectType):
            return self._object(kind, depth)
        if isinstance(kind, GraphQLEnumType):
            return self.pick.choice(sorted(kind.values.values(), key=str)).value
        return {
            "Int": self.pick.randint(-(2**31), 2**31 - 1),
            "Float": self.pick.choice((1.5, -0.25, 3)),
            "Boolean": self.pick.random() < 0.5,
            "Integer64": self.pick.randint(-(2**53) + 1, 2**53 - 1),
        }.get(kind.name, f"text {self.pick.randint(0, 9)}")

    def _object(self, kind: GraphQLObjectType, depth: int) -> Json:
        value: dict[str, Json] = {"__typename": kind.name}
        for name, one in kind.fields.items():
            leaf = is_leaf_type(get_named_type(one.type))
            needed = isinstance(one.type, GraphQLNonNull)
            if needed or ((leaf or depth > 0) and self.pick.random() > 0.1):
                value[name] = self.of(one.type, depth - 1)
        return value
