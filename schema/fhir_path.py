"""The part of FHIRPath that picks from a list: paths, comparisons, a few functions.

What is understood: `$index`, `$this` and paths of names, ended by `exists()`, `empty()`,
`first()`, `startsWith('…')`, `endsWith('…')` or `contains('…')`, or compared by `=` or `!=` to a
string, number or boolean (`$index` by `<`, `<=`, `>` and `>=` as well); `not()` after any of these
and after parentheses; `and` and `or` between them. Everything else is refused, never guessed.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from fhir.errors import NotSupported

Json = Any
Test = Callable[[Json, int], bool]
"""Takes an item of a list and its place in it, from 0."""

LONGEST = 500
_DEEPEST = 10
_TOKENS = re.compile(
    r"\s*(?:(?P<name>\$?[A-Za-z_][A-Za-z0-9_]*)|(?P<text>'(?:[^'\\]|\\['\\/])*')"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<sign>!=|<=|>=|[=<>().]))"
)
_ORDERS: Mapping[str, Callable[[int, int], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)
_TEXTS: Mapping[str, Callable[[str, str], bool]] = MappingProxyType(
    {"startsWith": str.startswith, "endsWith": str.endswith, "contains": str.__contains__}
)


@dataclass(frozen=True, slots=True)
class Picked:
    """An expression that says of each item of a list whether it is meant.

    Attributes:
        names: Paths of elements that it looks at, each as names from the item inwards.
    """

    test: Test
    names: frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Naming:
    """An expression that gives each item of a list a name, for `@slice`.

    Attributes:
        path: Names from the item inwards; None: the place in the list, from 0.
    """

    path: tuple[str, ...] | None

    def of(self, item: Json, index: int) -> str:
        """Give the name of an item; empty where it has no such element."""
        if self.path is None:
            return str(index)
        return next((_written(one) for one in walk(item, self.path)), "")


@lru_cache(maxsize=256)
def picked(text: str) -> Picked:
    """Read an expression that is true or false.

    Raises:
        NotSupported: It is not FHIRPath, or not of the part that is understood.
    """
    reader = _Reader(_split(text))
    test = reader.either(0)
    reader.end()
    return Picked(test, frozenset(reader.names))


@lru_cache(maxsize=256)
def naming(text: str) -> Naming:
    """Read `$index`, or a path of names.

    Raises:
        NotSupported: It is neither.
    """
    if text.strip() == "$index":
        return Naming(None)
    if len(text) > LONGEST or not re.fullmatch(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", text.strip()):
        raise NotSupported("@slice: write $index, or a path of names like type.text")
    return Naming(tuple(text.strip().split(".")))


def walk(value: Json, path: tuple[str, ...]) -> Iterator[Json]:
    """List what lies at a path; lists on the way are walked through."""
    if isinstance(value, list):
        for one in value:
            yield from walk(one, path)
    elif not path:
        if value is not None:
            yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from walk(value[path[0]], path[1:])


def _written(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unknown() -> NotSupported:
    return NotSupported(
        "fhirpath: this server understands paths, exists(), empty(), first(), startsWith(), "
        "endsWith(), contains(), not(), = and != with a literal, $index, and, or and parentheses"
    )


def _split(text: str) -> list[str]:
    if len(text) > LONGEST:
        raise NotSupported(f"fhirpath: at most {LONGEST} characters")
    tokens, at, text = [], 0, text.rstrip()
    while at < len(text):
        found = _TOKENS.match(text, at)
        if found is None:
            raise _unknown()
        tokens.append(found[found.lastgroup or 0])
        at = found.end()
    return tokens


@dataclass(slots=True)
class _Reader:
    """Reads tokens from the left; `and` binds closer than `or`."""

    tokens: list[str]
    at: int = 0
    names: set[tuple[str, ...]] = field(default_factory=set)

    def end(self) -> None:
        if self.at != len(self.tokens):
            raise _unknown()

    def either(self, depth: int) -> Test:
        tests = [self.both(depth)]
        while self.take("or"):
            tests.append(self.both(depth))
        return tests[0] if len(tests) == 1 else lambda item, at: any(t(item, at) for t in tests)

    def both(self, depth: int) -> Test:
        tests = [self.one(depth)]
        while self.take("and"):
            tests.append(self.one(depth))
        return tests[0] if len(tests) == 1 else lambda item, at: all(t(item, at) for t in tests)

    def one(self, depth: int) -> Test:
        if depth > _DEEPEST:
            raise _unknown()
        if self.take("("):
            test = self.either(depth + 1)
            self.need(")")
        elif self.take("$index"):
            test = self.index()
        else:
            test = self.path()
        while self.take("."):
            self.call("not")
            test = _not(test)
        return test

    def index(self) -> Test:
        sign, number = self.next(), self.next()
        if not re.fullmatch(r"[0-9]{1,9}", number):
            raise _unknown()
        place = int(number)
        compare = _ORDERS.get(sign) or {"=": operator.eq, "!=": operator.ne}.get(sign)
        if compare is None:
            raise _unknown()
        return lambda _item, at: compare(at, place)

    def path(self) -> Test:
        names: list[str] = []
        first = self.name()
        if first != "$this":
            names.append(first)
        while self.take("."):
            name = self.name()
            if self.peek() == "(":
                test = self.function(name, tuple(names))
                self.names.add(tuple(names))
                return test
            names.append(name)
        self.names.add(tuple(names))
        return self.compared(tuple(names), only_first=False)

    def function(self, name: str, path: tuple[str, ...]) -> Test:
        if name in _TEXTS:
            self.need("(")
            wanted, does = self.text(), _TEXTS[name]
            self.need(")")
            return lambda item, _: _single(
                walk(item, path), lambda one: isinstance(one, str) and does(one, wanted)
            )
        self.at -= 1
        self.call(name)
        match name:
            case "exists":
                return lambda item, _: any(True for _one in walk(item, path))
            case "empty":
                return lambda item, _: not any(True for _one in walk(item, path))
            case "first":
                return self.compared(path, only_first=True)
            case "not":
                return _not(_truth(path))
        raise _unknown()

    def compared(self, path: tuple[str, ...], *, only_first: bool) -> Test:
        if self.peek() not in {"=", "!="}:
            return _truth(path)
        sign, wanted = self.next(), self.literal()

        def test(item: Json, _: int) -> bool:
            found = list(walk(item, path))
            found = found[:1] if only_first else found
            # what is not there is equal to nothing, and unequal to nothing
            return bool(found) and (_equal(found, wanted) == (sign == "="))

        return test

    def literal(self) -> Json:
        word = self.peek()
        if word is None:
            raise _unknown()
        if word.startswith("'"):
            return self.text()
        self.at += 1
        if word in {"true", "false"}:
            return word == "true"
        if re.fullmatch(r"-?[0-9]+", word):
            return int(word)
        if re.fullmatch(r"-?[0-9]+\.[0-9]+", word):
            return float(word)
        raise _unknown()

    def text(self) -> str:
        token = self.next()
        if not token.startswith("'"):
            raise _unknown()
        return re.sub(r"\\(.)", r"\1", token[1:-1])

    def call(self, name: str) -> None:
        for token in (name, "(", ")"):
            self.need(token)

    def name(self) -> str:
        token = self.next()
        if not re.fullmatch(r"[A-Za-z_]\w*|\$this", token) or token in {"and", "or"}:
            raise _unknown()
        return token

    def peek(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self.at += 1
        return True

    def need(self, token: str) -> None:
        if not self.take(token):
            raise _unknown()

    def next(self) -> str:
        token = self.peek()
        if token is None:
            raise _unknown()
        self.at += 1
        return token


def _not(test: Test) -> Test:
    return lambda item, at: not test(item, at)


def _truth(path: tuple[str, ...]) -> Test:
    """Say what a path alone is: a boolean is itself, and nothing is false."""
    return lambda item, _: _single(walk(item, path), lambda one: one is not False)


def _single(found: Iterator[Json], test: Callable[[Json], bool]) -> bool:
    values = list(found)
    return len(values) == 1 and test(values[0])


def _equal(found: list[Json], wanted: Json) -> bool:
    if len(found) != 1:
        return False
    [value] = found
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)
