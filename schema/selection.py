"""What an operation asks for, record by record: coordinates, response paths, links to follow.

Fragments, aliases, `@skip` and `@include` are read by graphql-core's own `collect_fields`, so
that what is decided here is what execution will show.
"""

from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
)
from graphql.execution.collect_fields import (
    FieldDetails,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues, get_argument_values

from fhir.elements import COORDINATES
from schema.coordinates import Kind, Policy, policy_of

Json = Any


@dataclass(frozen=True, slots=True)
class Slot:
    """An element with arguments: its value is put under its own path."""

    path: str
    coordinate: str
    arguments: dict[str, Json]


@dataclass(slots=True)
class Place:
    """Where an operation asks for records: a root, or a link from other records.

    Attributes:
        path: Response path, without list indices.
        fetch: How the records are found (`schema.loading`).
        asked: Coordinates, each with the response paths that it is asked for at.
        plumbing: Names of the fields asked for that are about the page.
        policy: What was declared of the field.
    """

    path: str
    resource: str
    fetch: str
    arguments: dict[str, Json]
    policy: Policy
    asked: dict[str, list[str]] = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)
    links: list["Place"] = field(default_factory=list)
    plumbing: set[str] = field(default_factory=set)

    @property
    def elements(self) -> frozenset[str]:
        """Coordinates asked for."""
        return frozenset(self.asked)

    def ask(self, coordinate: str, path: str) -> None:
        """Note that a coordinate is asked for."""
        self.asked.setdefault(coordinate, []).append(path)


def select(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: VariableValues,
) -> list[Place]:
    """List the roots of a valid operation, as they are asked for.

    Raises:
        GraphQLError: An argument lacks a value that it has to have.
    """
    return _Reader(schema, document, operation, variables).roots()


@dataclass(slots=True)
class _Reader:
    schema: GraphQLSchema
    document: DocumentNode
    operation: OperationDefinitionNode
    variables: VariableValues
    fragments: dict[str, FragmentDetails] = field(init=False)

    def __post_init__(self) -> None:
        self.fragments = {
            one.name.value: FragmentDetails(one)
            for one in self.document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }

    def roots(self) -> list[Place]:
        root = self.schema.get_root_type(self.operation.operation)
        assert root is not None  # noqa: S101 -- the operation is valid
        grouped = collect_fields(
            self.schema, self.fragments, self.variables, root, self.operation
        ).grouped_field_set
        return [
            self._linked(root, key, details)
            for key, details in grouped.items()
            if not details[0].node.name.value.startswith("__")
        ]

    def _linked(self, parent: GraphQLObjectType, path: str, details: list[FieldDetails]) -> Place:
        policy = _policy(parent, details)
        arguments = self._arguments(parent, details)
        place = Place(path, policy.resource, policy.fetch, arguments, policy)
        place.ask(policy.coordinate or "", path)
        self._read(parent, details, place, path, policy.coordinate)
        return place

    def _read(
        self,
        parent: GraphQLObjectType,
        details: list[FieldDetails],
        place: Place,
        path: str,
        around: str | None,
    ) -> None:
        """Read what is selected inside one field."""
        kind = get_named_type(parent.fields[details[0].node.name.value].type)
        if not isinstance(kind, GraphQLObjectType):
            return
        grouped = collect_subfields(
            self.schema, self.fragments, self.variables, self.operation, kind, details
        ).grouped_field_set
        for key, inner in grouped.items():
            if not inner[0].node.name.value.startswith("__"):
                self._field(kind, inner, place, f"{path}.{key}", around)

    def _field(
        self,
        parent: GraphQLObjectType,
        details: list[FieldDetails],
        place: Place,
        path: str,
        around: str | None,
    ) -> None:
        policy = _policy(parent, details)
        name = details[0].node.name.value
        for need in policy.needs:
            place.ask(need, path)
        match policy.kind:
            case Kind.LINK:
                place.links.append(self._linked(parent, path, details))
                return
            case Kind.PLUMBING:
                place.plumbing.add(name)
            case Kind.PART:
                inner = f"{around}.{name}"
                if inner in COORDINATES:  # `ImagingStudy.subject.display`
                    place.ask(inner, path)
                    around = inner
            case Kind.ELEMENT:
                coordinate = policy.coordinate or ""
                if coordinate != around:
                    place.ask(coordinate, path)
                if parent.fields[name].args:
                    place.slots.append(Slot(path, coordinate, self._arguments(parent, details)))
                around = coordinate
        self._read(parent, details, place, path, around)

    def _arguments(self, parent: GraphQLObjectType, details: list[FieldDetails]) -> dict[str, Json]:
        node = details[0].node
        definition = parent.fields[node.name.value]
        return get_argument_values(
            definition, node, self.variables, details[0].fragment_variable_values
        )


def _policy(parent: GraphQLObjectType, details: list[FieldDetails]) -> Policy:
    policy = policy_of(parent.fields[details[0].node.name.value])
    assert policy is not None  # noqa: S101 -- `check` holds the schema to it
    return policy
