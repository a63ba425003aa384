"""What an operation asks for, record by record: coordinates, response paths, links to follow.

Fragments, aliases, `@skip` and `@include` are read by graphql-core's own `collect_fields`, so
that what is decided here is what execution will show.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
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
class Written:
    """Where the arguments of a field come from.

    Attributes:
        varies: Whether variables are among them.
    """

    definition: GraphQLField
    details: FieldDetails
    varies: bool

    def read(self, variables: VariableValues) -> dict[str, Json]:
        """Read the arguments.

        Raises:
            GraphQLError: One lacks a value that it has to have.
        """
        return get_argument_values(
            self.definition,
            self.details.node,
            variables,
            self.details.fragment_variable_values,
        )


@dataclass(frozen=True, slots=True)
class Slot:
    """An element with arguments: its value is put under its own path."""

    path: str
    coordinate: str
    arguments: dict[str, Json]
    written: Written


@dataclass(slots=True)
class Place:
    """Where an operation asks for records: a root, or a link from other records.

    Attributes:
        path: Response path, without list indices.
        name: Of the field.
        fetch: How the records are found (`schema.loading`).
        policy: What was declared of the field.
        asked: Coordinates, each with the response paths that it is asked for at.
        plumbing: Names of the fields asked for that are about the page.
    """

    path: str
    name: str
    resource: str
    fetch: str
    arguments: dict[str, Json]
    policy: Policy
    written: Written
    asked: dict[str, list[str]] = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)
    links: list["Place"] = field(default_factory=list)
    plumbing: set[str] = field(default_factory=set)

    @property
    def varies(self) -> bool:
        """Whether variables are among the arguments, here or below."""
        return (
            self.written.varies
            or any(slot.written.varies for slot in self.slots)
            or any(inner.varies for inner in self.links)
        )

    def bound(self, variables: VariableValues) -> "Place":
        """Give the same place with the arguments as these variables have them.

        Raises:
            GraphQLError: An argument lacks a value that it has to have.
        """
        return replace(
            self,
            arguments=self.written.read(variables),
            slots=[replace(one, arguments=one.written.read(variables)) for one in self.slots],
            links=[inner.bound(variables) for inner in self.links],
        )

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
        written = _written(parent, details)
        place = Place(
            path,
            details[0].node.name.value,
            policy.resource,
            policy.fetch,
            written.read(self.variables),
            policy,
            written,
        )
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
        if is_leaf_type(kind):
            return
        possible = self.schema.get_possible_types(kind) if is_abstract_type(kind) else [kind]
        for one in possible:
            grouped = collect_subfields(
                self.schema, self.fragments, self.variables, self.operation, one, details
            ).grouped_field_set
            for key, inner in grouped.items():
                if not inner[0].node.name.value.startswith("__"):
                    self._field(one, inner, place, f"{path}.{key}", around)

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
                    written = _written(parent, details)
                    arguments = written.read(self.variables)
                    place.slots.append(Slot(path, coordinate, arguments, written))
                around = coordinate
        self._read(parent, details, place, path, around)


def _written(parent: GraphQLObjectType, details: list[FieldDetails]) -> Written:
    node = details[0].node
    varies = any(_has_variables(one.value) for one in node.arguments or ())
    return Written(parent.fields[node.name.value], details[0], varies)


def _has_variables(value: ValueNode) -> bool:
    match value:
        case VariableNode():
            return True
        case ListValueNode():
            return any(_has_variables(one) for one in value.values)
        case ObjectValueNode():
            return any(_has_variables(one.value) for one in value.fields)
    return False


def _policy(parent: GraphQLObjectType, details: list[FieldDetails]) -> Policy:
    policy = policy_of(parent.fields[details[0].node.name.value])
    assert policy is not None  # noqa: S101 -- `check` holds the schema to it
    return policy
