"""The text of a header as metadata: DICOM JSON (PS3.18 F), joined as bytes wherever it can be."""

import re
from functools import lru_cache
from typing import Any, Final

import orjson

from app.imaging.cleaned_json import cleaned_json
from fhir.attributes import Attributes
from fhir.attributes import tag as tag_of
from fhir.dicom_redaction import HEADER_COORDINATES, redacted
from fhir.repository import StoredHeader

BULK_DATA: Final = "bulkdata"
PIXEL_DATA: Final = "pixeldata"

_SYNTAX: Final = "00083002"
_PIXELS: Final = "7FE00010"
_FLOATS: Final = {32: ("7FE00008", "OF"), 64: ("7FE00009", "OD")}
_REPRESENTATION: Final = b'"00280103"'
_BYTE_BITS: Final = 8
# A quote inside a JSON string is written as `\"`, so no value can look like this.
_RELATIVE: Final = b'"BulkDataURI":"?offset='

_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_DEPTH: Final = 9
_KEPT: Final = 128


def _braces(depth: int) -> bytes:
    inner = rb"|" + _braces(depth - 1) if depth else b""
    return rb'\{(?:[^"{}]++|' + _STRING + inner + rb")*+\}"


# Every element before AvailableTransferSyntaxUID, as far as sequences nest no deeper. Most have
# one text and no more; they are told apart first.
_BEFORE_SYNTAX: Final = re.compile(
    rb'\{(?:"000(?:[0-7][0-9A-F]|8[0-2]|830(?=0[01]))[0-9A-F]++":'
    rb'(?:\{"vr":"[A-Z]{2}"(?:,"Value":\["[^"\\]*+"\])?\}|' + _braces(_DEPTH) + rb"),?)*+"
)


def header_text(header: StoredHeader, opened: frozenset[str], url: str) -> bytes:
    """Write what a caller may see of a header, with what is to be known of its bytes.

    Args:
        header: As the repository gives it.
        opened: The coordinates that are open to the caller on its study.
        url: Of the instance: URIs of its bulk data are below it.

    Returns:
        One object of DICOM JSON in UTF-8, its attributes in the order of their tags.
    """
    joined = None
    if header.disguise is None and opened >= HEADER_COORDINATES:
        joined = _joined(header, url)
    text = joined or orjson.dumps(redacted(_said(header, url), opened))
    if _RELATIVE not in text:
        return text
    return text.replace(_RELATIVE, b'"BulkDataURI":"%s?offset=' % _escaped(f"{url}/{BULK_DATA}"))


def _joined(header: StoredHeader, url: str) -> bytes | None:
    """Put into a text what is to be added, or give None where its places are not easily found."""
    text = header.text
    before = _BEFORE_SYNTAX.match(text)
    at = before.end() if before else 0
    if not (text[at : at + 1] == b'"' and text[at + 1 : at + 9] > _SYNTAX.encode()):
        return None
    added = _syntax_element(header.transfer_syntax)
    if header.pixels is None:
        return b"".join((text[:at], added, text[at:]))
    if b'},"7FE' in text or b'},"FFF' in text:
        return None  # out of order in its object: it may have to come after the pixel data
    if header.bits_allocated in _FLOATS and _REPRESENTATION not in text:
        return None
    pixels = b',"%s":{"vr":"%s","BulkDataURI":"%s"}}' % (
        _PIXELS.encode(),
        _vr(header).encode(),
        _escaped(f"{url}/{PIXEL_DATA}"),
    )
    return b"".join((text[:at], added, text[at:-1], pixels))


@lru_cache(_KEPT)
def _syntax_element(transfer_syntax: str) -> bytes:
    return b'"%s":{"vr":"UI","Value":["%s"]},' % (_SYNTAX.encode(), _escaped(transfer_syntax))


def _said(header: StoredHeader, url: str) -> dict[str, Any]:
    attributes: Attributes = orjson.loads(header.text)
    if header.disguise is not None:
        attributes = cleaned_json(attributes, header.disguise)
    said = {**attributes, _SYNTAX: {"vr": "UI", "Value": [header.transfer_syntax]}}
    if header.pixels is not None:
        tag, vr = _PIXELS, _vr(header)
        if header.pixels == "native" and tag_of("PixelRepresentation") not in attributes:
            tag, vr = _FLOATS.get(header.bits_allocated or 0, (tag, vr))
        said[tag] = {"vr": vr, "BulkDataURI": f"{url}/{PIXEL_DATA}"}
    return dict(sorted(said.items()))


def _vr(header: StoredHeader) -> str:
    """Give the VR that its pixel data has in Explicit VR Little Endian (PS3.5 A.2)."""
    wide = (header.bits_allocated or 0) > _BYTE_BITS
    return "OW" if wide and header.pixels == "native" else "OB"


def _escaped(text: str) -> bytes:
    return orjson.dumps(text)[1:-1]
