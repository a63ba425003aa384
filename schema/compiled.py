"""Walking an operation's values with code that is made for its selections.

What is loaded is plain data, so an operation is a function from it to the answer. That function
is written out as Python once, with fragments, aliases and conditions resolved by graphql-core's
own `collect_fields`, and does what graphql-core's executor would do, some thirty times as quick.
Whatever is not as the schema says (null where none may be, a number where there is text) is left
to that executor, over the same values: it gives the errors that the specification asks for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FragmentDefinitionNode,
    GraphQLAbstractType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    is_leaf_type,
)
from graphql.execution.collect_fields import (
    FieldDetails,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)

from schema.coordinates import Loaded, declared_of
from schema.documents import Prepared

Json = Any
Projection = Callable[[Mapping[str, Json]], dict[str, Json]]

TYPE_KEY = "__typename"
_INTROSPECTION = frozenset({"__schema", "__type"})
_MOST_NODES = 4_000
# Two digits of Python's make an integer half as slow again to compare.
_SHORT = "is int and {0} <= 1073741823 and {0} >= -1073741823"
# How a value looks that goes out as it is; any other is given to the type itself.
_AS_IT_IS = {
    **dict.fromkeys(("String", "ID", "Date", "DateTime", "Instant"), "is str"),
    "Int": _SHORT,
    "Integer64": _SHORT,
    "Float": "is float and {0} - {0} == 0.0",
    "Boolean": "is bool",
}


class Unsupported(Exception):
    """The operation asks for more than data: it is left to graphql-core."""


class Unexpected(Exception):
    """A value is not what the schema says: the operation is left to graphql-core."""


def compiled(schema: GraphQLSchema, prepared: Prepared) -> Projection:
    """Write the function that walks an operation's loaded values.

    Args:
        schema: What it is valid for.
        prepared: The operation; of its variables only those in `@skip` and `@include` count.

    Returns:
        It takes the values of the roots by response key and gives `data`; it raises `Unexpected`
        (or what Python raises where a value has another form) where it does not know what to do.

    Raises:
        Unsupported: The operation is no function of its values.
    """
    writer = _Writer(schema, prepared)
    name = writer.root()
    # the text holds names that GraphQL allows, quoted, and nothing else from outside
    exec(compile("".join(writer.lines), "<operation>", "exec"), writer.names)  # noqa: S102
    projection: Projection = writer.names[name]
    return projection


@dataclass(slots=True)
class _Writer:
    schema: GraphQLSchema
    prepared: Prepared
    lines: list[str] = field(default_factory=list)
    names: dict[str, Any] = field(
        default_factory=lambda: {"Unexpected": Unexpected, "unexpected": _unexpected}
    )
    fragments: dict[str, FragmentDetails] = field(init=False)
    nodes: int = 0
    numbers: int = 0

    def __post_init__(self) -> None:
        self.fragments = {
            one.name.value: FragmentDetails(one)
            for one in self.prepared.document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }

    def root(self) -> str:
        operation = self.prepared.operation
        kind = self.schema.get_root_type(operation.operation)
        assert kind is not None  # noqa: S101 -- the operation is valid
        grouped = collect_fields(
            self.schema, self.fragments, self.prepared.variables, kind, operation
        ).grouped_field_set
        return self._object(kind, grouped, "")

    def _object(
        self, kind: GraphQLObjectType, grouped: Mapping[str, list[FieldDetails]], path: str
    ) -> str:
        """Write the function that projects one object; give its name."""
        literal = self._literal(kind, grouped, path, "o")
        name = self._name("object")
        known = self._known(kind)
        self.lines.append(
            f"def {name}(o):\n"
            f"    if o.__class__ is not dict{f' or not {known}(o, None)' if known else ''}:\n"
            "        raise Unexpected\n"
            f"    return {literal}\n"
        )
        return name

    def _known(self, kind: GraphQLObjectType) -> str | None:
        """Name the function by which a type knows its values, if it has one."""
        if kind.is_type_of is None:
            return None
        name = self._name("known")
        self.names[name] = kind.is_type_of
        return name

    def _literal(
        self,
        kind: GraphQLObjectType,
        grouped: Mapping[str, list[FieldDetails]],
        path: str,
        of: str,
    ) -> str:
        """Write the projection of the object in a variable, in place: a call costs as much."""
        items = (
            f"{key!r}: {self._item(kind, key, details, path, of)}"
            for key, details in grouped.items()
        )
        return f"{{{', '.join(items)}}}"

    def _item(
        self, kind: GraphQLObjectType, key: str, details: list[FieldDetails], path: str, of: str
    ) -> str:
        self.nodes += 1
        if self.nodes > _MOST_NODES:
            raise Unsupported
        name = details[0].node.name.value
        if name == TYPE_KEY:
            return repr(kind.name)
        if name in _INTROSPECTION:
            raise Unsupported
        one = kind.fields[name]
        path = f"{path}.{key}" if path else key
        return self._value(one.type, self._source(one, path, of), details, path)

    def _source(self, one: GraphQLField, path: str, of: str) -> str:
        """Write where the value of a field comes from."""
        declared = declared_of(one)
        if isinstance(declared, Loaded):
            return f"{of}.get({path!r})"
        if declared is None or not declared.is_basic_field:
            raise Unsupported
        return f"{of}.get({declared.python_name!r})"

    def _value(
        self, kind: GraphQLOutputType, source: str, details: list[FieldDetails], path: str
    ) -> str:
        """Write an expression for a value, which may be null, of a type."""
        if isinstance(kind, GraphQLNonNull):
            present = self._value(kind.of_type, "v", details, path)
            name = self._name("there")
            self.lines.append(
                f"def {name}(v):\n"
                "    if v is None:\n"
                "        raise Unexpected\n"
                f"    return {present}\n"
            )
            return f"{name}({source})"
        known = source.isidentifier()
        value = source if known else f"value_{self._number()}"
        first = source if known else f"({value} := {source})"
        if isinstance(kind, GraphQLList):
            there = f"{self._list(kind, details, path)}({value})"
        elif isinstance(kind, GraphQLObjectType):
            there = self._one(kind, value, details, path, called=known)
        elif isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            there = f"{self._abstract(kind, details, path)}({value})"
        else:
            return self._leaf(kind, value, first)
        return f"(None if {first} is None else {there})"

    def _list(self, kind: GraphQLList[Any], details: list[FieldDetails], path: str) -> str:
        item = self._value(kind.of_type, "x", details, path)
        name = self._name("list")
        self.lines.append(
            f"def {name}(y):\n"
            "    if y.__class__ is not list:\n"
            "        raise Unexpected\n"
            f"    return [{item} for x in y]\n"
        )
        return name

    def _one(
        self,
        kind: GraphQLObjectType,
        value: str,
        details: list[FieldDetails],
        path: str,
        *,
        called: bool,
    ) -> str:
        if called or kind.is_type_of is not None:  # in a list variables of a function are quicker
            return f"{self._selected(kind, details, path)}({value})"
        literal = self._literal(kind, self._within(kind, details), path, value)
        return f"{literal} if {value}.__class__ is dict else unexpected()"

    def _selected(self, kind: GraphQLObjectType, details: list[FieldDetails], path: str) -> str:
        return self._object(kind, self._within(kind, details), path)

    def _within(
        self, kind: GraphQLObjectType, details: list[FieldDetails]
    ) -> Mapping[str, list[FieldDetails]]:
        return collect_subfields(
            self.schema,
            self.fragments,
            self.prepared.variables,
            self.prepared.operation,
            kind,
            details,
        ).grouped_field_set

    def _abstract(self, kind: GraphQLAbstractType, details: list[FieldDetails], path: str) -> str:
        table = ", ".join(
            f"{one.name!r}: {self._selected(one, details, path)}"
            for one in self.schema.get_possible_types(kind)
        )
        name = self._name("abstract")
        self.lines.append(
            f"{name}_types = {{{table}}}\n"
            f"def {name}(o):\n"
            f"    return {name}_types[o[{TYPE_KEY!r}]](o)\n"
        )
        return name

    def _leaf(self, kind: GraphQLOutputType, value: str, first: str) -> str:
        """Write an expression for a leaf; a value that is as it should be is looked at once."""
        assert is_leaf_type(kind)  # noqa: S101 -- all others are dealt with
        name = self._name("leaf")
        self.names[name] = _serializer(kind)
        test = _AS_IT_IS.get(kind.name)
        if test is None:
            return f"(None if {first} is None else {name}({value}))"
        other = f"None if {value} is None else {name}({value})"
        return f"({value} if {first}.__class__ {test.format(value)} else {other})"

    def _name(self, kind: str) -> str:
        name = f"{kind}_{self._number()}"
        self.names[name] = None  # functions are made when the text is run
        return name

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers


def _unexpected() -> None:
    raise Unexpected


def _serializer(kind: GraphQLLeafType) -> Callable[[Any], Any]:
    def serialize(value: Any) -> Any:
        try:
            written = kind.coerce_output_value(value)
        except Exception as error:  # whatever a scalar raises, graphql-core makes an error of it
            raise Unexpected from error
        if written is None:
            raise Unexpected
        return written

    return serialize
