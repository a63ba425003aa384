"""What a caller may ask for by the minute and at once; time is what the test says."""

import pytest

from app.graphql.budget import Budgets
from app.graphql.refused import BudgetExceeded, TooManyOperations


class Clock:
    """Stands still unless it is moved."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def spend(budgets: Budgets, objects: int, caller: str = "me") -> None:
    """Run one operation."""
    budgets.begin(caller)
    budgets.end(caller, objects)


def test_who_is_in_debt_waits_until_it_is_paid(clock: Clock) -> None:
    budgets = Budgets(600, 4, clock)
    spend(budgets, 650)
    with pytest.raises(BudgetExceeded) as refused:
        budgets.begin("me")
    # 50 are owed and one more is needed, at 10 a second
    assert refused.value.seconds == 6
    clock.seconds = 5
    with pytest.raises(BudgetExceeded):
        budgets.begin("me")
    clock.seconds = 6
    spend(budgets, 1)


def test_nothing_is_saved_beyond_a_minute(clock: Clock) -> None:
    budgets = Budgets(600, 4, clock)
    spend(budgets, 100)
    clock.seconds = 3600
    spend(budgets, 600)
    with pytest.raises(BudgetExceeded):
        budgets.begin("me")


def test_every_operation_costs_something(clock: Clock) -> None:
    budgets = Budgets(3, 4, clock)
    for _ in range(3):
        spend(budgets, 0)
    with pytest.raises(BudgetExceeded):
        budgets.begin("me")


def test_so_many_run_at_once_and_no_more(clock: Clock) -> None:
    budgets = Budgets(600, 2, clock)
    budgets.begin("me")
    budgets.begin("me")
    with pytest.raises(TooManyOperations) as refused:
        budgets.begin("me")
    assert (refused.value.status, refused.value.seconds) == (429, 1)
    budgets.begin("another")
    budgets.end("me", 1)
    budgets.begin("me")


def test_accounts_that_are_full_are_forgotten(clock: Clock) -> None:
    budgets = Budgets(600, 2, clock)
    budgets.begin("runs")
    spend(budgets, 100_000, "owes")
    for number in range(9_998):
        spend(budgets, 1, str(number))
    assert len(budgets) == 10_000
    clock.seconds = 60
    spend(budgets, 1, "one more")
    assert len(budgets) == 3
    with pytest.raises(BudgetExceeded):
        budgets.begin("owes")
    budgets.begin("runs")
    with pytest.raises(TooManyOperations):
        budgets.begin("runs")
