"""Follows an arriving data set through its header, its pixel data and what comes after."""

from typing import Any, Final

from pydicom import uid

from app.imaging.arriving.elements import IMPLICIT, PADDING, UNDEFINED, Elements
from app.imaging.arriving.pixels import EncapsulatedPixels, NativePixels
from app.imaging.arriving.refused import Refused
from app.imaging.frames import FrameTable

NOT_ENCAPSULATED: Final = "pixel data is native, unlike its transfer syntax"
NO_PIXELS: Final = "pixel data is described, but is not there"
NOT_NATIVE: Final = "pixel data is encapsulated, unlike its transfer syntax"

DEFLATED: Final = frozenset(
    (uid.DeflatedExplicitVRLittleEndian, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
)
"""Transfer syntaxes whose whole data set is deflated; Papyrus 3 below is implicit, too."""

_IMPLICIT = frozenset((uid.ImplicitVRLittleEndian, "1.2.840.10008.1.20"))
_NATIVE = _IMPLICIT | DEFLATED | {uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian}
# What may follow pixel data: digital signatures and trailing padding (PS3.10 7.2).
_TRAILING_GROUPS = range(0x7FE1, 0xFFFA)
_HEADER = 8
_PIXEL_URL = "00287FE0"
_TRAILERS = (b"\xfa\xff\xfa\xff", b"\xfc\xff\xfc\xff", b"\xff\xfa\xff\xfa", b"\xff\xfc\xff\xfc")


class DataSet:
    """Push parser of a data set in any encoding, inflated already."""

    def __init__(
        self,
        offset: int,
        transfer_syntax: str,
        notes: dict[str, None],
        max_bytes: int,
        max_header_bytes: int,
    ) -> None:
        """Args say where it starts in the object, how it is encoded and how long it may be."""
        self._offset = offset
        self._transfer_syntax = transfer_syntax
        self._notes = notes
        self._max_bytes = max_bytes
        self._max_header_bytes = max_header_bytes
        self._waiting = b""
        self._elements: Elements | None = None
        self._pixels: NativePixels | EncapsulatedPixels | None = None
        self._trailer: Elements | None = None
        self._over = False

    @property
    def attributes(self) -> dict[str, Any]:
        """DICOM JSON of what precedes the pixel data."""
        return self._elements.attributes if self._elements else {}

    @property
    def reached_pixels(self) -> bool:
        """Whether `attributes` is complete."""
        return self._pixels is not None

    def feed(self, chunk: bytes) -> None:
        """Read on.

        Raises:
            Refused: The data set is malformed or beyond the limits.
        """
        if self._elements is None:
            self._waiting += chunk
            if len(self._waiting) < _HEADER:
                return
            chunk, self._waiting = self._waiting, b""
            self._elements = self._open(chunk)
        if self._pixels is None:
            rest = self._elements.feed(chunk)
            if rest is None or self._elements.found is None:
                return
            chunk = rest
            self._pixels = self._expect(self._elements.found, chunk)
        if self._trailer is None and not self._over:
            rest = self._pixels.feed(chunk)
            if not rest:
                return
            chunk = rest
        self._trail(chunk)

    def _open(self, head: bytes) -> Elements:
        stated = self._transfer_syntax in _IMPLICIT
        implicit = not (head[4:6].isalpha() and head[4:6].isupper())
        if implicit is not stated:
            self._notes[IMPLICIT] = None
        return self._read_elements(self._offset, implicit=implicit)

    def _read_elements(self, offset: int, *, implicit: bool) -> Elements:
        return Elements(
            offset,
            self._notes,
            implicit=implicit,
            big=self._transfer_syntax == uid.ExplicitVRBigEndian,
            max_offset=self._max_bytes,
            max_header_bytes=self._max_header_bytes,
        )

    def _expect(
        self, found: tuple[int, str, int, int], chunk: bytes
    ) -> NativePixels | EncapsulatedPixels:
        _, _, offset, length = found
        native = self._transfer_syntax in _NATIVE
        if length == UNDEFINED:
            if native:
                self._notes[NOT_NATIVE] = None
            return EncapsulatedPixels(offset)
        if offset + length > self._max_bytes:
            raise Refused("too-large", "Pixel data reaches beyond the largest object allowed.")
        if not native:
            self._notes[NOT_ENCAPSULATED] = None
        return NativePixels(offset, length)

    def _trail(self, chunk: bytes) -> None:
        """Read what follows pixel data only to tell whether it is cut or does not belong here."""
        if self._over:
            return
        if self._trailer is None:
            self._waiting += chunk
            if len(self._waiting) < _HEADER:
                return
            chunk, self._waiting = self._waiting, b""
            if not self._belongs(chunk):
                self._end()
                return
            self._trailer = self._read_elements(
                self._offset, implicit=self._transfer_syntax in _IMPLICIT
            )
        try:
            self._trailer.feed(chunk)
        except Refused:
            self._end()
            return
        if self._trailer.found is not None or self._trailer.padded:
            self._end()
        self._trailer.attributes.clear()

    def _belongs(self, head: bytes) -> bool:
        if head.startswith(_TRAILERS):
            return True
        little = self._transfer_syntax != uid.ExplicitVRBigEndian
        group = int.from_bytes(head[:2], "little" if little else "big")
        code = head[4:6]
        written = self._transfer_syntax in _IMPLICIT or (code.isalpha() and code.isupper())
        return group in _TRAILING_GROUPS and written

    def _end(self) -> None:
        self._over = True
        self._notes[PADDING] = None

    def close(self) -> FrameTable | None:
        """End the data set; give where its frames lie, or None if it has no pixel data.

        Raises:
            Refused: The data set is cut, or is not there.
        """
        if self._elements is None:
            raise Refused("truncated", "The object ends before its data set; send it whole.")
        if self._pixels is None or self._elements.found is None:
            self._elements.close()
            # Sent without pixels on purpose, or cut between two elements: nothing tells.
            if "00280010" in self.attributes and _PIXEL_URL not in self.attributes:
                self._notes[NO_PIXELS] = None
            return None
        if self._waiting:
            self._end()
        if self._trailer is not None and not self._over:
            self._trailer.close()
        deflated = self._transfer_syntax in DEFLATED
        if isinstance(self._pixels, EncapsulatedPixels):
            self._pixels.close(self._notes)
            return self._pixels.table(
                self._transfer_syntax, self.attributes, self._notes, deflated=deflated
            )
        self._pixels.close()
        tag = self._elements.found[0]
        return self._pixels.table(tag, self.attributes, self._notes, deflated=deflated)
