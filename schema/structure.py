"""What a document is made of, counted before it is validated, in time linear in its text.

Every operation and fragment counts, also those that will not run: validation reads them all. A
fragment is counted once, however often it is spread; else fragments that double each other would
take time that doubles with each of them.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from schema.errors import TooComplex

SATURATED: Final = 10**9
"""No count goes beyond it: doubled often enough, numbers themselves become work."""

_TIMES_FIELDS: Final = 4


class Bounds(Protocol):
    """What a document may have at most."""

    @property
    def depth(self) -> int:
        """Fields within each other."""

    @property
    def aliases(self) -> int:
        """Of an operation, fragments in place."""

    @property
    def root_fields(self) -> int:
        """Of an operation, fragments in place."""

    @property
    def fields(self) -> int:
        """Of an operation, fragments in place."""

    @property
    def repeats(self) -> int:
        """How often one place of the answer is written."""

    @property
    def directives(self) -> int:
        """Of the document as it is written."""

    @property
    def operations(self) -> int:
        """Of the document."""

    @property
    def fragments(self) -> int:
        """Of the document that have names."""


class _Size(NamedTuple):
    depth: int
    aliases: int
    fields: int
    top: int


_NOTHING: Final = _Size(0, 0, 0, 0)


def bound(document: DocumentNode, bounds: Bounds) -> None:
    """Refuse a document that is too large; it need not be valid.

    Raises:
        TooComplex: It exceeds a limit.
    """
    fragments = {
        one.name.value: one
        for one in document.definitions
        if isinstance(one, FragmentDefinitionNode)
    }
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    named = len(document.definitions) - len(operations)
    _hold("operations", len(operations), bounds.operations)
    _hold("fragments", named, bounds.fragments)
    count = _Count(fragments)
    wholes = [count.set(one.selection_set) for one in operations]
    parts = [count.fragment(name)._replace(top=0) for name in fragments]
    directives = count.directives + sum(
        len(one.directives or ())
        + sum(len(variable.directives or ()) for variable in one.variable_definitions or ())
        for one in (*operations, *fragments.values())
    )
    _hold("directives", directives, bounds.directives)
    for size in (*wholes, *parts):
        _hold("depth", size.depth, bounds.depth)
        _hold("aliases", size.aliases, bounds.aliases)
        _hold("rootFields", size.top, bounds.root_fields)
        _hold("fields", size.fields, bounds.fields)
    expansion = _Expansion(fragments, bounds)
    for number, operation in enumerate(operations):
        expansion.walk(operation.selection_set, (str(number),))
    for name in fragments.keys() - expansion.spread:
        expansion.walk(fragments[name].selection_set, (name,))


def _hold(limit: str, value: int, most: int) -> None:
    if value > most:
        raise TooComplex(limit, value, most)


@dataclass(slots=True)
class _Count:
    fragments: dict[str, FragmentDefinitionNode]
    directives: int = 0
    counted: dict[str, _Size] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def set(self, selections: SelectionSetNode) -> _Size:
        depth = aliases = fields = top = 0
        for one in selections.selections:
            if one.directives:
                self.directives += len(one.directives)
            if isinstance(one, FieldNode):
                inner = self.set(one.selection_set) if one.selection_set else _NOTHING
                # graphql-core bounds how deep introspection goes
                deep = 0 if one.name.value.startswith("__") else inner.depth + 1
                aliases += inner.aliases + (one.alias is not None)
                fields += inner.fields + 1
                top += 1
            else:
                inner = self._spread(one)
                deep = inner.depth
                aliases += inner.aliases
                fields += inner.fields
                top += inner.top
            depth = max(depth, deep)
        return _Size(depth, min(aliases, SATURATED), min(fields, SATURATED), min(top, SATURATED))

    def fragment(self, name: str) -> _Size:
        if name not in self.counted:
            found = self.fragments.get(name)
            if found is None or name in self.open:
                return _NOTHING  # validation says what is wrong
            self.open.add(name)
            self.counted[name] = self.set(found.selection_set)
            self.open.discard(name)
        return self.counted[name]

    def _spread(self, one: object) -> _Size:
        if isinstance(one, InlineFragmentNode):
            return self.set(one.selection_set)
        return self.fragment(one.name.value) if isinstance(one, FragmentSpreadNode) else _NOTHING


@dataclass(slots=True)
class _Expansion:
    """Counts fields by response path, fragments in place; there are few by now.

    A field written many times over at one place costs validation the square of that number.
    """

    fragments: dict[str, FragmentDefinitionNode]
    bounds: Bounds
    visited: int = 0
    times: dict[tuple[str, ...], int] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    spread: set[str] = field(default_factory=set)

    def walk(self, selections: SelectionSetNode, path: tuple[str, ...]) -> None:
        for one in selections.selections:
            self.visited += 1
            # fragments in circles, spread and spread
            _hold("fields", self.visited // _TIMES_FIELDS, self.bounds.fields)
            if isinstance(one, FieldNode):
                self._count(one, path)
            elif isinstance(one, InlineFragmentNode):
                self.walk(one.selection_set, path)
            elif isinstance(one, FragmentSpreadNode):
                self._spread(one.name.value, path)

    def _count(self, node: FieldNode, path: tuple[str, ...]) -> None:
        path = (*path, (node.alias or node.name).value)
        self.times[path] = times = self.times.get(path, 0) + 1
        _hold("repeats", times, self.bounds.repeats)
        if node.selection_set:
            self.walk(node.selection_set, path)

    def _spread(self, name: str, path: tuple[str, ...]) -> None:
        self.spread.add(name)
        fragment = self.fragments.get(name)
        if fragment is not None and name not in self.open:
            self.open.add(name)
            self.walk(fragment.selection_set, path)
            self.open.discard(name)
