"""The book swaps a policy whole, and a bad edit changes nothing and says why."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import casbin
import pytest

from policies.book import Book
from policies.errors import PolicyError
from policies.grants import ALWAYS, NEVER
from policies.judge import enforcer
from tests.policies.samples import (
    MODEL,
    RULES,
    SCOPES_TOML,
    VOCABULARY,
    administered,
    book,
    problems,
    write,
)

BILLING = frozenset({"billing"})
GOOD = RULES + "p, billing, Patient.birthDate, read, any, allow\n"
TYPO = RULES + "p, billing, Patient.birthDate, read, any, dney\n"
TYPO_TOLD = "rules.csv:4:43: unknown effect 'dney'; write 'deny'"


def told(opened: Book) -> list[str]:
    return [str(one) for one in opened.status.problems]


def refused(folder: Path) -> list[str]:
    return [str(one) for one in problems(lambda: book(folder))]


def test_a_good_edit_is_in_force_after_a_reload(tmp_path: Path) -> None:
    opened = book(write(tmp_path))
    before = opened.current
    write(tmp_path, rules=GOOD)
    assert opened.reload() is True
    assert opened.status.ok
    assert opened.status.problems == ()
    assert opened.current.version != before.version
    assert opened.current.grant(BILLING).decision("Patient.birthDate") == ALWAYS


def test_a_request_keeps_the_policy_it_began_with(tmp_path: Path) -> None:
    opened = book(write(tmp_path))
    begun = opened.current
    grant = begun.grant(BILLING)
    write(tmp_path, rules=GOOD)
    assert opened.reload()
    assert grant.decision("Patient.birthDate") == NEVER
    assert begun.grant(BILLING) is grant


def test_a_bad_edit_changes_nothing_and_says_where_and_why(tmp_path: Path) -> None:
    opened = book(write(tmp_path))
    before = opened.current
    started = opened.status.when
    write(tmp_path, rules=TYPO)
    assert opened.reload() is False
    assert opened.current is before
    assert not opened.status.ok
    assert opened.status.when >= started
    assert told(opened) == [TYPO_TOLD]
    write(tmp_path)
    assert opened.reload() is True
    assert opened.status.ok
    assert opened.current is before


def test_a_new_test_alone_makes_no_new_version(tmp_path: Path) -> None:
    opened = book(write(tmp_path))
    before = opened.current
    write(tmp_path, tests="")
    assert opened.reload()
    assert opened.current is before


def test_an_edit_that_breaks_a_test_is_refused(tmp_path: Path) -> None:
    opened = book(write(tmp_path))
    write(tmp_path, rules=RULES.replace("deny", "allow"))
    assert not opened.reload()
    assert told(opened) == [
        "tests.toml:2: the test 'billing reads no names' fails: read of Patient.name is allowed;"
        " correct rules.csv or this test"
    ]


def test_a_byte_order_mark_is_refused_which_casbin_would_take_into_the_first_rule(
    tmp_path: Path,
) -> None:
    write(tmp_path, rules="\ufeffp, provider, Patient.name, read, any, deny\n" + RULES)
    message = "begins with a byte order mark; save as UTF-8 without BOM"
    assert refused(tmp_path) == [f"rules.csv:1:1: {message}"]


def test_bytes_that_are_not_utf_8_are_refused_with_their_place(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "rules.csv").write_bytes(b"# one\n# \xc3\xbc \xfc\n" + RULES.encode())
    (tmp_path / "scopes.toml").write_bytes(SCOPES_TOML.encode("utf-16"))
    assert refused(tmp_path) == [
        "rules.csv:2:5: is not UTF-8; save it as UTF-8",
        "scopes.toml:1:1: is not UTF-8; save it as UTF-8",
    ]


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    opened = book(write(tmp_path))
    (tmp_path / "rules.csv").unlink()
    (tmp_path / "tests.toml").unlink()
    assert not opened.reload()
    assert told(opened) == [
        "rules.csv:1: is missing or cannot be read; put it back",
        "tests.toml:1: is missing or cannot be read; put it back",
    ]


def test_a_search_text_that_the_search_does_not_know_is_refused(tmp_path: Path) -> None:
    def check(resource: str, text: str) -> str | None:
        return f"{resource} has no parameter 'active'" if "active" in text else None

    write(tmp_path)
    told = problems(lambda: Book(tmp_path, VOCABULARY, check))
    assert [str(one) for one in told] == ["scopes.toml:9: Patient has no parameter 'active'"]


def test_a_policy_in_which_nobody_sees_anything_is_refused(tmp_path: Path) -> None:
    write(tmp_path, rules="p, provider, Patient.name, read, any, allow\n", tests="")
    assert refused(tmp_path) == [
        "rules.csv:1: nobody could see anything; allow some role to read an id"
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("&& !some(where (p.eft == deny))", ""),
        ("has_role(r.roles, p.role)", "p.role in r.roles"),
        ("&& holds(r.scopes, p.scope)", ""),
        (' || p.action == "*"', ""),
        ("covers(p.element, r.element)", "p.element == r.element"),
        ("[matchers]", "[matcher]"),
        ("has_role(", "no_such_function("),
        ("p = role, element, action, scope, eft", "p = role, element, action, scope"),
        ("m = (", "m = (("),
    ],
)
def test_a_model_that_means_something_else_is_refused(tmp_path: Path, old: str, new: str) -> None:
    rules = (
        "g, nurse, provider\n"
        "p, provider, Patient.*, read, any, allow\n"
        "p, provider, Image.id, *, any, allow\n"
        "p, billing, Patient.*, read, any, allow\n"
        "p, billing, Patient.name, *, any, deny\n"
        "p, patient, Patient.*, read, own, allow\n"
    )
    assert old in MODEL
    write(tmp_path, rules=rules, model=MODEL.replace(old, new))
    (said,) = refused(tmp_path)
    assert said.startswith("model.conf:1: ")
    assert said.endswith("; restore the shipped model.conf")
    write(tmp_path, rules=rules)
    assert book(tmp_path).status.ok


def test_every_enforcer_is_new_and_not_the_fast_one_which_overlooks_globs() -> None:
    one, other = enforcer(MODEL, RULES), enforcer(MODEL, RULES)
    assert type(one) is casbin.Enforcer
    assert one is not other
    assert one.get_role_manager() is not other.get_role_manager()


def test_nobody_who_is_suspended_slips_in_while_the_policy_reloads(tmp_path: Path) -> None:
    # A deny that hangs on a role link: reloading an enforcer in place loses it for a moment.
    rules = RULES + "g, nurse, suspended\np, suspended, *, *, any, deny\n"
    opened = book(write(tmp_path, rules=rules))
    done = threading.Event()
    seen: list[bool] = []

    def ask() -> None:
        while not done.is_set():
            policy = opened.current
            seen.append(policy.grant(frozenset({"nurse", "provider"})).allows("Patient.name"))

    readers = [threading.Thread(target=ask) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(12):
            write(tmp_path, rules=f"# edit {number}\n{rules}")
            assert opened.reload()
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert len(seen) > 12
    assert not any(seen)


def test_a_broken_folder_stops_the_start_if_nothing_good_was_kept(tmp_path: Path) -> None:
    folder = write(tmp_path / "policies", rules=TYPO)
    with pytest.raises(PolicyError, match="unknown effect 'dney'"):
        book(folder, tmp_path / "data" / "last-good.zip")
    assert not (tmp_path / "data").exists()


def test_a_broken_folder_starts_from_the_last_good_copy_and_says_so(tmp_path: Path) -> None:
    folder, kept = write(tmp_path / "policies"), tmp_path / "data" / "last-good.zip"
    good = book(folder, kept)
    write(folder, rules=TYPO)
    assert not good.reload()
    started = book(folder, kept)
    assert started.current.version == good.current.version
    assert started.current.grant(BILLING).decision("Patient.name") == NEVER
    assert told(started) == [TYPO_TOLD]
    write(folder, rules=GOOD)
    assert started.reload()
    write(folder, rules=TYPO)
    again = book(folder, kept)
    assert again.current.version == started.current.version
    assert [one.name for one in kept.parent.iterdir()] == ["last-good.zip"]


def test_a_folder_that_is_gone_starts_from_the_last_good_copy(tmp_path: Path) -> None:
    kept = tmp_path / "last-good.zip"
    good = book(write(tmp_path / "policies"), kept)
    assert book(tmp_path / "elsewhere", kept).current.version == good.current.version


@pytest.mark.parametrize("damage", [b"", b"not a zip", None])
def test_a_damaged_last_good_copy_is_none(tmp_path: Path, damage: bytes | None) -> None:
    folder, kept = write(tmp_path / "policies"), tmp_path / "last-good.zip"
    book(folder, kept)
    content = kept.read_bytes()
    kept.write_bytes(content[: len(content) // 2] if damage is None else damage)
    write(folder, rules=TYPO)
    with pytest.raises(PolicyError, match="unknown effect 'dney'"):
        book(folder, kept)


def test_a_last_good_copy_that_no_longer_fits_is_none(tmp_path: Path) -> None:
    folder, kept = write(tmp_path / "policies"), tmp_path / "last-good.zip"
    book(folder, kept)
    write(folder, rules=TYPO)
    fewer = VOCABULARY - {"Patient.name"}
    with pytest.raises(PolicyError, match="unknown effect 'dney'"):
        Book(folder, fewer, lambda resource, text: None, kept)


def test_a_last_good_copy_that_cannot_be_written_does_not_stop_a_policy(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    opened = book(write(tmp_path / "policies"), tmp_path / "data" / "last-good.zip")
    assert opened.status.ok


@asynccontextmanager
async def watching(opened: Book) -> AsyncIterator[None]:
    task = asyncio.create_task(opened.watch())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def until(true: Callable[[], bool]) -> None:
    """Wait for an outcome, however long the file system takes to tell of it."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - the file system is what we wait for
            await asyncio.sleep(0.01)


def in_place(folder: Path, rules: str) -> None:
    (folder / "rules.csv").write_text(administered(rules), encoding="utf-8")


def by_renaming(folder: Path, rules: str) -> None:
    written = folder / "rules.csv.swp"
    written.write_text(administered(rules), encoding="utf-8")
    written.replace(folder / "rules.csv")


def with_a_backup(folder: Path, rules: str) -> None:
    (folder / "rules.csv").rename(folder / "rules.csv~")
    (folder / "rules.csv").write_text(administered(rules), encoding="utf-8")


@pytest.mark.parametrize("edit", [in_place, by_renaming, with_a_backup])
async def test_edits_are_noticed_however_an_editor_saves(
    tmp_path: Path, edit: Callable[[Path, str], None]
) -> None:
    opened = book(write(tmp_path))
    first = opened.current
    async with watching(opened):
        edit(tmp_path, GOOD)
        await until(lambda: opened.current is not first)
        second = opened.current
        assert second.grant(BILLING).allows("Patient.birthDate")
        edit(tmp_path, TYPO)
        await until(lambda: not opened.status.ok)
        assert opened.current is second
        assert told(opened) == [TYPO_TOLD]
        edit(tmp_path, RULES)
        await until(lambda: opened.status.ok)
        assert opened.current.version == first.version


async def test_a_link_that_is_swapped_as_kubernetes_does_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    write(tmp_path / "one")
    write(tmp_path / "two", rules=GOOD)
    (folder / "..data").symlink_to(tmp_path / "one")
    for name in ("model.conf", "rules.csv", "scopes.toml", "tests.toml"):
        (folder / name).symlink_to(Path("..data") / name)
    opened = book(folder)
    first = opened.current
    async with watching(opened):
        (folder / "..new").symlink_to(tmp_path / "two")
        (folder / "..new").replace(folder / "..data")
        await until(lambda: opened.current is not first)
    assert opened.current.grant(BILLING).allows("Patient.birthDate")


async def test_a_folder_that_is_replaced_or_comes_back_is_noticed(tmp_path: Path) -> None:
    kept = tmp_path / "last-good.zip"
    folder = write(tmp_path / "policies")
    opened = book(folder, kept)
    first = opened.current
    async with watching(opened):
        folder.rename(tmp_path / "away")
        await until(lambda: not opened.status.ok)
        assert opened.current is first
        write(folder, rules=GOOD)
        await until(lambda: opened.status.ok)
        assert opened.current is not first
    (tmp_path / "policies").rename(tmp_path / "away again")
    late = book(folder, kept)
    assert not late.status.ok
    async with watching(late):
        write(folder)
        await until(lambda: late.status.ok)
    assert late.current.version == first.version


async def test_other_files_in_the_folder_do_not_reload_it(tmp_path: Path) -> None:
    opened = book(write(tmp_path))
    loaded = opened.status
    async with watching(opened):
        (tmp_path / "notes.txt").write_text("not a policy")
        by_renaming(tmp_path, RULES)
        await asyncio.to_thread(opened._reload_if_changed)
    assert opened.status is loaded
