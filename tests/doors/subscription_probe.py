"""What subscriptions tell of what is planted: every field of every event up to now."""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLField, GraphQLObjectType, get_named_type

from tests.doors.graphql_probe import look, selection, the_schema
from tests.doors.planted import JOB_ID
from tests.doors.sight import Json, Visit
from tests.sockets import socket

# Which record each root is looked at for; a root that is not here fails `test_register`.
SUBJECTS: Mapping[str, str | None] = {
    "studyChanged": "{study}",
    "jobProgress": JOB_ID,
    "policyChanged": None,
}


def subscriptions() -> Mapping[str, GraphQLField]:
    """Give the roots of subscriptions."""
    kind = the_schema().subscription_type
    assert kind is not None
    fields: Mapping[str, GraphQLField] = kind.fields
    return fields


def is_kept_in_events(label: str) -> bool:
    """Say whether a label can be seen without identity, which dates would give away."""
    return label != "studyChanged.at"


async def through_subscriptions(visit: Visit) -> None:
    app: Any = visit.client._transport.app  # type: ignore[attr-defined]
    newest = await app.state.archive.changes.newest()
    async with socket(app, visit.headers) as line:
        for name in sorted(subscriptions().keys() & SUBJECTS.keys()):
            query = f"subscription {{{name}(after: 0, until: {newest}) {_everything(name)}}}"
            line.say(id=name, type="subscribe", payload={"query": query})
            while True:
                text, frame = await line.hear()
                visit.sight.bytes += text.encode()
                if frame["type"] != "next":
                    break
                _see(visit, name, frame["payload"])
            for error in frame.get("payload", ()):
                assert error["extensions"]["code"] == "FORBIDDEN", error


def _everything(name: str) -> str:
    return selection(_kind(name), 7, links=True)


def _kind(name: str) -> GraphQLObjectType:
    kind = get_named_type(subscriptions()[name].type)
    assert isinstance(kind, GraphQLObjectType)
    return kind


def _see(visit: Visit, name: str, payload: Json) -> None:
    codes = {error["extensions"]["code"] for error in payload.get("errors", ())}
    assert codes <= {"FORBIDDEN"}, payload
    value = payload["data"][name]
    subject = SUBJECTS[name]
    if subject is None or value["id"] == subject.replace("{study}", visit.target.study):
        look(visit, name, subscriptions()[name], value)
