"""Running an operation: data from the whole schema, the schema itself as its caller sees it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    ListTypeNode,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    SelectionSetNode,
    TypeNode,
    VariableDefinitionNode,
    execute_sync,
)
from graphql.execution.collect_fields import FragmentDetails, collect_fields

from fhir.access import Access
from schema.documents import Prepared
from schema.visible import visible

Json = Any
_ABOUT_SCHEMA = frozenset({"__schema", "__type"})
# What a variable can be in what asks about a schema: a name, or a condition.
_PLAIN = frozenset({"String", "Boolean"})


def execute(
    schema: GraphQLSchema,
    access: Access,
    prepared: Prepared,
    values: Mapping[str, Json],
    variables: Mapping[str, Json],
) -> ExecutionResult:
    """Run a valid operation.

    Args:
        schema: The whole one; what is closed in it to the caller is null.
        access: Says which part of the schema the caller is told of.
        prepared: The operation.
        values: Loaded values of the roots by response key.
        variables: As the client sent them.
    """
    roots = _roots(schema, prepared)
    order = list(roots)
    about = [key for key, nodes in roots.items() if nodes[0].name.value in _ABOUT_SCHEMA]
    if not about:
        return _run(schema, prepared.document, prepared.operation, values, variables)
    told = _run(
        visible(schema, access),
        *_only(prepared, [node for key in about for node in roots.pop(key)], _PLAIN),
        {},
        variables,
    )
    if not roots:
        return told
    found = _run(
        schema,
        *_only(prepared, [one for nodes in roots.values() for one in nodes]),
        values,
        variables,
    )
    if found.data is None:
        return found
    values = {**found.data, **(told.data or {})}
    data = {key: values[key] for key in order}
    return ExecutionResult(data, [*(told.errors or ()), *(found.errors or ())] or None)


def _run(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    values: Mapping[str, Json],
    variables: Mapping[str, Json],
) -> ExecutionResult:
    return execute_sync(
        schema,
        document,
        root_value=values,
        variable_values=dict(variables),
        operation_name=operation.name.value if operation.name else None,
        hide_suggestions=True,
    )


def _fragments(prepared: Prepared) -> list[FragmentDefinitionNode]:
    definitions = prepared.document.definitions
    return [one for one in definitions if isinstance(one, FragmentDefinitionNode)]


def _roots(schema: GraphQLSchema, prepared: Prepared) -> dict[str, list[FieldNode]]:
    """List what an operation selects at its root, by response key."""
    root = schema.get_root_type(prepared.operation.operation)
    assert root is not None  # noqa: S101 -- the operation is valid
    fragments = {one.name.value: FragmentDetails(one) for one in _fragments(prepared)}
    grouped = collect_fields(
        schema, fragments, prepared.variables, root, prepared.operation
    ).grouped_field_set
    return {key: [one.node for one in details] for key, details in grouped.items()}


def _only(
    prepared: Prepared, nodes: Sequence[FieldNode], kinds: frozenset[str] | None = None
) -> tuple[DocumentNode, OperationDefinitionNode]:
    """Write a document with these roots alone, and variables of these types alone."""
    whole = prepared.operation
    declared: Iterable[VariableDefinitionNode] = whole.variable_definitions or ()
    operation = OperationDefinitionNode(
        operation=whole.operation,
        name=whole.name,
        variable_definitions=tuple(
            one for one in declared if kinds is None or _named(one.type) in kinds
        ),
        directives=whole.directives,
        selection_set=SelectionSetNode(selections=tuple(nodes)),
    )
    return DocumentNode(definitions=(operation, *_fragments(prepared))), operation


def _named(kind: TypeNode) -> str:
    while isinstance(kind, ListTypeNode | NonNullTypeNode):
        kind = kind.type
    return kind.name.value if isinstance(kind, NamedTypeNode) else ""
