"""Searchset bundles: matches, what they include, and the links of the page."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from fhir.dates import instant

Json = Any


def searchset(
    base_url: str,
    path: str,
    *,
    matches: Iterable[Mapping[str, Json]],
    included: Iterable[Mapping[str, Json]] = (),
    total: int | None,
    honoured: Sequence[tuple[str, str]],
    cursor: str | None,
    moment: datetime,
) -> dict[str, Json]:
    """Put one page together.

    Args:
        base_url: FHIR base.
        path: What was searched below it.
        matches: Resources found.
        included: Resources that `_include` added.
        total: Matches on all pages, or None if not counted.
        honoured: Parameters that decided about the result, as the client wrote them.
        cursor: Where the next page begins, if there is one.
        moment: When it was found.
    """
    address = f"{base_url}/{path}"
    links = [{"relation": "self", "url": _url(address, honoured)}]
    if cursor:
        links.append({"relation": "next", "url": _url(address, [*honoured, ("_cursor", cursor)])})
    entries = [
        {
            "fullUrl": f"{base_url}/{resource['resourceType']}/{resource['id']}",
            "resource": resource,
            "search": {"mode": mode},
        }
        for mode, resources in (("match", matches), ("include", included))
        for resource in resources
    ]
    bundle: dict[str, Json] = {
        "resourceType": "Bundle",
        "meta": {"lastUpdated": instant(moment)},
        "type": "searchset",
        "total": total,
        "link": links,
        "entry": entries,
    }
    return {name: value for name, value in bundle.items() if value not in (None, [])}


def _url(address: str, parameters: Sequence[tuple[str, str]]) -> str:
    return f"{address}?{urlencode(parameters)}" if parameters else address
