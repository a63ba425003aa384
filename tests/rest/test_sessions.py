"""Sessions at the doors: listed, ended, crowded out and idle; and what a caller may do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from httpx import AsyncClient, Response

from app.archive import Archive
from app.doors import DOORS
from app.identity.development import KEY_FILE, DevelopmentIssuer
from app.identity.sessions import Sessions
from app.main import create_app
from app.settings import DEVELOPMENT_ISSUER
from app.store.database import open_database
from app.store.sessions import SessionStore
from fhir.elements import COORDINATES
from policies.book import Book
from tests.command import Installation
from tests.policy import book
from tests.servers import free_ports

SESSIONS = "/postdicom/sessions"
PERMISSIONS = "/postdicom/permissions"
OVER = "this session was ended; sign in again"
MINUTE = timedelta(minutes=1)
RULES = """
    p, nurse, Session.*, read, own, allow
    p, nurse, Session.id, delete, own, allow
    p, nurse, ImagingStudy.*, read, any, allow
    p, admin, Session.*, read, any, allow
    p, admin, Session.id, delete, any, allow
    p, auditor, Session.*, read, any, allow
    p, auditor, Session.id, delete, own, allow
    p, billing, Session.id, read, own, allow
    p, billing, Session.agent, read, own, allow
    p, billing, Session.ended, read, own, allow
    p, billing, Session.started, read, own, allow
"""
SCOPES = """
[own]
description = "The caller's own sessions"
Session = "agent={subject}"
"""
PROBES = {
    "graphql": ("POST", "/graphql"),
    "fhir": ("GET", "/fhir/ImagingStudy"),
    "fhir-graphql": ("POST", "/fhir/$graphql"),
    "dicomweb": ("GET", "/dicomweb/studies?StudyInstanceUID=2.25.7"),
    "rest": ("GET", PERMISSIONS),
}

Headers = dict[str, str]


@dataclass
class Clock:
    """A clock that the test sets; it begins with the right time."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
def policy(tmp_path: Path) -> Book:
    return book(tmp_path / "policy", RULES, SCOPES)


@pytest.fixture
def own(archive: Archive, policy: Book, clock: Clock) -> Archive:
    """The archive under the policy above, with a clock of its own and no session yet."""
    return replace(archive, book=policy, sessions=sessions_of(archive, clock))


def sessions_of(archive: Archive, clock: Clock) -> Sessions:
    settings = archive.settings
    return Sessions(
        SessionStore(archive.database),
        idle=settings.session_idle,
        per_user=settings.sessions_per_user,
        clock_skew=settings.clock_skew,
        clock=clock,
    )


@asynccontextmanager
async def calling(archive: Archive) -> AsyncIterator[AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(archive.settings, archive))
    async with AsyncClient(transport=transport, base_url=archive.settings.base_url) as http:
        yield http


@pytest.fixture
async def http(own: Archive) -> AsyncIterator[AsyncClient]:
    async with calling(own) as client:
        yield client


@pytest.fixture
def sign_in(archive: Archive) -> Callable[[str, str], Headers]:
    """Headers of a new sign-in each time."""

    def headers(role: str, subject: str) -> Headers:
        issuer = DevelopmentIssuer(archive.settings.data_dir)
        return {
            "Authorization": f"Bearer {issuer.token(role, subject=subject, minutes=600)}",
            "X-Request-Id": uuid4().hex,
        }

    return headers


SigningIn = Callable[[str, str], Headers]


def agent(subject: str) -> str:
    return f"{DEVELOPMENT_ISSUER}#{subject}"


async def listed(http: AsyncClient, headers: Headers, **query: Any) -> list[dict[str, Any]]:
    answer = await http.get(SESSIONS, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def refused(answer: Response, message: str = OVER) -> bool:
    body = answer.json()
    assert "data" not in body
    return (answer.status_code, body["error"]["code"], body["error"]["message"]) == (
        401,
        "INVALID_CREDENTIALS",
        message,
    )


async def stored(archive: Archive) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await archive.database["sessions"].find({}).to_list(None)
    return found


async def test_everybody_lists_their_own_sessions_and_sees_which_one_this_is(
    http: AsyncClient, sign_in: SigningIn
) -> None:
    me = uuid4().hex
    first, second, other = sign_in("nurse", me), sign_in("nurse", me), sign_in("nurse", "other")
    for headers in (first, other, second):
        await http.get(PERMISSIONS, headers=headers)
    answer = await http.get(SESSIONS, headers=first)
    one, two = sorted(answer.json()["data"], key=lambda session: not session["current"])

    assert answer.json()["metadata"] == {
        "totalCount": 2,
        "pageSize": 20,
        "currentPage": 1,
        "hasMore": False,
        "refused": {},
    }
    assert (one["current"], two["current"]) == (True, False)
    assert one["id"] != two["id"]
    assert {name: one[name] for name in ("userId", "userName", "roles", "address", "ended")} == {
        "userId": agent(me),
        "userName": me,
        "roles": ["nurse"],
        "address": "127.0.0.1",
        "ended": None,
    }
    assert one["started"] == one["lastSeen"] < one["expires"]
    assert await listed(http, first, userId=agent("other")) == []
    assert len(await listed(http, first, limit=1, offset=1)) == 1


async def test_an_admin_lists_and_ends_the_sessions_of_everybody(
    http: AsyncClient, own: Archive, sign_in: SigningIn
) -> None:
    subject = uuid4().hex
    nurse, admin = sign_in("nurse", subject), sign_in("admin", uuid4().hex)
    await http.get(PERMISSIONS, headers=nurse)
    [session] = await listed(http, admin, userId=agent(subject))
    answer = await http.delete(f"{SESSIONS}/{session['id']}", headers=admin)
    ended = answer.json()["data"]

    assert answer.status_code == 200
    assert (ended["why"], ended["by"].startswith(DEVELOPMENT_ISSUER)) == ("forced", True)
    assert refused(await http.get(PERMISSIONS, headers=nurse))
    assert await listed(http, admin, userId=agent(subject)) == []
    [after] = await listed(http, admin, userId=agent(subject), ended=True)
    assert (after["id"], after["ended"]) == (session["id"], ended)
    [written] = (
        await own.database["audit_events"]
        .find({"requestId": admin["X-Request-Id"], "action": "delete"})
        .to_list(9)
    )
    assert (written["resource"], written["outcome"], written["ids"], written["door"]) == (
        "Session",
        "allowed",
        [session["id"]],
        "rest",
    )
    again = await http.delete(f"{SESSIONS}/{session['id']}", headers=admin)
    assert (again.status_code, again.json()["data"]) == (200, ended)


async def test_whoever_signs_out_is_refused_from_the_next_request_on(
    http: AsyncClient, own: Archive, sign_in: SigningIn
) -> None:
    me = uuid4().hex
    first, second = sign_in("nurse", me), sign_in("nurse", me)
    await http.get(PERMISSIONS, headers=second)
    [current] = [one for one in await listed(http, first) if one["current"]]
    answer = await http.delete(f"{SESSIONS}/{current['id']}", headers=first)

    assert answer.json()["data"] | {"at": ""} == {"at": "", "by": agent(me), "why": "signed out"}
    assert refused(await http.get(PERMISSIONS, headers=first))
    assert [one["current"] for one in await listed(http, second)] == [True]
    [login] = (
        await own.database["audit_events"]
        .find({"requestId": first["X-Request-Id"], "action": "login"})
        .to_list(9)
    )
    assert (login["outcome"], login["who"]) == ("refused", agent(me))


async def test_all_sessions_of_somebody_are_ended_together(
    http: AsyncClient, sign_in: SigningIn
) -> None:
    subject = uuid4().hex
    theirs = [sign_in("nurse", subject) for _ in range(3)]
    other, admin = sign_in("nurse", uuid4().hex), sign_in("admin", uuid4().hex)
    for headers in (*theirs, other):
        await http.get(PERMISSIONS, headers=headers)
    going_on = {one["id"] for one in await listed(http, admin, userId=agent(subject))}
    answer = await http.delete(SESSIONS, params={"userId": agent(subject)}, headers=admin)

    assert answer.status_code == 200
    assert answer.json()["data"]["userId"] == agent(subject)
    assert sorted(answer.json()["data"]["ended"]) == sorted(going_on)
    assert len(going_on) == 3
    for headers in theirs:
        assert refused(await http.get(PERMISSIONS, headers=headers))
    assert (await http.get(PERMISSIONS, headers=other)).status_code == 200
    assert (await http.get(PERMISSIONS, headers=sign_in("nurse", subject))).status_code == 200
    again = await http.delete(SESSIONS, params={"userId": agent("nobody")}, headers=admin)
    assert (again.status_code, again.json()["data"]["ended"]) == (200, [])


async def test_more_sessions_than_a_page_holds_are_ended_together(
    http: AsyncClient, own: Archive, sign_in: SigningIn
) -> None:
    subject = uuid4().hex
    nurse, admin = sign_in("nurse", subject), sign_in("admin", uuid4().hex)
    await http.get(PERMISSIONS, headers=nurse)
    document = await own.database["sessions"].find_one({"index.agent": agent(subject)})
    assert document is not None
    copies = [
        document
        | {
            "_id": f"copy{number}",
            "resource": document["resource"] | {"id": f"copy{number}"},
            "index": document["index"] | {"_id": [f"copy{number}"]},
        }
        for number in range(230)
    ]
    await own.database["sessions"].insert_many(copies)
    answer = await http.delete(SESSIONS, params={"userId": agent(subject)}, headers=admin)

    assert len(set(answer.json()["data"]["ended"])) == 231
    query = {"index.agent": agent(subject), "index.ended": {"$exists": False}}
    assert await own.database["sessions"].count_documents(query) == 0


@pytest.mark.parametrize(
    ("role", "status"), [("nurse", 404), ("auditor", 403), ("billing", 403), ("patient", 403)]
)
async def test_nobody_else_ends_a_session_and_nothing_changes(
    http: AsyncClient, own: Archive, sign_in: SigningIn, role: str, status: int
) -> None:
    subject = uuid4().hex
    theirs, other = sign_in("nurse", subject), sign_in(role, uuid4().hex)
    [session] = await listed(http, theirs)
    await http.get(PERMISSIONS, headers=other)
    before = await stored(own)
    one = await http.delete(f"{SESSIONS}/{session['id']}", headers=other)
    every = await http.delete(SESSIONS, params={"userId": agent(subject)}, headers=other)

    assert one.status_code == status
    assert every.json() == (
        {"success": True, "data": {"userId": agent(subject), "ended": []}}
        if role == "nurse"
        else {
            "success": False,
            "error": {
                "code": "ACCESS_DENIED",
                "message": every.json()["error"]["message"],
                "details": {"coordinates": ["Session.id"]},
            },
        }
    )
    assert await stored(own) == before
    assert (await http.get(PERMISSIONS, headers=theirs)).status_code == 200
    entries = (
        await own.database["audit_events"]
        .find({"requestId": other["X-Request-Id"], "action": "delete"})
        .to_list(9)
    )
    assert {one["outcome"] for one in entries} <= {"refused", "failed"}
    assert entries


async def test_what_the_policy_closes_of_a_session_is_null_and_named(
    http: AsyncClient, sign_in: SigningIn
) -> None:
    answer = await http.get(SESSIONS, headers=sign_in("billing", uuid4().hex))
    [one] = answer.json()["data"]

    assert one["current"] is True
    assert (one["address"], one["roles"], one["userName"]) == (None, None, None)
    assert answer.json()["metadata"]["refused"] == {
        "userName": ["Session.name"],
        "roles": ["Session.roles"],
        "lastSeen": ["Session.seen"],
        "expires": ["Session.expires"],
        "address": ["Session.address"],
    }


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("DELETE", {}),
        ("DELETE", {"userId": ""}),
        ("DELETE", {"userId": "x", "force": "1"}),
        ("GET", {"ended": "maybe"}),
        ("GET", {"user": "x"}),
    ],
)
async def test_what_makes_no_sense_is_refused_and_ends_nothing(
    http: AsyncClient, own: Archive, sign_in: SigningIn, method: str, query: dict[str, str]
) -> None:
    admin = sign_in("admin", uuid4().hex)
    await http.get(PERMISSIONS, headers=admin)
    before = await stored(own)
    answer = await http.request(method, SESSIONS, params=query, headers=admin)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert await stored(own) == before


def test_every_door_is_tried() -> None:
    assert PROBES.keys() == {door.name for door in DOORS}


@pytest.mark.parametrize("door", PROBES)
async def test_an_ended_session_is_refused_at_every_door(
    http: AsyncClient, sign_in: SigningIn, door: str
) -> None:
    nurse = sign_in("nurse", uuid4().hex)
    method, path = PROBES[door]
    json = {"query": "{ __typename }"} if method == "POST" else None
    before = await http.request(method, path, headers=nurse, json=json)
    [session] = await listed(http, nurse)
    await http.delete(f"{SESSIONS}/{session['id']}", headers=nurse)
    answer = await http.request(method, path, headers=nurse, json=json)

    assert before.status_code in {200, 204}, before.text
    assert answer.status_code == 401
    assert OVER in answer.text
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_an_unused_session_is_refused_and_another_sign_in_is_not(
    http: AsyncClient, own: Archive, clock: Clock, sign_in: SigningIn
) -> None:
    me = uuid4().hex
    headers = sign_in("nurse", me)
    await http.get(PERMISSIONS, headers=headers)
    clock.now += own.settings.session_idle
    assert (await http.get(PERMISSIONS, headers=headers)).status_code == 200
    clock.now += own.settings.session_idle + MINUTE
    answer = await http.get(PERMISSIONS, headers=headers)

    unused = "this session was not used for too long and has ended; sign in again"
    assert refused(answer, unused)
    assert refused(await http.get(PERMISSIONS, headers=headers), unused)
    again = sign_in("nurse", me)
    assert (await http.get(PERMISSIONS, headers=again)).status_code == 200
    [ended] = await listed(http, again, ended=True)
    assert (ended["ended"]["why"], ended["ended"]["by"]) == ("idle", None)


async def test_one_sign_in_too_many_signs_another_one_out(
    http: AsyncClient, own: Archive, clock: Clock, sign_in: SigningIn
) -> None:
    me = uuid4().hex
    headers = [sign_in("nurse", me) for _ in range(own.settings.sessions_per_user + 1)]
    for one in headers:
        assert (await http.get(PERMISSIONS, headers=one)).status_code == 200
        clock.now += MINUTE
    answers = [await http.get(PERMISSIONS, headers=one) for one in headers]

    assert [one.status_code for one in answers] == [401, 200, 200, 200, 200, 200]
    assert refused(
        answers[0], "this session has ended because you signed in elsewhere; sign in again"
    )


async def test_an_expired_token_is_refused_although_its_session_is_known(
    http: AsyncClient, archive: Archive, own: Archive
) -> None:
    token = DevelopmentIssuer(archive.settings.data_dir).token("nurse", subject=uuid4().hex)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await http.get(PERMISSIONS, headers=headers)).status_code == 200
    before = await stored(own)
    claims = jwt.decode(token, options={"verify_signature": False})
    late = claims | {"exp": claims["iat"] - 120, "iat": claims["iat"] - 240}
    key = (archive.settings.data_dir / KEY_FILE).read_bytes()
    expired = {"Authorization": f"Bearer {jwt.encode(late, key, algorithm='EdDSA')}"}

    assert refused(
        await http.get(PERMISSIONS, headers=expired), "the token has expired; sign in again"
    )
    assert await stored(own) == before


async def test_without_the_database_of_sessions_nobody_is_let_in(
    own: Archive, sign_in: SigningIn
) -> None:
    [port] = free_ports(1)
    away = open_database(f"mongodb://127.0.0.1:{port}", "away", timedelta(milliseconds=200))
    sessions = Sessions(SessionStore(away), idle=30 * MINUTE, per_user=5, clock_skew=MINUTE)
    headers = sign_in("nurse", uuid4().hex)
    async with calling(own) as http:
        assert (await http.get(PERMISSIONS, headers=headers)).status_code == 200
    async with calling(replace(own, sessions=sessions)) as http:
        for method, path in PROBES.values():
            answer = await http.request(method, path, headers=headers)
            assert answer.status_code == 503, answer.text
    away.client.close()


async def test_a_logout_in_one_process_is_heeded_by_the_next_request_in_another(
    database_url: str, database_name: str, tmp_path: Path
) -> None:
    book(tmp_path / "policy", RULES, SCOPES)
    one = Installation(
        tmp_path / "data",
        {
            "database_url": database_url,
            "database_name": database_name,
            "policy_dir": str(tmp_path / "policy"),
            "development_issuer": "true",
            "sessions_per_user": "2",
        },
    )
    ports = free_ports(2)
    servers = [await one.start("serve", "--port", str(port)) for port in ports]
    try:
        for server in servers:
            assert server.stdout is not None
            assert (await server.stdout.readline()).startswith(b"serving on")
        await _heeded([f"http://127.0.0.1:{port}" for port in ports], one.data_dir)
    finally:
        for server in servers:
            server.terminate()
        await asyncio.gather(*(server.communicate() for server in servers))


async def _heeded(addresses: list[str], data_dir: Path) -> None:
    def signed(role: str, subject: str) -> Headers:
        token = DevelopmentIssuer(data_dir).token(role, subject=subject)
        return {"Authorization": f"Bearer {token}"}

    # a server says that it serves a moment before it listens
    transport = httpx.AsyncHTTPTransport(retries=10)
    async with httpx.AsyncClient(timeout=60, transport=transport) as http:
        admin = signed("admin", "admin")
        for number in range(10):
            subject, (here, there) = f"nurse{number}", addresses
            nurse = signed("nurse", subject)
            for address in (there, here, there):
                answer = await http.get(f"{address}{PERMISSIONS}", headers=nurse)
                assert answer.status_code == 200, answer.text
            address = f"{here}{SESSIONS}"
            ended = await http.delete(address, params={"userId": agent(subject)}, headers=admin)
            after = await http.get(f"{there}{PERMISSIONS}", headers=nurse)
            assert (ended.status_code, len(ended.json()["data"]["ended"])) == (200, 1)
            assert refused(after)
        crowd = [signed("nurse", "crowd") for _ in range(12)]
        await asyncio.gather(
            *(
                http.get(f"{addresses[number % 2]}{PERMISSIONS}", headers=one)
                for number, one in enumerate(crowd)
            )
        )
        for address in addresses:
            answers = [await http.get(f"{address}{PERMISSIONS}", headers=one) for one in crowd]
            assert 1 <= sum(answer.status_code == 200 for answer in answers) <= 2


async def permitted(http: AsyncClient, headers: Headers) -> dict[str, Any]:
    answer = await http.get(PERMISSIONS, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def test_a_caller_is_told_what_they_may_do(
    http: AsyncClient, policy: Book, sign_in: SigningIn
) -> None:
    me = uuid4().hex
    found = await permitted(http, sign_in("nurse", me))
    own = {"scopes": [["own"]], "closedBy": []}

    assert found == {
        "userId": agent(me),
        "userName": me,
        "roles": ["nurse"],
        "policy": policy.current.version,
        "view": "identified",
        "scopes": [{"name": "own", "description": "The caller's own sessions"}],
        "read": {
            # what repeats a name that is closed is closed too
            "always": sorted(
                one
                for one in COORDINATES
                if one.startswith("ImagingStudy.") and one != "ImagingStudy.subject.display"
            ),
            "partly": [
                {"element": one} | own for one in sorted(COORDINATES) if one.startswith("Session.")
            ],
        },
        "changes": [
            {"element": "Session.id", "action": "delete", "always": False} | own,
        ],
    }


async def test_who_may_nothing_is_told_so(http: AsyncClient, sign_in: SigningIn) -> None:
    found = await permitted(http, sign_in("researcher", uuid4().hex))

    assert (found["scopes"], found["changes"]) == ([], [])
    assert found["read"] == {"always": [], "partly": []}


async def test_what_a_caller_cannot_have_now_is_not_among_what_they_may(
    archive: Archive, own: Archive, tmp_path: Path
) -> None:
    rules = """
        p, patient, Patient.id, read, own, allow
        p, patient, ImagingStudy.id, read, any, allow
        p, patient, ImagingStudy.id, read, secret, deny
        p, patient, ImagingStudy.status, read, any, allow
        p, patient, ImagingStudy.id, delete, any, allow
    """
    scopes = """
        [own]
        description = "The caller's record"
        Patient = "_id={patient}"
        [secret]
        description = "Very restricted"
        ImagingStudy = "_security=V"
    """
    policy = book(tmp_path / "other", rules, scopes)
    issuer = DevelopmentIssuer(archive.settings.data_dir)

    def headers(**who: Any) -> Headers:
        token = issuer.token("patient", subject=uuid4().hex, **who)
        return {"Authorization": f"Bearer {token}"}

    async with calling(replace(own, book=policy)) as http:
        linked = await permitted(http, headers(patient="p1"))
        nobody = await permitted(http, headers())
        smart = await permitted(http, headers(patient="p1", scope="user/Patient.rs"))

    rest = {"element": "ImagingStudy.id", "scopes": [], "closedBy": ["secret"]}
    record = {"element": "Patient.id", "scopes": [["own"]], "closedBy": []}
    assert linked["read"] == {"always": ["ImagingStudy.status"], "partly": [rest, record]}
    assert [one["name"] for one in linked["scopes"]] == ["own", "secret"]
    assert [(one["element"], one["always"]) for one in linked["changes"]] == [
        ("ImagingStudy.id", True)
    ]
    assert nobody["read"] == {"always": ["ImagingStudy.status"], "partly": [rest]}
    assert [one["name"] for one in nobody["scopes"]] == ["secret"]
    assert (smart["read"], smart["changes"]) == ({"always": [], "partly": [record]}, [])
