"""The register of doors is complete: every door is probed, every route is behind one."""

import ast

import httpx
import pytest
from starlette.routing import compile_path

from app.archive import Archive
from app.doors import DOORS, door_of
from app.main import create_app
from tests.command import ROOT
from tests.doors.fhir_graphql_probe import FHIR_ARGUMENTS, fhir_roots
from tests.doors.graphql_probe import ARGUMENTS, roots
from tests.doors.people import WATCHERS, Person
from tests.doors.probes import PROBES
from tests.doors.subscription_probe import SUBJECTS, subscriptions
from tests.doors.world import World

# Show no record, and need no token.
OUTSIDE = {
    "/",
    "/start.css",
    "/start.js",
    "/start.svg",
    "/health",
    "/ready",
    "/docs",
    "/docs/oauth2-redirect",
    "/openapi.json",
    "/development/token",
}
# Behind a door, and yet no record either.
PUBLIC = {
    "/fhir/metadata",
    "/fhir/.well-known/smart-configuration",
    "/postdicom/health",
    "/dicomweb/",
    "/dicomweb/conformance",
}
# What changes something has tests of its own: `test_storing`, `test_mutations`.
CHANGING = {
    ("POST", "/dicomweb/studies"),
    ("POST", "/dicomweb/studies/{study}"),
    ("POST", "/postdicom/studies"),
    ("DELETE", "/postdicom/studies/{study_uid}"),
    ("POST", "/postdicom/studies/{study_uid}/restore"),
    ("DELETE", "/postdicom/sessions"),
    ("DELETE", "/postdicom/sessions/{session_id}"),
    ("DELETE", "/postdicom/cache"),
    ("DELETE", "/postdicom/cache/studies/{study_uid}"),
    ("POST", "/postdicom/cache/warmup"),
    ("POST", "/postdicom/uploads/{upload_id}"),
    ("POST", "/postdicom/studies/{study_uid}/annotations/store"),
    ("POST", "/postdicom/batch/delete"),
}
# Behind a door, and reached with a token that stands in the address.
SIGNED = {"/postdicom/signed/"}
# What is no address here and yet in the audit under a name: where it is held against the policy,
# or None where it gives out nothing.
BESIDES = {
    "dimse": "tests/dimse/test_matrix.py",
    "webhook": "tests/changes/test_webhooks.py",
    "export": "tests/doors/test_export.py",
    "cli": None,
    "retention": None,
}
# GraphiQL for browsers, and HEAD, which tells what GET tells.
LIKE_OTHERS = {("GET", "/graphql")}


def routes(archive: Archive) -> set[tuple[str, str]]:
    """List methods and paths, also of routes that no documentation names."""
    found: set[tuple[str, str]] = set()
    for route in create_app(archive.settings, archive).routes:
        # FastAPI keeps what was included in a router of its own
        within = getattr(route, "effective_route_contexts", None)
        found |= {
            (method, str(getattr(one, "path", "")))
            for one in (within() if within else [route])
            for method in getattr(one, "methods", None) or ()
        }
    return found


def test_every_door_has_a_probe() -> None:
    assert {door.name for door in DOORS} == PROBES.keys()


def test_every_root_of_graphql_is_probed() -> None:
    assert ARGUMENTS.keys() == roots().keys()


def test_every_root_of_subscriptions_is_probed() -> None:
    assert SUBJECTS.keys() == subscriptions().keys()


def test_every_root_of_fhirs_graphql_is_probed() -> None:
    assert FHIR_ARGUMENTS.keys() == fhir_roots().keys()


def test_every_route_is_behind_a_door_or_shows_no_record(archive: Archive) -> None:
    assert {path for _, path in routes(archive) if door_of(path) is None} == OUTSIDE
    assert {path for door in DOORS for path in door.public} == PUBLIC


def test_signed_addresses_are_those_that_are_probed() -> None:
    assert {door.signed for door in DOORS if door.signed} == SIGNED


def test_whatever_the_audit_calls_a_door_is_one_or_is_tested_beside_them() -> None:
    named = {
        name
        for path in sorted((ROOT / "app").rglob("*.py"))
        for name in named_doors(ast.parse(path.read_text()))
    }
    assert named == BESIDES.keys()
    assert not named & {door.name for door in DOORS}
    for path in filter(None, BESIDES.values()):
        assert (ROOT / path).is_file(), path


def named_doors(module: ast.Module) -> set[str]:
    """List how a module calls doors in the audit, where it does so by name."""
    constants = {
        ast.unparse(one.target): one.value
        for one in module.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.value, ast.Constant)
    }
    called = (
        one.args[0]
        for one in ast.walk(module)
        if isinstance(one, ast.Call)
        and ast.unparse(one.func) == "Circumstances"
        and isinstance(one.args[0], ast.Constant | ast.Name)
    )
    found = (constants.get(ast.unparse(one), one) for one in called)
    return {str(one.value) for one in found if isinstance(one, ast.Constant)}


async def test_a_probe_looks_through_every_route(archive: Archive, world: World) -> None:
    asked = {
        one
        for door in sorted(PROBES)
        for person in WATCHERS
        for one in (await world.everything(door, person)).asked
    }
    behind = {
        (method, path)
        for method, path in routes(archive)
        if method != "HEAD" and door_of(path) and path not in PUBLIC
    }
    unseen = {
        (method, path)
        for method, path in behind
        if not any(one == method and compile_path(path)[0].match(to) for one, to in asked)
    }
    assert unseen == CHANGING | LIKE_OTHERS


@pytest.mark.parametrize("door", sorted(PROBES))
async def test_no_token_opens_no_door(door: str, world: World, client: httpx.AsyncClient) -> None:
    prefix = next(one.prefix for one in DOORS if one.name == door)
    for path in (prefix, f"{prefix}/ImagingStudy", f"{prefix}/studies/{world.normal.study}"):
        for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"):
            for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic eDp5"}):
                answer = await client.request(method, path, headers=headers)
                assert answer.status_code == 401, (method, path, answer.text)


async def test_every_look_is_in_the_audit(world: World) -> None:
    events = world.archive.database["audit_events"]
    nobody = Person("billing", "no relation")
    for door in sorted(PROBES):
        for person, outcome in ((WATCHERS[2], "allowed"), (nobody, "refused")):
            before = await events.distinct("_id")
            await world.look(door, person)
            found = {"_id": {"$nin": before}, "door": door, "who": person.agent}
            assert outcome in await events.distinct("outcome", found)
            if door == "dicomweb" and person is nobody:
                # they may search for studies, and no more
                got = {**found, "outcome": "allowed"}
                assert await events.distinct("action", got) == ["search"]
