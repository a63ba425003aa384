"""Which VR an element has whose stream does not say: public and private dictionaries."""

from typing import Final

from pydicom._dicom_dict import DicomDictionary
from pydicom._private_dict import private_dictionaries
from pydicom.datadict import dictionary_VR

KNOWN: Final[dict[int, tuple[str, str]]] = {
    tag: (f"{tag:08X}", entry[0]) for tag, entry in DicomDictionary.items()
}
"""DICOM JSON key and VR of every public element; an ambiguous VR reads `US or SS`."""

_CREATORS = range(0x10, 0x100)

LUT_DESCRIPTORS: Final = frozenset((0x00281101, 0x00281102, 0x00281103, 0x00283002))
"""Their first value counts entries and is unsigned, whatever the VR (PS3.3 C.11.1.1.1)."""


def public_vr(tag: int) -> str | None:
    """Give the VR of an element of an even group, or None if the dictionary lacks it."""
    known = KNOWN.get(tag)
    if known is not None:
        return known[1]
    if not tag & 0xFFFF:
        return "UL"
    try:
        return str(dictionary_VR(tag))  # repeating groups: 50xx, 60xx
    except KeyError:
        return None


def private_vr(tag: int, creator: str | None) -> str | None:
    """Give the VR of an element of an odd group, or None if its creator's is not known.

    Args:
        tag: The element, its block number as it stands in the data set.
        creator: The value of the element that reserves the block, if there is one.
    """
    element = tag & 0xFFFF
    if element in _CREATORS:
        return "LO"
    entries = private_dictionaries.get(creator or "")
    if entries is None or element < _CREATORS.start << 8:
        return None
    key = f"{tag:08X}"
    for pattern in (key, f"{key[:4]}xx{key[6:]}", f"{key[:2]}xxxx{key[6:]}"):
        entry = entries.get(pattern)
        if entry is not None:
            return entry[0].replace("_", " or ")
    return None
