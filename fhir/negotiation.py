"""Which representation a client takes, and whether it has the current one already."""

from collections.abc import Iterable
from email.utils import format_datetime, parsedate_to_datetime

from starlette.datastructures import Headers

from fhir.errors import NotAcceptable
from fhir.repository import Record

_KINDS = frozenset(
    {"application/fhir+json", "application/json", "text/json", "application/*", "*/*"}
)
_SHORT = frozenset({"json"})  # R4 http.html#mime-type: what `_format` takes besides
_VERSIONS = frozenset({"4.0", "4.0.1"})


def negotiate(headers: Headers, pairs: Iterable[tuple[str, str]]) -> None:
    """Make sure that the client takes FHIR R4 in JSON; `_format` outdoes `Accept`.

    Raises:
        NotAcceptable: It does not.
    """
    formats = [value for name, value in pairs if name == "_format"]
    accepted = formats[-1:] or ",".join(headers.getlist("accept")).split(",")
    if not any(_acceptable(option) for option in accepted):
        raise NotAcceptable("this server writes application/fhir+json, of FHIR version 4.0")


def _acceptable(option: str) -> bool:
    kind, *rest = (part.strip().lower() for part in option.split(";"))
    said = {
        name.strip(): value.strip(' "') for name, _, value in (one.partition("=") for one in rest)
    }
    if said.get("fhirversion", "4.0") not in _VERSIONS or _is_zero(said.get("q", "1")):
        return False
    # an unescaped + in an address is a blank
    return not kind or kind in _SHORT or kind.replace(" ", "+") in _KINDS


def _is_zero(quality: str) -> bool:
    return quality.strip("0") in {"", "."}


def is_strict(headers: Headers) -> bool:
    """Say whether `Prefer: handling=strict` asks to hear of what is not understood."""
    preferences = ",".join(headers.getlist("prefer")).replace(";", ",").split(",")
    return "handling=strict" in {one.strip().lower() for one in preferences}


def validators(record: Record) -> dict[str, str]:
    """Give the headers by which a client asks again for a resource."""
    headers = {"ETag": f'W/"{record.version}"', "Vary": "Accept, Authorization"}
    if record.last_updated is not None:
        headers["Last-Modified"] = format_datetime(record.last_updated, usegmt=True)
    return headers


def is_current(headers: Headers, record: Record) -> bool:
    """Say whether the client has this version; `If-None-Match` outdoes `If-Modified-Since`."""
    tags = headers.getlist("if-none-match")
    if tags:
        named = {tag.strip().removeprefix("W/") for tag in ",".join(tags).split(",")}
        return not named.isdisjoint({f'"{record.version}"', "*"})
    if record.last_updated is None:
        return False
    try:
        since = parsedate_to_datetime(headers.get("if-modified-since", ""))
        return record.last_updated.replace(microsecond=0) <= since
    except (TypeError, ValueError):
        return False  # no date, or one without zone: as if it were not said
