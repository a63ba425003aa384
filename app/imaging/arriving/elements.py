"""Reads the elements of an arriving data set once, up to its pixel data, as DICOM JSON."""

from base64 import b64encode
from struct import Struct, error
from typing import Any, Final

from app.imaging.arriving.dictionary import KNOWN, LUT_DESCRIPTORS, private_vr, public_vr
from app.imaging.arriving.nesting import DataSet, Fragments, Frame, Sequence
from app.imaging.arriving.refused import Refused
from app.imaging.arriving.values import BAD_LENGTH, NUMBER_SIZES, READERS, Context, encodings

UNDEFINED: Final = 0xFFFFFFFF
INLINE_BYTES: Final = 1024
"""Longer values of the VRs that may be bulk data stay in the object."""
MAX_DEPTH: Final = 56
"""MongoDB nests 180 levels deep: three a sequence, and some for the record around them."""
PIXELS: Final = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))

ODD: Final = "the length of a value is odd"
DISORDER: Final = "elements are out of order"
DUPLICATE: Final = "an element occurs twice"
WRONG_VR: Final = "an element has another type than the standard gives it"
UNKNOWN_VR: Final = "an element has an unknown type"
IMPLICIT: Final = "elements are encoded otherwise than the transfer syntax says"
PADDING: Final = "bytes follow the data set"

_BYTES = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_BULK = _BYTES | frozenset(NUMBER_SIZES) | {"DS", "IS", "LT", "ST", "UC", "UT", "US or SS"}
_LONG = _BYTES | {"SQ", "SV", "UC", "UR", "UT", "UV"}
_FORMS = {vr.encode(): (vr, vr in _LONG) for vr in (*READERS, *_BYTES, "SQ")}
# What implicit streams mean where the dictionary leaves a choice; `US or SS` waits for
# Pixel Representation.
_CHOSEN = {
    "OB or OW": "OW",
    "US or OW": "OW",
    "US or SS or OW": "OW",
    "NONE": "UN",
}
_HEADER = 8
_LONG_HEADER = 12
_DELIMITERS = 0xFFFE
_FIRST_PIXELS = min(PIXELS)
# PS3.5 6.2.2: a value of VR UN was made by someone whose lengths had 16 bits.
_UN_BYTES = 0xFFFF
# File meta and command elements are no part of a data set.
_FOREIGN_GROUPS = (0x0000, 0x0002)
_FIRST_TAG = 0x00040000
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_CHARACTER_SET = 0x00080005
_PIXEL_REPRESENTATION = "00280103"

# What an element costs in memory once it is a dict, measured; a byte of text in the worst case,
# where every third one starts a value.
_ELEMENT_COST = 450
_BYTE_COST = 20
_COST_PER_HEADER_BYTE = 8


class Elements:
    """Push parser of one data set; keeps its JSON, never long values, and never looks back.

    Attributes:
        attributes: The DICOM JSON of what was read, complete once `found` or after `close`.
        found: Tag, VR, value offset and length of the pixel data, once it is reached. The offset
            counts from the first byte of the object; a length of 0xFFFFFFFF means encapsulated.
    """

    def __init__(
        self,
        offset: int,
        notes: dict[str, None],
        *,
        implicit: bool,
        big: bool,
        max_offset: int,
        max_header_bytes: int,
    ) -> None:
        """Args say where the data set starts in the object and how it is encoded."""
        order = ">" if big else "<"
        self._explicit = Struct(order + "HH2sH").unpack_from
        self._implicit = Struct(order + "HHI").unpack_from
        self._length = Struct(order + "I").unpack_from
        top = DataSet(Context(notes, big=big), implicit=implicit, end=None, limit=max_offset + 16)
        self._top = top
        self._frames: list[Frame] = [top]
        self._base = offset
        self._rest = bytearray()
        self._need = _HEADER
        self._skip = 0
        self._blocked = False
        self._max_offset = max_offset
        self._budget = max_header_bytes * _COST_PER_HEADER_BYTE
        self._undecided: list[tuple[dict[str, Any], bytes, tuple[dict[str, Any], ...]]] = []
        self.attributes = top.attributes
        self.found: tuple[int, str, int, int] | None = None
        self.padded = False

    def feed(self, chunk: bytes) -> bytes | None:
        """Read on; give what follows the header of the pixel data as soon as it is reached.

        Raises:
            Refused: The data set is malformed or beyond the limits.
        """
        if self.padded:
            return None
        if self._skip >= len(chunk):
            self._skip -= len(chunk)
            self._base += len(chunk)
            return None
        if self._skip:
            chunk = chunk[self._skip :]
            self._base += self._skip
            self._skip = 0
        if self._rest:
            self._rest += chunk
            if len(self._rest) < self._need:
                return None
            chunk = bytes(self._rest)
        elif len(chunk) < self._need:
            self._rest += chunk
            return None
        return self._walk(chunk)

    def close(self) -> None:
        """End the data set where the bytes end.

        Raises:
            Refused: They end inside an element.
        """
        whole = len(self._frames) == 1 and not self._skip
        if whole and self._rest and len(self._rest) < _HEADER and not any(self._rest):
            self._top.note(PADDING)
        elif not whole or (self._rest and not self.padded):
            raise Refused("truncated", "The object ends inside an element; send it whole.")
        self._finish()

    def _walk(self, data: bytes) -> bytes | None:
        self._blocked = False
        position = 0
        while not self._blocked and self.found is None:
            frame = self._frames[-1]
            if isinstance(frame, DataSet):
                position = self._data_set(data, position, frame)
            elif isinstance(frame, Sequence):
                position = self._sequence(data, position, frame)
            else:
                position = self._fragments(data, position, frame)
        self._base += min(position, len(data))
        rest = data[position:] if position < len(data) else b""
        if self.found is not None:
            self._finish()
            return rest
        self._skip = max(position - len(data), 0)
        self._rest = bytearray(rest)
        return None

    def _wait(self, position: int, need: int) -> int:
        if self._base + position + need > self._frames[-1].limit:
            raise self._overrun()
        self._blocked = True
        self._need = need
        return position

    def _overrun(self) -> Refused:
        if self._frames[-1].limit > self._max_offset:
            return Refused("too-large", "An element reaches beyond the largest object allowed.")
        return Refused("malformed", "An element reaches beyond its item; send the object mended.")

    def _charge(self, length: int) -> None:
        self._budget -= _ELEMENT_COST + _BYTE_COST * length
        if self._budget < 0:
            raise Refused("too-large", "The header holds more elements than can be kept.")

    def _data_set(  # noqa: C901, PLR0912, PLR0915 - one loop: a call per element costs a third
        self, data: bytes, position: int, level: DataSet
    ) -> int:
        """Read elements until the data set ends, another one begins, or bytes are missing."""
        size = len(data)
        base = self._base
        end = size if level.end is None else level.end - base
        limit = level.limit - base
        attributes = level.attributes
        explicit = self._explicit
        forms = _FORMS if not level.implicit else {}
        reader = READERS.get
        entry = KNOWN.get
        while position < end:
            if size - position < _HEADER:
                return self._wait(position, _HEADER)
            group, number, code, length = explicit(data, position)
            tag = group << 16 | number
            start = position + _HEADER
            form = forms.get(code)
            if form is None:
                vr, length = self._unsaid(data, position, tag, code, level)
                if group == _DELIMITERS or not (tag or length):
                    return self._delimiter(position, tag, level)
            elif form[1]:
                if size - position < _LONG_HEADER:
                    return self._wait(position, _LONG_HEADER)
                vr = form[0]
                (length,) = self._length(data, start)
                start += 4
            else:
                vr = form[0]
            read = reader(vr)
            if read is None or length > INLINE_BYTES or tag >= _FIRST_PIXELS:
                position = self._long(data, position, (tag, vr, start, length), level)
                if self._blocked or self.found is not None or self._frames[-1] is not level:
                    return position
                continue
            finish = start + length
            if finish > limit:
                raise self._overrun()
            if finish > size:
                return self._wait(position, finish - position)
            position = finish
            self._budget -= _ELEMENT_COST + _BYTE_COST * length
            if tag <= level.last or length & 1 or self._budget < 0:
                self._unusual(tag, length, level)
            level.last = tag
            known = entry(tag)
            if known is None:
                key = f"{tag:08X}"
                if not number:  # PS3.18 F.2.2: no group lengths
                    continue
            elif tag < _FIRST_TAG:
                continue
            else:
                key, expected = known
                if vr not in expected:
                    level.notes[WRONG_VR] = None
            if not length:
                attributes[key] = {"vr": vr}
                continue
            try:
                values = read(data[start:finish], level)
            except error:
                attributes[key] = self._bytes("UN", data[start:finish])
                level.notes[BAD_LENGTH] = None
                continue
            attributes[key] = {"vr": vr, "Value": values} if values else {"vr": vr}
            if tag == _CHARACTER_SET:
                level.encodings = encodings(values, level)
            elif vr == "SS" and tag in LUT_DESCRIPTORS and values[0] < 0:
                values[0] += 65536
        if level.end is None:
            return self._wait(position, _HEADER)
        return self._leave(position)

    def _unsaid(
        self, data: bytes, position: int, tag: int, code: bytes, level: DataSet
    ) -> tuple[str, int]:
        """Give VR and length of an element whose VR is not written or not known."""
        if not level.implicit and code.isalpha() and code.isupper():
            level.note(UNKNOWN_VR)
            length: int = self._explicit(data, position)[3]
            return "UN", length
        if not level.implicit and tag < _ITEM and tag:
            level.note(IMPLICIT)
        length = self._implicit(data, position)[2]
        return self._meant(tag, level) or "UN", length

    def _meant(self, tag: int, level: DataSet) -> str | None:
        if tag & 0x10000:
            creator = level.attributes.get(f"{tag >> 16:04X}00{tag >> 8 & 0xFF:02X}", {})
            names = creator.get("Value") or [None]
            vr = private_vr(tag, names[0] if isinstance(names[0], str) else None)
        else:
            vr = public_vr(tag)
        return _CHOSEN.get(vr, vr) if vr else None

    def _delimiter(self, position: int, tag: int, level: DataSet) -> int:
        inside = len(self._frames) > 1
        if tag == _ITEM_END and inside:
            return self._leave(position + _HEADER if level.end is None else level.end - self._base)
        if not tag and not inside:
            # Zeros after the last element are padding; nothing after them is looked at.
            level.note(PADDING)
            self.padded = True
            self._blocked = True
            return position
        raise Refused("malformed", "An item starts or ends where none can; send it mended.")

    def _unusual(self, tag: int, length: int, level: DataSet) -> None:
        if self._budget < 0:
            raise Refused("too-large", "The header holds more elements than can be kept.")
        if length & 1:
            level.note(ODD)
        if tag <= level.last:
            level.disordered = True
            level.note(DUPLICATE if f"{tag:08X}" in level.attributes else DISORDER)

    def _long(
        self, data: bytes, position: int, head: tuple[int, str, int, int], level: DataSet
    ) -> int:
        """Read an element that is long, has parts, or has no values: bytes, sequences, pixels."""
        tag, vr, start, length = head
        if level is self._top and tag in PIXELS:
            self.found = (tag, vr, self._base + start, length)
            return start
        if vr == "UN" and length != UNDEFINED and length < _UN_BYTES:
            vr = self._meant(tag, level) or vr
        if length == UNDEFINED or vr == "SQ":
            return self._enter(tag, vr, start, length, level)
        finish = start + length
        if finish + self._base > level.limit:
            raise self._overrun()
        known = READERS.get("US" if vr == "US or SS" else vr)
        if length > INLINE_BYTES and (known is None or vr in _BULK):
            vr = "UN" if length % NUMBER_SIZES.get(vr, 1) else vr
            uri = f"?offset={self._base + start}&length={length}"
            self._charge(0)
            self._store(tag, {"vr": vr, "BulkDataURI": uri}, level, b"")
            if length & 1:
                level.note(ODD)
            if finish > len(data):
                self._blocked = True
                self._need = _HEADER
            return finish
        self._charge(length)
        if finish > len(data):
            self._budget += _ELEMENT_COST + _BYTE_COST * length
            return self._wait(position, finish - position)
        self._value(tag, vr, data[start:finish], level)
        return finish

    def _value(self, tag: int, vr: str, raw: bytes, level: DataSet) -> None:
        read = READERS.get("US" if vr == "US or SS" else vr)
        if not raw:
            element: dict[str, Any] = {"vr": vr}
        elif read is None:
            element = self._bytes(vr, raw)
        else:
            try:
                values = read(raw, level)
                element = {"vr": vr, "Value": values} if values else {"vr": vr}
            except error:
                vr = "UN"
                element = self._bytes(vr, raw)
                level.note(BAD_LENGTH)
        self._store(tag, element, level, raw)

    @staticmethod
    def _bytes(vr: str, raw: bytes) -> dict[str, Any]:
        return {"vr": vr, "InlineBinary": b64encode(raw).decode()}

    def _store(self, tag: int, element: dict[str, Any], level: DataSet, raw: bytes) -> None:
        if tag <= level.last or len(raw) & 1:
            self._unusual(tag, len(raw), level)
        level.last = tag
        if not tag & 0xFFFF or tag >> 16 in _FOREIGN_GROUPS:  # PS3.18 F.2.2
            return
        vr = element["vr"]
        known = KNOWN.get(tag)
        if known and vr not in known[1] and vr != "UN":
            level.note(WRONG_VR)
        if vr == "US or SS":
            chain = tuple(f.attributes for f in reversed(self._frames) if isinstance(f, DataSet))
            self._undecided.append((element, raw, chain))
        level.attributes[f"{tag:08X}"] = element

    def _enter(self, tag: int, vr: str, start: int, length: int, level: DataSet) -> int:
        """Go into a sequence or encapsulated bytes."""
        self._charge(0)
        end = None if length == UNDEFINED else self._base + start + length
        if end is not None and end > level.limit:
            raise self._overrun()
        limit = level.limit if end is None else end
        if vr in ("SQ", "UN"):
            if len(self._frames) >= 2 * MAX_DEPTH:
                raise Refused("too-deep", f"Sequences are nested deeper than {MAX_DEPTH} levels.")
            sequence = Sequence(level, end, limit)
            self._store(tag, sequence.element, level, b"")
            self._frames.append(sequence)
        elif vr in _BYTES:
            fragments = Fragments(vr, self._base + start, limit)
            self._store(tag, fragments.element, level, b"")
            self._frames.append(fragments)
        else:
            raise Refused("malformed", "A value that is no sequence has no length.")
        return start

    def _leave(self, position: int) -> int:
        frame = self._frames.pop()
        if isinstance(frame, DataSet) and frame.disordered:
            self._sort(frame.attributes)
        elif isinstance(frame, Sequence) and frame.items:
            frame.element["Value"] = frame.items
        return position

    @staticmethod
    def _sort(attributes: dict[str, Any]) -> None:
        # PS3.18 F.2.2: attributes are ordered by tag.
        ordered = sorted(attributes.items())
        attributes.clear()
        attributes.update(ordered)

    def _sequence(self, data: bytes, position: int, sequence: Sequence) -> int:
        end = None if sequence.end is None else sequence.end - self._base
        if end is not None and position >= end:
            return self._leave(position)
        if len(data) - position < _HEADER:
            return self._wait(position, _HEADER)
        group, number, length = self._implicit(data, position)
        tag = group << 16 | number
        if tag == _ITEM:
            return self._item(data, position, length, sequence)
        if tag == _SEQUENCE_END:
            return self._leave(position + _HEADER if end is None else end)
        if tag == _ITEM_END:
            return position + _HEADER
        raise Refused("malformed", "A sequence holds something other than items.")

    def _item(self, data: bytes, position: int, length: int, sequence: Sequence) -> int:
        self._charge(0)
        start = position + _HEADER
        end = None if length == UNDEFINED else self._base + start + length
        if end is not None and end > sequence.limit:
            raise self._overrun()
        implicit = sequence.parent.implicit
        if not implicit and (end is None or length >= _HEADER):
            if len(data) - start < _HEADER:
                return self._wait(position, 2 * _HEADER)
            # PS3.5 6.2.2: sequences of VR UN are implicit inside explicit data sets.
            code = data[start + 4 : start + 6]
            implicit = not (code.isalpha() and code.isupper())
        limit = sequence.limit if end is None else end
        item = DataSet(sequence.parent, implicit=implicit, end=end, limit=limit)
        sequence.items.append(item.attributes)
        self._frames.append(item)
        return start

    def _fragments(self, data: bytes, position: int, fragments: Fragments) -> int:
        if len(data) - position < _HEADER:
            return self._wait(position, _HEADER)
        group, number, length = self._implicit(data, position)
        tag = group << 16 | number
        if tag == _SEQUENCE_END:
            self._end_fragments(fragments, position)
            return self._leave(position + _HEADER)
        finish: int = position + _HEADER + length
        if tag != _ITEM or self._base + finish > fragments.limit:
            raise Refused("malformed", "Encapsulated bytes hold something other than items.")
        if fragments.kept is not None and len(fragments.kept) + _HEADER + length <= INLINE_BYTES:
            if finish > len(data):
                return self._wait(position, finish - position)
            fragments.kept += data[position:finish]
        else:
            fragments.kept = None
        if finish > len(data):
            self._blocked = True
            self._need = _HEADER
        return finish

    def _end_fragments(self, fragments: Fragments, position: int) -> None:
        if fragments.kept is None:
            length = self._base + position - fragments.start
            fragments.element["BulkDataURI"] = f"?offset={fragments.start}&length={length}"
        elif fragments.kept:
            fragments.element["InlineBinary"] = b64encode(fragments.kept).decode()

    def _finish(self) -> None:
        for element, raw, chain in self._undecided:
            self._decide(element, raw, chain)
        if self._top.disordered:
            self._sort(self._top.attributes)

    def _decide(
        self, element: dict[str, Any], raw: bytes, chain: tuple[dict[str, Any], ...]
    ) -> None:
        """Choose US or SS by the nearest Pixel Representation (PS3.5 A.1)."""
        signed = False
        for attributes in chain:
            values = attributes.get(_PIXEL_REPRESENTATION, {}).get("Value")
            if values:
                signed = values[0] == 1
                break
        element["vr"] = "SS" if signed else "US"
        if signed and "Value" in element:
            element["Value"] = READERS["SS"](raw, self._top)
