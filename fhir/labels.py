"""Labels that people put on a study: whether its patient may see it, and how sensitive it is."""

from collections.abc import Mapping
from typing import Any, Final

Json = Any

CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
RELEASED: Final = {"system": "https://radiograph.dev/fhir/release", "code": "released"}
NORMAL: Final = {"system": CONFIDENTIALITY, "code": "N"}


def with_release(resource: dict[str, Json], *, released: bool) -> dict[str, Json]:
    """Give a resource with the tag `released`, or without; other tags stay."""
    tags = resource.get("meta", {}).get("tag", [])
    others = [one for one in tags if not _same(one, RELEASED)]
    if released == (len(others) < len(tags)):
        return resource
    return _with(resource, "tag", [*others, RELEASED] if released else others)


def with_confidentiality(resource: dict[str, Json], code: str) -> dict[str, Json]:
    """Give a resource with one confidentiality label, U, N, R or V; other labels stay."""
    labels = resource.get("meta", {}).get("security", [])
    others = [one for one in labels if one.get("system") != CONFIDENTIALITY]
    codes = [one.get("code") for one in labels if one.get("system") == CONFIDENTIALITY]
    if codes == [code]:
        return resource
    return _with(resource, "security", [*others, {"system": CONFIDENTIALITY, "code": code}])


def _same(one: Mapping[str, Json], other: Mapping[str, Json]) -> bool:
    return all(one.get(name) == other[name] for name in ("system", "code"))


def _with(resource: dict[str, Json], name: str, codings: list[Json]) -> dict[str, Json]:
    kept = {key: value for key, value in resource.get("meta", {}).items() if key != name}
    return {**resource, "meta": {**kept, name: codings} if codings else kept}
