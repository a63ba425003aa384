"""The form of an answer in parts: multipart/related (RFC 2387)."""

from dataclasses import dataclass
from typing import Final

from app.dicomweb.media_types import RELATED

END_OF_PART: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class Envelope:
    """The form of a multipart answer.

    Attributes:
        boundary: Must not occur in what is sent.
        media_type: Of every part, with its parameters.
    """

    boundary: str
    media_type: str

    @property
    def content_type(self) -> str:
        """Content-Type of the whole."""
        inner = self.media_type.partition(";")[0]
        return f'{RELATED}; type="{inner}"; boundary={self.boundary}'

    def opening(self, location: str, length: int | None = None) -> bytes:
        """Give what stands before the bytes of a part."""
        lines = [f"--{self.boundary}", f"Content-Type: {self.media_type}"]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        return "\r\n".join((*lines, f"Content-Location: {location}", "\r\n")).encode()

    @property
    def closing(self) -> bytes:
        """Give what stands after the last part and its `END_OF_PART`."""
        return f"--{self.boundary}--\r\n".encode()
