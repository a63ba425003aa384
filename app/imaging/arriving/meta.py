"""Reads what precedes a data set: preamble, file meta information, or nothing at all."""

from dataclasses import dataclass
from struct import unpack_from
from typing import Final

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from app.imaging.arriving.dictionary import KNOWN
from app.imaging.arriving.refused import Refused
from app.imaging.arriving.values import READERS

HEAD_BYTES: Final = 132
NO_PREAMBLE: Final = "there is no preamble"
NO_META: Final = "there is no file meta information"
META_LENGTH: Final = "the file meta information has another length than it says"
PREAMBLE: Final = "the preamble holds something of its own"

_LONG = frozenset((b"OB", b"OW", b"UN", b"UT", b"SQ", b"OF", b"OD", b"OL", b"OV", b"UC", b"UR"))
_VRS = frozenset(vr.encode() for vr in READERS) | _LONG
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAX_BYTES = 1 << 20
_HEADER = 8
_GROUP = 2
_GROUP_LENGTH = 12

TRANSFER_SYNTAXES: Final = frozenset(
    uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"
) - {
    # Retired, and no encoding of a data set of elements.
    "1.2.840.10008.1.2.6.1",
    "1.2.840.10008.1.2.6.2",
} | {
    # Newer than the dictionary: JPEG XL and deflated frames.
    "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.4.111",
    "1.2.840.10008.1.2.4.112",
    "1.2.840.10008.1.2.8.1",
}
"""Transfer syntaxes an object may have."""


@dataclass(frozen=True, slots=True)
class Meta:
    """What is known before the data set.

    Attributes:
        end: Where the data set starts, in bytes.
        transfer_syntax: As stated, or as sniffed if there is no file meta information.
        sop_instance_uid: As stated, or None.
        sniffed: Whether nothing was stated.
    """

    end: int
    transfer_syntax: str
    sop_instance_uid: str | None
    sniffed: bool = False


def read(data: bytes, notes: dict[str, None], *, whole: bool) -> Meta | int:
    """Read what precedes the data set, or say how many bytes that takes.

    Args:
        data: The first bytes of the object.
        notes: Where warnings go.
        whole: Whether there are no more bytes.

    Raises:
        Refused: This is no DICOM object, or cannot be read any further.
    """
    if not whole and len(data) < HEAD_BYTES:
        return HEAD_BYTES
    if data[128:132] == b"DICM":
        if any(data[:128]) and not data.startswith(_TIFF):
            notes[PREAMBLE] = None
        return _group2(data, HEAD_BYTES, notes, whole=whole)
    if data.startswith(b"DICM"):
        notes[NO_PREAMBLE] = None
        return _group2(data, 4, notes, whole=whole)
    if data.startswith((b"\x02\0\0\0UL\x04\0", b"\x02\0\x10\0UI")):
        notes[NO_PREAMBLE] = None
        return _group2(data, 0, notes, whole=whole)
    return _bare(data, notes)


def _bare(data: bytes, notes: dict[str, None]) -> Meta:
    if not data:
        raise Refused("empty", "There are no bytes.")
    if len(data) >= _HEADER:
        syntax = _sniff(data)
        if syntax:
            notes[NO_META] = None
            return Meta(0, syntax, None, sniffed=True)
    raise Refused("not-dicom", "This is no DICOM object.")


def _sniff(data: bytes) -> str | None:
    """Guess the transfer syntax of a bare data set by its first element, of a low group."""
    for order, syntax in (("<", ExplicitVRLittleEndian), (">", ExplicitVRBigEndian)):
        group, number = unpack_from(order + "2H", data)
        if group in (0x0004, 0x0008, 0x0010) and (group << 16 | number in KNOWN or not number):
            if data[4:6] in _VRS:
                return str(syntax)
            (length,) = unpack_from(order + "I", data, 4)
            if order == "<" and length < 1 << 16:
                return str(ImplicitVRLittleEndian)
    return None


def _group2(data: bytes, position: int, notes: dict[str, None], *, whole: bool) -> Meta | int:
    begin = position
    values: dict[int, bytes] = {}
    while True:
        if len(data) < position + _HEADER:
            if len(data) == position and whole and values:
                break
            return _more(position + _HEADER, whole=whole)
        group, number, code, length = unpack_from("<HH2sH", data, position)
        if group != _GROUP:
            break
        start = position + _HEADER
        if code in _LONG:
            if len(data) < start + 4:
                return _more(start + 4, whole=whole)
            (length,) = unpack_from("<I", data, start)
            start += 4
        elif code not in _VRS:  # some writers encode even this group implicitly
            (length,) = unpack_from("<I", data, position + 4)
        position = start + length
        if length > _MAX_BYTES:
            raise Refused("malformed", "The file meta information is too long.")
        if len(data) < position:
            return _more(position, whole=whole)
        values[number] = data[start:position]
    if int.from_bytes(values.get(0, b""), "little") not in (0, position - begin - _GROUP_LENGTH):
        notes[META_LENGTH] = None
    return _meta(position, values)


def _more(need: int, *, whole: bool) -> int:
    if whole:
        raise Refused("truncated", "The object ends inside its file meta information.")
    if need > 2 * _MAX_BYTES:
        raise Refused("malformed", "The file meta information is too long.")
    return need


def _meta(position: int, values: dict[int, bytes]) -> Meta:
    syntax = _uid(values.get(0x10))
    if not syntax:
        raise Refused("no-transfer-syntax", "The file meta information names no transfer syntax.")
    if syntax not in TRANSFER_SYNTAXES:
        raise Refused("unknown-transfer-syntax", "The transfer syntax is unknown; send another.")
    return Meta(position, syntax, _uid(values.get(0x03)) or None)


def _uid(raw: bytes | None) -> str:
    return (raw or b"").decode("latin-1").strip(" \0")
