"""From a request's text to an operation that may run: parsed, measured, validated.

Texts of errors name types, fields and places, and never repeat a value: it may be a name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    VariableDefinitionNode,
    parse,
    print_ast,
    specified_rules,
    validate,
)
from graphql.execution.values import VariableValues, get_variable_values
from graphql.validation import ValuesOfCorrectTypeRule

from fhir.errors import Invalid, NotSupported, ResourceError
from schema.errors import Malformed, NotOfThisSchema, Refused, TooComplex, described
from schema.limits import Limits, check

Json = Any
_MOST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation that may run."""

    document: DocumentNode
    operation: OperationDefinitionNode
    variables: VariableValues


def prepare(
    schema: GraphQLSchema,
    query: str,
    variables: Mapping[str, Json],
    operation_name: str | None,
    limits: Limits,
) -> Prepared:
    """Read a request.

    Raises:
        Refused: It cannot run; the errors say why.
    """
    document = _parsed(query, limits)
    operation = _operation(document, operation_name)
    try:
        check(schema, document, operation, variables, limits)
    except TooComplex as error:
        raise Refused([described(error)]) from None
    _validate(schema, document)
    return Prepared(document, operation, _coerced(schema, operation, variables))


def _parsed(query: str, limits: Limits) -> DocumentNode:
    try:
        return parse(query, max_tokens=limits.tokens)
    except GraphQLSyntaxError as error:
        if "Document contains more than" in error.message:
            problem: ResourceError = TooComplex("tokens", limits.tokens + 1, limits.tokens)
        else:
            problem = Malformed(_VALUE.sub(r"\1", error.message))
        raise Refused([described(problem, locations=_locations(error))]) from None


# `Unexpected String "Doe"`: the kind of token is enough
_VALUE = re.compile(
    r"\b(Name|Int|Float|String|BlockString|Comment) .*?(?=\.$|, found|$)", re.DOTALL
)


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    if name is None:
        if len(operations) != 1:
            raise Refused([described(Invalid("operationName: say which operation is to run"))])
        found = operations[0]
    else:
        named = [one for one in operations if one.name and one.name.value == name]
        if not named:
            raise Refused([described(Invalid("operationName: there is no such operation"))])
        found = named[0]
    if found.operation is OperationType.SUBSCRIPTION:
        problem = NotSupported("There are no subscriptions here yet; queries and mutations only.")
        raise Refused([described(problem)])
    return found


class _SilentValuesRule(ValuesOfCorrectTypeRule):
    """Says which type a value lacks, not the value."""

    def report_error(self, error: GraphQLError) -> None:
        wanted = self.context.get_input_type() or self.context.get_parent_input_type()
        super().report_error(
            GraphQLError(
                f"A value is not of the type '{wanted}'.",
                error.nodes,
                extensions={"code": Invalid.code},
            )
        )


_RULES = [
    _SilentValuesRule if rule is ValuesOfCorrectTypeRule else rule for rule in specified_rules
]


def _validate(schema: GraphQLSchema, document: DocumentNode) -> None:
    errors = validate(
        schema,
        document,
        _RULES,
        max_errors=_MOST_ERRORS,
        hide_suggestions=True,
        allow_empty_selection_sets=False,
    )
    if errors:
        raise Refused(
            [
                {
                    "message": error.message,
                    "locations": _locations(error),
                    "extensions": error.extensions or {"code": NotOfThisSchema.code},
                }
                for error in errors[:_MOST_ERRORS]
            ]
        )


def _coerced(
    schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Mapping[str, Json]
) -> VariableValues:
    coerced = get_variable_values(
        schema,
        operation.variable_definitions or (),
        dict(variables),
        max_errors=_MOST_ERRORS,
        hide_suggestions=True,
    )
    if isinstance(coerced, VariableValues):
        return coerced
    problems = {_variable_problem(error): _locations(error) for error in coerced}
    raise Refused(
        [described(Invalid(message), locations=where) for message, where in problems.items()]
    )


def _variable_problem(error: GraphQLError) -> str:
    node = error.nodes[0] if error.nodes else None
    if not isinstance(node, VariableDefinitionNode):
        return "The values of the variables cannot be read."
    name, kind = node.variable.name.value, print_ast(node.type)
    return f"Variable '${name}' does not have a value of the type '{kind}'."


def _locations(error: GraphQLError) -> list[dict[str, int]]:
    return [{"line": one.line, "column": one.column} for one in error.locations or ()]
