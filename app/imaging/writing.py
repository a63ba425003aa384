"""Data sets of encoded values, so that what nobody changed stays as it is, byte for byte."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from struct import Struct
from types import MappingProxyType
from typing import Final, Union

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

Elements = dict[int, "Element"]
"""A data set by tag, group and element in one number."""

IMPLEMENTATION_UID: Final = "2.25.294131373306170953437811243290617361817"
IMPLEMENTATION_NAME: Final = "RADIOGRAPH"

WORD_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    dict.fromkeys(("US", "SS", "OW", "AT"), 2)
    | dict.fromkeys(("UL", "SL", "FL", "OL", "OF"), 4)
    | dict.fromkeys(("UV", "SV", "FD", "OV", "OD"), 8)
)
"""Of what size are the words that byte order is about, where they are more than bytes."""

NUMBERS: Final[Mapping[str, Struct]] = MappingProxyType(
    {
        vr: Struct(f"<{code}")
        for vr, code in zip(
            ("FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"), "dfihqIHQ", strict=True
        )
    }
)
"""How one value of each binary number is written in little endian."""

BYTES: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""Value representations of bytes without values."""

PREAMBLE_BYTES: Final = 128

_ITEM = (0xFFFE, 0xE000)
_META_GROUP = 2
_SHORT = 0xFFFF


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its value as it is encoded, or its items."""

    vr: str
    value: Union[bytes, list[Elements]]  # noqa: UP007 -- the type refers to itself


def encoded(vr: str, value: bytes) -> Element:
    """Make an element, its value padded to an even length."""
    padding = b"\0" if vr in {"UI", "OB", "UN"} else b" "
    return Element(vr, value + padding * (len(value) % 2))


def implied_vr(tag: int) -> str:
    """Give the value representation that an element has where its encoding does not say."""
    return dictionary_VR(tag).split(" or ")[0] if dictionary_has_tag(tag) else "UN"


def written(elements: Elements, *, implicit: bool, big: bool) -> bytes:
    """Encode a data set in the order of its tags; every length is said.

    Args:
        elements: The data set.
        implicit: Whether it is without value representations.
        big: Whether it is big endian, as the encoded values are too.
    """
    return b"".join(_Encoding(implicit, big).data_set(elements))


def opening(sop_class: Element, instance: Element, transfer_syntax: str) -> bytes:
    """Write preamble and file meta information (PS3.10 7.1).

    They say nothing of where an object came from, or when: the same one comes to the same bytes.
    """
    group = {
        0x00020001: encoded("OB", b"\0\1"),
        0x00020002: sop_class,
        0x00020003: instance,
        0x00020010: encoded("UI", transfer_syntax.encode()),
        0x00020012: encoded("UI", IMPLEMENTATION_UID.encode()),
        0x00020013: encoded("SH", IMPLEMENTATION_NAME.encode()),
    }
    rest = written(group, implicit=False, big=False)
    length = encoded("UL", Struct("<I").pack(len(rest)))
    first = written({0x00020000: length}, implicit=False, big=False)
    return bytes(PREAMBLE_BYTES) + b"DICM" + first + rest


class _Encoding:
    def __init__(self, implicit: bool, big: bool) -> None:
        order = ">" if big else "<"
        self._implicit = implicit
        self._long = Struct(f"{order}HH2sHI")
        self._short = Struct(f"{order}HH2sH")
        self._bare = Struct(f"{order}HHI")

    def data_set(self, elements: Elements) -> Iterable[bytes]:
        for tag in sorted(elements):
            if tag & 0xFFFF == 0 and tag >> 16 != _META_GROUP:
                continue  # lengths of groups are retired (PS3.5 7.2), and no longer right
            element = elements[tag]
            value = element.value
            if not isinstance(value, bytes):
                value = b"".join(self._item(item) for item in value)
            yield self._head(tag, element.vr, len(value))
            yield value

    def _item(self, elements: Elements) -> bytes:
        body = b"".join(self.data_set(elements))
        return self._bare.pack(*_ITEM, len(body)) + body

    def _head(self, tag: int, vr: str, length: int) -> bytes:
        group, element = tag >> 16, tag & 0xFFFF
        if self._implicit:
            return self._bare.pack(group, element, length)
        if vr not in EXPLICIT_VR_LENGTH_32 and length > _SHORT:
            vr = "UN"  # PS3.5 6.2.2
        if vr in EXPLICIT_VR_LENGTH_32:
            return self._long.pack(group, element, vr.encode(), 0, length)
        return self._short.pack(group, element, vr.encode(), length)
