"""Acting on @flatten, @first, @singleton and @slice, once the answer is there.

An answer is written anew, field by field: what is flattened goes to where the field would have
been, what is sliced gets further names. Where values come together under one name they become a
list, unless it is said that there is one. Absent values leave no trace in what is flattened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLString,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
)
from graphql.execution.collect_fields import (
    FieldDetails,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)

from fhir.errors import Invalid
from schema.documents import Prepared
from schema.fhir_directives import Shape, shape_of
from schema.fhir_walking import Path, Walk

Json = Any
Grouped = Mapping[str, Sequence[FieldDetails]]


def reshape(
    schema: GraphQLSchema, prepared: Prepared, data: Mapping[str, Json], walk: Walk
) -> dict[str, Json]:
    """Give an answer as its operation's directives want it.

    Raises:
        Invalid: There are two values where one is wanted, or two types under one name.
    """
    fragments = {
        one.name.value: FragmentDetails(one)
        for one in prepared.document.definitions
        if isinstance(one, FragmentDefinitionNode)
    }
    root = schema.query_type
    assert root is not None  # noqa: S101 -- these schemas have one
    grouped = collect_fields(
        schema, fragments, prepared.variables, root, prepared.operation
    ).grouped_field_set
    writer = _Writer(schema, prepared, walk, fragments)
    return writer.object(root, grouped, data, ())


@dataclass(slots=True)
class _Slot:
    """What comes together under one name."""

    kind: str
    listed: bool = False
    single: bool = False
    values: list[Json] = field(default_factory=list)

    def value(self) -> Json:
        if self.single and len(self.values) > 1:
            raise Invalid("@singleton: there is more than one value; use @first, or a list")
        if len(self.values) > 1 or (self.listed and not self.single):
            return self.values
        return self.values[0] if self.values else None


@dataclass(slots=True)
class _Target:
    """An object that is being written.

    Attributes:
        inherited: Whether what is written to it now comes out of a list that was flattened.
        suffix: What names end with, for @slice.
        sparse: Whether absent values are left out.
    """

    slots: dict[str, _Slot] = field(default_factory=dict)
    inherited: bool = False
    suffix: str = ""
    sparse: bool = False

    def within(self, suffix: str, *, inherited: bool) -> "_Target":
        return _Target(self.slots, inherited, suffix, sparse=True)

    def add(
        self, name: str, kind: str, values: Sequence[Json], shape: Shape, *, listed: bool
    ) -> None:
        """Put values under a name."""
        found = [one for one in values if one is not None] if self.sparse else list(values)
        if self.sparse and not found:
            return
        slot = self.slots.setdefault(name, _Slot(kind))
        if slot.kind != kind:
            raise Invalid("@flatten: values of different types come under one name; use an alias")
        slot.listed = slot.listed or listed
        slot.single = slot.single or shape.singleton
        slot.values += found


@dataclass(slots=True)
class _Writer:
    schema: GraphQLSchema
    prepared: Prepared
    walk: Walk
    fragments: dict[str, FragmentDetails]

    def object(
        self, kind: GraphQLObjectType, grouped: Grouped, data: Mapping[str, Json], path: Path
    ) -> dict[str, Json]:
        """Write one object."""
        target = _Target()
        self._into(target, kind, grouped, data, path)
        return {name: slot.value() for name, slot in target.slots.items()}

    def _into(
        self,
        target: _Target,
        kind: GraphQLObjectType,
        grouped: Grouped,
        data: Mapping[str, Json],
        path: Path,
    ) -> None:
        for key, details in grouped.items():
            name = details[0].node.name.value
            known = kind.fields.get(name)
            output = known.type if known is not None else GraphQLString  # `__typename`
            self._field(target, key, details, output, data[key], (*path, key))

    def _field(
        self,
        target: _Target,
        key: str,
        details: Sequence[FieldDetails],
        output: GraphQLOutputType,
        value: Json,
        path: Path,
    ) -> None:
        shape = shape_of(details[0].node, self.prepared.variables)
        is_list = is_list_type(get_nullable_type(output))
        if is_list:
            pairs = [(one, (*path, index)) for index, one in enumerate(value or ())]
        else:
            pairs = [] if value is None else [(value, path)]
        if shape.first:
            pairs = pairs[:1]
        names = self._names(shape, path, len(pairs))
        listed = target.inherited or (is_list and not shape.first)
        kind = get_named_type(output).name
        if shape.flatten:
            for (item, at), name in zip(pairs, names, strict=True):
                if item is not None:
                    inner = target.within(target.suffix + name, inherited=listed)
                    self._item_into(inner, item, output, details, at)
        elif shape.slice is not None:
            for (item, at), name in zip(pairs, names, strict=True):
                written = self._written(item, output, details, at)
                target.add(key + target.suffix + name, kind, [written], shape, listed=listed)
        else:
            items = [self._written(item, output, details, at) for item, at in pairs]
            there = value is not None or target.inherited
            target.add(key + target.suffix, kind, items, shape, listed=listed and there)

    def _names(self, shape: Shape, path: Path, count: int) -> Sequence[str]:
        if shape.slice is None:
            return [""] * count
        if shape.slice.path is None:
            return [f".{index}" for index in range(count)]
        return [f".{one}" for one in self.walk.names.get(path, ())][:count]

    def _item_into(
        self,
        target: _Target,
        item: Json,
        output: GraphQLOutputType,
        details: Sequence[FieldDetails],
        path: Path,
    ) -> None:
        kind = self._kind(output, path)
        self._into(target, kind, self._grouped(kind, details), item, path)

    def _written(
        self, item: Json, output: GraphQLOutputType, details: Sequence[FieldDetails], path: Path
    ) -> Json:
        if item is None or is_leaf_type(get_named_type(output)):
            return item
        kind = self._kind(output, path)
        return self.object(kind, self._grouped(kind, details), item, path)

    def _kind(self, output: GraphQLOutputType, path: Path) -> GraphQLObjectType:
        kind = get_named_type(output)
        if not isinstance(kind, GraphQLObjectType):
            kind = self.schema.type_map[self.walk.types[path]]
        assert isinstance(kind, GraphQLObjectType)  # noqa: S101 -- what has fields is one
        return kind

    def _grouped(self, kind: GraphQLObjectType, details: Sequence[FieldDetails]) -> Grouped:
        return collect_subfields(
            self.schema,
            self.fragments,
            self.prepared.variables,
            self.prepared.operation,
            kind,
            list(details),
        ).grouped_field_set
