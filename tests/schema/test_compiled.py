"""Compiled and stock execution give the same: over random operations and random, corrupt values.

`python -m tests.schema.test_compiled 20000` tries as many as it is told.
"""

import random
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphql import (
    GraphQLSchema,
    OperationDefinitionNode,
    execute_sync,
    parse,
    validate,
)
from graphql.execution.values import VariableValues, get_variable_values

from schema.compiled import Projection, Unexpected, Unsupported, compiled
from schema.documents import Prepared
from tests.schema.drawn import Drawing, Values, build

IN_CI = 1_000
CORRUPT = (0.0, 0.0, 0.001, 0.01, 0.05)


@dataclass
class Tally:
    """What came of some operations.

    Attributes:
        compiled: Those that the code made for them answered.
        erring: Those of which the executor says that a value is wrong.
    """

    tried: int = 0
    compiled: int = 0
    erring: int = 0


@cache
def schema() -> GraphQLSchema:
    return build()


def prepared(text: str, variables: dict[str, bool]) -> Prepared | None:
    """Read an operation; None if it is not valid."""
    document = parse(text)
    if validate(schema(), document):
        return None
    [operation] = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    values = get_variable_values(schema(), operation.variable_definitions or (), variables)
    assert isinstance(values, VariableValues)
    return Prepared(document, operation, values)


def projected(projection: Projection, value: Any) -> Any:
    """Give what the code made for an operation gives; None where it leaves it to the executor."""
    try:
        return projection(value)
    except (Unexpected, TypeError, KeyError, AttributeError):
        return None


def differ(documents: int, seed: int = 0) -> Tally:
    """Hold the two against each other; a difference is an AssertionError with the operation."""
    pick, tally = random.Random(seed), Tally()
    while tally.tried < documents:
        drawing = Drawing(schema(), pick)
        text = drawing.text()
        operation = prepared(text, drawing.variables)
        if operation is None:
            continue
        tally.tried += 1
        value = Values(schema(), pick, pick.choice(CORRUPT)).of_root()
        stock = execute_sync(
            schema(), operation.document, root_value=value, variable_values=drawing.variables
        )
        tally.erring += bool(stock.errors)
        found = projected(compiled(schema(), operation), value)
        if found is None:
            continue
        tally.compiled += 1
        assert not stock.errors, (text, value, stock.errors)
        assert repr(found) == repr(stock.data), (text, value)  # order, and 1 is not True
    return tally


def test_a_thousand_random_operations_give_the_same_compiled_and_stock() -> None:
    tally = differ(IN_CI)
    assert tally.tried == IN_CI
    assert tally.compiled > 0.8 * IN_CI
    assert tally.erring > 30
    # what is not wrong is answered by the code, but for a tuple where a list is meant
    assert tally.compiled + tally.erring > 0.99 * IN_CI


def test_what_asks_about_the_schema_is_left_to_the_executor() -> None:
    for text in ("{ __schema { types { name } } }", '{ shelf { id } __type(name: "X") { name } }'):
        operation = prepared(text, {})
        assert operation is not None
        try:
            compiled(schema(), operation)
        except Unsupported:
            continue
        raise AssertionError(text)


def test_names_of_the_response_are_data_and_never_code() -> None:
    operation = prepared("{ __import__: shelf { o: id g: __typename None: open } }", {})
    assert operation is not None
    value = {"shelf": {"id": "1", "open": True}}
    assert compiled(schema(), operation)(value) == {
        "__import__": {"o": "1", "g": "Shelf", "None": True}
    }


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    found = differ(count, seed=1)
    share = 100 * found.compiled / found.tried
    print(
        f"{found.tried:,} operations, no difference; {share:.1f} % ran compiled, "
        f"{100 * found.erring / found.tried:.1f} % had values that are errors"
    )
