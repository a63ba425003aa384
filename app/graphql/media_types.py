"""In which form an answer is wanted, and whether a body is JSON."""

from functools import lru_cache
from typing import Final

from fhir.errors import NotAcceptable, UnsupportedMedia

JSON: Final = "application/json"
GRAPHQL_JSON: Final = "application/graphql-response+json"
HTML: Final = "text/html"
EVENT_STREAM: Final = "text/event-stream"
_ANY: Final = ("*/*", "application/*")


@lru_cache(maxsize=64)
def answered_in(accept: str) -> str:
    """Choose the form of an answer; of two that are wanted alike, GraphQL's own.

    Args:
        accept: The header; empty if there is none.

    Raises:
        NotAcceptable: Neither form is wanted.
    """
    wanted = dict(map(_weighed, accept.split(",")))
    plain = max(wanted.get(kind, 0.0) for kind in ("", JSON, *_ANY))
    own = wanted.get(GRAPHQL_JSON, 0.0)
    if not (plain or own):
        raise NotAcceptable(f"answers are {JSON} or {GRAPHQL_JSON}")
    # GraphQL over HTTP 6.4: whoever takes anything gets what older clients understand
    return GRAPHQL_JSON if own and own >= wanted.get(JSON, 0.0) else JSON


def require_json(content_type: str, encoding: str) -> None:
    """Refuse every body that is not JSON in UTF-8 as it is.

    Args:
        content_type: The header.
        encoding: `Content-Encoding`; empty if there is none.

    Raises:
        UnsupportedMedia: It is something else.
    """
    kind, _, parameters = content_type.lower().partition(";")
    charset = parameters.strip().replace('"', "")
    # no browser sends this type to another site unasked, so no form can forge an operation
    if kind.strip() != JSON or charset not in {"", "charset=utf-8"} or encoding:
        raise UnsupportedMedia(f"send {JSON} in UTF-8: {{query, variables, operationName}}")


def _weighed(one: str) -> tuple[str, float]:
    kind, _, parameters = one.partition(";")
    weight = 1.0
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
    return kind.strip().lower(), weight
