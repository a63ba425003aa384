"""Prints what a policy costs: loading, reloading under a running event loop, and deciding.

Run as `python -m tests.bench.policy`.
"""

import asyncio
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import structlog

from app.archive import scope_problem
from fhir.elements import COORDINATES
from policies.book import Book
from policies.checking import check, load
from policies.difference import difference
from policies.explanation import explain
from policies.files import read_folder
from policies.grants import Policy
from policies.idle import idle_lines
from policies.rules import ACTIONS, ROLES, Rules, patterns
from tests.policy import ADMINISTERING, SHIPPED, book

SIZES = (80, 1_000, 10_000)
SCOPES = (SHIPPED / "scopes.toml").read_text(encoding="utf-8")
TICK_SECONDS = 0.001
PROVIDER = frozenset({"provider", "nurse"})


def rules(number: int) -> str:
    """Write so many different lines, of roles that inherit from many parents."""
    pick = random.Random(number)
    spoken_of = sorted({one for element in COORDINATES for one in patterns(element)})
    parents = [f"parent{one}" for one in range(max(1, number // 200))]
    roles = sorted(ROLES)
    first = "p, provider, Patient.id, read, any, allow"
    lines = {f"p, {parent}, Endpoint.name, read, any, allow" for parent in parents}
    while len(lines) < number:
        role = pick.choice([*roles, *parents * 3])
        # nobody is to be locked out
        effect = "deny" if role in ROLES - {"admin"} and pick.random() < 0.3 else "allow"
        lines.add(f"p, {role}, {pick.choice(spoken_of)}, {pick.choice(ACTIONS)}, any, {effect}")
    links = [f"g, {pick.choice(roles)}, {parent}" for parent in parents]
    shuffled = sorted(lines - {first, ADMINISTERING})
    pick.shuffle(shuffled)
    return "\n".join([*links, first, *shuffled])


def timed(act: Callable[[], object], rounds: int = 3) -> float:
    """Give the median time in milliseconds."""
    times = []
    for _ in range(rounds):
        began = perf_counter()
        act()
        times.append((perf_counter() - began) * 1000)
    return median(times)


async def stall(act: Callable[[], object]) -> tuple[float, float, float]:
    """Do something in a thread while a ticker runs.

    Returns:
        Milliseconds that it took, and by which the longest and the 99th percentile of the ticks
        were late.
    """
    late: list[float] = []

    async def tick() -> None:
        while True:
            began = perf_counter()
            await asyncio.sleep(TICK_SECONDS)
            late.append((perf_counter() - began - TICK_SECONDS) * 1000)

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    late.clear()
    began = perf_counter()
    await asyncio.to_thread(act)
    took = (perf_counter() - began) * 1000
    ticker.cancel()
    late.sort()
    return took, late[-1], late[int(len(late) * 0.99)]


def cold(policy: Policy) -> Iterator[float]:
    """Yield milliseconds for 40 coordinates that nobody asked about before."""
    coordinates = sorted(COORDINATES)
    for start in range(0, len(coordinates) - 40, 20):
        fresh = Policy(policy.version, policy.rules, policy.scopes)
        grant = fresh.grant(PROVIDER)
        began = perf_counter()
        for element in coordinates[start : start + 40]:
            grant.decision(element)
        yield (perf_counter() - began) * 1000


async def measure(number: int, folder: Path) -> None:
    """Load so many rules, and print what everything costs."""
    opened: Book = book(folder, rules(number), SCOPES)
    content = read_folder(folder)
    policy = opened.current
    print(f"{number} rules")
    loading = timed(lambda: load(content, COORDINATES, scope_problem))
    checking = timed(lambda: check(content, COORDINATES, scope_problem), 1)
    idle = timed(lambda: list(idle_lines(policy.rules, COORDINATES)), 1)
    print(f"  load {loading:8.1f} ms   check {checking:8.1f} ms (idle lines {idle:.1f} ms)")
    watching = asyncio.create_task(opened.watch())
    await asyncio.sleep(0.1)
    took, worst, late = await stall(opened.reload)
    watching.cancel()
    print(f"  reload {took:6.1f} ms, loop late by {worst:.1f} ms, p99 {late:.1f} ms")
    compiled = timed(lambda: Policy("", policy.rules, policy.scopes).grant(PROVIDER))
    found = list(cold(policy))
    print(f"  grant {compiled:7.2f} ms   40 coordinates cold {median(found):.3f} ms, "
          f"slowest {max(found):.3f} ms")  # fmt: skip
    why = timed(lambda: explain(policy, PROVIDER, "ImagingStudy.series.instance.number"))
    half = Policy("", Rules(policy.rules.lines[::2], policy.rules.parents), policy.scopes)
    differ = timed(lambda: difference(policy, half, COORDINATES), 1)
    print(f"  explain {why:5.2f} ms   diff to half of it {differ:.1f} ms")


async def main() -> None:
    """Measure each size."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    for number in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            await measure(number, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
