"""Calls that share a run."""

import asyncio

import pytest

from app.store.together import Together


async def test_calls_that_come_during_a_run_share_the_next_one() -> None:
    runs: list[list[int]] = []
    begun, going = asyncio.Event(), asyncio.Event()

    async def work(items: list[int]) -> list[int]:
        runs.append(items)
        begun.set()
        await going.wait()
        return [item * 10 for item in items]

    together = Together(work)
    first = asyncio.create_task(together(1))
    await begun.wait()
    others = [asyncio.create_task(together(item)) for item in (2, 3)]
    await asyncio.sleep(0)
    others[0].cancel()
    going.set()
    assert await first == 10
    assert await others[1] == 30
    assert runs == [[1], [2, 3]]


async def test_a_run_that_fails_fails_for_those_who_shared_it_alone() -> None:
    async def work(items: list[int]) -> list[int]:
        await asyncio.sleep(0)
        if 0 in items:
            raise LookupError
        return items

    together = Together(work)
    shared = await asyncio.gather(together(0), together(1), return_exceptions=True)
    assert [type(one) for one in shared] == [LookupError, LookupError]
    assert await together(2) == 2


async def test_a_waiting_call_is_not_answered_by_a_run_that_failed() -> None:
    begun = asyncio.Event()

    async def work(items: list[int]) -> list[int]:
        begun.set()
        await asyncio.sleep(0)
        if items == [1]:
            raise LookupError
        return items

    together = Together(work)
    first = asyncio.create_task(together(1))
    await begun.wait()
    second = asyncio.create_task(together(2))
    with pytest.raises(LookupError):
        await first
    assert await second == 2
