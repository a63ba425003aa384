"""The command `export`, as the operator of the machine runs it."""

import json
from pathlib import Path

import pytest

from tests.build import study, uid
from tests.command import Installation
from tests.rest.forms import put


@pytest.fixture
async def installation(database_url: str, database_name: str, tmp_path: Path) -> Installation:
    """An installation with one study of one image."""
    where = {"database_url": database_url, "database_name": database_name}
    made = Installation(tmp_path / "data", where)
    async with made.opened() as archive:
        await put(archive, *study(StudyInstanceUID=uid("command"), PatientID="COMMAND"))
    return made


async def test_the_command_says_what_came_of_it_and_ends_with_0_or_1(
    installation: Installation, tmp_path: Path
) -> None:
    to = tmp_path / "all"
    done = await installation.run("export", "--role", "radiologist", "--files", "--to", to)
    assert done.code == 0
    assert done.lines[-1] == "1 study, 1 patient, 1 file; 0 refused"
    assert json.loads((to / "ImagingStudy.ndjson").read_text())["id"] == uid("command")
    again = await installation.run("export", "--role", "radiologist", "--to", to)
    assert (again.code, again.out) == (1, "")
    assert again.err.endswith(f"\n{to} holds something already; name a new folder with --to\n")
    part = await installation.run(
        "export", "--role", "nurse", "--files", "--query", "modality=CT", "--to", tmp_path / "part"
    )
    assert part.code == 1
    assert part.lines[-1] == "1 study, 1 patient, 0 files; 1 refused, see refused.csv"
    wrong = await installation.run("export", "--role", "emperor", "--to", tmp_path / "no")
    assert wrong.code == 1
    assert wrong.err.splitlines()[-1].startswith("no such role; there are admin, ")
    assert not (tmp_path / "no").exists()
