"""The Native DICOM Model (PS3.19 A.1): the XML form of what the DICOM JSON Model says."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydicom.datadict import keyword_for_tag

from fhir.attributes import NAME_GROUPS

Json = Any

NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"

_OPENING = f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" '
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_CREATORS = range(0x10, 0x100)
# XML 1.0 2.2: these are no characters of a document, not even as references. DICOM has some,
# such as the form feed.
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Parsers turn the white space of attributes, and returns everywhere, into something else.
_ESCAPES = {ord(character): f"&#{ord(character)};" for character in "&<>\r"}
_ATTRIBUTE_ESCAPES = _ESCAPES | {ord(character): f"&#{ord(character)};" for character in '"\t\n'}


def native_xml(attributes: Mapping[str, Json]) -> bytes:
    """Write a data set as a document of its own.

    Args:
        attributes: DICOM JSON. Bulk data URIs are written as they are; what XML has no character
            for becomes U+FFFD.
    """
    pieces = [_OPENING, 'xml:space="preserve">', *_data_set(attributes), "</NativeDicomModel>\n"]
    return "".join(pieces).encode()


def _data_set(attributes: Mapping[str, Json]) -> Iterator[str]:
    for key, element in attributes.items():
        yield f'<DicomAttribute {_identity(key, attributes)} vr="{_attribute(element["vr"])}">'
        if "Value" in element:
            yield from _values(element["vr"], element["Value"])
        elif "BulkDataURI" in element:
            yield f'<BulkData uri="{_attribute(element["BulkDataURI"])}"/>'
        elif "InlineBinary" in element:
            yield f"<InlineBinary>{_text(element['InlineBinary'])}</InlineBinary>"
        yield "</DicomAttribute>"


def _identity(key: str, attributes: Mapping[str, Json]) -> str:
    """Give the attributes of the XML element that say which DICOM one it is."""
    tag = int(key, 16)
    if not tag & 0x10000:
        keyword = keyword_for_tag(tag)
        return f'tag="{key}" keyword="{keyword}"' if keyword else f'tag="{key}"'
    block = tag >> 8 & 0xFF
    reserved = attributes.get(f"{key[:4]}00{block:02X}", {}).get("Value")
    if block in _CREATORS and reserved and isinstance(reserved[0], str):
        # The block is of one object alone, so that its number stays out where its creator is known.
        return f'tag="{key[:4]}00{key[6:]}" privateCreator="{_attribute(reserved[0])}"'
    return f'tag="{key}"'


def _values(vr: str, values: Sequence[Json]) -> Iterator[str]:
    for number, value in enumerate(values, start=1):
        if vr == "SQ":
            yield f'<Item number="{number}">'
            yield from _data_set(value or {})
            yield "</Item>"
        elif value is None:
            yield (
                f'<PersonName number="{number}"/>' if vr == "PN" else f'<Value number="{number}"/>'
            )
        elif vr == "PN":
            yield f'<PersonName number="{number}">'
            yield from _name(value)
            yield "</PersonName>"
        else:
            yield f'<Value number="{number}">{_text(str(value))}</Value>'


def _name(name: Mapping[str, str]) -> Iterator[str]:
    for group in NAME_GROUPS:
        if group in name:
            yield f"<{group}>"
            # A name of more components than there are keeps them in its last.
            components = name[group].split("^", len(_COMPONENTS) - 1)
            for element, component in zip(_COMPONENTS, components, strict=False):
                if component:
                    yield f"<{element}>{_text(component)}</{element}>"
            yield f"</{group}>"


def _text(text: str) -> str:
    return text if text.isalnum() else _IMPOSSIBLE.sub("�", text).translate(_ESCAPES)


def _attribute(text: str) -> str:
    return text if text.isalnum() else _IMPOSSIBLE.sub("�", text).translate(_ATTRIBUTE_ESCAPES)
