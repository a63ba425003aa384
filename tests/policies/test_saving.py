"""Saving writes a whole policy or nothing, and whoever saves can save again."""

import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from policies import files
from policies.book import Book
from policies.errors import LockedOut, PolicyChanged, PolicyError
from policies.files import PENDING
from policies.saving import finish, save
from tests.policies.samples import ADMINISTERING, RULES, VOCABULARY, administered, book, fine, write

ADMIN = frozenset({"admin"})
GOOD = administered(RULES + "p, billing, Patient.birthDate, read, any, allow\n")
ROOT = Path(__file__).parents[2]


def saved(
    folder: Path,
    rules: str,
    roles: frozenset[str] = ADMIN,
    others: Mapping[str, str] = MappingProxyType({}),
) -> str:
    texts = {"rules.csv": rules, **others}
    return save(folder, texts, edition(folder), roles, VOCABULARY, fine)


def edition(folder: Path) -> str:
    return files.edition(files.read_folder(folder))


def everything(folder: Path) -> dict[str, bytes]:
    """All that lies there but the lock, which is empty."""
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name != ".saving.lock"}


def test_a_policy_that_is_saved_lies_in_the_folder_and_nothing_else_does(tmp_path: Path) -> None:
    before = everything(write(tmp_path))
    version = saved(tmp_path, GOOD)
    assert everything(tmp_path) == before | {"rules.csv": GOOD.encode()}
    assert book(tmp_path).current.version == version


def test_a_policy_that_others_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    began = edition(write(tmp_path))
    write(tmp_path, tests="")  # decides nothing, and would be lost all the same
    before = everything(tmp_path)
    with pytest.raises(PolicyChanged) as refused:
        save(tmp_path, {"rules.csv": GOOD}, began, ADMIN, VOCABULARY, fine)
    assert refused.value.edition == edition(tmp_path) != began
    assert everything(tmp_path) == before


def test_a_policy_that_cannot_be_used_is_not_saved_and_every_problem_is_told(
    tmp_path: Path,
) -> None:
    before = everything(write(tmp_path))
    with pytest.raises(PolicyError) as refused:
        saved(
            tmp_path,
            GOOD.replace("deny", "dney"),
            others={"scopes.toml": "[own]\n", "tests.toml": "x"},
        )
    assert [str(one)[:15] for one in refused.value.problems] == [
        "rules.csv:3:35:",
        "scopes.toml:1: ",
        "scopes.toml:1: ",
        "tests.toml:1: i",
    ]
    assert everything(tmp_path) == before


def test_what_is_no_file_of_a_policy_is_not_saved(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("../rules.csv", "other.csv", ".saving.zip"):
        with pytest.raises(KeyError):
            save(tmp_path, {name: ""}, edition(tmp_path), ADMIN, VOCABULARY, fine)
    assert not (tmp_path / "other.csv").exists()


@pytest.mark.parametrize(
    "left",
    [
        "p, admin, Policy.text, read, any, allow",  # another right
        "p, admin, *, update, own, allow",  # on no row that there is
        f"{ADMINISTERING}\np, admin, Policy.*, *, any, deny",
    ],
)
def test_the_last_administrator_cannot_be_locked_out(tmp_path: Path, left: str) -> None:
    before = everything(write(tmp_path))
    with pytest.raises(PolicyError, match="nobody could administer the policy; allow some role"):
        saved(tmp_path, f"{RULES}{left}\n")
    assert everything(tmp_path) == before
    (tmp_path / "rules.csv").write_text(f"{RULES}{left}\n")
    with pytest.raises(PolicyError, match="nobody could administer the policy; allow some role"):
        book(tmp_path)


def test_whoever_saves_cannot_lock_themselves_out_though_others_could_save(tmp_path: Path) -> None:
    before = everything(write(tmp_path))
    with pytest.raises(LockedOut, match="leave one of your roles, admin, the right to update"):
        saved(tmp_path, GOOD.replace("p, admin", "p, auditor"))
    # a deny of another role of theirs outdoes
    both = frozenset({"admin", "billing"})
    with pytest.raises(LockedOut):
        saved(tmp_path, GOOD + "p, billing, Policy.*, *, any, deny\n", both)
    assert everything(tmp_path) == before
    assert saved(tmp_path, GOOD + "p, billing, Policy.*, *, any, deny\n")


def test_files_keep_their_modes_and_links_their_targets(tmp_path: Path) -> None:
    folder, elsewhere = write(tmp_path / "policies"), tmp_path / "elsewhere.csv"
    (folder / "rules.csv").rename(elsewhere)
    (folder / "rules.csv").symlink_to(elsewhere)
    elsewhere.chmod(0o640)
    (folder / "tests.toml").chmod(0o664)
    saved(folder, GOOD, others={"tests.toml": "# none\n"})
    assert (folder / "rules.csv").is_symlink()
    assert elsewhere.read_text() == GOOD
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o640
    assert stat.S_IMODE((folder / "tests.toml").stat().st_mode) == 0o664


def test_a_saving_that_broke_off_counts_as_saved_and_is_finished_by_who_looks_next(
    tmp_path: Path,
) -> None:
    write(tmp_path)
    new = files.read_folder(tmp_path) | {"rules.csv": GOOD.encode(), "tests.toml": b""}
    files.keep(new, tmp_path / PENDING)
    (tmp_path / "rules.csv").write_bytes(new["rules.csv"])  # the second one was not reached
    assert files.read_folder(tmp_path) == new
    finish(tmp_path)
    assert everything(tmp_path) == new


def test_nobody_finishes_what_is_still_being_saved(tmp_path: Path) -> None:
    write(tmp_path)
    new = files.read_folder(tmp_path) | {"rules.csv": GOOD.encode()}
    files.keep(new, tmp_path / PENDING)
    script = (
        "import fcntl, sys\nhandle = open(sys.argv[1], 'w')\n"
        "fcntl.flock(handle, fcntl.LOCK_EX)\nprint('locked', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / ".saving.lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        finish(tmp_path)
        assert (tmp_path / PENDING).exists()
        assert files.read_folder(tmp_path) == new
        other.send_signal(signal.SIGKILL)
    finish(tmp_path)
    assert everything(tmp_path) == new


EITHER: Mapping[str, str] = {
    "rules.csv": administered(
        "p, nurse, Patient.*, read, second, allow\np, nurse, Image.id, read, any, allow\n"
    ),
    "scopes.toml": '[second]\ndescription = "Second"\nPatient = "active=true"\n',
    "tests.toml": '[[test]]\nname = "second"\nroles = ["nurse"]\nelement = "Patient.id"\n'
    'scopes = ["second"]\nexpect = "allow"\n',
}
OTHER = {name: text.replace("second", "third") for name, text in EITHER.items()}


def test_a_reader_that_never_pauses_sees_one_policy_or_the_other_and_no_mixture(
    tmp_path: Path,
) -> None:
    write(tmp_path)
    saved(tmp_path, EITHER["rules.csv"], others=EITHER)
    whole = [
        files.read_folder(tmp_path) | {name: text.encode() for name, text in texts.items()}
        for texts in (EITHER, OTHER)
    ]
    done, seen = threading.Event(), [0, 0]
    mixed: list[dict[str, bytes]] = []

    def read() -> None:
        while not done.is_set():
            content = files.read_folder(tmp_path)
            if content in whole:
                seen[whole.index(content)] += 1
            else:
                mixed.append(content)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(30):
            texts = EITHER if number % 2 else OTHER
            saved(tmp_path, texts["rules.csv"], others=texts)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert mixed == []
    assert min(seen) > 0


def test_a_book_that_reloads_without_pause_refuses_nothing_while_others_save(
    tmp_path: Path,
) -> None:
    write(tmp_path)
    saved(tmp_path, EITHER["rules.csv"], others=EITHER)
    opened = book(tmp_path)
    done = threading.Event()
    refused: list[object] = []
    versions = set()

    def reload() -> None:
        while not done.is_set():
            if not opened.reload():
                refused.append(opened.status.problems)
            versions.add(opened.current.version)

    reader = threading.Thread(target=reload)
    reader.start()
    try:
        for number in range(8):
            texts = EITHER if number % 2 else OTHER
            saved(tmp_path, texts["rules.csv"], others=texts)
    finally:
        done.set()
        reader.join()
    assert refused == []
    assert len(versions) == 2


def test_of_two_who_save_at_once_one_is_told_that_the_policy_changed(tmp_path: Path) -> None:
    began = edition(write(tmp_path))
    told: list[str] = []

    def attempt(comment: str) -> None:
        try:
            save(tmp_path, {"rules.csv": comment + GOOD}, began, ADMIN, VOCABULARY, fine)
        except PolicyChanged:
            told.append("changed")
        else:
            told.append("saved")

    both = [threading.Thread(target=attempt, args=(f"# {number}\n",)) for number in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(told) == ["changed", "saved"]


def test_a_folder_that_is_gone_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        saved(tmp_path / "gone", GOOD)
    assert not (tmp_path / "gone").exists()


def test_a_book_saves_and_has_it_in_force_at_once(tmp_path: Path) -> None:
    opened = book(write(tmp_path))
    version = opened.save({"rules.csv": GOOD}, files.edition(opened.content()), ADMIN)
    assert opened.current.version == version
    assert opened.current.grant(frozenset({"billing"})).allows("Patient.birthDate")


def test_a_book_says_what_is_wrong_with_an_edit_before_it_is_saved(tmp_path: Path) -> None:
    opened: Book = book(write(tmp_path))
    checked = opened.check({"rules.csv": GOOD + "p, billing, Patient.birthDate, read, own, allow"})
    assert checked.policy is not None
    assert [str(one) for one in checked.problems] == [
        "rules.csv:6: warning: line 4 allows this to 'billing' already; delete this line"
    ]
    assert opened.check({"rules.csv": GOOD.replace("deny", "dney")}).policy is None
