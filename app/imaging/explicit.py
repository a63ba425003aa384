"""A header in Explicit VR Little Endian whatever it was in, without decoding its values."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from app.imaging.deidentify import UNREADABLE, Header
from app.imaging.layout import Undecodable
from app.imaging.writing import WORD_BYTES, implied_vr
from fhir.attributes import Attributes

_UNDEFINED: Final = 0xFFFFFFFF
_SHORT: Final = 0xFFFF


def explicit(header: Header, attributes: Attributes) -> Dataset:
    """Give a header in Explicit VR Little Endian; values stay as they are encoded.

    Args:
        header: As it is encoded now.
        attributes: What was read of it when it was stored; tells value representations.

    Raises:
        Undecodable: It cannot be read.
    """
    try:
        return _Explicit(header.implicit, header.big).dataset(header.dataset, attributes)
    except UNREADABLE as error:
        raise Undecodable("The header cannot be read well enough to be written anew.") from error


class _Explicit:
    """Turns data sets, and those within them."""

    def __init__(self, implicit: bool, big: bool) -> None:
        self._implicit = implicit
        self._big = big

    def dataset(self, found: Dataset, attributes: Attributes) -> Dataset:
        """Turn one.

        Args:
            found: As it was read; nothing of it has been decoded.
            attributes: What was read of it before; tells value representations.
        """
        turned = Dataset()
        # taken before any is looked at: pydicom decodes some for the sake of others
        for tag, element in [(tag, found.get_item(tag)) for tag in found.keys()]:  # noqa: SIM118 -- else they are decoded
            if tag.element == 0:
                continue  # lengths of groups are retired (PS3.5 7.2), and no longer right
            known = attributes.get(f"{int(tag):08X}") or {}
            vr = self._representation(element, known)
            if vr == "SQ" and element.VR != "UN":
                turned[tag] = self._sequence(element, known)
            elif isinstance(element, RawDataElement) and element.length != _UNDEFINED:
                turned[tag] = self._element(element, vr)
            elif element.is_empty:
                turned[tag] = RawDataElement(tag, vr, 0, b"", 0, False, True)
        # so that pydicom writes what nobody changed as it is, whatever character set it is in
        turned.set_original_encoding(False, True, turned._character_set)
        return turned

    def _representation(
        self, element: RawDataElement | DataElement, known: Mapping[str, Any]
    ) -> str:
        if element.VR is not None:
            return str(element.VR)
        return str(known.get("vr") or implied_vr(element.tag))

    def _sequence(
        self, element: RawDataElement | DataElement, known: Mapping[str, Any]
    ) -> DataElement:
        parsed = element if isinstance(element, DataElement) else convert_raw_data_element(element)
        items = known.get("Value") or []
        turned = [
            self.dataset(item, (items[index] if index < len(items) else None) or {})
            for index, item in enumerate(parsed.value)
        ]
        return DataElement(element.tag, "SQ", Items(turned))

    def _element(self, element: RawDataElement, vr: str) -> RawDataElement:
        value = element.value or b""
        word = WORD_BYTES.get(vr, 1)
        if self._big and word > 1 and len(value) % word == 0:
            value = np.frombuffer(value, f"u{word}").byteswap().tobytes()
        if vr not in EXPLICIT_VR_LENGTH_32 and len(value) > _SHORT:
            vr = "OW" if vr in {"US", "SS"} else "UN"  # PS3.5 6.2.2
        return RawDataElement(element.tag, vr, len(value), value, 0, False, True)
