"""What a request asks for, read from a body or an address; nothing of it is believed yet."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from fhir.errors import Invalid

Json = Any

MAX_ADDRESS_BYTES: Final = 16 * 1024
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_PREFIX: Final = "sha256:"
_IN_ADDRESS: Final = ("query", "variables", "operationName", "extensions", "documentId")
_TOKENS: Final = ("access_token", "token", "authorization")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Attributes:
        text: The GraphQL document, where it is sent.
        document: Hash of a trusted document.
        registered: Hash of a text that was or is to be registered (`persistedQuery`).
    """

    text: str | None
    variables: Mapping[str, Json]
    operation_name: str | None
    document: str | None
    registered: str | None


def in_body(body: bytes) -> Asked:
    """Read a body.

    Raises:
        Invalid: It is none that can be understood.
    """
    sent = _json(body, "the body")
    if isinstance(sent, list):
        raise Invalid("send one operation at a time: batches are not taken here")
    if not isinstance(sent, dict):
        raise Invalid("send one object: {query, variables, operationName}")
    return _asked(sent)


def in_address(query_string: bytes) -> Asked:
    """Read what stands behind the question mark.

    Raises:
        Invalid: It cannot be understood, or it holds a token.
    """
    if len(query_string) > MAX_ADDRESS_BYTES:
        raise Invalid(f"an address has at most {MAX_ADDRESS_BYTES:,} bytes; send it with POST")
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Invalid("the address is not percent-encoded UTF-8") from None
    given = [name for name, _ in pairs]
    if any(name.lower() in _TOKENS for name in given):
        raise Invalid(
            "a token belongs in the Authorization header; get a new one, addresses are logged"
        )
    if twice := [name for name in _IN_ADDRESS if given.count(name) > 1]:
        raise Invalid(f"{twice[0]}: write it once")
    sent: dict[str, Json] = {name: value for name, value in pairs if name in _IN_ADDRESS}
    for name in ("variables", "extensions"):
        if text := sent.pop(name, ""):
            sent[name] = _json(text.encode(), name)
    return _asked(sent)


def in_payload(payload: Mapping[str, Json]) -> Asked:
    """Read what a message holds.

    Raises:
        Invalid: It cannot be understood.
    """
    return _asked(payload)


def _json(text: bytes, what: str) -> Json:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"{what} is not JSON, at line {error.lineno}, column {error.colno}") from None


def _asked(sent: Mapping[str, Json]) -> Asked:
    text, variables, name = sent.get("query"), sent.get("variables"), sent.get("operationName")
    document = _document(sent.get("documentId"))
    registered = _registered(sent.get("extensions"))
    if text is None and document is None and registered is None:
        raise Invalid("query: write the GraphQL document as a string")
    if text is not None and (not isinstance(text, str) or not text.strip()):
        raise Invalid("query: write the GraphQL document as a string")
    if variables is not None and not isinstance(variables, dict):
        raise Invalid("variables: write an object, or leave it out")
    if name is not None and not isinstance(name, str):
        raise Invalid("operationName: write a string, or leave it out")
    if document is not None and (text is not None or registered is not None):
        raise Invalid("documentId: it stands alone, without query and persistedQuery")
    return Asked(text, variables or {}, name, document, registered)


def _document(sent: Json) -> str | None:
    if sent is None:
        return None
    found = sent.removeprefix(_PREFIX) if isinstance(sent, str) else ""
    if not _HASH.fullmatch(found):
        raise Invalid(
            f"documentId: write {_PREFIX} and the document's hash in 64 lower-case digits"
        )
    return found


def _registered(extensions: Json) -> str | None:
    if extensions is None:
        return None
    if not isinstance(extensions, dict):
        raise Invalid("extensions: write an object, or leave it out")
    sent = extensions.get("persistedQuery")
    if sent is None:
        return None
    known = sent if isinstance(sent, dict) else {}
    found, version = known.get("sha256Hash"), known.get("version")
    if version != 1 or not (isinstance(found, str) and _HASH.fullmatch(found)):
        raise Invalid("persistedQuery: write {version: 1, sha256Hash: 64 lower-case hex digits}")
    return found
