"""Writes lines of text over a picture."""

import zlib
from base64 import b85decode
from collections.abc import Mapping, Sequence
from functools import cache
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from app.imaging.glyphs import CHARACTERS, HEIGHT, SHEET, WIDTHS

MAX_LINES = 64

_SPACE = " "
_UNKNOWN = "?"
_MARGIN = 4
_WHITE = 255
_LEAST_WIDTH_PER_SCALE = 640


def annotated(picture: NDArray[np.uint8], lines: Sequence[str]) -> NDArray[np.uint8]:
    """Give a picture with text at its upper left, white on a black edge; what does not fit is cut.

    Args:
        picture: Shape (rows, columns) or (rows, columns, 3).
        lines: At most `MAX_LINES` are written. Letters that the typeface does not have are written
            without their accents, others as question marks.
    """
    scale = max(picture.shape[1] // _LEAST_WIDTH_PER_SCALE, 1)
    written = picture.copy()
    for number, line in enumerate(lines[:MAX_LINES]):
        top = _MARGIN + number * HEIGHT * scale
        ink = _line(line).repeat(scale, axis=0).repeat(scale, axis=1)
        edge = np.zeros((ink.shape[0] + 2, ink.shape[1] + 2), bool)
        for down in range(3):
            for right in range(3):
                edge[down : down + ink.shape[0], right : right + ink.shape[1]] |= ink
        _paint(written, edge, top - 1, _MARGIN - 1, 0)
        _paint(written, ink, top, _MARGIN, _WHITE)
    return written


def _paint(
    picture: NDArray[np.uint8], where: NDArray[np.bool_], top: int, left: int, level: int
) -> None:
    under = picture[top : top + where.shape[0], left : left + where.shape[1]]
    under[where[: under.shape[0], : under.shape[1]]] = level


def _line(text: str) -> NDArray[np.bool_]:
    glyphs = _glyphs()
    found = [glyphs[one] for letter in text for one in _known(letter, glyphs)]
    return np.concatenate(found, axis=1) if found else np.zeros((HEIGHT, 0), bool)


def _known(letter: str, glyphs: Mapping[str, NDArray[np.bool_]]) -> str:
    if letter in glyphs:
        return letter
    plain = "".join(one for one in normalize("NFKD", letter) if one in glyphs)
    return plain or (_SPACE if letter.isspace() else _UNKNOWN)


@cache
def _glyphs() -> Mapping[str, NDArray[np.bool_]]:
    widths = list(zlib.decompress(b85decode(WIDTHS)))
    packed = np.frombuffer(zlib.decompress(b85decode(SHEET)), np.uint8).reshape(HEIGHT, -1)
    bits = np.unpackbits(packed, axis=1)[:, : sum(widths)].astype(bool)
    pieces = np.split(bits, np.cumsum(widths)[:-1], axis=1)
    return dict(zip(CHARACTERS, pieces, strict=True))
