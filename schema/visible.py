"""The schema as one caller sees it: without what their roles and their token never open.

It is for being looked at. Operations run against the whole schema, where a closed field is null
and named as refused, so that an answer has the same shape for everybody.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    print_schema,
)

from fhir.access import INTERACTIONS, Access, Interaction
from fhir.elements import ELEMENTS
from fhir.sight import Sight, sight
from policies.caller import Caller
from policies.grants import Policy as Rules
from schema.arguments import searched_by
from schema.coordinates import Kind, Policy, Right, policy_of

MOST_SCHEMAS = 64  # remembered; a policy has some dozen sets of roles
# Rows that are fetched by id and not searched for.
_READ = frozenset({"one", "subject", "given"})
_ORDERS = frozenset({"sort", "_sort"})
_NOTHING = GraphQLField(
    GraphQLBoolean,
    description="Your roles open nothing here. A type has to have a field; this one cannot be "
    "asked for.",
)


def visible(schema: GraphQLSchema, access: Access) -> GraphQLSchema:
    """Give the part of a schema that is open to a caller on some rows at least.

    Left out are fields that the policy or the token's SMART scopes always close, links to types
    of which no row is seen, arguments and orders that would look at what is closed, and whatever
    nothing leads to any more.
    """
    return _visible(schema, sight(access))


def visible_sdl(schema: GraphQLSchema, policy: Rules, roles: frozenset[str]) -> str:
    """Write the schema as some roles see it, all held at once, in GraphQL's schema language."""
    return print_schema(visible(schema, Access(Caller("", roles), policy))) + "\n"


@lru_cache(maxsize=MOST_SCHEMAS)
def _visible(schema: GraphQLSchema, seen: Sight) -> GraphQLSchema:
    return _Part(schema, seen).schema()


@dataclass(slots=True)
class _Part:
    whole: GraphQLSchema
    seen: Sight
    fields: dict[str, dict[str, GraphQLField]] = field(init=False)
    orders: dict[str, set[str]] = field(default_factory=dict)
    made: dict[str, GraphQLNamedType] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fields = {
            name: {key: one for key, one in kind.fields.items() if self._opens(one)}
            for name, kind in self.whole.type_map.items()
            if isinstance(kind, GraphQLObjectType)
        }
        while self._drop_dead_ends():
            pass
        for fields in self.fields.values():
            for one in fields.values():
                self._note_orders(one)

    def _note_orders(self, link: GraphQLField) -> None:
        """Note by which parameters an open link lets its enumeration of orders sort."""
        policy = policy_of(link)
        for name, argument in link.args.items():
            if policy and name in _ORDERS:
                able = {one for resource, one in self.seen.sorted if resource == policy.resource}
                self.orders.setdefault(get_named_type(argument.type).name, set()).update(able)

    def schema(self) -> GraphQLSchema:
        mutation = self._root(self.whole.mutation_type)
        return GraphQLSchema(
            self._root(self.whole.query_type) or GraphQLObjectType("Query", {"nothing": _NOTHING}),
            mutation,
            self._root(self.whole.subscription_type),
            types=self._implementing() if mutation else None,
            directives=self.whole.directives,
            description=self.whole.description,
        )

    def _implementing(self) -> list[GraphQLNamedType]:
        """List what payloads hold and no field leads to by its name: the errors of mutations."""
        return [
            self._type(kind)
            for kind in self.whole.type_map.values()
            if isinstance(kind, GraphQLObjectType) and kind.interfaces
        ]

    def _drop_dead_ends(self) -> bool:
        """Leave out fields whose type has no field left; say whether there were any."""
        empty = {name for name, fields in self.fields.items() if not fields}
        empty |= {
            name
            for name, kind in self.whole.type_map.items()
            if isinstance(kind, GraphQLUnionType) and not self._members(kind)
        }
        dropped = False
        for name, fields in self.fields.items():
            left = {
                key: one
                for key, one in fields.items()
                if get_named_type(one.type).name not in empty
            }
            dropped = dropped or len(left) < len(fields)
            self.fields[name] = left
        return dropped

    def _members(self, union: GraphQLUnionType) -> list[GraphQLObjectType]:
        """List the resources of a union that are there for a caller; others are always."""
        return [
            one
            for one in union.types
            if self.fields[one.name] and (one.name not in ELEMENTS or self.seen.sees(one.name, "r"))
        ]

    def _opens(self, one: GraphQLField) -> bool:
        policy = policy_of(one)
        if policy is None or policy.kind in {Kind.PART, Kind.PLUMBING}:
            return True
        read = policy.needs | policy.tells | {policy.coordinate or ""}
        if not all(self.seen.opens(coordinate) for coordinate in read):
            return False
        if policy.kind is not Kind.LINK:
            return True
        return self._leads(one, policy) and all(
            self._does(right) for right in policy.rights if right.given is None
        )

    def _does(self, right: Right) -> bool:
        resource = right.coordinate.partition(".")[0]
        letter = INTERACTIONS[right.action]
        return (
            self.seen.opens(right.coordinate, right.action)
            and (resource, letter) in self.seen.interactions
        )

    def _leads(self, link: GraphQLField, policy: Policy) -> bool:
        how: Interaction = "r" if policy.fetch in _READ else "s"
        return self.seen.sees(policy.resource, how) and all(
            self._takes(policy, name)
            for name, argument in link.args.items()
            if isinstance(argument.type, GraphQLNonNull)
        )

    def _takes(self, policy: Policy, argument: str) -> bool:
        """Say whether a caller may use an argument of a link."""
        if argument in _ORDERS:
            return any(resource == policy.resource for resource, _ in self.seen.sorted)
        parameter = searched_by(policy.resource, policy.fetch).get(argument)
        return parameter is None or (policy.resource, parameter) in self.seen.searched

    def _may_ask(self, argument: GraphQLArgument) -> bool:
        """Say whether an argument of a list looks at nothing closed."""
        coordinate = argument.extensions.get("coordinate")
        return coordinate is None or self.seen.opens(coordinate)

    def _root(self, root: GraphQLObjectType | None) -> GraphQLObjectType | None:
        if root is None or not self.fields[root.name]:
            return None
        return cast("GraphQLObjectType", self._type(root))

    def _field(self, whole: GraphQLField) -> GraphQLField:
        policy = policy_of(whole)
        link = policy if policy and policy.kind is Kind.LINK else None
        arguments = {
            name: GraphQLArgument(**_but(one, type_=self._type(one.type)))
            for name, one in whole.args.items()
            if link is None or self._takes(link, name)
            if self._may_ask(one)
        }
        return GraphQLField(**_but(whole, type_=self._type(whole.type), args=arguments))

    def _type(self, kind: Any) -> Any:
        if isinstance(kind, GraphQLNonNull):
            return GraphQLNonNull(self._type(kind.of_type))
        if isinstance(kind, GraphQLList):
            return GraphQLList(self._type(kind.of_type))
        if kind.name not in self.made:
            self.made[kind.name] = self._made(kind)
        return self.made[kind.name]

    def _made(self, kind: GraphQLNamedType) -> GraphQLNamedType:
        if isinstance(kind, GraphQLObjectType) and kind.name in self.fields:
            fields = self.fields[kind.name]
            return GraphQLObjectType(
                **_but(
                    kind,
                    fields=lambda: {name: self._field(one) for name, one in fields.items()},
                    interfaces=lambda: [self._type(one) for one in kind.interfaces],
                )
            )
        if isinstance(kind, GraphQLInterfaceType):
            whole = kind.fields
            return GraphQLInterfaceType(
                **_but(kind, fields=lambda: {name: self._field(one) for name, one in whole.items()})
            )
        if isinstance(kind, GraphQLUnionType):
            members = self._members(kind)
            return GraphQLUnionType(
                **_but(kind, types=lambda: [self._type(one) for one in members])
            )
        if isinstance(kind, GraphQLEnumType) and kind.name in self.orders:
            values = {
                name: GraphQLEnumValue(**_but(one))
                for name, one in kind.values.items()
                if str(one.value).removeprefix("-") in self.orders[kind.name]
            }
            return GraphQLEnumType(**_but(kind, values=values))
        return kind


def _but(whole: Any, **changed: Any) -> dict[str, Any]:
    """Say what a part of a schema is made of, with some of it changed."""
    return {**whole.to_kwargs(), **changed}
