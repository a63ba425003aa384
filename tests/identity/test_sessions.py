"""Sessions: what one sign-in is, how many there are at once, and when they are over."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import given
from hypothesis import strategies as st
from jwt.utils import base64url_decode, der_to_raw_signature, raw_to_der_signature

from app.identity.development import DevelopmentIssuer
from app.identity.sessions import CROWDED, IDLE, KEPT, KEPT_ENDED, Sessions
from app.identity.signin import SignIn, sign_in
from app.settings import DEVELOPMENT_ISSUER
from app.store.database import Database, open_database, prepare
from app.store.sessions import SessionStore
from fhir.errors import Unauthenticated
from policies.caller import Caller
from tests.identity.build import claims_of, issuer_of, opened, signed
from tests.oidc.server import OidcServer, SigningKey, base64url

TREE = Path(__file__).parents[2]
# far ahead: the database removes what has vanished by its own clock
NOON = datetime(2126, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
IDLE_LIMIT = 30 * MINUTE
SKEW = MINUTE
LIMIT = 5
AGENT = "https://issuer.example#u1"
OVER = "this session was ended; sign in again"
UNUSED = "this session was not used for too long and has ended; sign in again"
ELSEWHERE = "this session has ended because you signed in elsewhere; sign in again"
# order of a curve of NIST, for signatures that hold as well as the one that was made
P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass
class Clock:
    """A clock that the test sets."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, time: timedelta) -> None:
        self.now += time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def database_of(url: str, name: str) -> AsyncIterator[Database]:
    """The database through a client of its own, as another process has it."""
    database = open_database(url, name, timedelta(seconds=30))
    try:
        yield database
    finally:
        database.client.close()


@pytest.fixture
async def database(database_url: str, database_name: str) -> AsyncIterator[Database]:
    async with database_of(database_url, database_name) as database:
        await prepare(database)
        yield database


def sessions_of(database: Database, clock: Clock, per_user: int = LIMIT) -> Sessions:
    return Sessions(
        SessionStore(database), idle=IDLE_LIMIT, per_user=per_user, clock_skew=SKEW, clock=clock
    )


@pytest.fixture
def sessions(database: Database, clock: Clock) -> Sessions:
    return sessions_of(database, clock)


def signing_in(mark: object, **overrides: Any) -> SignIn:
    """A sign-in of a person, with an hour left."""
    person = SignIn(f"{mark}", AGENT, "Ada", ("nurse",), NOON, NOON + 60 * MINUTE, program=False)
    return replace(person, **overrides)


async def refused(sessions: Sessions, one: SignIn) -> str:
    with pytest.raises(Unauthenticated) as error:
        await sessions.enter(one, None)
    assert error.value.status == 401
    return error.value.message


async def record(database: Database, one: SignIn) -> dict[str, Any]:
    found = await database["sessions"].find_one({"_id": one.id})
    assert found is not None
    return found


async def going_on(database: Database) -> set[str]:
    found = database["sessions"].find({"index.ended": {"$exists": False}}, {"_id": 1})
    return {one["_id"] async for one in found}


def key(claims: dict[str, Any], signed_part: str = "h.p", subject: str = AGENT) -> str:
    caller = Caller(subject, frozenset({"nurse"}))
    return sign_in(caller, {"iat": 0, "exp": 9, "sub": "u1", **claims}, signed_part).id


def test_tokens_of_one_sign_in_have_one_session() -> None:
    assert key({"sid": "s", "jti": "1"}, "a.a") == key({"sid": "s", "jti": "2"}, "b.b")
    assert key({"jti": "1"}, "a.a") == key({"jti": "1"}, "b.b")
    assert key({}, "a.a") == key({}, "a.a")
    assert key({"sid": "", "jti": "1"}) == key({"sid": None, "jti": "1"}) == key({"jti": "1"})
    assert len(key({"sid": "s"})) == 64


def test_other_sign_ins_have_other_sessions() -> None:
    keys = [
        key({"sid": "s"}),
        key({"sid": "t"}),
        key({"jti": "s"}),
        key({"sid": "s", "auth_time": 1}),
        key({"sid": "s", "auth_time": 2}),
        key({"sid": "s"}, subject="https://issuer.example#u2"),
        key({"sid": "s"}, subject="https://other.example#u1"),
        key({}, "s"),
        key({}, "t"),
        key({"client_id": "u1"}),
    ]

    assert len(set(keys)) == len(keys)


@given(
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5)), unique=True)
)
def test_no_two_sign_ins_share_a_key_however_their_names_are_written(
    names: list[tuple[str, str, str]],
) -> None:
    named = {
        (subject, sid, jti if not sid else ""): key({"sid": sid, "jti": jti}, subject=subject)
        for subject, sid, jti in names
    }

    assert len(set(named.values())) == len(named)


async def test_a_signature_written_in_another_way_makes_no_other_session(
    ec_key: SigningKey, oidc: OidcServer
) -> None:
    assert isinstance(ec_key.private, EllipticCurvePrivateKey)
    token = signed(ec_key, claims_of(oidc.issuer))
    part, _, signature = token.rpartition(".")
    curve = ec_key.private.curve
    r, s = decode_dss_signature(raw_to_der_signature(base64url_decode(signature), curve))
    other = base64url(der_to_raw_signature(encode_dss_signature(r, P256 - s), curve))

    async with opened(issuer_of(oidc.issuer)) as identity:
        _, first = await identity.signed_in(f"Bearer {token}")
        _, second = await identity.signed_in(f"Bearer {part}.{other}")

    assert other != signature
    assert first == second


@pytest.mark.parametrize(
    ("claims", "program"),
    [
        ({"client_id": "u1"}, True),
        ({"azp": "u1"}, True),
        ({"azp": "app", "gty": "client-credentials"}, True),
        (
            {
                "azp": "app",
                "client_id": "app",
                "preferred_username": "service-account-app",
                "clientAddress": "10.0.0.1",
            },
            True,
        ),
        ({}, False),
        ({"azp": "app", "client_id": "app", "sid": "s"}, False),
        ({"azp": "app", "preferred_username": "service-account-app"}, False),
        ({"client_id": "app", "preferred_username": "service-account-app"}, False),
        ({"gty": "client-credentials"}, False),
        ({"client_id": True, "azp": ["u1"]}, False),
    ],
)
def test_a_program_is_known_by_what_no_person_can_choose(
    claims: dict[str, Any], program: bool
) -> None:
    caller = Caller(AGENT, frozenset({"nurse"}))

    assert sign_in(caller, {"iat": 0, "exp": 9, "sub": "u1", **claims}, "").program is program


@pytest.mark.parametrize("expires", [10**30, 1e300, 253402300800])
def test_a_token_that_lasts_longer_than_the_calendar_can_be_kept(expires: float) -> None:
    caller = Caller(AGENT, frozenset({"nurse"}))

    found = sign_in(caller, {"iat": -5, "exp": expires, "sub": "u1"}, "")

    assert (found.issued, found.expires) == (
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(9000, 1, 1, tzinfo=UTC),
    )


async def test_what_one_opened_development_issuer_signs_for_one_subject_is_one_session(
    tmp_path: Path,
) -> None:
    first, second = DevelopmentIssuer(tmp_path), DevelopmentIssuer(tmp_path)
    tokens = [
        first.token("nurse", subject="ada"),
        first.token("admin", subject="ada", minutes=5),
        first.token("nurse", subject="eve"),
        second.token("nurse", subject="ada"),
    ]

    async with opened(development_issuer=True, data_dir=tmp_path) as identity:
        found = [(await identity.signed_in(f"Bearer {token}"))[1] for token in tokens]

    assert found[0].id == found[1].id
    assert len({one.id for one in found}) == 3
    assert found[0].agent == f"{DEVELOPMENT_ISSUER}#ada"


async def test_a_session_is_kept_without_anything_of_its_token(
    sessions: Sessions, database: Database
) -> None:
    one = signing_in("a")
    await sessions.enter(one, "10.0.0.1")
    kept = await record(database, one)

    assert {name: kept["resource"][name] for name in kept["resource"].keys() - {"meta"}} == {
        "resourceType": "Session",
        "id": "a",
        "agent": AGENT,
        "name": "Ada",
        "roles": ["nurse"],
        "started": "2126-03-01T12:00:00.000Z",
        "seen": "2126-03-01T12:00:00.000Z",
        "expires": "2126-03-01T13:00:00.000Z",
        "address": "10.0.0.1",
    }
    assert kept["index"] == {
        "_id": ["a"],
        "agent": [AGENT],
        "date": [{"low": NOON, "high": NOON + timedelta(milliseconds=1)}],
    }
    assert kept.keys() - {"_id", "resource", "index", "keys", "version", "lastUpdated"} == {
        "program",
        "pending",
        "issued",
        "void",
        "vanish",
    }
    assert (kept["pending"], kept["program"]) == (False, False)


async def test_seen_is_written_once_a_minute_at_most(
    sessions: Sessions, database: Database, clock: Clock
) -> None:
    one = signing_in("a")
    await sessions.enter(one, "10.0.0.1")
    begun = await record(database, one)
    clock.advance(MINUTE - timedelta(milliseconds=1))
    await sessions.enter(one, "10.0.0.2")

    assert await record(database, one) == begun

    clock.advance(timedelta(milliseconds=1))
    await asyncio.gather(*(sessions.enter(one, "10.0.0.2") for _ in range(20)))
    kept = await record(database, one)

    assert kept["version"] == begun["version"] + 1
    assert (kept["resource"]["seen"], kept["resource"]["address"]) == (
        "2126-03-01T12:01:00.000Z",
        "10.0.0.2",
    )


async def test_an_unused_session_is_over_for_good(
    sessions: Sessions, database: Database, clock: Clock
) -> None:
    one, other = signing_in("a"), signing_in("b")
    await sessions.enter(one, None)
    await sessions.enter(other, None)
    clock.advance(IDLE_LIMIT)
    await sessions.enter(other, None)
    clock.advance(timedelta(milliseconds=1))

    assert await refused(sessions, one) == UNUSED
    assert (await record(database, one))["resource"]["ended"] == {
        "at": "2126-03-01T12:30:00.001Z",
        "why": IDLE,
    }

    clock.now = NOON
    assert await refused(sessions, one) == UNUSED
    renewed = replace(one, issued=NOON + MINUTE, expires=NOON + 90 * MINUTE)
    assert await refused(sessions, renewed) == UNUSED
    await sessions.enter(other, None)
    await sessions.enter(signing_in("c"), None)


async def test_use_keeps_a_session_going(sessions: Sessions, clock: Clock) -> None:
    one = signing_in("a", expires=NOON + 600 * MINUTE)
    for _ in range(20):
        await sessions.enter(one, None)
        clock.advance(IDLE_LIMIT)

    await sessions.enter(one, None)


async def test_one_sign_in_too_many_ends_the_session_seen_least_recently(
    sessions: Sessions, database: Database, clock: Clock
) -> None:
    five = [signing_in(number) for number in range(LIMIT)]
    for one in five:
        await sessions.enter(one, None)
        clock.advance(MINUTE)
    await sessions.enter(five[0], None)
    stranger = signing_in("stranger", agent="https://issuer.example#u2")
    await sessions.enter(stranger, None)
    clock.advance(MINUTE)
    await sessions.enter(signing_in("sixth"), None)

    assert await refused(sessions, five[1]) == ELSEWHERE
    assert (await record(database, five[1]))["resource"]["ended"] == {
        "at": "2126-03-01T12:06:00.000Z",
        "by": AGENT,
        "why": CROWDED,
    }
    for one in (five[0], *five[2:], signing_in("sixth"), stranger):
        await sessions.enter(one, None)


async def test_sessions_that_lie_idle_or_have_no_token_left_take_no_room(
    sessions: Sessions, database: Database, clock: Clock
) -> None:
    short = [signing_in(f"short {n}", expires=NOON + 5 * MINUTE) for n in range(LIMIT - 1)]
    long = signing_in("long")
    for one in (long, *short):
        await sessions.enter(one, None)
    clock.advance(5 * MINUTE + SKEW + 3 * MINUTE)
    await sessions.enter(signing_in("another"), None)

    assert len(await going_on(database)) == LIMIT + 1
    await sessions.enter(long, None)


async def test_a_session_that_gets_a_new_token_late_has_to_find_room_again(
    database: Database, clock: Clock
) -> None:
    alone = sessions_of(database, clock, per_user=1)
    one, other = signing_in("a", expires=NOON + 5 * MINUTE), signing_in("b")
    await alone.enter(one, None)
    clock.advance(20 * MINUTE)
    await alone.enter(other, None)
    await alone.enter(replace(one, issued=clock(), expires=clock() + 5 * MINUTE), None)

    assert await refused(alone, other) == ELSEWHERE
    assert await going_on(database) == {"a"}


async def test_a_program_has_one_session_that_neither_lies_idle_nor_takes_room(
    sessions: Sessions, database: Database, clock: Clock
) -> None:
    program = signing_in("program", program=True, expires=NOON + 600 * MINUTE)
    await sessions.enter(program, None)
    for number in range(LIMIT):
        await sessions.enter(signing_in(number), None)
    clock.advance(100 * MINUTE)
    await sessions.enter(program, None)

    assert len(await going_on(database)) == LIMIT + 1


async def test_a_program_that_was_ended_begins_anew_with_a_token_issued_since(
    sessions: Sessions, database: Database, clock: Clock
) -> None:
    old = signing_in("program", program=True)
    late = replace(old, issued=NOON + 30 * timedelta(seconds=1), expires=NOON + 61 * MINUTE)
    await sessions.enter(old, None)
    await sessions.enter(late, None)  # of an issuer whose clock is ahead
    await sessions.end("program", "https://issuer.example#admin", "forced")

    assert await refused(sessions, old) == OVER
    assert await refused(sessions, late) == OVER
    clock.advance(MINUTE)
    fresh = replace(old, issued=NOON + MINUTE, expires=NOON + 62 * MINUTE)
    await sessions.enter(fresh, None)
    assert await refused(sessions, old) == OVER
    assert await refused(sessions, late) == OVER
    await sessions.enter(fresh, None)
    kept = await record(database, old)
    assert kept["resource"]["started"] == "2126-03-01T12:01:00.000Z"
    assert "ended" not in kept["resource"]
    assert "ended" not in kept["index"]


async def test_ending_a_session_twice_keeps_its_first_end(
    sessions: Sessions, database: Database, clock: Clock
) -> None:
    one = signing_in("a")
    await sessions.enter(one, None)
    first = {"at": "2126-03-01T12:00:00.000Z", "by": "x#admin", "why": "forced"}

    assert await sessions.end("a", "x#admin", "forced") == first
    clock.advance(MINUTE)
    assert await sessions.end("a", "x#other", "signed out") == first
    assert (await record(database, one))["resource"]["ended"] == first
    assert await sessions.end("never there", "x#admin", "forced") is None
    assert await database["sessions"].count_documents({}) == 1


async def test_an_end_holds_at_once_for_every_other_client(
    database_url: str, database_name: str, database: Database, clock: Clock
) -> None:
    here = sessions_of(database, clock)
    async with database_of(database_url, database_name) as other:
        there = sessions_of(other, clock)
        for number in range(20):
            one = signing_in(number, agent=f"x#{number}")
            await there.enter(one, None)
            busy = [asyncio.create_task(_use(there, one)) for _ in range(3)]
            await here.end(one.id, "x#admin", "forced")

            assert await refused(there, one) == OVER
            ends = await asyncio.gather(*busy, return_exceptions=True)
            assert [str(end) for end in ends] == [OVER] * 3


async def _use(sessions: Sessions, one: SignIn) -> None:
    while True:
        await sessions.enter(one, None)


async def test_an_end_is_not_undone_by_what_else_happens_to_the_session(
    sessions: Sessions, database: Database, clock: Clock
) -> None:
    for number in range(20):
        one = signing_in(number, agent=f"x#{number}")
        await sessions.enter(one, None)
        clock.advance(MINUTE)
        tokens = [replace(one, expires=one.expires + n * MINUTE) for n in range(4)]
        await asyncio.gather(
            sessions.end(one.id, "x#admin", "forced"),
            *(sessions.enter(token, None) for token in tokens),
            return_exceptions=True,
        )

        assert await refused(sessions, one) == OVER
        assert (await record(database, one))["resource"]["ended"]["by"] == "x#admin"


@pytest.mark.parametrize("attempt", range(5))
async def test_many_sign_ins_at_once_through_several_clients_leave_no_more_than_the_limit(
    database_url: str, database_name: str, database: Database, clock: Clock, attempt: int
) -> None:
    async with AsyncExitStack() as stack:
        clients = [
            sessions_of(
                await stack.enter_async_context(database_of(database_url, database_name)), clock
            )
            for _ in range(4)
        ]
        people = [signing_in(f"{attempt}-{number}") for number in range(20)]
        await asyncio.gather(
            *(clients[number % 4].enter(one, None) for number, one in enumerate(people)),
            return_exceptions=True,
        )
        left = await going_on(database)
        answers = [
            answer
            for client in clients
            for answer in await asyncio.gather(
                *(client.enter(one, None) for one in people), return_exceptions=True
            )
        ]

    assert 1 <= len(left) <= LIMIT
    assert sum(answer is None for answer in answers) == 4 * len(left)
    assert await going_on(database) == left


RACER = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from app.identity.sessions import Sessions
from app.identity.signin import SignIn
from app.store.database import open_database
from app.store.sessions import SessionStore
from fhir.errors import Unauthenticated

url, name, own, rounds = *sys.argv[1:4], int(sys.argv[4])
minute = timedelta(minutes=1)

async def main():
    database = open_database(url, name, minute)
    sessions = Sessions(SessionStore(database), idle=30 * minute, per_user=2, clock_skew=minute)
    now = datetime.now(UTC).replace(microsecond=0)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(rounds):
        agent = f"x#{number}"
        await asyncio.gather(*(
            sessions.enter(
                SignIn(f"{agent} {own} {n}", agent, None, (), now, now + 60 * minute, False), None
            )
            for n in range(3)
        ), return_exceptions=True)
    database.client.close()

asyncio.run(main())
"""
RACERS, ROUNDS = 3, 20


async def test_processes_that_sign_people_in_together_keep_to_the_limit(
    database_url: str, database_name: str, database: Database
) -> None:
    racers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", RACER, database_url, database_name, own, str(ROUNDS)),
            cwd=TREE,
            stdin=PIPE,
            stdout=PIPE,
        )
        for own in "abc"[:RACERS]
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert await racer.stdout.readline() == b"ready\n"
    await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))

    assert [racer.returncode for racer in racers] == [0] * RACERS
    assert await database["sessions"].count_documents({}) == RACERS * 3 * ROUNDS
    for number in range(ROUNDS):
        query = {"index.agent": f"x#{number}", "index.ended": {"$exists": False}}
        assert 1 <= await database["sessions"].count_documents(query) <= 2


async def test_a_process_that_dies_before_it_made_room_leaves_that_to_the_next_request(
    sessions: Sessions, database: Database
) -> None:
    people = [signing_in(number) for number in range(LIMIT + 1)]
    for one in people:
        await sessions.enter(one, None)
    last = people[-1]
    whole = {"$set": {"pending": True}, "$inc": {"version": 1}}
    await database["sessions"].update_one({"_id": last.id}, whole)
    await database["sessions"].update_many(
        {"index.ended": {"$exists": True}}, {"$unset": {"resource.ended": "", "index.ended": ""}}
    )

    assert len(await going_on(database)) == LIMIT + 1
    await sessions.enter(last, None)
    assert len(await going_on(database)) == LIMIT


async def test_an_ended_session_does_not_rise_again_while_a_token_of_it_holds(
    sessions: Sessions, database: Database, clock: Clock
) -> None:
    one = signing_in("a")
    longer = replace(one, issued=NOON + MINUTE, expires=NOON + timedelta(days=200))
    await sessions.enter(one, None)
    await sessions.end("a", "x#admin", "forced")
    assert (await record(database, one))["vanish"] == one.expires + SKEW + KEPT_ENDED

    assert await refused(sessions, longer) == OVER
    assert (await record(database, one))["vanish"] == longer.expires + SKEW + KEPT_ENDED

    clock.now = longer.expires + SKEW
    gone = await database["sessions"].delete_many({"vanish": {"$lte": clock.now}})
    assert gone.deleted_count == 0
    assert await refused(sessions, longer) == OVER


async def test_a_session_that_goes_on_is_kept_longer_than_its_last_token(
    sessions: Sessions, database: Database
) -> None:
    one = signing_in("a")
    await sessions.enter(one, None)
    assert (await record(database, one))["vanish"] == one.expires + SKEW + KEPT

    longer = replace(one, expires=NOON + 120 * MINUTE)
    await sessions.enter(longer, None)
    await sessions.enter(one, None)
    assert (await record(database, one))["vanish"] == longer.expires + SKEW + KEPT


async def test_the_database_removes_records_when_they_vanish_and_not_before(
    sessions: Sessions, database: Database
) -> None:
    await sessions.enter(signing_in("a"), None)
    removing = [
        (index["key"], index["expireAfterSeconds"])
        for index in (await database["sessions"].index_information()).values()
        if "expireAfterSeconds" in index
    ]

    assert removing == [([("vanish", 1)], 0)]
    # nothing that is no date is ever removed so
    assert await database["sessions"].count_documents({"vanish": {"$type": "date"}}) == 1


async def test_being_told_of_something_keeps_no_session_awake(
    sessions: Sessions, clock: Clock
) -> None:
    entering = signing_in("listens")
    await sessions.enter(entering, None)
    clock.advance(IDLE_LIMIT)
    await sessions.remain(entering)
    clock.advance(MINUTE)
    with pytest.raises(Unauthenticated, match=UNUSED):
        await sessions.remain(entering)
    with pytest.raises(Unauthenticated, match=UNUSED):
        await sessions.enter(entering, None)


async def test_nobody_remains_in_a_session_that_was_ended_or_never_began(
    sessions: Sessions,
) -> None:
    entering = signing_in("leaves")
    with pytest.raises(Unauthenticated, match=OVER):
        await sessions.remain(entering)
    await sessions.enter(entering, None)
    await sessions.remain(entering)
    await sessions.end(entering.id, AGENT, "forced")
    with pytest.raises(Unauthenticated, match=OVER):
        await sessions.remain(entering)
