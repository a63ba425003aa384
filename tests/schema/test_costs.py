"""What README.md says that operations cost is what the door says."""

import pytest

from tests.costs import OPERATIONS, objects
from tests.schema.asking import Ask


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.startswith("{")])
async def test_the_door_tells_the_cost_that_is_worked_out(ask: Ask, operation: str) -> None:
    reply = await ask(operation)
    assert reply.body["extensions"]["cost"] == {"objects": objects(operation), "max": 50_000}


def test_the_costs_are_those_that_the_rules_give() -> None:
    assert [objects(one) for one in OPERATIONS] == [0, 1, 1, 20, 150, 28, 30, 1]
