"""How much one operation may ask for: measured before validation, in time linear in its text.

A field written many times over at one place costs validation the square of that number, so that
is bounded too (`repeats`).

Cost is the number of records asked for: patients, studies, series, instances, images, frames and
endpoints, as `first` and `_count` multiply on the way down. A list whose length the client does
not say (the instances of a series) counts once here, and as long as it is when it is read
(`Budget`). What lies inside a record, its names and codes, comes with it and costs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

from schema.coordinates import Kind, policy_of
from schema.errors import TooComplex
from schema.paging import DEFAULT_PAGE

_SATURATED = 10**9
_COUNTED = frozenset({"ImagingStudySeries", "ImagingStudySeriesInstance", "Image", "ImageFrame"})
_SIZES = ("first", "_count")


@dataclass(frozen=True, slots=True)
class Limits:
    """What is allowed of each."""

    tokens: int = 2_000
    depth: int = 15
    aliases: int = 30
    root_fields: int = 10
    mutations: int = 10
    fields: int = 1_000
    repeats: int = 30
    cost: int = 50_000


@dataclass(slots=True)
class Budget:
    """Records that one operation may still read."""

    most: int
    spent: int = 0

    @property
    def left(self) -> int:
        """How many may follow."""
        return self.most - self.spent

    def spend(self, records: int) -> None:
        """Count records.

        Raises:
            TooComplex: They are too many.
        """
        self.spent += records
        if self.spent > self.most:
            raise TooComplex("cost", self.spent, self.most)


@dataclass(frozen=True, slots=True)
class _Size:
    depth: int = 0
    aliases: int = 0
    fields: int = 0
    cost: int = 0

    def beside(self, other: "_Size") -> "_Size":
        return _Size(
            max(self.depth, other.depth),
            min(self.aliases + other.aliases, _SATURATED),
            min(self.fields + other.fields, _SATURATED),
            min(self.cost + other.cost, _SATURATED),
        )


def check(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
    limits: Limits,
) -> None:
    """Measure one operation with every fragment it uses.

    The document need not be valid: what makes no sense measures nothing.

    Raises:
        TooComplex: It exceeds a limit.
    """
    measure = _Measure(schema, document, operation, variables)
    size = measure.of(operation)
    roots = len(operation.selection_set.selections)
    for limit, value, most in (
        ("depth", size.depth, limits.depth),
        ("aliases", size.aliases, limits.aliases),
        ("rootFields", roots, limits.root_fields),
        ("fields", size.fields, limits.fields),
        ("cost", size.cost, limits.cost),
    ):
        if value > most:
            raise TooComplex(limit, value, most)
    _Expansion(measure.fragments, limits).walk(operation.selection_set, ())


@dataclass(slots=True)
class _Expansion:
    """Counts fields by response path, fragments in place; there are few by now."""

    fragments: Mapping[str, FragmentDefinitionNode]
    limits: Limits
    visited: int = 0
    times: dict[tuple[str, ...], int] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def walk(self, selections: SelectionSetNode, path: tuple[str, ...]) -> None:
        for one in selections.selections:
            self.visited += 1
            if self.visited > 4 * self.limits.fields:  # fragments in circles, spread and spread
                raise TooComplex("fields", self.visited, self.limits.fields)
            if isinstance(one, FieldNode):
                self._count(one, path)
            elif isinstance(one, InlineFragmentNode):
                self.walk(one.selection_set, path)
            elif isinstance(one, FragmentSpreadNode):
                self._spread(one.name.value, path)

    def _count(self, node: FieldNode, path: tuple[str, ...]) -> None:
        path = (*path, (node.alias or node.name).value)
        self.times[path] = self.times.get(path, 0) + 1
        if self.times[path] > self.limits.repeats:
            raise TooComplex("repeats", self.times[path], self.limits.repeats)
        if node.selection_set:
            self.walk(node.selection_set, path)

    def _spread(self, name: str, path: tuple[str, ...]) -> None:
        fragment = self.fragments.get(name)
        if fragment is not None and name not in self.open:
            self.open.add(name)
            self.walk(fragment.selection_set, path)
            self.open.discard(name)


@dataclass(slots=True)
class _Measure:
    schema: GraphQLSchema
    document: DocumentNode
    operation: OperationDefinitionNode
    variables: Mapping[str, Any]
    fragments: dict[str, FragmentDefinitionNode] = field(init=False)
    defaults: dict[str, ValueNode | None] = field(init=False)
    # fragments are measured once, however often they are spread: else time is exponential
    measured: dict[str, _Size] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.fragments = {
            one.name.value: one
            for one in self.document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }
        self.defaults = {
            one.variable.name.value: one.default_value
            for one in self.operation.variable_definitions or ()
        }

    def of(self, operation: OperationDefinitionNode) -> _Size:
        root = self.schema.get_root_type(operation.operation)
        return self._set(operation.selection_set, root)

    def _set(self, selections: SelectionSetNode, parent: Any) -> _Size:
        size = _Size()
        for one in selections.selections:
            size = size.beside(self._selection(one, parent))
        return size

    def _selection(self, selection: SelectionNode, parent: Any) -> _Size:
        if isinstance(selection, FieldNode):
            return self._field(selection, parent)
        if isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition
            inner = self.schema.get_type(condition.name.value) if condition else parent
            return self._set(selection.selection_set, inner)
        if isinstance(selection, FragmentSpreadNode):
            return self._fragment(selection.name.value)
        return _Size()

    def _fragment(self, name: str) -> _Size:
        fragment = self.fragments.get(name)
        if name not in self.measured:
            if fragment is None or name in self.open:
                return _Size()  # validation says what is wrong
            self.open.add(name)
            parent = self.schema.get_type(fragment.type_condition.name.value)
            self.measured[name] = self._set(fragment.selection_set, parent)
            self.open.discard(name)
        return self.measured[name]

    def _field(self, node: FieldNode, parent: Any) -> _Size:
        known = (
            parent.fields.get(node.name.value) if isinstance(parent, GraphQLObjectType) else None
        )
        kind = get_named_type(known.type) if known else None
        inner = self._set(node.selection_set, kind) if node.selection_set else _Size()
        introspection = node.name.value.startswith("__")
        return _Size(
            depth=0 if introspection else inner.depth + 1,  # graphql-core bounds introspection
            aliases=min(inner.aliases + (node.alias is not None), _SATURATED),
            fields=min(inner.fields + 1, _SATURATED),
            cost=min(self._cost(node, known, inner.cost), _SATURATED),
        )

    def _cost(self, node: FieldNode, known: GraphQLField | None, inner: int) -> int:
        policy = policy_of(known) if known else None
        if known is None or policy is None:
            return inner
        if policy.kind is Kind.LINK:
            sized = next((name for name in _SIZES if name in known.args), None)
            return (self._first(node, sized) if sized else 1) * (1 + inner)
        return inner + (get_named_type(known.type).name in _COUNTED)

    def _first(self, node: FieldNode, name: str) -> int:
        value: Any = next(
            (one.value for one in node.arguments or () if one.name.value == name), None
        )
        if isinstance(value, VariableNode):
            variable = value.name.value
            value = self.variables.get(variable, self.defaults.get(variable))
        if isinstance(value, IntValueNode):
            value = int(value.value[:12])
        return max(value, 1) if isinstance(value, int) else DEFAULT_PAGE
