"""A batch: several reads and searches in one request, each of them on its own.

An entry reaches what its address would reach at this door and nothing else: a read or a search of
a type that is served. It is authorised, audited and answered like a request, and whatever becomes
of it, the others are not touched.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.datastructures import Headers

from fhir.answering import read, search
from fhir.dates import instant
from fhir.errors import Invalid, NotFound, NotSupported, ResourceError, TooLarge
from fhir.guarded import GuardedRepository
from fhir.models import validate
from fhir.negotiation import is_current, negotiate, validators
from fhir.outcomes import operation_outcome, outcome
from fhir.referring import TYPES
from fhir.search import ID

Json = Any
Batch = Sequence[Mapping[str, Json] | None]
"""Entries that are to be answered, in their order; what is null in JSON is None."""

MAX_BATCH_BYTES = 262_144
MAX_ENTRIES = 50
MAX_ANSWER_BYTES = 33_554_432
_ADDRESS = re.compile(rf"(?P<kind>[A-Z][A-Za-z]*)(?:/(?P<id>{ID}))?(?:\?(?P<query>[^#]*))?")


async def read_batch(body: bytes) -> Batch:
    """Read a Bundle and give its entries.

    Args:
        body: JSON, at most `MAX_BATCH_BYTES`.

    Raises:
        Invalid: It is no Bundle of type batch.
        NotSupported: It is one of another type.
        TooLarge: It has too many entries.
    """
    try:
        bundle = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid("the body is not JSON; send a Bundle of type batch") from error
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Invalid("send a Bundle of type batch")
    if bundle.get("type") == "transaction":
        raise NotSupported(
            "this server takes no transaction, for nothing is written here; send a batch"
        )
    if bundle.get("type") != "batch":
        raise NotSupported("a Bundle that is sent here is of type batch")
    entries: Batch = bundle.get("entry") or []
    if isinstance(entries, list) and len(entries) > MAX_ENTRIES:
        raise TooLarge(f"a batch has up to {MAX_ENTRIES} entries; send the rest in another one")
    await asyncio.to_thread(validate, bundle)
    return entries


async def answer_batch(
    guarded: GuardedRepository,
    base_url: str,
    batch: Batch,
    *,
    strict: bool,
    most_bytes: int = MAX_ANSWER_BYTES,
) -> dict[str, Json]:
    """Answer each entry; the answers are a batch-response in the same order.

    Args:
        guarded: Repository of the caller.
        base_url: FHIR base.
        batch: What is asked.
        strict: Whether what searches do not understand is refused.
        most_bytes: Once the resources are larger, further entries are refused, each for itself.
    """
    answers: list[dict[str, Json]] = []
    size = 0
    for entry in batch:
        try:
            if size > most_bytes:
                raise TooLarge(
                    f"the answers before this one have more than {most_bytes:,} bytes; ask for it "
                    "in another batch"
                )
            request = (entry or {}).get("request") or {}
            answer = await _answered(guarded, base_url, request, strict=strict)
        except ResourceError as error:
            answer = _refused(error)
        if "resource" in answer:
            text = orjson.dumps(answer["resource"])
            size += len(text)
            answer["resource"] = orjson.Fragment(text)
        answers.append(answer)
    bundle = {"resourceType": "Bundle", "type": "batch-response", "entry": answers}
    return {name: value for name, value in bundle.items() if value}


async def _answered(
    guarded: GuardedRepository, base_url: str, request: Mapping[str, Json], *, strict: bool
) -> dict[str, Json]:
    # a primitive may be missing beside its extension, and still be valid
    method, url = request.get("method"), request.get("url")
    if not isinstance(method, str) or not isinstance(url, str):
        raise Invalid("an entry of a batch has a request with method and url")
    if method != "GET":
        told = outcome("not-supported", "nothing is written here; entries of a batch are GET")
        return _response(HTTPStatus.METHOD_NOT_ALLOWED, outcome=told)
    kind, identifier, query = _address(base_url, url)
    pairs = _pairs(query)
    negotiate(Headers(), pairs)
    if identifier is None:
        found = await search(guarded, base_url, kind, pairs, strict=strict)
        return {"resource": found, **_response(HTTPStatus.OK)}
    reading = await read(guarded, kind, identifier, pairs)
    said: dict[str, Json] = {}
    if reading.record is not None:
        said["etag"] = validators(reading.record)["ETag"]
        if reading.record.last_updated is not None:
            said["lastModified"] = instant(reading.record.last_updated)
        if is_current(_conditions(request), reading.record):
            return _response(HTTPStatus.NOT_MODIFIED, **said)
    return {
        "fullUrl": f"{base_url}/{kind}/{identifier}",
        "resource": await reading.resource(),
        **_response(HTTPStatus.OK, **said),
    }


def _address(base_url: str, url: str) -> tuple[str, str | None, str]:
    """Take an address apart: type, id if it names one, and query.

    Raises:
        NotFound: It leads to nothing that is read or searched here.
    """
    found = _ADDRESS.fullmatch(url.removeprefix(f"{base_url}/"))
    if found is None or found["kind"] not in TYPES or found["id"] in {".", ".."}:
        raise NotFound(
            f"a batch reads [type]/[id] and searches [type]?…, of {', '.join(TYPES)}; the url is "
            "relative to this server's base"
        )
    return found["kind"], found["id"], found["query"] or ""


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise Invalid("the url of an entry is not UTF-8") from error


def _conditions(request: Mapping[str, Json]) -> Headers:
    tag = request.get("ifNoneMatch")
    return Headers({"if-none-match": tag} if tag else {})


def _refused(error: ResourceError) -> dict[str, Json]:
    return _response(HTTPStatus(error.status), outcome=operation_outcome(error))


def _response(status: HTTPStatus, **said: Json) -> dict[str, Json]:
    return {"response": {"status": f"{status.value} {status.phrase}", **said}}
