"""Types in TypeScript of the variables and results of operations."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLSyntaxError,
    GraphQLType,
    GraphQLUnionType,
    OperationDefinitionNode,
    VariableDefinitionNode,
    is_required_input_field,
    parse,
    type_from_ast,
    validate,
)

from fhir.errors import Invalid
from schema.asked_fields import AskedFields, Selected

SCALARS: Final[Mapping[str, str]] = {
    "Boolean": "boolean",
    "Date": "string",
    "DateTime": "string",
    "Float": "number",
    "ID": "string",
    "Instant": "string",
    "Int": "number",
    "Integer64": "number",
    "String": "string",
}
"""How the scalars are written in JSON."""

_TYPENAME: Final = "__typename"
_TYPENAME_MARK: Final = "\0"  # until it is known which types are alike


def typescript(schema: GraphQLSchema, documents: Mapping[str, str]) -> str:
    """Write `<name>Variables` and `<name>Result` of each operation, and all that they name.

    Args:
        schema: What the operations ask.
        documents: Operations by their names, each with the fragments that it spreads.

    Raises:
        Invalid: A document is not the one valid operation of its name.
    """
    named: dict[str, str] = {}
    written = [
        _Operation(schema, name, text, named).written() for name, text in sorted(documents.items())
    ]
    return "\n".join([*(text for _, text in sorted(named.items())), *written])


class _Operation:
    """Writes one operation."""

    def __init__(self, schema: GraphQLSchema, name: str, text: str, named: dict[str, str]) -> None:
        """Read it.

        Args:
            schema: What it asks.
            name: Which it has to have.
            text: The document.
            named: Where the enums and inputs are written that it names.

        Raises:
            Invalid: The text is something else.
        """
        try:
            document = parse(text)
        except GraphQLSyntaxError as error:
            raise Invalid(f"{name}: {error.message}") from error
        wrong = validate(schema, document)
        if wrong:
            raise Invalid(f"{name}: {wrong[0].message}")
        found = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
        if [one.name and one.name.value for one in found] != [name]:
            raise Invalid(f"{name}: write one operation, of that name")
        self._schema = schema
        self._name = name
        self._operation = found[0]
        self._fields = AskedFields(schema, document)
        self._named = named

    def written(self) -> str:
        """Give both types."""
        kind = self._schema.get_root_type(self._operation.operation)
        root = cast(GraphQLObjectType, kind)  # there is one, the document is valid
        variables = [self._variable(one) for one in self._operation.variable_definitions or ()]
        result = self._shape(root, [(self._operation.selection_set, False)], 0)
        return (
            f"export type {self._name}Variables = {_object(variables)};\n\n"
            f"export type {self._name}Result = {result};\n"
        )

    def _variable(self, node: VariableDefinitionNode) -> str:
        kind = type_from_ast(self._schema, node.type)
        optional = node.default_value is not None or not isinstance(kind, GraphQLNonNull)
        return _line(node.variable.name.value, self._type(kind), optional=optional)

    def _type(
        self, kind: GraphQLType | None, selected: Sequence[Selected] = (), depth: int = 0
    ) -> str:
        if isinstance(kind, GraphQLNonNull):
            return self._present(kind.of_type, selected, depth)
        return f"{self._present(kind, selected, depth)} | null"

    def _present(self, kind: GraphQLType | None, selected: Sequence[Selected], depth: int) -> str:
        match kind:
            case GraphQLList(of_type=inner):
                return f"Array<{self._type(inner, selected, depth)}>"
            case GraphQLObjectType() | GraphQLInterfaceType() | GraphQLUnionType():
                return self._shape(kind, selected, depth)
            case GraphQLEnumType():
                self._named[kind.name] = (
                    f"export type {kind.name} = {_one_of(list(kind.values))};\n"
                )
                return kind.name
            case GraphQLInputObjectType():
                self._input(kind)
                return kind.name
            case GraphQLScalarType() if kind.name in SCALARS:
                return SCALARS[kind.name]
        raise Invalid(f"{self._name}: say how the scalar {kind} is written in JSON")

    def _input(self, kind: GraphQLInputObjectType) -> None:
        if kind.name in self._named:
            return
        self._named[kind.name] = ""  # it may hold itself
        lines = [
            _line(name, self._type(one.type), optional=not is_required_input_field(one))
            for name, one in kind.fields.items()
        ]
        self._named[kind.name] = f"export type {kind.name} = {_object(lines)};\n"

    def _shape(
        self,
        kind: GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType,
        selected: Sequence[Selected],
        depth: int,
    ) -> str:
        """Write what is selected; of an abstract type, a union of what differs."""
        possible: Any = (
            [kind] if isinstance(kind, GraphQLObjectType) else self._schema.get_possible_types(kind)
        )
        alike: dict[tuple[str, ...], list[str]] = {}
        for one in sorted(possible, key=lambda one: str(one.name)):
            lines = tuple(self._lines(one, selected, depth + 1))
            alike.setdefault(lines, []).append(one.name)
        return " | ".join(
            _object([line.replace(_TYPENAME_MARK, _one_of(names)) for line in lines], depth)
            for lines, names in alike.items()
        )

    def _lines(
        self, kind: GraphQLObjectType, selected: Sequence[Selected], depth: int
    ) -> list[str]:
        """Write the fields of one type; for its name stands a mark."""
        lines = []
        for shown, asked in self._fields.of(kind, selected).items():
            written = (
                _TYPENAME_MARK
                if asked.name == _TYPENAME
                else self._type(kind.fields[asked.name].type, asked.selected, depth)
            )
            lines.append(_line(shown, written, optional=asked.optional, depth=depth))
        return lines


def _one_of(names: Sequence[str]) -> str:
    return " | ".join(f'"{name}"' for name in names)


def _line(name: str, written: str, *, optional: bool, depth: int = 1) -> str:
    return f"{'  ' * depth}{name}{'?' if optional else ''}: {written};"


def _object(lines: Sequence[str], depth: int = 0) -> str:
    return "\n".join(["{", *lines, "  " * depth + "}"])
