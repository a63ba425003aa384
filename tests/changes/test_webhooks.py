"""Webhooks: told in order, signed, again where nobody listened, and by the policy in force."""

import asyncio
import time
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from app.archive import Archive
from app.imaging.deletion import delete_study
from app.live.delivering import Patience, Webhooks
from app.live.duty import Duty
from app.live.signature import headers, secret_of
from app.live.webhooks import Hook
from app.store.duties import Duties
from app.store.hook_places import HookPlaces
from policies.book import Book
from policies.caller import Caller
from tests.build import study, uid
from tests.cache.served import served
from tests.changes.receiver import SECRET, Receiver, assert_signed, receiver
from tests.changes.told import store, until
from tests.changes.world import RULES, policy
from tests.command import Installation
from tests.policy import ADMINISTERING

SOON = Patience(timedelta(milliseconds=1), timedelta(milliseconds=5))


@pytest.fixture
def under(tmp_path: Path) -> Book:
    return policy(tmp_path)


def hook(somebody: Receiver, *events: str, role: str = "radiologist", name: str = "") -> Hook:
    """Say who is told; under a name of its own it begins with what happens from now on."""
    wanted = frozenset((one.partition(".")[0], one.partition(".")[2]) for one in events)
    return Hook(
        name or f"hook-{uuid4().hex}",
        somebody.url,
        Caller("urn:radiograph:webhook#tests", frozenset({role}), "webhook tests"),
        wanted or frozenset({("ImagingStudy", "created"), ("ImagingStudy", "deleted")}),
        SECRET,
    )


@asynccontextmanager
async def delivering(
    archive: Archive, under: Book, *hooks: Hook, patience: Patience = SOON
) -> AsyncIterator[HookPlaces]:
    """Tell, and begin once each hook has its place in the sequence."""
    places = HookPlaces(archive.database)
    begin = replace(archive, book=under).begin
    webhooks = Webhooks(hooks, archive.changes, places, begin, archive.audit, patience)
    async with webhooks.delivering(Duty(Duties(archive.database), "webhooks")):
        for one in hooks:
            async with asyncio.timeout(20):
                while not await archive.database["webhooks"].find_one({"_id": one.name}):
                    pass
        yield places


async def place(archive: Archive, one: Hook) -> dict[str, object]:
    found = await archive.database["webhooks"].find_one({"_id": one.name})
    assert found is not None
    return found


async def take_in(archive: Archive, *words: object) -> str:
    """Take a study in, and wait until it is in the sequence."""
    identifier = uid("webhooks", *words)
    after = await archive.changes.newest()
    await store(archive, *study(StudyInstanceUID=identifier))
    await until(archive.changes, after, ("created", identifier))
    return identifier


async def test_a_change_is_told_with_its_id_and_no_more_and_signed(
    archive: Archive, under: Book
) -> None:
    async with receiver() as somebody:
        one = hook(somebody)
        async with delivering(archive, under, one):
            identifier = await take_in(archive, "signed")
            [told] = await somebody.hears(identifier)
        [attempt] = somebody.attempts
        assert told.keys() == {"sequence", "at", "kind", "resource", "id"}
        assert (told["kind"], told["resource"]) == ("created", "ImagingStudy")
        assert attempt.headers["content-type"] == "application/json"
        assert attempt.headers["webhook-id"] == f"{one.name}_{told['sequence']}"
        assert abs(int(attempt.headers["webhook-timestamp"]) - time.time()) < 60
        assert_signed(attempt)
        assert (await place(archive, one))["skipped"] == 0


def test_the_signature_is_that_of_the_published_example() -> None:
    signed = headers(
        # `secret_of` would find it too short
        b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("text", ["", "x" * 31, "whsec_", "whsec_" + "A" * 40, "whsec_!"])
def test_a_secret_that_is_short_or_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"bytes or more|not base64") as refused:
        secret_of(text)
    assert not text or text not in str(refused.value)


async def test_who_fails_to_listen_is_told_again_under_the_same_id_and_the_next_one_waits(
    archive: Archive, under: Book
) -> None:
    async with receiver(500, 302, 404, 503) as somebody:
        async with delivering(archive, under, hook(somebody)):
            first = await take_in(archive, "again", 1)
            second = await take_in(archive, "again", 2)
            told = await somebody.hears(second)
        assert [one["id"] for one in told] == [first, second]
        assert [one.said["id"] for one in somebody.attempts] == [first] * 5 + [second]
        assert len({one.headers["webhook-id"] for one in somebody.attempts[:5]}) == 1
        # where a redirect leads is not asked
        assert {one.path for one in somebody.attempts} == {"/changes"}
        for one in somebody.attempts:
            assert_signed(one)


async def test_what_nobody_listens_to_for_long_enough_is_left_out_and_counted(
    archive: Archive, under: Book
) -> None:
    patience = replace(SOON, whole=timedelta(milliseconds=20))
    async with receiver(otherwise=500) as somebody:
        one = hook(somebody)
        async with delivering(archive, under, one, patience=patience):
            left_out = await take_in(archive, "left out")
            async with asyncio.timeout(20):
                while (await place(archive, one))["skipped"] != 1:
                    pass
            somebody.otherwise = 204
            last = await take_in(archive, "listened to")
            told = await somebody.hears(last)
        assert [one["id"] for one in told] == [last]
        assert {one.said["id"] for one in somebody.attempts} == {left_out, last}
        assert "failing" not in await place(archive, one)


async def test_only_what_is_asked_for_is_told(archive: Archive, under: Book) -> None:
    async with receiver() as deletions, receiver() as all_of_it:
        hooks = hook(deletions, "ImagingStudy.deleted"), hook(all_of_it, "*.*", role="admin")
        async with delivering(archive, under, *hooks):
            identifier = await take_in(archive, "deleted")
            assert await delete_study(archive.ledger, archive.objects, identifier)
            assert [one["kind"] for one in await deletions.hears(identifier, "deleted")] == [
                "deleted"
            ]
            kinds = [one["kind"] for one in await all_of_it.hears(identifier, "deleted")]
        # what was created may be gone before it could be told
        assert kinds[-1] == "deleted"


async def test_a_hook_goes_on_where_it_was_after_a_restart_and_a_new_one_begins_now(
    archive: Archive, under: Book
) -> None:
    async with receiver(otherwise=500) as somebody, receiver() as new:
        one = hook(somebody)
        async with delivering(archive, under, one):
            first = await take_in(archive, "restart", 1)
            await somebody.tried(2)
        second = await take_in(archive, "restart", 2)
        somebody.otherwise = 204
        async with delivering(archive, under, one, hook(new)):
            told = await somebody.hears(second)
            third = await take_in(archive, "restart", 3)
            assert [said["id"] for said in await somebody.hears(third)] == [first, second, third]
            assert [said["id"] for said in await new.hears(third)] == [third]
        assert [said["id"] for said in told[:2]] == [first, second]


async def test_what_a_role_may_not_know_any_more_is_not_told_not_even_again(
    archive: Archive, under: Book, tmp_path: Path
) -> None:
    async with receiver(otherwise=500) as somebody, receiver() as other:
        cut, kept = hook(somebody), hook(other, role="admin")
        async with delivering(archive, under, cut, kept):
            first = await take_in(archive, "revoked", 1)
            await somebody.tried(2)
            lines = [one.strip() for one in RULES.strip().splitlines() if "radiologist" not in one]
            (tmp_path / "rules.csv").write_text("\n".join([*lines, ADMINISTERING]) + "\n")
            await asyncio.to_thread(under.reload)
            second = await take_in(archive, "revoked", 2)
            assert [one["id"] for one in await other.hears(second)] == [first, second]
            async with asyncio.timeout(20):
                while (await place(archive, cut))["sequence"] != await archive.changes.newest():
                    pass
        assert {one.said["id"] for one in somebody.attempts} == {first}
        assert somebody.told == []
        assert (await place(archive, cut))["skipped"] == 0


async def test_a_hook_is_told_what_its_roles_could_see_and_of_others_nothing(
    archive: Archive, under: Book
) -> None:
    async with receiver() as nobody, receiver() as somebody:
        # a patient whom no token says, and roles whose only view needs a project
        blind = hook(nobody, role="patient"), hook(nobody, role="researcher")
        async with delivering(archive, under, *blind, hook(somebody)):
            identifier = await take_in(archive, "nobody")
            await somebody.hears(identifier)
            newest = await archive.changes.newest()
            for one in blind:
                async with asyncio.timeout(20):
                    while (await place(archive, one))["sequence"] != newest:
                        pass
        assert nobody.attempts == []


async def test_what_a_hook_is_told_is_in_the_audit(archive: Archive, under: Book) -> None:
    async with receiver() as somebody:
        one = hook(somebody)
        async with delivering(archive, under, one):
            identifier = await take_in(archive, "audited")
            [told] = await somebody.hears(identifier)
        found = await archive.database["audit_events"].find_one(
            {"requestId": f"{one.name}_{told['sequence']}"}
        )
        assert found is not None
        assert found["door"] == "webhook"
        assert found["who"] == "urn:radiograph:webhook#tests"
        assert (found["action"], found["outcome"]) == ("search", "allowed")
        assert found["ids"] == [identifier]


async def test_of_two_processes_one_tells(archive: Archive, under: Book) -> None:
    async with receiver() as somebody:
        one = hook(somebody)
        async with delivering(archive, under, one), delivering(archive, under, one):
            studies = [await take_in(archive, "two", number) for number in range(5)]
            await somebody.hears(studies[-1])
        assert [said.said["id"] for said in somebody.attempts] == studies


async def test_whose_changes_are_not_known_any_more_is_told_the_next_ones(
    archive: Archive, under: Book
) -> None:
    async with receiver() as somebody:
        one = hook(somebody)
        async with delivering(archive, under, one):
            pass
        # as if it had been put back from a copy of a later time
        await archive.database["webhooks"].update_one(
            {"_id": one.name}, {"$set": {"sequence": 10**6}}
        )
        async with delivering(archive, under, one):
            async with asyncio.timeout(20):
                while (await place(archive, one))["skipped"] != 1:
                    pass
            identifier = await take_in(archive, "known again")
            assert [said["id"] for said in await somebody.hears(identifier)] == [identifier]


async def test_whoever_tells_is_killed_and_another_process_goes_on(
    home: Installation, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "secret").chmod(0o600)
    async with receiver() as somebody:
        hooks = tmp_path / "webhooks.toml"
        hooks.write_text(
            f"""
            [[hook]]
            name = "killed"
            url = "{somebody.url}"
            roles = ["radiologist"]
            events = ["ImagingStudy.created"]
            secret_file = "secret"
            """
        )
        studies = [uid("webhooks", "killed", number) for number in range(20)]
        async with AsyncExitStack() as stack:
            archive = await stack.enter_async_context(home.opened())
            first = await stack.enter_async_context(served(home, webhooks=str(hooks)))
            async with asyncio.timeout(20):
                while not await archive.database["webhooks"].find_one({"_id": "killed"}):
                    pass
            await stack.enter_async_context(served(home, webhooks=str(hooks)))
            for number, one in enumerate(studies):
                await store(archive, *study(StudyInstanceUID=one))
                if number == 10:
                    await somebody.hears(studies[3])
                    first.process.kill()
            told = await somebody.hears(studies[-1])
        for attempt in somebody.attempts:
            assert_signed(attempt)
        # in order, and each at least once
        assert list(dict.fromkeys(one["id"] for one in told)) == studies
        assert len(told) <= len(studies) + 1


async def test_a_server_does_not_start_with_hooks_that_cannot_be_told(
    home: Installation, tmp_path: Path
) -> None:
    hooks = tmp_path / "webhooks.toml"
    hooks.write_text('[[hook]]\nname = "x"\n')
    broken = replace(home, settings={**home.settings, "webhooks": str(hooks)})
    ran = await broken.run("serve", "--port", "1")
    assert ran.code != 0
    assert "setting RADIOGRAPH_WEBHOOKS: webhooks.toml:1: url: Field required" in ran.err
    assert "Traceback" not in ran.err
