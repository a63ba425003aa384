"""From a request's text to an operation that may run: parsed, measured, validated.

Texts of errors name types, fields and places, and never repeat a value: it may be a name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    specified_rules,
    validate,
    visit,
)
from graphql.execution.values import VariableValues, get_variable_values
from graphql.validation import ValuesOfCorrectTypeRule

from fhir.errors import Invalid, ResourceError
from schema.errors import Malformed, NotOfThisSchema, Refused, TooComplex, described
from schema.limits import SIZES, Limits, cost_of
from schema.remembered import Remembered
from schema.structure import bound

Json = Any
_MOST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation that may run."""

    document: DocumentNode
    operation: OperationDefinitionNode
    variables: VariableValues


class Text:
    """A text that was parsed, and what is known of it for every role alike."""

    def __init__(self, schema: GraphQLSchema, text: str, limits: Limits) -> None:
        """Parse a text.

        Raises:
            Refused: It is not GraphQL, or has too many tokens.
        """
        self._schema = schema
        self._limits = limits
        self._bounded = False
        self._problems: list[Mapping[str, Json]] | None = None
        self.document = _parsed(text, limits)
        self.deciding = _deciding(self.document)

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Give the operation that is to run.

        Raises:
            Refused: There is none of the name, or several without one being named.
        """
        return _operation(self.document, name)

    def measure(self, operation: OperationDefinitionNode, variables: Mapping[str, Json]) -> int:
        """Measure an operation, before it is validated; give its cost.

        The document is measured once; it need not be valid: what makes no sense measures nothing.

        Raises:
            Refused: It exceeds a limit.
        """
        try:
            if not self._bounded:
                bound(self.document, self._limits)
                self._bounded = True
            return cost_of(self._schema, self.document, operation, variables, self._limits)
        except TooComplex as error:
            raise Refused([described(error)]) from None

    def validate(self) -> None:
        """Hold the text against the schema, once.

        Raises:
            Refused: It asks for what the schema does not have.
        """
        if self._problems is None:
            self._problems = _problems(self._schema, self.document)
        if self._problems:
            raise Refused(self._problems)

    def prepared(
        self, operation: OperationDefinitionNode, variables: Mapping[str, Json]
    ) -> Prepared:
        """Read the variables of a valid operation.

        Raises:
            Refused: One does not have a value of its type.
        """
        if not operation.variable_definitions:
            return Prepared(self.document, operation, _NO_VARIABLES)
        return Prepared(self.document, operation, _coerced(self._schema, operation, variables))


MOST_OF_TEXTS = 2**20  # in characters; what is kept of a text is some hundred times as large
LONGEST_TEXT = 2**15  # longer ones are parsed each time


class Texts:
    """The texts of one schema that were read last."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._kept: Remembered[tuple[str, Limits], Text] = Remembered(MOST_OF_TEXTS)

    def __len__(self) -> int:
        return len(self._kept)

    def read(self, text: str, limits: Limits) -> Text:
        """Parse a text, unless it is known.

        Raises:
            Refused: It is not GraphQL, or has too many tokens.
        """
        known = self._kept.look((text, limits))
        if known is None:
            known = Text(self._schema, text, limits)
            if len(text) <= LONGEST_TEXT:
                self._kept.keep((text, limits), known, len(text))
        return known


_NO_VARIABLES = VariableValues({}, {})
_CONDITIONS = frozenset({"skip", "include"})


def _deciding(document: DocumentNode) -> tuple[str, ...]:
    """List the variables that decide what is selected, and how many records."""
    found: set[str] = set()

    class Look(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
            if node.name.value in _CONDITIONS:
                for one in node.arguments or ():
                    self._note(one)

        def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
            if node.name.value in SIZES:
                self._note(node)

        def _note(self, node: ArgumentNode) -> None:
            if isinstance(node.value, VariableNode):
                found.add(node.value.name.value)

    visit(document, Look())
    return tuple(sorted(found))


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


def _problems(schema: GraphQLSchema, document: DocumentNode) -> list[Mapping[str, Json]]:
    errors = validate(
        schema,
        document,
        _RULES,
        max_errors=_MOST_ERRORS,
        hide_suggestions=True,
        allow_empty_selection_sets=False,
    )
    return [
        {
            "message": error.message,
            "locations": _locations(error),
            "extensions": error.extensions or {"code": NotOfThisSchema.code},
        }
        for error in errors[:_MOST_ERRORS]
    ]


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
