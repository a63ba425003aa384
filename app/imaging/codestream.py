"""What a compressed frame says of itself, read before anything is decoded or allocated."""

from dataclasses import dataclass
from struct import Struct, unpack_from
from typing import Final, Literal

Colour = Literal["RGB", "YBR"]

_END: Final = b"\xff\xd9"
_FILL = 0xFF
_APP0 = 0xE0
_APP14 = 0xEE
_SOS = 0xDA
_COD = 0x52
_SOF_JPEG_LS = 0xF7
_SOF_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_SOF = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {_SOF_JPEG_LS}
_JP2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_SOC_SIZ = b"\xff\x4f\xff\x51"
_FRAME = Struct(">BHHB")
_ADOBE_BYTES = 12
_RGB_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Codestream:
    """The header of a JPEG, JPEG-LS or JPEG 2000 codestream.

    Attributes:
        precision: Bits of one sample.
        signed: Whether samples are two's complement; only JPEG 2000 can say so.
        jpeg_ls: Whether a JPEG header announces JPEG-LS.
        lossless: Whether a JPEG header announces lossless prediction (SOF3 and its kin).
        colour: Colour space if the markers tell it; what JPEG 2000 transformed becomes RGB.
        complete: Whether the end is marked.
    """

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False
    jpeg_ls: bool = False
    lossless: bool = False
    colour: Colour | None = None
    complete: bool = False


def read_jpeg(frame: bytes) -> Codestream | None:
    """Read the markers up to the first scan; None if this is no JPEG or JPEG-LS."""
    if not frame.startswith(b"\xff\xd8"):
        return None
    position, found, says = 2, None, None
    while position + 4 <= len(frame):
        marker = frame[position + 1]
        if frame[position] != _FILL:
            return None
        if marker == _FILL:
            position += 1
            continue
        length = int.from_bytes(frame[position + 2 : position + 4])
        segment = frame[position + 4 : position + 2 + length]
        position += 2 + max(length, 2)
        if marker == _SOS:
            break
        if marker in _SOF:
            found = marker, segment
        elif marker == _APP14 and segment.startswith(b"Adobe") and len(segment) >= _ADOBE_BYTES:
            says = "YBR" if segment[11] else "RGB"
        elif marker == _APP0 and segment.startswith(b"JFIF") and says is None:
            says = "YBR"
    return _jpeg(*found, says, frame.rfind(_END) >= position) if found else None


def _jpeg(marker: int, segment: bytes, says: str | None, complete: bool) -> Codestream | None:
    if len(segment) < _FRAME.size or len(segment) < _FRAME.size + 3 * segment[5]:
        return None
    precision, rows, columns, samples = _FRAME.unpack_from(segment)
    identifiers = segment[6 : 6 + 3 * samples : 3]
    subsampled = len(set(segment[7 : 6 + 3 * samples : 3])) > 1
    colour: Colour | None = None
    if samples == _RGB_SAMPLES:
        if says is not None:
            colour = "YBR" if says == "YBR" else "RGB"
        elif identifiers == b"RGB":
            colour = "RGB"
        elif subsampled:
            # Only chrominance is stored at a lower resolution.
            colour = "YBR"
    return Codestream(
        rows=rows,
        columns=columns,
        samples=samples,
        precision=precision,
        jpeg_ls=marker == _SOF_JPEG_LS,
        lossless=marker in _SOF_LOSSLESS,
        colour=colour,
        complete=complete,
    )


def read_jpeg2000(frame: bytes) -> Codestream | None:
    """Read SIZ and COD of a JPEG 2000 or HTJ2K codestream, bare or in a JP2 file; None if neither.

    The image area decides the size, not the reference grid (ISO 15444-1 annex B.2).
    """
    start = frame.find(_SOC_SIZ) if frame.startswith(_JP2) else 0
    if start < 0 or frame[start : start + 4] != _SOC_SIZ or len(frame) < start + 45:
        return None
    length, _, right, bottom, left, top = unpack_from(">HHIIII", frame, start + 4)
    samples, size, step_x, step_y = unpack_from(">HBBB", frame, start + 40)
    if not (samples and step_x and step_y):
        return None
    position = start + 4 + length
    return Codestream(
        rows=-(-bottom // step_y) + (-top // step_y),
        columns=-(-right // step_x) + (-left // step_x),
        samples=samples,
        precision=(size & 0x7F) + 1,
        signed=bool(size & 0x80),
        colour="RGB" if _transforms(frame, position) else None,
        complete=frame.rfind(_END) >= position,
    )


def _transforms(frame: bytes, position: int) -> bool:
    """Say whether the main header asks for a multiple component transformation."""
    while position + 9 <= len(frame) and frame[position] == _FILL:
        if frame[position + 1] == _COD:
            return frame[position + 8] == 1
        position += 2 + int.from_bytes(frame[position + 2 : position + 4])
    return False
