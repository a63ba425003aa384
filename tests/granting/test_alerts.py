"""Somebody is told of every opening, sooner or later, and nobody waits for it."""

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from app.alerts import Alerts
from app.archive import Archive
from app.settings import Settings
from app.store.notices import Notice, Notices
from tests.granting.receiver import receiver
from tests.granting.world import REASON, RULES, SCOPES, World
from tests.policy import book, doors

SOON = timedelta(milliseconds=1)


def alerts(archive: Archive, url: str | None) -> Alerts:
    return Alerts(Notices(archive.database), url, first_pause=SOON)


async def unnotified(archive: Archive) -> int:
    return await archive.database["access_grants"].count_documents(
        {"notified": {"$exists": False}, "resource.resourceType": "BreakGlass"}
    )


async def opened(world: World, archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> str:
    policy = book(tmp_path_factory.mktemp("policy"), RULES, SCOPES)
    async with doors(archive, policy) as client:
        there = replace(world, client=client, archive=archive)
        text = f"""mutation {{breakGlass(patient: "{world.patients["P1"]}", minutes: 5,
                   reason: "{REASON}") {{record {{id period {{start}}}}}}}}"""
        reply = await there.ask(text, "provider")
        return str(reply.data["breakGlass"]["record"]["id"])


async def settled(archive: Archive) -> None:
    """Wait until nobody is left to be told of."""
    while await unnotified(archive):
        pass


async def test_an_opening_is_delivered_with_its_id_and_time_alone(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with receiver() as somebody:
        telling = alerts(world.archive, somebody.url)
        async with telling.delivering():
            archive = replace(world.archive, alerts=telling)
            identifier = await opened(world, archive, tmp_path_factory)
            [told] = await somebody.hears(1)
            await settled(archive)
        stored = await world.archive.database["access_grants"].find_one({"_id": identifier})
        assert stored is not None
        start = stored["resource"]["period"]["start"]
        assert told == {"kind": "break-glass", "id": identifier, "at": start}
        assert "notifying" not in stored
        assert somebody.tried == 1


async def test_who_fails_to_listen_is_told_again_and_nobody_waits(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with receiver(500, 302, 404) as somebody:
        telling = alerts(world.archive, somebody.url)
        archive = replace(world.archive, alerts=telling)
        async with telling.delivering():
            identifier = await opened(world, archive, tmp_path_factory)
            [told] = await somebody.hears(1)
            await settled(archive)
        assert told["id"] == identifier
        assert somebody.tried == 4


async def test_what_was_not_delivered_is_delivered_after_a_restart_once(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with socket.socket() as nobody:  # who holds a port, and does not listen
        nobody.bind(("127.0.0.1", 0))
        telling = alerts(world.archive, f"http://127.0.0.1:{nobody.getsockname()[1]}/alerts")
        async with telling.delivering():
            archive = replace(world.archive, alerts=telling)
            opened_first = await opened(world, archive, tmp_path_factory)
    second = await opened(world, replace(archive, alerts=alerts(archive, None)), tmp_path_factory)
    assert await unnotified(archive) == 2
    async with receiver() as somebody:
        for _ in range(2):
            async with alerts(archive, somebody.url).delivering():
                await somebody.hears(2)
                await settled(archive)
        assert [one["id"] for one in somebody.told] == [opened_first, second]
        assert somebody.tried == 2


async def test_other_links_are_nobodys_business_and_ending_one_is_not_told_again(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await world.link("CareTeam", "a", **world.of("P1"))
    async with receiver() as somebody:
        telling = alerts(world.archive, somebody.url)
        async with telling.delivering():
            archive = replace(world.archive, alerts=telling)
            identifier = await opened(world, archive, tmp_path_factory)
            await somebody.hears(1)
            await settled(archive)
        await world.ask(
            f'mutation {{endBreakGlass(id: "{identifier}") {{record {{id}}}}}}', "provider"
        )
        assert await Notices(archive.database).take(datetime.now(UTC), timedelta(0)) is None
        assert somebody.tried == 1


async def test_of_two_processes_one_takes_an_opening_until_its_patience_is_over(
    world: World,
) -> None:
    identifier = await world.link("BreakGlass", "a", **world.of("P1"))
    first, second = Notices(world.archive.database), Notices(world.archive.database)
    now, minute = datetime.now(UTC), timedelta(minutes=1)
    taken = await first.take(now, minute)
    assert taken is not None
    assert taken.id == identifier
    assert await second.take(now + timedelta(seconds=59), minute) is None
    assert await second.take(now + timedelta(seconds=61), minute) == taken
    await second.returned(taken)
    assert await first.take(now + timedelta(seconds=62), minute) == Notice(taken.id, taken.at)
    await first.delivered(taken, now)
    assert await second.take(now + timedelta(days=1), minute) is None


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://localhost/x", "alerts", ""])
def test_alerts_go_where_nobody_reads_them_on_the_way(url: str) -> None:
    with pytest.raises(ValidationError, match="neither https nor http on loopback"):
        Settings.model_validate({"alert_url": url})


def test_alerts_go_to_a_secure_address_or_to_this_machine() -> None:
    for url in ("https://example.org/x", "http://127.0.0.1:9/x", "http://[::1]:9/x"):
        assert Settings.model_validate({"alert_url": url}).alert_url == url


@pytest.mark.parametrize("minutes", [4, 241])
def test_emergency_access_lasts_five_minutes_to_four_hours(minutes: int) -> None:
    with pytest.raises(ValidationError, match="equal to"):
        Settings.model_validate({"break_glass_minutes": minutes})
