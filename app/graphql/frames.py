"""The messages of `graphql-transport-ws`, and why a connection is closed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import orjson

from app.graphql.asked import Asked, in_payload
from fhir.errors import AccessDenied, Invalid, ResourceError, Unauthenticated, Unavailable

Json = Any
Frame = Mapping[str, Json]


class Code(IntEnum):
    """Close codes of the protocol, and of RFC 6455."""

    LEAVING = 1000
    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    NOT_BEGUN_IN_TIME = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY = 4429
    FAILED = 4500


class Close(Exception):
    """The connection is to be closed.

    Attributes:
        code: Why.
        reason: The same in words.
    """

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Start:
    """An operation that is to run, whichever kind it is.

    Attributes:
        id: Of the client's choice.
    """

    id: str
    asked: Asked


def parsed(text: str | None) -> Frame:
    """Read a message.

    Raises:
        Close: It is none.
    """
    if text is None:
        raise _bad("messages are text")
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _bad("a message is not JSON") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise _bad("a message is an object with a type")
    if frame["type"] in _WITH_PAYLOAD and not isinstance(frame.get("payload"), dict | None):
        raise _bad("payload: write an object, or leave it out")
    return frame


_WITH_PAYLOAD = frozenset({"connection_init", "ping", "pong"})


def unknown() -> Close:
    """Refuse a message of a type that clients do not send."""
    return _bad("there is no such type of message")


def identifier(frame: Frame) -> str:
    """Give the id of the operation that a message is about.

    Raises:
        Close: There is none.
    """
    found = frame.get("id")
    if not isinstance(found, str) or not found:
        raise _bad("id: write a string that is not empty")
    return found


def start_of(frame: Frame) -> Start:
    """Read a message that asks for an operation.

    Raises:
        Close: It does not say which.
    """
    payload = frame.get("payload")
    if not isinstance(payload, dict):
        raise _bad("payload: write {query, variables, operationName}")
    try:
        return Start(identifier(frame), in_payload(payload))
    except Invalid as error:
        raise _bad(f"payload: {error.message}") from None


def authorization(frame: Frame) -> str | None:
    """Give what `connection_init` says in place of a header; None if it says nothing.

    Raises:
        Close: It says so in another form than a string.
    """
    payload = frame.get("payload") or {}
    said = [value for name, value in payload.items() if name.lower() == "authorization"]
    if not said:
        return None
    if len(said) > 1 or not isinstance(said[0], str):
        raise _bad('payload: write {"Authorization": "Bearer …"}')
    return said[0]


def closing(error: ResourceError) -> Close:
    """Say why a client has to leave."""
    match error:
        case Unauthenticated():
            return Close(Code.UNAUTHORIZED, error.message)
        case AccessDenied():
            return Close(Code.FORBIDDEN, error.message)
        case Unavailable():
            return Close(Code.TRY_AGAIN_LATER, error.message)
    return Close(Code.FAILED, error.message)


def _bad(message: str) -> Close:
    return Close(Code.BAD_REQUEST, message)
