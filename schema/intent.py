"""Which kind of operation a text asks for, before anything else is known of it."""

from typing import Final

from graphql import GraphQLSyntaxError, OperationDefinitionNode, OperationType, parse

# GraphQL has no other way to write these words, so most texts need not be read for it
_OTHERS: Final = ("mutation", "subscription")


def intent(text: str, operation_name: str | None, tokens: int) -> OperationType:
    """Say what the operation is that would run; a query where none would.

    Args:
        text: The GraphQL document.
        operation_name: Which operation of it; None: its first.
        tokens: So many are read at most.
    """
    if not any(word in text for word in _OTHERS):
        return OperationType.QUERY
    try:
        document = parse(text, no_location=True, max_tokens=tokens)
    except GraphQLSyntaxError:
        return OperationType.QUERY
    for one in document.definitions:
        if isinstance(one, OperationDefinitionNode) and operation_name in (
            None,
            one.name.value if one.name else None,
        ):
            return one.operation
    return OperationType.QUERY
