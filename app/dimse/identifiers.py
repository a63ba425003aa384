"""Identifiers of queries and their answers: DICOM JSON from bytes, and bytes from DICOM JSON."""

from collections.abc import Iterator, Mapping
from struct import Struct
from types import MappingProxyType
from typing import Any, Final

from pydicom import uid

from app.imaging.arriving.dataset import DataSet
from app.imaging.arriving.refused import Refused
from app.imaging.writing import BYTES, NUMBERS, Element, Elements, encoded, written
from fhir.attributes import NAME_GROUPS, Attributes, tag, text
from fhir.errors import Invalid

UNICODE: Final = "ISO_IR 192"

_MAX_BYTES: Final = 2**20
_CHARACTER_SET = tag("SpecificCharacterSet")
# PS3.3 C.12.1.1.2, those without escapes in which a backslash is always one.
_CODECS: Mapping[str, str] = MappingProxyType(
    {
        "ISO_IR 6": "ascii",
        "ISO_IR 100": "iso8859-1",
        "ISO_IR 101": "iso8859-2",
        "ISO_IR 109": "iso8859-3",
        "ISO_IR 110": "iso8859-4",
        "ISO_IR 126": "iso8859-7",
        "ISO_IR 127": "iso8859-6",
        "ISO_IR 138": "iso8859-8",
        "ISO_IR 144": "iso8859-5",
        "ISO_IR 148": "iso8859-9",
        "ISO_IR 166": "iso8859-11",
        "ISO_IR 203": "iso8859-15",
        UNICODE: "utf-8",
    }
)
_TAG = Struct("<HH")
_EXACT: Final = 10**15
_DECIMAL_CHARACTERS: Final = 16


def read(data: bytes, transfer_syntax: str) -> dict[str, Any]:
    """Read an identifier.

    Raises:
        Invalid: It cannot be read.
    """
    if not data:
        return {}
    data_set = DataSet(0, transfer_syntax, {}, _MAX_BYTES, 8 * _MAX_BYTES)
    try:
        data_set.feed(data)
        data_set.close()
    except Refused as error:
        raise Invalid("The identifier cannot be read.") from error
    return dict(data_set.attributes)


def write(attributes: Attributes, transfer_syntax: str, wanted: str | None = None) -> bytes:
    """Write an answer, in Unicode unless it is wanted otherwise and fits.

    Args:
        attributes: DICOM JSON, without bulk data.
        transfer_syntax: A little endian one.
        wanted: Specific Character Set that the peer asked for.
    """
    implicit = transfer_syntax == uid.ImplicitVRLittleEndian
    for name in dict.fromkeys((wanted, UNICODE)):
        codec = _CODECS.get(name or "")
        if name is not None and codec is not None:
            said = {**attributes, _CHARACTER_SET: {"vr": "CS", "Value": [name]}}
            try:
                return written(_elements(said, codec), implicit=implicit, big=False)
            except UnicodeEncodeError:
                continue
    raise AssertionError("Unicode holds every text")


def character_set(identifier: Attributes) -> str | None:
    """Give the Specific Character Set that a query is written in, where it is a single one."""
    return text(identifier, "SpecificCharacterSet")


def _elements(attributes: Attributes, codec: str) -> Elements:
    return {int(key, 16): _element(one, codec) for key, one in attributes.items()}


def _element(attribute: Mapping[str, Any], codec: str) -> Element:
    vr, found = attribute["vr"], attribute.get("Value", ())
    if vr == "SQ":
        return Element(vr, [_elements(item or {}, codec) for item in found])
    if vr in NUMBERS:
        return Element(vr, b"".join(NUMBERS[vr].pack(one) for one in found if one is not None))
    if vr == "AT":
        numbers = (int(one, 16) for one in found)
        return Element(vr, b"".join(_TAG.pack(one >> 16, one & 0xFFFF) for one in numbers))
    if vr in BYTES:
        return Element(vr, b"")
    return encoded(vr, "\\".join(texts(attribute)).encode(codec))


def texts(attribute: Mapping[str, Any]) -> Iterator[str]:
    """Give the values of an attribute that is no sequence as they are written in a query."""
    for one in attribute.get("Value", ()):
        if one is None:
            yield ""
        elif isinstance(one, Mapping):
            yield "=".join(one.get(name, "") for name in NAME_GROUPS).rstrip("=")
        elif isinstance(one, float):
            yield _decimal(one)
        else:
            yield str(one)


def _decimal(number: float) -> str:
    """Write a number in the 16 characters of a decimal string (PS3.5 6.2)."""
    if number.is_integer() and abs(number) < _EXACT:
        return str(int(number))
    said = repr(number)
    digits = 16
    while len(said) > _DECIMAL_CHARACTERS:
        digits -= 1
        said = f"{number:.{digits}g}"
    return said
