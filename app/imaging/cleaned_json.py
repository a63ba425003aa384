"""Takes identity out of DICOM JSON as `app.imaging.cleaning` takes it out of objects.

Both ask the same rules about the same values. Bulk data is left out.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

from pydicom import Dataset

from app.imaging.cleaning import Cleaning, disguised_header
from app.imaging.confidentiality import Action, action
from app.imaging.writing import BYTES, NUMBERS, Element, Elements, implied_vr
from fhir.attributes import Attributes
from fhir.from_dicom.texts import line
from fhir.pseudonyms import Disguise

Json = Any

_ONE_VALUE: Final = frozenset({"LT", "ST", "UR", "UT"})


def cleaned_json(attributes: Attributes, disguise: Disguise) -> dict[str, Json]:
    """Give a header without identity, which says that this was done, in the order of its tags.

    Args:
        attributes: DICOM JSON of everything before the pixel data.
        disguise: Whose.
    """
    said = disguised_header(Dataset(), disguise, line(attributes, "AccessionNumber"))
    found = _JsonCleaning(disguise).header(attributes) | _data_set(said)
    return dict(sorted(found.items()))


class _JsonCleaning(Cleaning):
    """Cleans DICOM JSON; values that are kept are not touched."""

    def header(self, attributes: Attributes) -> dict[str, Json]:
        kept = {}
        for key, found in attributes.items():
            tag = int(key, 16)
            vr = implied_vr(tag) if found["vr"] == "UN" else found["vr"]
            what = action(tag, vr)
            if "BulkDataURI" in found or (what == "remove" and not self._is_moved(tag, vr)):
                continue
            element = self._items(found, what) if vr == "SQ" else self._one(tag, found, vr, what)
            if element is not None:
                kept[key] = element
        return kept

    def _items(self, found: Mapping[str, Json], what: Action) -> dict[str, Json] | None:
        if found["vr"] != "SQ" or what == "uid":
            return None
        if what in {"keep", "references"}:
            items = [self.header(item or {}) for item in found.get("Value", ())]
        else:
            items = [{}] if what == "dummy" else []
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}

    def _one(self, tag: int, found: Mapping[str, Json], vr: str, what: Action) -> Json:
        value = _said(found)
        left = self._value(tag, vr, what, value)
        if left is None:
            return None
        return found if left is value else _element(Element(vr, left))


def _said(found: Mapping[str, Json]) -> bytes:
    """Write a value as an object would, as far as the rules look at it."""
    if "InlineBinary" in found:
        return b64decode(found["InlineBinary"])
    values = found.get("Value", ())
    texts = ("" if one is None else _text(one) for one in values)
    return "\\".join(texts).encode("latin-1", "replace")


def _text(value: Json) -> str:
    return "=".join(value.values()) if isinstance(value, Mapping) else str(value)


def _data_set(elements: Elements) -> dict[str, Json]:
    return {f"{tag:08X}": _element(elements[tag]) for tag in sorted(elements)}


def _element(element: Element) -> dict[str, Json]:
    if not isinstance(element.value, bytes):
        return {"vr": element.vr, "Value": [_data_set(item) for item in element.value]}
    if element.vr in BYTES:
        return {"vr": element.vr, "InlineBinary": b64encode(element.value).decode()}
    values = _values(element.vr, element.value)
    return {"vr": element.vr, "Value": values} if values else {"vr": element.vr}


def _values(vr: str, value: bytes) -> list[Json]:
    if vr in NUMBERS:
        return [number for (number,) in NUMBERS[vr].iter_unpack(value)]
    if vr == "AT":
        return [value.hex().upper()] if value else []
    text = value.decode("latin-1").rstrip(" \0")
    parts = [text] if vr in _ONE_VALUE else text.split("\\")
    if not text:
        return []
    if vr in {"DS", "IS"}:
        return [int(part) for part in parts]  # nothing but the dummy comes here
    return [_name(part) if vr == "PN" else part.strip(" \0") or None for part in parts]


def _name(text: str) -> dict[str, str] | None:
    return {"Alphabetic": text} if text else None
