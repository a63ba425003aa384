"""The catalogue of error codes, written from the classes that carry them."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import app.cli  # imports every other module that has errors
import app.dimse.listener
import app.main  # noqa: F401
from fhir.errors import AccessDenied, Invalid, ResourceError, Unavailable
from schema.errors import FORBIDDEN, PolicyRefused

ROOTS: Final = frozenset({"app", "schema", "fhir", "policies"})
LEAD: Final = """\
The status is that of an answer which is nothing but the error. Every error of an operation that ran
comes with 200; in `application/json` so do `GRAPHQL_PARSE_FAILED`, `GRAPHQL_VALIDATION_FAILED` and
`OPERATION_TOO_COMPLEX`.

"""
# What only mutations say: they come within the answer of an operation.
WITHIN: Final = frozenset({"NOT_RUN", "POLICY_LOCKS_OUT", "POLICY_UNUSABLE"})


class Named(NamedTuple):
    """A code that is only a string, because a class has another one at another door.

    Attributes:
        like: Class that decides the status.
        meaning: One sentence.
    """

    like: type[ResourceError]
    meaning: str


STRINGS: Final = {
    FORBIDDEN: Named(AccessDenied, "The policy says no, in GraphQL."),
    "INVALID_DICOM_FILE": Named(Invalid, "No file of an upload to `/postdicom` can be stored."),
    "NETWORK_ERROR": Named(Unavailable, "What `/postdicom` calls `UNAVAILABLE`."),
    "POLICY_UNUSABLE": Named(PolicyRefused, "`savePolicy`: the files are no policy."),
    "POLICY_LOCKS_OUT": Named(PolicyRefused, "`savePolicy`: you could not save again."),
}
# A name that the interface of `/postdicom` keeps for clients that know it.
UNUSED: Final = frozenset({"RETENTION_POLICY_ERROR"})

ADVICE: Final = {
    "ACCESS_DENIED": "Ask for what `coordinates` does not name, or ask the policy's administrator.",
    "BUDGET_EXCEEDED": "Wait as long as `Retry-After` says; ask for less at a time.",
    "CACHE_ERROR": "Try again; what was asked for may be half done.",
    "CHANGES_LOST": "Note the newest number first, and follow from it.",
    "COMPLIANCE_VIOLATION": "Ask them; nothing was changed.",
    "CONFLICT": "Read the record again and begin with what it is now.",
    "CROSS_SITE_REQUEST": "Send it with `fetch`, or by POST.",
    "DOCUMENT_NOT_FOUND": "Use a `documentId` of the server's manifest, or have it added.",
    "FORBIDDEN": "The rest of the answer holds; do not ask for `coordinate`, or ask the policy's "
    "administrator.",
    "GRAPHQL_PARSE_FAILED": "Correct the text where `locations` points.",
    "GRAPHQL_VALIDATION_FAILED": "Compare with the schema where `locations` points.",
    "IDEMPOTENCY_KEY_REUSED": "Make a new key for each thing that is to be done.",
    "INTERNAL_ERROR": "Tell the operator the `X-Request-Id`.",
    "INVALID_CREDENTIALS": "Sign in again and send the new token.",
    "INVALID_DICOM_FILE": "See `data.results` for each file.",
    "INVALID_REQUEST": "The same again is refused again.",
    "NETWORK_ERROR": "Try again later.",
    "NOT_ACCEPTABLE": "Accept what the message names.",
    "NOT_FOUND": "Look for it again; it may be closed to you.",
    "NOT_RUN": "Read `errors` of the one before; send this one again.",
    "NOT_SUPPORTED": "Do it in the way that the message names.",
    "OPERATION_TOO_COMPLEX": "Ask for less: `limit` says of what, `max` how much.",
    "PERSISTED_ONLY": "Send a `documentId`.",
    "PERSISTED_QUERY_HASH_MISMATCH": "Hash the text as it is sent.",
    "PERSISTED_QUERY_NOT_FOUND": "Send the text along, once; clients do so by themselves.",
    "POLICY_LOCKS_OUT": "Keep a line that lets you save.",
    "POLICY_UNUSABLE": "Correct what `problems` lists.",
    "RANGE_NOT_SATISFIABLE": "Ask for bytes within the length that `Content-Range` tells.",
    "STORAGE_QUOTA_EXCEEDED": "Tell the operator; send it again when there is room.",
    "STUDY_NOT_FOUND": "Look for it again; it may be closed to you.",
    "TIMEOUT": "Ask for less, or for smaller pages.",
    "TOO_LARGE": "Send less at once.",
    "TOO_MANY_OPERATIONS": "Wait for the answers to others first.",
    "TOO_MANY_SUBSCRIPTIONS": "Complete one that you do not need.",
    "TOO_SLOW": "Subscribe again, `after` the last number that you have.",
    "UNAVAILABLE": "Wait a little first.",
    "UNDECODABLE": "Fetch the object as it is stored.",
    "UNSUPPORTED_MEDIA_TYPE": "Send a type that the message names.",
}


def classes(kind: type[ResourceError] = ResourceError) -> Iterator[type[ResourceError]]:
    """Give every class of the product that is an expected failure, general ones first."""
    if kind.__module__.partition(".")[0] in ROOTS:
        yield kind
    for narrower in kind.__subclasses__():
        yield from classes(narrower)


def codes() -> dict[str, list[type[ResourceError]]]:
    """Give every code and what carries it; the class that says what it means is the first."""
    found: dict[str, list[type[ResourceError]]] = {}
    for one in classes():
        if one.code != ResourceError.code:  # the bases of others have none of their own
            found.setdefault(one.code, []).append(one)
    for code, named in STRINGS.items():
        found[code] = [named.like]
    return found


def table() -> str:
    rows = ["| code | status | what it means, and what to do |", "|---|---|---|"]
    for code, carriers in sorted(codes().items()):
        statuses = " or ".join(map(str, statuses_of(code, carriers)))
        rows.append(f"| `{code}` | {statuses} | {meaning(code, carriers[0])} {ADVICE[code]} |")
    return LEAD + "\n".join(rows) + "\n"


def statuses_of(code: str, carriers: list[type[ResourceError]]) -> list[int]:
    return [200] if code in WITHIN else sorted({one.status for one in carriers})


def meaning(code: str, carrier: type[ResourceError]) -> str:
    text = STRINGS[code].meaning if code in STRINGS else (carrier.__doc__ or "").partition("\n")[0]
    return text.replace("|", "\\|")
