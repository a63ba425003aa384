"""Which fields a document asks of a type, whatever the values of its variables are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    SelectionSetNode,
)

Selected = tuple[SelectionSetNode, bool]
"""A selection, and whether a condition may leave it out."""


@dataclass(slots=True)
class AskedField:
    """A field, under the name that the answer has for it.

    Attributes:
        name: Of the field itself.
        optional: Whether every place that asks for it has a condition.
        selected: What is asked of its value.
    """

    name: str
    optional: bool = True
    selected: list[Selected] = field(default_factory=list)


class AskedFields:
    """Finds the fields of selections; fragments are spread out."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        """Take a document that is valid."""
        self._schema = schema
        self._fragments: Mapping[str, FragmentDefinitionNode] = {
            one.name.value: one
            for one in document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }

    def of(self, kind: GraphQLObjectType, selected: Sequence[Selected]) -> dict[str, AskedField]:
        """Give the fields of a type by the names that the answer has, in its order."""
        found: dict[str, AskedField] = {}
        for selection, conditional in selected:
            # what a condition leaves out as a whole is not there to have less in it
            self._collect(kind, selection, found, conditional=conditional and len(selected) > 1)
        return found

    def _collect(
        self,
        kind: GraphQLObjectType,
        selection: SelectionSetNode,
        into: dict[str, AskedField],
        *,
        conditional: bool,
    ) -> None:
        for node in selection.selections:
            optional = conditional or bool(node.directives)
            if isinstance(node, FieldNode):
                shown = (node.alias or node.name).value
                asked = into.setdefault(shown, AskedField(node.name.value))
                asked.optional = asked.optional and optional
                if node.selection_set:
                    asked.selected.append((node.selection_set, optional))
            elif isinstance(node, FragmentSpreadNode | InlineFragmentNode):
                inner: FragmentDefinitionNode | InlineFragmentNode = (
                    self._fragments[node.name.value]
                    if isinstance(node, FragmentSpreadNode)
                    else node
                )
                condition = inner.type_condition
                if condition is None or self._applies(kind, condition.name.value):
                    self._collect(kind, inner.selection_set, into, conditional=optional)

    def _applies(self, kind: GraphQLObjectType, condition: str) -> bool:
        wanted = self._schema.type_map[condition]
        if isinstance(wanted, GraphQLInterfaceType | GraphQLUnionType):
            return self._schema.is_sub_type(wanted, kind)
        return wanted is kind
