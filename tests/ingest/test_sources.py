"""What `python -m app ingest` takes, and what it says."""

import os
import pty
import zipfile
from functools import partial
from pathlib import Path

from tests.build import dicom, study, uid
from tests.command import Installation, write
from tests.contents import contents


async def test_files_and_folders_are_taken_in_the_order_of_their_names(
    installation: Installation, tmp_path: Path
) -> None:
    objects = study(series=1, instances=4)
    write(tmp_path / "in" / "b", objects[:2])
    write(tmp_path / "in" / "a" / "deep", objects[2:3])
    (tmp_path / "single").write_bytes(objects[3])
    ran = await installation.run("ingest", tmp_path / "single", tmp_path / "in")
    assert ran.code == 0
    assert ran.lines == [
        f"stored    {tmp_path}/single",
        f"stored    {tmp_path}/in/a/deep/0000.dcm",
        f"stored    {tmp_path}/in/b/0000.dcm",
        f"stored    {tmp_path}/in/b/0001.dcm",
        "4 files: 4 stored, 0 duplicate, 0 conflict, 0 refused",
    ]


async def test_a_zip_file_is_taken_entry_by_entry_and_a_bad_entry_stops_no_other(
    installation: Installation, tmp_path: Path
) -> None:
    one, two, three, damaged, locked = study(series=1, instances=5)
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("first.dcm", one)
        archive.writestr("folder/inner/second.dcm", two)
        archive.writestr("damaged.dcm", damaged)
        archive.writestr("locked.dcm", locked)
        archive.writestr("../../../outside.dcm", three)
        archive.getinfo("locked.dcm").flag_bits |= 1
    content = bytearray(path.read_bytes())
    content[content.index(damaged) + len(damaged) - 1] ^= 1
    path.write_bytes(content)
    ran = await installation.run("ingest", path)
    assert ran.code == 1
    assert ran.lines == [
        f"stored    {path}!first.dcm",
        f"stored    {path}!folder/inner/second.dcm",
        f"refused   {path}!damaged.dcm: is in a damaged zip file; pack it again",
        f"refused   {path}!locked.dcm: is encrypted; unpack it first",
        f"stored    {path}!../../../outside.dcm",
        "5 files: 3 stored, 0 duplicate, 0 conflict, 2 refused",
    ]
    assert not (tmp_path / "../../../outside.dcm").exists()
    async with installation.opened() as archive:
        assert len((await contents(archive)).objects) == 3


async def test_what_cannot_be_read_is_refused_with_the_reason(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "good").write_bytes(dicom())
    names = ("missing", "broken.zip", "loop", "pipe", "good")
    ran = await installation.run("ingest", *(tmp_path / name for name in names), "/proc/self/mem")
    assert ran.code == 1
    assert ran.lines == [
        f"refused   {tmp_path}/missing: cannot be read: No such file or directory",
        f"refused   {tmp_path}/broken.zip: is in a damaged zip file; pack it again",
        f"refused   {tmp_path}/loop: cannot be read: Too many levels of symbolic links",
        f"refused   {tmp_path}/pipe: is neither a file nor a folder",
        f"stored    {tmp_path}/good",
        "refused   /proc/self/mem: cannot be read: Input/output error",
        "6 files: 1 stored, 0 duplicate, 0 conflict, 5 refused",
    ]


async def test_names_are_shown_in_one_line_whatever_they_hold(
    installation: Installation, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    write(folder, [])
    for name in (b"\x1b[2Jstored", b"a\nstored    b", b"caf\xe9", b":bomb:[red]"):
        (folder / os.fsdecode(name)).write_bytes(b"no DICOM")
    ran = await installation.run("ingest", folder)
    assert [line.split(": ")[0] for line in ran.lines[:-1]] == [
        rf"refused   {folder}/\x1b[2Jstored",
        f"refused   {folder}/:bomb:[red]",
        rf"refused   {folder}/a\nstored    b",
        rf"refused   {folder}/caf\udce9",
    ]


async def test_an_empty_folder_is_said_to_be_one(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    ran = await installation.run("ingest", tmp_path / "in")
    assert (ran.code, ran.lines) == (
        1,
        ["0 files: 0 stored, 0 duplicate, 0 conflict, 0 refused"],
    )
    assert ran.err.splitlines()[-1] == "there are no files"


async def test_duplicates_and_conflicts_are_told_apart(
    installation: Installation, tmp_path: Path
) -> None:
    its_study, its_uid = uid(), uid()
    made = partial(dicom, StudyInstanceUID=its_study, PatientName="Planted^Name")
    (tmp_path / "first").write_bytes(made(SOPInstanceUID=its_uid))
    (tmp_path / "again").write_bytes((tmp_path / "first").read_bytes())
    (tmp_path / "other").write_bytes(made(SOPInstanceUID=its_uid, InstanceNumber=2))
    (tmp_path / "patient").write_bytes(made(PatientID="Planted 4711"))
    assert (await installation.run("ingest", tmp_path / "first")).code == 0
    again = await installation.run("ingest", "--quiet", tmp_path / "again")
    assert (again.code, again.lines) == (
        0,
        ["1 files: 0 stored, 1 duplicate, 0 conflict, 0 refused"],
    )
    ran = await installation.run("ingest", tmp_path / "other", tmp_path / "patient")
    assert ran.code == 1
    assert ran.lines == [
        f"conflict  {tmp_path}/other: other bytes are stored under this SOP Instance UID; "
        "give the changed object a new UID",
        f"conflict  {tmp_path}/patient: its study belongs to another patient; "
        "correct PatientID or StudyInstanceUID",
        "2 files: 0 stored, 0 duplicate, 2 conflict, 0 refused",
    ]
    assert "Planted" not in ran.out + ran.err + again.err
    async with installation.opened() as archive:
        found = await contents(archive)
        assert (len(found.objects), found.patients) == (1, 1)
        assert found.instances == {its_uid}


async def test_lines_reach_a_file_although_the_progress_bar_has_a_terminal(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "one").write_bytes(dicom())
    terminal, its_end = pty.openpty()
    process = await installation.start("ingest", tmp_path / "one", stderr=its_end)
    os.close(its_end)
    out, _ = await process.communicate()
    shown = os.read(terminal, 65_536)
    os.close(terminal)
    assert out.decode().splitlines()[0] == f"stored    {tmp_path}/one"
    assert b"1/1" in shown
