"""Taking refused elements out of a resource, and saying in FHIR that they are missing."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from fhir.elements import ELEMENTS, MANDATORY, REPEATS

Json = Any
Tree = dict[str, Any]

_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
_MASKED = [{"url": _ABSENT, "valueCode": "masked"}]
# Mandatory elements that are primitive in R4: masked beside them, under an underscore.
_PRIMITIVE = frozenset({"status", "uid", "address"})
_REPEATING = frozenset({"payloadType"})
# Primitive elements beside which something is stored, under an underscore: the time of birth.
_COMPANIED = frozenset({"Patient.birthDate"})
_KEPT = 1024  # projections


def outermost(coordinates: Iterable[str]) -> frozenset[str]:
    """Drop every coordinate that lies inside another one of the set."""
    kept: list[str] = []
    for one in sorted(coordinates):
        if not any(one.startswith(f"{other}.") for other in kept):
            kept.append(one)
    return frozenset(kept)


def without(resource: Mapping[str, Json], refused: frozenset[str]) -> dict[str, Json]:
    """Copy a resource, leaving out refused elements; what is not touched is shared."""
    return _prune(resource, _tree(resource["resourceType"], refused)) if refused else dict(resource)


def masked(resource: Mapping[str, Json], refused: frozenset[str]) -> dict[str, Json]:
    """Mark what was taken out: SUBSETTED, and `masked` where R4 demands a value.

    The shape does not depend on the row, so that nothing can be learned from it.
    """
    if not refused:
        return dict(resource)
    marked = _mark(resource, _tree(resource["resourceType"], refused & MANDATORY))
    if f"{resource['resourceType']}.meta" not in refused:
        meta = dict(marked.get("meta", {}))
        meta["security"] = [*meta.get("security", ()), SUBSETTED]
        marked["meta"] = meta
    else:
        marked["meta"] = {"security": [SUBSETTED]}
    return marked


@lru_cache(_KEPT)
def projection(resource: str, granted: frozenset[str]) -> frozenset[str]:
    """Give the element paths to read so that nothing but granted coordinates comes back.

    What merely repeats another element comes with its parent; `without` takes it out.
    """
    paths = set()
    for path in ELEMENTS[resource]:
        inner = (f"{resource}.{one}" for one in ELEMENTS[resource] if one.startswith(f"{path}."))
        if f"{resource}.{path}" in granted and all(
            one in granted or one in REPEATS for one in inner
        ):
            paths.add(path)
    paths |= {f"_{path}" for path in paths if f"{resource}.{path}" in _COMPANIED}
    return frozenset(path for path in paths if not any(path.startswith(f"{one}.") for one in paths))


def _tree(resource: str, coordinates: Iterable[str]) -> Tree:
    tree: Tree = {}
    for coordinate in outermost(coordinates):
        node = tree
        *around, last = coordinate.removeprefix(f"{resource}.").split(".")
        for name in around:
            node = node.setdefault(name, {})
        node[last] = None
    return tree


def _prune(value: Mapping[str, Json], tree: Tree) -> dict[str, Json]:
    kept = {}
    for name, inner in value.items():
        # `_status` carries what is said about `status`
        below = tree.get(name.removeprefix("_"), _UNTOUCHED)
        if below is _UNTOUCHED:
            kept[name] = inner
        elif below is not None:
            kept[name] = (
                [_prune(item, below) for item in inner]
                if isinstance(inner, list)
                else _prune(inner, below)
            )
    return kept


_UNTOUCHED: Tree = {}


def _mark(value: Mapping[str, Json], tree: Tree) -> dict[str, Json]:
    marked = dict(value)
    for name, below in tree.items():
        if below is None:
            _absent(marked, name)
        elif isinstance(inner := marked.get(name), list):
            marked[name] = [_mark(item, below) for item in inner]
        elif isinstance(inner, Mapping):
            marked[name] = _mark(inner, below)
    return marked


def _absent(element: dict[str, Json], name: str) -> None:
    element.pop(name, None)
    if name in _PRIMITIVE:
        element[f"_{name}"] = {"extension": _MASKED}
    else:
        element[name] = [{"extension": _MASKED}] if name in _REPEATING else {"extension": _MASKED}
