"""Picking from lists inside resources: `_count`, `_offset`, `fhirpath` and `[field]: value`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fhir.elements import COORDINATES
from fhir.errors import Invalid
from schema.fhir_path import Test, picked

Json = Any
ABOUT_LIST = frozenset({"_count", "_offset", "fhirpath"})


def check_picks(arguments: Mapping[str, Json]) -> None:
    """Look at the arguments of a list before anything is read.

    Raises:
        Invalid: A number is below 0.
        NotSupported: `fhirpath` is not understood.
    """
    for name in ("_count", "_offset"):
        if (arguments.get(name) or 0) < 0:
            raise Invalid(f"{name}: not below 0")
    if arguments.get("fhirpath") is not None:
        picked(arguments["fhirpath"])


def looked_at(coordinate: str, paths: Iterable[tuple[str, ...]]) -> set[str]:
    """List the coordinates inside a list's own that paths from its items touch."""
    found = set()
    for path in paths:
        at = coordinate
        for name in path:
            at = f"{at}.{name.removeprefix('_')}"
            if at not in COORDINATES:
                break
            found.add(at)
    return found


def paths_of(arguments: Mapping[str, Json]) -> set[tuple[str, ...]]:
    """List the paths that arguments look at, from an item inwards."""
    paths: set[tuple[str, ...]] = {
        (name,) for name, value in arguments.items() if _compares(name, value)
    }
    if arguments.get("fhirpath") is not None:
        paths |= picked(arguments["fhirpath"]).names
    return paths


def pick(items: Sequence[Json], arguments: Mapping[str, Json]) -> list[Json]:
    """Give the items that are asked for: those that match, and of these the part asked for."""
    tests: list[Test] = []
    if arguments.get("fhirpath") is not None:
        tests.append(picked(arguments["fhirpath"]).test)
    compared = {name: value for name, value in arguments.items() if _compares(name, value)}
    matching = [
        item
        for at, item in enumerate(items)
        if all(_same(item.get(name), value) for name, value in compared.items())
        and all(test(item, at) for test in tests)
    ]
    start, count = arguments.get("_offset") or 0, arguments.get("_count")
    return matching[start : None if count is None else start + count]


def _compares(name: str, value: Json) -> bool:
    return name not in ABOUT_LIST and value is not None


def _same(found: Json, wanted: Json) -> bool:
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)
