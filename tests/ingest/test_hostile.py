"""Every hostile file gets what it deserves, and none stops another."""

import re
from collections.abc import Sequence
from pathlib import Path

from tests.command import Installation, Ran, write
from tests.contents import assert_true, contents
from tests.hostile import BAD_UIDS, CASES, NAMES, TEXTS, Case

EXPECTED = {
    "accept": ("stored", "duplicate"),
    "warn": ("stored",),
    "refuse": ("refused", "conflict"),
}


async def take(installation: Installation, folder: Path, cases: Sequence[Case]) -> Ran:
    write(folder, [case.make() for case in cases])
    ran = await installation.run("ingest", folder)
    statuses = [line.split()[0] for line in ran.lines[:-1]]
    assert len(statuses) == len(cases)
    wrong = {
        case.name: line
        for case, status, line in zip(cases, statuses, ran.lines, strict=False)
        if status not in EXPECTED[case.expect]
    }
    assert wrong == {}
    return ran


async def test_every_case_gets_what_it_expects_and_refused_ones_leave_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    first = await take(installation, tmp_path / "1", [one for one in CASES if not one.after])
    second = await take(installation, tmp_path / "2", [one for one in CASES if one.after])
    assert (first.code, second.code) == (1, 1)
    assert "Traceback" not in first.err + second.err
    kept = [one for one in CASES if one.expect != "refuse" and not one.after]
    async with installation.opened() as archive:
        found = await contents(archive)
        assert (len(found.objects), len(found.instances)) == (len(kept), len(kept))
        await assert_true(archive)


async def test_a_warning_is_told_and_an_accepted_object_is_stored_without_a_word(
    installation: Installation, tmp_path: Path
) -> None:
    cases = [one for one in CASES if not one.after and one.expect == "warn"]
    ran = await take(installation, tmp_path / "in", cases)
    assert [line for line in ran.lines if line.startswith("refused")] == []
    assert any("(odd: " in line for line in ran.lines)


async def test_no_output_holds_a_value_of_a_header(
    installation: Installation, tmp_path: Path
) -> None:
    ran = await take(installation, tmp_path / "in", [one for one in CASES if not one.after])
    said = ran.out + ran.err
    planted = {"hostile", "Doe", "Jane", "Referrer", "Rita", "CT chest", "ACC1", "19700131"}
    planted |= {part for _, _, name in NAMES for part in re.split(r"[\^=]", name) if part}
    planted |= {str(value) for _, values, _ in TEXTS for value in values.values()}
    planted |= {value for _, _, value in BAD_UIDS if len(value) > 3}
    assert [value for value in planted if value in said] == []
