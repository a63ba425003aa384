"""Reads one DICOM object as it arrives: what it is, what its header says, where its frames lie."""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from app.imaging.arriving import meta
from app.imaging.arriving.dataset import DEFLATED, DataSet
from app.imaging.arriving.deflated import Inflater
from app.imaging.arriving.elements import PADDING
from app.imaging.arriving.refused import Refused
from app.imaging.frames import FrameTable
from fhir.attributes import tag, values

__all__ = ["Part10", "Part10Parser", "Refused"]

META_DIFFERS: Final = "the file meta information names another SOP instance"
LEADING_ZERO: Final = "a UID has a component with a leading zero"

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_ZERO_LED = re.compile(r"(^|\.)0[0-9]")
_UID_CHARACTERS = 64
_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


@dataclass(frozen=True, slots=True)
class Part10:
    """A DICOM object that can be stored.

    Attributes:
        transfer_syntax: Of the object as it is, its UID.
        attributes: DICOM JSON of the data set before its pixel data. Bulk data URIs are
            `?offset=…&length=…`, in bytes of the object; of the object with its data set inflated
            where the transfer syntax deflates it.
        frames: Where the frames lie; None if there is no pixel data.
        size: Bytes of the object.
        sha256: Of the object, in hex.
        warnings: What is wrong but harmless; constant texts without values.
    """

    transfer_syntax: str
    attributes: dict[str, Any]
    frames: FrameTable | None
    size: int
    sha256: str
    warnings: tuple[str, ...]

    @property
    def sop_class_uid(self) -> str:
        """UID of what kind of object this is."""
        return self._uid("SOPClassUID")

    @property
    def sop_instance_uid(self) -> str:
        """UID of the object."""
        return self._uid("SOPInstanceUID")

    @property
    def study_instance_uid(self) -> str:
        """UID of its study."""
        return self._uid("StudyInstanceUID")

    @property
    def series_instance_uid(self) -> str:
        """UID of its series."""
        return self._uid("SeriesInstanceUID")

    def _uid(self, keyword: str) -> str:
        value: str = self.attributes[tag(keyword)]["Value"][0]
        return value


class Part10Parser:
    """Push parser of one arriving object; holds its header, never its pixels.

    Memory is bounded by the header: long values, pixels and what follows them pass through.
    """

    def __init__(self, max_bytes: int = 4 * 2**30, max_header_bytes: int = 32 * 2**20) -> None:
        """Set the limits.

        Args:
            max_bytes: Of the object, and of its inflated data set.
            max_header_bytes: Of the elements kept. An element counts as 56 bytes and two and a
                half times its value: by what it takes in memory.
        """
        self._max_bytes = max_bytes
        self._max_header_bytes = max_header_bytes
        self._hash = sha256()
        self._size = 0
        self._notes: dict[str, None] = {}
        self._head = bytearray()
        self._need = meta.HEAD_BYTES
        self._meta: meta.Meta | None = None
        self._inflater: Inflater | None = None
        self._data_set: DataSet | None = None
        self._checked = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the object.

        Raises:
            Refused: The object cannot be held, whatever follows.
        """
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise Refused("too-large", "The object is larger than allowed.")
        self._hash.update(chunk)
        if self._data_set is not None:
            self._read(chunk, self._data_set)
            return
        self._head += chunk
        if len(self._head) >= self._need:
            self._begin(whole=False)

    def close(self) -> Part10:
        """End the object.

        Raises:
            Refused: It is not complete, or lacks what every object must have.
        """
        if self._data_set is None:
            self._begin(whole=True)
        if self._data_set is None or self._meta is None:
            raise Refused("truncated", "The object ends before its data set; send it whole.")
        if self._inflater is not None:
            self._inflater.close()
            if self._inflater.left_over > 1:
                self._notes[PADDING] = None
        frames = self._data_set.close()
        if frames is not None and frames.encapsulated and self._meta.sniffed:
            raise Refused("no-transfer-syntax", "Nothing says how the pixel data is compressed.")
        if not self._checked:
            self._check(self._data_set.attributes)
        return Part10(
            transfer_syntax=self._meta.transfer_syntax,
            attributes=self._data_set.attributes,
            frames=frames,
            size=self._size,
            sha256=self._hash.hexdigest(),
            warnings=tuple(self._notes),
        )

    def _begin(self, *, whole: bool) -> None:
        head = bytes(self._head)
        found = meta.read(head, self._notes, whole=whole)
        if isinstance(found, int):
            self._need = found
            return
        self._meta = found
        self._head = bytearray()
        if found.transfer_syntax in DEFLATED:
            self._inflater = Inflater(self._max_bytes)
        self._data_set = DataSet(
            found.end,
            found.transfer_syntax,
            self._notes,
            self._max_bytes,
            self._max_header_bytes,
        )
        self._read(head[found.end :], self._data_set)

    def _read(self, chunk: bytes, data_set: DataSet) -> None:
        if self._inflater is None:
            data_set.feed(chunk)
        else:
            for piece in self._inflater.feed(chunk):
                data_set.feed(piece)
        if data_set.reached_pixels and not self._checked:
            self._check(data_set.attributes)

    def _check(self, attributes: dict[str, Any]) -> None:
        """Refuse an object that cannot be filed, before its pixels arrive."""
        self._checked = True
        uids = {keyword: self._required(attributes, keyword) for keyword in _REQUIRED}
        stated = self._meta.sop_instance_uid if self._meta else None
        if stated not in (None, uids["SOPInstanceUID"]):
            self._notes[META_DIFFERS] = None

    def _required(self, attributes: dict[str, Any], keyword: str) -> str:
        found = values(attributes, keyword)
        if not found:
            raise Refused("missing-uid", f"The object has no {keyword}.")
        value = found[0]
        if len(found) > 1 or not isinstance(value, str) or len(value) > _UID_CHARACTERS:
            raise Refused("bad-uid", f"{keyword} is not one UID of up to 64 characters.")
        if not _UID.fullmatch(value):
            raise Refused("bad-uid", f"{keyword} is not made of numbers and dots.")
        if _ZERO_LED.search(value):
            self._notes[LEADING_ZERO] = None
        return value
