"""Inflates the data set of a deflated object (PS3.5 A.5) in bounded pieces."""

import zlib
from collections.abc import Iterator
from typing import Final

from app.imaging.arriving.refused import Refused

_PIECE: Final = 65_536
_ALWAYS_BYTES: Final = 64 * 2**20
_RATIO: Final = 100


class Inflater:
    """Inflates a stream as it arrives, as far as it is no bomb.

    A stream may inflate to 64 MiB whatever it is made of, and beyond that to 100 times its size.

    Attributes:
        left_over: Bytes after the end of the stream; one is padding (PS3.5 A.5).
    """

    def __init__(self, max_bytes: int) -> None:
        """Args say how long the inflated data set may be at most."""
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._max_bytes = max_bytes
        self._taken = 0
        self._given = 0
        self.left_over = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Give what a chunk inflates to, in pieces of at most 64 KiB.

        Raises:
            Refused: The stream is broken, a bomb, or inflates to more than is allowed.
        """
        self._taken += len(chunk)
        if self._stream.eof:
            self.left_over += len(chunk)
            return
        piece = bytes(_PIECE)
        # A piece that is full may have left something inside the stream.
        while (chunk or len(piece) == _PIECE) and not self._stream.eof:
            try:
                piece = self._stream.decompress(chunk, _PIECE)
            except zlib.error as broken:
                raise Refused("malformed", "The deflated data set is broken.") from broken
            chunk = self._stream.unconsumed_tail
            self._given += len(piece)
            if self._given > max(_ALWAYS_BYTES, self._taken * _RATIO):
                raise Refused("deflate-bomb", "The data set inflates far beyond its size.")
            if self._given > self._max_bytes:
                raise Refused("too-large", "The inflated data set is larger than allowed.")
            self.left_over = len(self._stream.unused_data)
            yield piece

    def close(self) -> None:
        """End the stream here.

        Raises:
            Refused: It is not complete.
        """
        if not self._stream.eof:
            raise Refused("truncated", "The deflated data set is not complete; send it whole.")
