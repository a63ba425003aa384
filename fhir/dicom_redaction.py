"""Taking what a caller may not read out of a DICOM JSON Model (PS3.18 Annex F)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from fhir.attributes import Attributes
from fhir.dicom_elements import PRIVATE, coordinate_of, public_tags

HEADER_COORDINATES: Final = frozenset(map(coordinate_of, public_tags())) | {PRIVATE}
"""Every element that a header can tell something of."""

_KEPT_COORDINATES = 16_384


def redacted(attributes: Attributes, opened: frozenset[str]) -> dict[str, Any]:
    """Copy attributes, emptying what is closed; what is not touched is shared.

    A closed attribute stays, without a value, as an empty one does: which attributes an object has
    follows from its kind. A closed private one vanishes, for its tag alone may tell. What stands
    in a sequence needs the sequence to be open as well as itself.

    Args:
        attributes: As stored, or an item of a sequence.
        opened: The coordinates that the caller may read of this row.
    """
    if opened >= HEADER_COORDINATES:
        return dict(attributes)
    return _redacted(attributes, opened)


@lru_cache(_KEPT_COORDINATES)
def element_of(key: str) -> str:
    """Give the element that decides about a key of DICOM JSON (`00100010`)."""
    return coordinate_of(int(key, 16))


def _redacted(attributes: Attributes, opened: frozenset[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, element in attributes.items():
        coordinate = element_of(key)
        if coordinate not in opened:
            if coordinate != PRIVATE:
                kept[key] = {"vr": element["vr"]}
        elif element["vr"] == "SQ":
            kept[key] = _within(element, opened)
        else:
            kept[key] = element
    return kept


def _within(sequence: Mapping[str, Any], opened: frozenset[str]) -> Mapping[str, Any]:
    items = sequence.get("Value")
    if not items:
        return sequence
    return {**sequence, "Value": [_redacted(item or {}, opened) for item in items]}
