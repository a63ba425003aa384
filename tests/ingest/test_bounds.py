"""Hostile objects are refused within a minute of CPU time for all, and little memory."""

import subprocess
import sys

from tests.bounds import MADE
from tests.command import ROOT
from tests.hostile import CASES

# What the elements of one header may cost, 32 MiB of them eight times, and some room.
MOST_MB = 300

REASONS = {
    "nested 20,000 deep": "too-deep",
    "nested 2,000 deep by lengths": "too-deep",
    "nested inside unknown bytes": "too-deep",
    "elements without end": "too-large",
    "items without end": "too-large",
    "values without end": "too-large",
    "bulk data without end": "too-large",
    "bomb of zeros": "deflate-bomb",
    "bomb of noise and zeros": "deflate-bomb",
    "fragments without end": "too-large",
    "offset table without end": "truncated",
    "fragment cut off": "truncated",
    "value of 4 GB": "too-large",
    "pixels of 4 GB": "too-large",
    # Its header lies about pixels that are not there: it is held, without a frame.
    "picture of 65,535 squared": "held",
    "file meta without end": "malformed",
}


def test_whatever_grows_without_end_is_refused_within_bounds() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bounds"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    verdicts = {name: verdict for name, verdict, _ in lines}
    assert {name: verdicts[name] for name in MADE} == REASONS
    assert [
        one.name for one in CASES if (verdicts[one.name] == "held") != _may_be_held(one.name)
    ] == []
    start, end = int(lines[0][2]), int(lines[-1][2])
    assert end - start < MOST_MB


def _may_be_held(name: str) -> bool:
    """Say whether an object is one by itself, whatever is stored already."""
    [case] = (one for one in CASES if one.name == name)
    return case.expect != "refuse" or case.after is not None
