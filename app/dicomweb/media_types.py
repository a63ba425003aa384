"""What a client accepts and what we offer: media types with the parameters of PS3.18 8.7."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from fhir.errors import Invalid, NotAcceptable

ANY: Final = "*/*"
RELATED: Final = "multipart/related"
OCTETS: Final = "application/octet-stream"
JSON: Final = "application/json"
DICOM_JSON: Final = "application/dicom+json"
DICOM_XML: Final = "application/dicom+xml"
EXPLICIT: Final = "1.2.840.10008.1.2.1"

_JPEG = ("image/jpeg",)
_JPEG_LS = ("image/jls", "image/x-jls")
_JPEG_2000 = ("image/jp2", "image/j2c", "image/x-jp2")
_JPEG_2000_PARTS = ("image/jpx",)
_HTJ2K = ("image/jphc", "image/jph")
_JPEG_XL = ("image/jxl",)
_MPEG2 = ("video/mpeg",)
_MPEG4 = ("video/mp4",)
_HEVC = ("video/H265", "video/mp4")

COMPRESSED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "1.2.840.10008.1.2.5": ("image/dicom-rle", "image/x-dicom-rle"),
        "1.2.840.10008.1.2.8.1": (OCTETS,),
    }
    | {
        f"1.2.840.10008.1.2.4.{number}": names
        for numbers, names in (
            (("50", "51", "53", "55", "57", "70"), _JPEG),
            (("80", "81"), _JPEG_LS),
            (("90", "91"), _JPEG_2000),
            (("92", "93"), _JPEG_2000_PARTS),
            (("201", "202", "203"), _HTJ2K),
            (("110", "111", "112"), _JPEG_XL),
            (("100", "100.1", "101", "101.1"), _MPEG2),
            (
                ("102", "102.1", "103", "103.1", "104", "104.1", "105", "105.1", "106", "106.1"),
                _MPEG4,
            ),
            (("107", "108"), _HEVC),
        )
        for number in numbers
    }
)
"""Media types of a frame in each compressed transfer syntax (PS3.18 table 8.7.3-4), ours first."""

_PIECES = {mark: re.compile(rf'(?:"(?:\\.|[^"\\])*"|[^"{mark}])+') for mark in ",;"}
_NAME = re.compile(r"[!#$&^_.+*a-z0-9-]+/[!#$&^_.+*a-z0-9-]+")
_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type or range as a client writes it.

    Attributes:
        name: In lower case.
        parameters: Names in lower case, values without quotes.
    """

    name: str
    parameters: Mapping[str, str]

    @property
    def inner(self) -> str:
        """What one representation has to be: the type of the parts where it is multipart."""
        if self.multipart:
            return self.parameters.get("type", ANY).lower()
        return self.name

    @property
    def multipart(self) -> bool:
        """Whether it asks for an answer in parts."""
        return self.name in {RELATED, "multipart/*"}

    @property
    def quality(self) -> float:
        """How much it is wanted, 0 to 1; 0 is not at all."""
        return float(self.parameters.get("q", "1"))


@dataclass(frozen=True, slots=True)
class Offer:
    """One form in which something can be given.

    Attributes:
        names: Media types of the representation; the first is the one we state.
        transfer_syntax: Stated with it; None where there is no such thing.
        multipart: Whether each representation is a part of the answer.
        as_stored: Whether it is what `transfer-syntax=*` asks for first.
        unnamed: Whether it is for those alone who name no transfer syntax.
    """

    names: tuple[str, ...]
    transfer_syntax: str | None = None
    multipart: bool = False
    as_stored: bool = False
    unnamed: bool = False

    @property
    def media_type(self) -> str:
        """Content-Type of one representation."""
        syntax = f"; transfer-syntax={self.transfer_syntax}" if self.transfer_syntax else ""
        return f"{self.names[0]}{syntax}"

    def __str__(self) -> str:
        """Write it as an Accept header has to."""
        if not self.multipart:
            return self.media_type
        syntax = f"; transfer-syntax={self.transfer_syntax}" if self.transfer_syntax else ""
        return f'{RELATED}; type="{self.names[0]}"{syntax}'

    def answers(self, asked: MediaType) -> bool:
        """Say whether this is what was asked for."""
        if asked.name != ANY and asked.multipart != self.multipart:
            return False
        if self.unnamed and "transfer-syntax" in asked.parameters:
            return False
        syntax = asked.parameters.get("transfer-syntax", "*")
        return any(_covers(asked.inner, name.lower()) for name in self.names) and (
            self.transfer_syntax is None or syntax in {"*", self.transfer_syntax}
        )


DATA_SETS: Final = (Offer((DICOM_JSON,)), Offer((JSON,)), Offer((DICOM_XML,), multipart=True))
"""The forms of a list of data sets (PS3.18 8.7.3)."""

DATA_SETS_AS: Final = (DICOM_JSON, JSON, RELATED)


def media_type(text: str) -> MediaType:
    """Read one media type, such as a Content-Type.

    Raises:
        Invalid: It is none.
    """
    if _unbalanced(text):
        raise Invalid("a media type has quotes that do not end")
    name, *parameters = [piece.strip() for piece in _PIECES[";"].findall(text)] or [""]
    if not _NAME.fullmatch(name.lower()):
        raise Invalid("a media type is written like image/jpeg, parameters after semicolons")
    found = {}
    for parameter in filter(None, parameters):
        key, equals, value = parameter.partition("=")
        if not equals:
            raise Invalid("a parameter of a media type is written like type=value")
        found[key.strip().lower()] = _unquoted(value.strip())
    if not _QUALITY.fullmatch(found.get("q", "1")):
        raise Invalid("the parameter q of a media type is a number from 0 to 1")
    return MediaType(name.lower(), found)


@lru_cache(maxsize=256)
def accepted(text: str) -> tuple[MediaType, ...]:
    """Read an Accept header: what is wanted most comes first, in the client's order.

    Raises:
        Invalid: It cannot be understood.
    """
    if _unbalanced(text):
        raise Invalid("Accept has quotes that do not end")
    pieces = (piece.strip() for piece in _PIECES[","].findall(text))
    wanted = [media_type(piece) for piece in pieces if piece]
    return tuple(sorted(wanted, key=lambda one: -one.quality))


def choose(
    accept: str,
    offers: Sequence[Offer],
    more: Callable[[], Sequence[Offer]] = tuple,
) -> Offer:
    """Give the first offer that answers what is wanted most.

    Args:
        accept: The Accept header; empty accepts anything.
        offers: What can be given, the default first.
        more: What can be given besides; asked for where nothing before answers.

    Raises:
        NotAcceptable: None does; the message lists them.
        Invalid: The header cannot be understood.
    """
    wanted = accepted(accept) or (MediaType(ANY, {}),)
    unwanted = [one for one in wanted if not one.quality and one.name != ANY]
    others: Sequence[Offer] | None = None
    for asked in wanted:
        if not asked.quality:
            break
        found = _first(offers, asked, unwanted)
        if found is None:
            others = more() if others is None else others
            found = _first(others, asked, unwanted)
        if found is not None:
            return found
    listed = [*offers, *(more() if others is None else others)]
    raise NotAcceptable(f"Not available in what you accept, but as {_listed(listed)}.")


def _first(
    offers: Sequence[Offer], asked: MediaType, unwanted: Sequence[MediaType]
) -> Offer | None:
    for offer in _in_order(offers, asked):
        stated = replace(offer, names=offer.names[:1]) if unwanted else offer
        if offer.answers(asked) and not any(stated.answers(one) for one in unwanted):
            return offer
    return None


def _in_order(offers: Iterable[Offer], asked: MediaType) -> Iterable[Offer]:
    if asked.parameters.get("transfer-syntax") == "*":
        return sorted(offers, key=lambda offer: not offer.as_stored)
    return offers


def _covers(asked: str, name: str) -> bool:
    return asked in {ANY, name} or (asked.endswith("/*") and name.startswith(asked[:-1]))


def _listed(offers: Iterable[Offer]) -> str:
    return " or ".join(str(offer) for offer in offers)


def _unbalanced(text: str) -> bool:
    return bool(re.sub(r"\\.", "", text).count('"') % 2)


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value
