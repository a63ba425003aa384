"""What an operation of FHIR's GraphQL asks for, record by record (compare `schema.selection`).

Besides coordinates and links there are references to follow, lists to pick from, and directives
that reshape the answer. What is behind a reference is a place of its own for each type that it
may be of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
)
from graphql.execution.collect_fields import (
    FieldDetails,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import get_argument_values

from fhir.elements import COORDINATES, covering
from fhir.errors import Invalid, NotSupported
from fhir.referring import TYPES
from schema.coordinates import Kind, Policy, policy_of
from schema.documents import Prepared
from schema.fhir_directives import Shape, shape_of
from schema.fhir_lists import check_picks, looked_at, paths_of
from schema.fhir_path import Naming
from schema.fhir_walking import step

Json = Any
INSTANCE = "ImagingStudy.series.instance"


@dataclass(frozen=True, slots=True)
class Step:
    """One element on the way from a record to a Reference in it.

    Attributes:
        at: Where the operation takes it.
        picks: Arguments of a list.
        first: Whether the operation takes only the first item.
    """

    name: str
    at: str
    picks: Mapping[str, Json]
    first: bool


@dataclass(slots=True)
class FhirPlace:
    """Where an operation asks for records: a root, a link from records, or behind references.

    Attributes:
        at: Where in the operation (`schema.fhir_walking.place`).
        path: Response path, without list indices.
        fetch: `one`, `list` or `connection`.
        asked: Coordinates, each with the response paths that it is asked for at.
        plumbing: Names of the fields asked for that are about the page.
        picked: Lists that are picked from by coordinates of their own, by where they are asked.
        sifted: Coordinates that `fhirpath` looks at to sift the records themselves.
        links: Reverse references.
        references: References to follow.
    """

    at: str
    path: str
    resource: str
    fetch: str
    arguments: Mapping[str, Json]
    asked: dict[str, list[str]] = field(default_factory=dict)
    plumbing: set[str] = field(default_factory=set)
    picked: dict[str, frozenset[str]] = field(default_factory=dict)
    sifted: frozenset[str] = frozenset()
    links: list["FhirPlace"] = field(default_factory=list)
    references: list["Reference"] = field(default_factory=list)

    @property
    def elements(self) -> frozenset[str]:
        """Coordinates asked for."""
        return frozenset(self.asked)

    def ask(self, coordinate: str, path: str) -> None:
        """Note that a coordinate is asked for."""
        self.asked.setdefault(coordinate, []).append(path)


@dataclass(frozen=True, slots=True)
class Reference:
    """References that are to be followed.

    Attributes:
        steps: From the record to the Reference.
        optional: Whether it is fine if one leads nowhere.
        targets: What is asked of each type that may be behind it.
    """

    at: str
    path: str
    steps: tuple[Step, ...]
    optional: bool
    targets: Mapping[str, FhirPlace]


@dataclass(slots=True)
class Selection:
    """What an operation asks for.

    Attributes:
        places: Its roots; of one resource's own schema, the resource.
        about_schema: Whether it asks about the schema, and for no record.
        namings: How `@slice` names items, by where.
        shapes: Whether there are directives that reshape the answer.
    """

    places: list[FhirPlace] = field(default_factory=list)
    about_schema: bool = False
    namings: dict[str, Naming] = field(default_factory=dict)
    shapes: bool = False


def select(schema: GraphQLSchema, prepared: Prepared, identifier: str | None) -> Selection:
    """Read a valid query.

    Args:
        schema: That of the system, or of one resource.
        prepared: The query.
        identifier: Of the one resource.

    Raises:
        GraphQLError: An argument lacks a value that it has to have.
        Invalid: Arguments or directives make no sense.
        NotSupported: FHIRPath that is not understood.
    """
    reader = _Reader(schema, prepared)
    reader.read(identifier)
    return reader.selection


@dataclass(frozen=True, slots=True)
class _Around:
    """What a field lies in."""

    place: FhirPlace
    at: str
    path: str
    coordinate: str | None
    steps: tuple[Step, ...] = ()


@dataclass(slots=True)
class _Reader:
    schema: GraphQLSchema
    prepared: Prepared
    selection: Selection = field(default_factory=Selection)
    fragments: dict[str, FragmentDetails] = field(init=False)

    def __post_init__(self) -> None:
        self.fragments = {
            one.name.value: FragmentDetails(one)
            for one in self.prepared.document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }

    def read(self, identifier: str | None) -> None:
        root = self.schema.query_type
        assert root is not None  # noqa: S101 -- these schemas have one
        operation, variables = self.prepared.operation, self.prepared.variables
        grouped = collect_fields(
            self.schema, self.fragments, variables, root, operation
        ).grouped_field_set
        names = {details[0].node.name.value for details in grouped.values()}
        if names & {"__schema", "__type"}:
            if not all(one.startswith("__") for one in names):
                raise NotSupported("Ask about the schema in an operation of its own.")
            self.selection.about_schema = True
        elif identifier is None:
            for key, details in grouped.items():
                if not details[0].node.name.value.startswith("__"):
                    at = step(root.name, key)
                    self._shape(root, details, at)
                    self.selection.places.append(self._link(root, details, at, key))
        else:
            place = FhirPlace("", "", root.name, "one", {"id": identifier})
            place.ask(f"{root.name}.id", "")
            self.selection.places.append(place)
            self._fields(root, grouped, _Around(place, "", "", None))

    def _link(
        self, parent: GraphQLObjectType, details: list[FieldDetails], at: str, path: str
    ) -> FhirPlace:
        policy, arguments = _policy(parent, details), self._arguments(parent, details)
        place = FhirPlace(at, path, policy.resource, policy.fetch, arguments)
        place.ask(policy.coordinate or "", path)
        if arguments.get("fhirpath") is not None:
            check_picks(arguments)
            place.sifted = self._own(place, paths_of({"fhirpath": arguments["fhirpath"]}))
        naming = self.selection.namings.get(at)
        if naming is not None and naming.path:
            self._own(place, {naming.path})
        self._inside(parent, details, _Around(place, at, path, policy.coordinate))
        return place

    def _own(self, place: FhirPlace, paths: set[tuple[str, ...]]) -> frozenset[str]:
        """Ask for the elements of a record that paths from it touch."""
        found = set()
        for path in paths:
            try:
                coordinate = covering(place.resource, ".".join(path))
            except KeyError:
                raise NotSupported(f"fhirpath: {place.resource} has no such element") from None
            if coordinate.startswith(INSTANCE):
                raise NotSupported("fhirpath: studies are not sifted by their instances")
            found.add(coordinate)
            place.ask(coordinate, place.path)
        return frozenset(found)

    def _inside(
        self, parent: GraphQLObjectType, details: list[FieldDetails], around: _Around
    ) -> None:
        """Read what is selected inside one field."""
        kind = get_named_type(parent.fields[details[0].node.name.value].type)
        if isinstance(kind, GraphQLObjectType):
            self._selected(kind, details, around)

    def _selected(
        self, kind: GraphQLObjectType, details: list[FieldDetails], around: _Around
    ) -> None:
        operation, variables = self.prepared.operation, self.prepared.variables
        grouped = collect_subfields(
            self.schema, self.fragments, variables, operation, kind, details
        ).grouped_field_set
        self._fields(kind, grouped, around)

    def _fields(
        self, kind: GraphQLObjectType, grouped: Mapping[str, list[FieldDetails]], around: _Around
    ) -> None:
        for key, details in grouped.items():
            if not details[0].node.name.value.startswith("__"):
                at = f"{around.at}/{step(kind.name, key)}" if around.at else step(kind.name, key)
                path = f"{around.path}.{key}" if around.path else key
                self._field(kind, details, around, at, path)

    def _field(
        self,
        parent: GraphQLObjectType,
        details: list[FieldDetails],
        around: _Around,
        at: str,
        path: str,
    ) -> None:
        policy, name, place = _policy(parent, details), details[0].node.name.value, around.place
        shape = self._shape(parent, details, at)
        match policy.kind:
            case Kind.LINK:
                place.links.append(self._link(parent, details, at, path))
                return
            case Kind.PLUMBING if name == "resource" and parent.name == "Reference":
                place.references.append(self._reference(parent, details, around, at, path))
                return
            case Kind.PLUMBING:
                place.plumbing.add(name)
                inner = _Around(place, at, path, around.coordinate, around.steps)
                self._inside(parent, details, inner)
                return
        coordinate = _decides(policy, name, around.coordinate)
        if coordinate != around.coordinate:
            place.ask(coordinate, path)
        picks = self._picks(parent, details, at, coordinate, place, path)
        steps = (*around.steps, Step(name, at, picks, shape.first))
        self._inside(parent, details, _Around(place, at, path, coordinate, steps))

    def _picks(
        self,
        parent: GraphQLObjectType,
        details: list[FieldDetails],
        at: str,
        coordinate: str,
        place: FhirPlace,
        path: str,
    ) -> Mapping[str, Json]:
        """Read the arguments of a list, and ask for what they look at."""
        arguments = self._arguments(parent, details)
        check_picks(arguments)
        paths = paths_of(arguments)
        naming = self.selection.namings.get(at)
        if naming is not None and naming.path:
            paths.add(naming.path)
        items = get_named_type(parent.fields[details[0].node.name.value].type)
        known = items.fields if isinstance(items, GraphQLObjectType) else {}
        if any(one and one[0] not in known for one in paths):
            raise NotSupported("fhirpath: the items of the list have no such element")
        touched = looked_at(coordinate, paths)
        for one in touched:
            place.ask(one, path)
        if touched:
            place.picked[at] = frozenset(touched)
        return arguments

    def _reference(
        self,
        parent: GraphQLObjectType,
        details: list[FieldDetails],
        around: _Around,
        at: str,
        path: str,
    ) -> Reference:
        arguments = self._arguments(parent, details)
        types = arguments.get("type")
        targets = {}
        for name in TYPES if types is None else types:
            kind = self.schema.get_type(name)
            assert isinstance(kind, GraphQLObjectType)  # noqa: S101 -- the schema has it
            place = FhirPlace(at, path, name, "one", {})
            place.ask(f"{name}.id", path)
            self._selected(kind, details, _Around(place, at, path, f"{name}.id"))
            targets[name] = place
        return Reference(at, path, around.steps, bool(arguments.get("optional")), targets)

    def _shape(self, parent: GraphQLObjectType, details: list[FieldDetails], at: str) -> Shape:
        node = details[0].node
        shape = shape_of(node, self.prepared.variables)
        if shape.plain:
            return shape
        self.selection.shapes = True
        if shape.slice is not None:
            field_type = get_named_type(parent.fields[node.name.value].type)
            named = shape.slice.path is None
            if is_leaf_type(field_type) and not named:
                raise NotSupported("@slice: items that are primitive are named by $index alone")
            policy = _policy(parent, details)
            if policy.kind is Kind.PLUMBING and not named:
                raise NotSupported("@slice: here items are named by $index alone")
            if policy.kind is Kind.LINK and policy.fetch == "connection":
                raise Invalid("@slice is for lists; a connection is none")
            self.selection.namings[at] = shape.slice
        return shape

    def _arguments(self, parent: GraphQLObjectType, details: list[FieldDetails]) -> dict[str, Json]:
        node = details[0].node
        return get_argument_values(
            parent.fields[node.name.value],
            node,
            self.prepared.variables,
            details[0].fragment_variable_values,
        )


def _decides(policy: Policy, name: str, around: str | None) -> str:
    """Give the coordinate that decides about an element, or about a part of one."""
    if policy.kind is Kind.ELEMENT:
        return policy.coordinate or ""
    inner = f"{around}.{name.removeprefix('_')}"  # `ImagingStudy.subject.display`
    return inner if inner in COORDINATES else around or ""


def _policy(parent: GraphQLObjectType, details: list[FieldDetails]) -> Policy:
    policy = policy_of(parent.fields[details[0].node.name.value])
    assert policy is not None  # noqa: S101 -- `check` holds the schema to it
    return policy
