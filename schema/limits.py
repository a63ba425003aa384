"""How much one operation may ask for: measured before validation, in time linear in its text.

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
    GraphQLInterfaceType,
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

from schema.coordinates import Kind, Policy, policy_of
from schema.errors import TooComplex
from schema.paging import DEFAULT_PAGE
from schema.structure import SATURATED

_COUNTED = frozenset(
    {"ImagingStudySeries", "ImagingStudySeriesInstance", "Image", "ImageFrame", "Resource"}
)
SIZES = ("first", "_count")


@dataclass(frozen=True, slots=True)
class Limits:
    """What is allowed of each, at most.

    Attributes:
        tokens: Of a document.
        depth: Fields within each other; those of introspection do not count.
        aliases: Of an operation, with every fragment in place.
        root_fields: Of an operation, with every fragment in place.
        mutations: Of an operation.
        fields: Of an operation, with every fragment in place.
        repeats: How often one place of the answer is written.
        directives: Of a document, as it is written.
        operations: Of a document.
        fragments: Of a document that have names.
        cost: Records asked for.
    """

    tokens: int = 2_000
    depth: int = 15
    aliases: int = 30
    root_fields: int = 10
    mutations: int = 10
    fields: int = 1_000
    repeats: int = 30
    directives: int = 30
    operations: int = 5
    fragments: int = 30
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


def cost_of(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
    limits: Limits,
) -> int:
    """Give the number of records that an operation asks for with these variables.

    Raises:
        TooComplex: They are too many.
    """
    cost = _Measure(schema, document, operation, variables).of(operation)
    if cost > limits.cost:
        raise TooComplex("cost", cost, limits.cost)
    return cost


@dataclass(slots=True)
class _Measure:
    schema: GraphQLSchema
    document: DocumentNode
    operation: OperationDefinitionNode
    variables: Mapping[str, Any]
    fragments: dict[str, FragmentDefinitionNode] = field(init=False)
    defaults: dict[str, ValueNode | None] = field(init=False)
    # fragments are measured once, however often they are spread: else time is exponential
    measured: dict[str, int] = field(default_factory=dict)
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

    def of(self, operation: OperationDefinitionNode) -> int:
        root = self.schema.get_root_type(operation.operation)
        return self._set(operation.selection_set, root)

    def _set(self, selections: SelectionSetNode, parent: Any) -> int:
        return min(sum(self._selection(one, parent) for one in selections.selections), SATURATED)

    def _selection(self, selection: SelectionNode, parent: Any) -> int:
        if isinstance(selection, FieldNode):
            return min(self._field(selection, parent), SATURATED)
        if isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition
            inner = self.schema.get_type(condition.name.value) if condition else parent
            return self._set(selection.selection_set, inner)
        if isinstance(selection, FragmentSpreadNode):
            return self._fragment(selection.name.value)
        return 0

    def _fragment(self, name: str) -> int:
        fragment = self.fragments.get(name)
        if name not in self.measured:
            if fragment is None or name in self.open:
                return 0  # validation says what is wrong
            self.open.add(name)
            parent = self.schema.get_type(fragment.type_condition.name.value)
            self.measured[name] = self._set(fragment.selection_set, parent)
            self.open.discard(name)
        return self.measured[name]

    def _field(self, node: FieldNode, parent: Any) -> int:
        has_fields = isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
        known = parent.fields.get(node.name.value) if has_fields else None
        inner = 0
        if node.selection_set:
            inner = self._set(node.selection_set, get_named_type(known.type) if known else None)
        policy = policy_of(known) if known else None
        return inner if known is None or policy is None else self._cost(node, known, policy, inner)

    def _cost(self, node: FieldNode, known: GraphQLField, policy: Policy, inner: int) -> int:
        if policy.kind is Kind.LINK:
            sized = next((name for name in SIZES if name in known.args), None)
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
