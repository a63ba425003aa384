"""What an answered request tells, and what may be spent in a minute."""

import asyncio
import time

import pytest

from app.prefetch.budget import Purse
from app.prefetch.events import Event, event
from app.prefetch.lull import Lull
from app.prefetch.rules import Budget, Rule

INSTANCE = "/dicomweb/studies/1.2/series/1.2.3/instances/1.2.3.4"
RULE = Rule(name="all", fetch="next-frames")
OWN = Rule(name="own", fetch="priors", budget=Budget(items=2, bytes=1000))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{INSTANCE}/frames/7", Event("frames", "1.2", "1.2.3", "1.2.3.4", 7)),
        (f"{INSTANCE}/frames/7,8,9", Event("frames", "1.2", "1.2.3", "1.2.3.4", 9)),
        (f"{INSTANCE}/frames/2/rendered", Event("frames", "1.2", "1.2.3", "1.2.3.4", 2)),
        (f"{INSTANCE}/rendered", Event("frames", "1.2", "1.2.3", "1.2.3.4", 1)),
        (f"{INSTANCE}/thumbnail", None),
        (INSTANCE, None),
        ("/dicomweb/studies/1.2/metadata", Event("opened", "1.2")),
        ("/dicomweb/studies/1.2/series/1.2.3/metadata", Event("opened", "1.2")),
        ("/dicomweb/studies/1.2/series", Event("opened", "1.2")),
        ("/postdicom/studies/1.2", Event("opened", "1.2")),
        ("/fhir/ImagingStudy/1.2", Event("opened", "1.2")),
        ("/dicomweb/studies", Event("searched")),
        ("/postdicom/studies", Event("searched")),
        ("/fhir/ImagingStudy", Event("searched")),
        ("/fhir/Patient", None),
        ("/postdicom/cache/stats", None),
        ("/", None),
    ],
)
def test_a_path_tells_what_happened(path: str, expected: Event | None) -> None:
    assert event(path) == expected


def test_a_minute_has_so_many_entries_and_bytes() -> None:
    now = [0.0]
    purse = Purse(Budget(items=3, bytes=10_000), clock=lambda: now[0])
    assert [purse.spend("me", RULE, 10) for _ in range(4)] == [True, True, True, False]
    assert purse.spend("you", RULE, 9_990)
    assert not purse.spend("you", RULE, 11)
    assert purse.spend("you", RULE, 10)
    now[0] = 59.9
    assert not purse.spend("me", RULE, 10)
    now[0] = 60.0
    assert purse.spend("me", RULE, 10)


def test_a_rule_may_have_less() -> None:
    purse = Purse(Budget(items=10, bytes=10_000))
    assert [purse.spend("me", OWN, 400) for _ in range(3)] == [True, True, False]
    assert not purse.spend("me", OWN, 1)
    assert purse.spend("me", RULE, 400)
    assert not purse.spend("you", OWN, 1001)


async def test_a_lull_is_when_nobody_asked_for_a_while() -> None:
    lull = Lull()
    assert await lull.come(time.monotonic() + 30)
    lull.begin()
    asked = time.monotonic()
    assert await lull.come(asked + 30)
    assert time.monotonic() - asked >= 0.02


async def test_no_lull_comes_while_the_processor_is_busy() -> None:
    lull = Lull()

    async def work() -> None:
        while True:
            end = time.monotonic() + 0.02
            while time.monotonic() < end:
                pass
            await asyncio.sleep(0)

    busy = asyncio.create_task(work())
    try:
        assert not await lull.come(time.monotonic() + 0.2)
    finally:
        busy.cancel()
