"""Hostile, broken and merely odd inputs, each with what an archive should do about it.

`accept` is stored without a word, `warn` is stored and the oddity may be reported, `refuse` is
not stored, says why, and never stops what follows. No input may crash, hang or fill the memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from struct import pack, unpack
from typing import Any, Literal
from zlib import MAX_WBITS, compressobj

import numpy as np
from pydicom import uid as uids

from app.samples.encoding import ENCODERS
from tests.build import dicom, ramp, uid

Expected = Literal["accept", "warn", "refuse"]

LONG_LENGTHS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"}
UNDEFINED = 0xFFFFFFFF
BOMB_MB = 300


@dataclass(frozen=True, slots=True)
class Case:
    """One input.

    Attributes:
        name: Unique; each case has a study and an instance of its own unless `after` says so.
        make: Gives the bytes, the same ones each time.
        why: What is odd about it.
        after: Case that must be stored before for the expectation to hold.
    """

    name: str
    make: Callable[[], bytes]
    expect: Expected
    why: str
    after: str | None = None


def file(name: str, **arguments: Any) -> bytes:
    """Write the file of one case: as `tests.build.dicom`, with UIDs that belong to the name."""
    own = {
        word: uid("hostile", name, word)
        for word in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    }
    return dicom(**({"PatientID": f"hostile {name}"[:64], **own} | arguments))


def meta_end(data: bytes) -> int:
    """Give the offset at which the data set begins."""
    return 144 + int(unpack("<I", data[140:144])[0])


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """Write one element, explicit VR little endian, with a length that may lie."""
    size = len(value) if length is None else length
    head = pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    return head + (pack("<HI", 0, size) if vr in LONG_LENGTHS else pack("<H", size)) + value


def position(data: bytes, tag: int) -> int:
    """Find the offset of the first element at or after a tag; nothing before may be nested."""
    at = meta_end(data)
    while at < len(data):
        group, number, vr = unpack("<HH2s", data[at : at + 6])
        if (group << 16 | number) >= tag:
            return at
        if vr in LONG_LENGTHS:
            at += 12 + unpack("<I", data[at + 8 : at + 12])[0]
        else:
            at += 8 + unpack("<H", data[at + 6 : at + 8])[0]
    return at


def _insert(name: str, tag: int, content: bytes) -> bytes:
    data = file(name)
    at = position(data, tag)
    return data[:at] + content + data[at:]


def _replace(name: str, old: bytes, new: bytes, **arguments: Any) -> bytes:
    data = file(name, **arguments)
    if data.count(old) != 1:
        raise ValueError(name)
    return data.replace(old, new)


def _cut(name: str, end: int, **arguments: Any) -> bytes:
    return file(name, **arguments)[:end]


def _bare(name: str, **arguments: Any) -> bytes:
    data = file(name, **arguments)
    return data[meta_end(data) :]


def _append(name: str, tail: bytes, **arguments: Any) -> bytes:
    return file(name, **arguments) + tail


def _nested(name: str, depth: int) -> bytes:
    tag = 0x00081115
    opened = element(tag, b"SQ", b"", UNDEFINED) + pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    closed = pack("<HHI", 0xFFFE, 0xE00D, 0) + pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return _insert(name, tag, opened * depth + closed * depth)


def _deflate_bomb(name: str) -> bytes:
    plain = file(name)
    deflated = file(name, transfer_syntax=uids.DeflatedExplicitVRLittleEndian)
    at = position(plain, 0x00110000)
    squeeze = compressobj(9, wbits=-MAX_WBITS)
    body = squeeze.compress(plain[meta_end(plain) : at] + element(0x00110010, b"LO", b"BOMB"))
    body += squeeze.compress(element(0x00111001, b"UN", b"", BOMB_MB << 20))
    for _ in range(BOMB_MB):
        body += squeeze.compress(bytes(1 << 20))
    body += squeeze.compress(plain[at:]) + squeeze.flush()
    return deflated[: meta_end(deflated)] + body


def _broken_deflate(name: str) -> bytes:
    data = file(name, transfer_syntax=uids.DeflatedExplicitVRLittleEndian)
    at = meta_end(data) + 40
    return data[:at] + b"\xff" * 64 + data[at + 64 :]


def _short_group_length(name: str) -> bytes:
    data = file(name)
    return data[:140] + pack("<I", unpack("<I", data[140:144])[0] - 20) + data[144:]


def _lying_basic_table(name: str) -> bytes:
    data = file(name, frames=3, transfer_syntax=uids.JPEGLSLossless)
    at = position(data, 0x7FE00010) + 12 + 8
    return data[:at] + pack("<III", 0, 0x7FFFFFFF, 3) + data[at + 12 :]


def _huge_item(name: str) -> bytes:
    item = pack("<HHI", 0xFFFE, 0xE000, 0x7FFFFFF0)
    return _insert(name, 0x00081115, element(0x00081115, b"SQ", item + b"abc", UNDEFINED))


def _other_pixels(name: str, of: str) -> bytes:
    return file(of, pixels=ramp()[:, ::-1])


def _same_study(of: str, patient: str) -> bytes:
    return file(of, PatientID=patient, SOPInstanceUID=uid("hostile", of, patient))


def _grey(frames: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return (ramp(frames, 32, 32) // 16).astype(np.uint8)


def _made(name: str, expect: Expected, why: str, **arguments: Any) -> Case:
    return Case(name, partial(file, name, **arguments), expect, why)


def _case(
    name: str, expect: Expected, why: str, make: Callable[..., bytes], *arguments: Any, **more: Any
) -> Case:
    return Case(name, partial(make, name, *arguments, **more), expect, why)


def _raw(name: str, why: str, content: bytes) -> Case:
    return Case(name, lambda: content, "refuse", why)


def _syntax(transfer_syntax: str) -> Case:
    eight_bits = transfer_syntax == uids.JPEGBaseline8Bit
    return _made(
        f"syntax {transfer_syntax}",
        "accept",
        "a standard transfer syntax",
        transfer_syntax=transfer_syntax,
        pixels=_grey(2) if eight_bits else ramp(2, 32, 32),
    )


NAMES: tuple[tuple[str, str | list[str] | None, str], ...] = (
    ("none", None, "Doe^Jane^Q^^MD"),
    ("latin 1", "ISO_IR 100", "Müller^Jörg"),
    ("latin 2", "ISO_IR 101", "Dvořák^Antonín"),
    ("latin 4", "ISO_IR 110", "Ķēniņš^Jānis"),
    ("cyrillic", "ISO_IR 144", "Люксембург^Роза"),
    ("greek", "ISO_IR 126", "Διονυσίου^Νίκος"),
    ("arabic", "ISO_IR 127", "الحسن^ليلى"),
    ("hebrew", "ISO_IR 138", "שרון^דבורה"),
    ("thai", "ISO_IR 166", "สมชาย^ใจดี"),
    ("turkish", "ISO_IR 148", "Yıldırım^Çağla"),
    ("katakana", "ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ("kanji", ["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ("hangul", ["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ("hanzi", "GB18030", "Wang^XiaoDong=王^小东"),
    ("unicode", "ISO_IR 192", "Wang^XiaoDong=王^小東"),
    ("emoji", "ISO_IR 192", "🩻^Ray"),
)

TEXTS: tuple[tuple[str, dict[str, object], str], ...] = (
    (
        "script in the name",
        {"PatientName": '<script>alert(1)</script>^"><img src=x onerror=alert(1)>'},
        "must be escaped wherever shown",
    ),
    (
        "line break in the description",
        {"StudyDescription": "A\r\nSet-Cookie: x=1"},
        "must not reach a header or a log line",
    ),
    (
        "operator as patient id",
        {"PatientID": '{"$gt":""}'},
        "text must not become a query operator",
    ),
    (
        "operator as accession",
        {"AccessionNumber": "$where: 1", "PatientName": "$ne^a.b"},
        "keys and dots must stay values",
    ),
    ("path as patient id", {"PatientID": "../../x/../y"}, "text must never become a path"),
    (
        "regular expression as name",
        {"PatientName": "(a+)+$^.*"},
        "a search for it must not run it",
    ),
    (
        "template as description",
        {"StudyDescription": "{{7*7}} ${jndi:ldap://x/a} %s %n"},
        "must not be formatted",
    ),
    ("formula as name", {"PatientName": "=cmd|'/C calc'!A0"}, "must not become a formula in CSV"),
    (
        "direction override in the name",
        {"PatientName": "Doe\u202egnp.exe^Jane\u0000"},
        "must not turn the text around it",
    ),
    ("long description", {"StudyDescription": "x" * 10_000}, "longer than the VR allows"),
    ("long name", {"PatientName": "N" * 5_000 + "^" + "M" * 5_000}, "longer than the VR allows"),
    (
        "media type with a line break",
        {"MIMETypeOfEncapsulatedDocument": "text/html\r\nX: y", "EncapsulatedDocument": b"<b>"},
        "must never be served as it says",
    ),
)

BAD_UIDS: tuple[tuple[str, str, str], ...] = (
    ("path", "SOPInstanceUID", "../../../../etc/passwd"),
    ("letters", "StudyInstanceUID", "1.2.abc"),
    ("too long", "StudyInstanceUID", "1.2." + "3" * 70),
    ("empty", "SOPInstanceUID", ""),
    ("line break", "SeriesInstanceUID", "1.2.3\r\n4"),
    ("wildcard", "StudyInstanceUID", "1.2.*"),
    ("two values", "SOPInstanceUID", "1.2.3\\1.2.4"),
    ("operator", "StudyInstanceUID", "$ne"),
    ("slash", "SeriesInstanceUID", "1.2/3.4"),
    ("percent", "SOPInstanceUID", "1.2%2f3"),
    ("zero inside", "SOPInstanceUID", "1.2\x003.4"),
    ("dots", "SOPInstanceUID", "1..2"),
)

UNUSUAL: tuple[Case, ...] = (
    *(
        _syntax(syntax)
        for syntax in (
            uids.ImplicitVRLittleEndian,
            uids.ExplicitVRBigEndian,
            uids.DeflatedExplicitVRLittleEndian,
            *ENCODERS,
        )
    ),
    *(
        _made(
            f"name in {words}",
            "accept",
            "a name in its character set",
            SpecificCharacterSet=charset,
            PatientName=name,
        )
        for words, charset, name in NAMES
    ),
    *(_made(name, "accept", why, **values) for name, values, why in TEXTS),
    _made(
        "cine",
        "accept",
        "several frames, basic offset table",
        pixels=_grey(12),
        transfer_syntax=uids.JPEGBaseline8Bit,
    ),
    _made(
        "cine without table",
        "accept",
        "several frames, empty offset table",
        pixels=_grey(12),
        transfer_syntax=uids.JPEGBaseline8Bit,
        table="none",
    ),
    _made(
        "extended table",
        "accept",
        "extended offset table",
        frames=9,
        transfer_syntax=uids.HTJ2KLossless,
        table="extended",
    ),
    _made(
        "three fragments",
        "accept",
        "three fragments for each frame, with table",
        pixels=_grey(3),
        transfer_syntax=uids.JPEGBaseline8Bit,
        fragments=3,
    ),
    _made(
        "three fragments without table",
        "accept",
        "three fragments for each frame, only the codestream tells where one ends",
        pixels=_grey(3),
        transfer_syntax=uids.JPEGBaseline8Bit,
        fragments=3,
        table="none",
    ),
    _made(
        "one frame in five fragments",
        "accept",
        "one frame: every fragment is its",
        pixels=ramp(1, 64, 64),
        transfer_syntax=uids.JPEG2000Lossless,
        fragments=5,
        table="none",
    ),
    _made(
        "icon",
        "accept",
        "an icon has pixel data of its own, deeper than the picture's",
        IconImageSequence=[
            {
                "Rows": 2,
                "Columns": 2,
                "SamplesPerPixel": 1,
                "PhotometricInterpretation": "MONOCHROME2",
                "BitsAllocated": 8,
                "BitsStored": 8,
                "HighBit": 7,
                "PixelRepresentation": 0,
                "PixelData": b"\0\1\2\3",
            }
        ],
    ),
    _made(
        "pdf",
        "accept",
        "an encapsulated document",
        image=False,
        SOPClassUID=uids.EncapsulatedPDFStorage,
        Modality="DOC",
        MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=b"%PDF-1.4\n%%EOF\n\n",
    ),
    _made(
        "key object",
        "accept",
        "no pixels, a tree of content",
        image=False,
        SOPClassUID=uids.KeyObjectSelectionDocumentStorage,
        Modality="KO",
        ValueType="CONTAINER",
        ContentSequence=[
            {
                "RelationshipType": "CONTAINS",
                "ValueType": "IMAGE",
                "ReferencedSOPSequence": [
                    {
                        "ReferencedSOPClassUID": uids.CTImageStorage,
                        "ReferencedSOPInstanceUID": "1.2.3",
                    }
                ],
            }
        ],
    ),
    _made("no patient id", "accept", "type 2: must still be filed", PatientID=None),
    _made("empty patient id", "accept", "type 2: may be empty", PatientID=""),
    _made("no modality", "accept", "seen in the wild", Modality=None),
    _made("no dates", "accept", "type 2", StudyDate=None, StudyTime=None),
    _made("negative instance number", "accept", "IS may be negative", InstanceNumber=-7),
    _made(
        "overlay",
        "accept",
        "a repeating group",
        elements={0x60000010: ("US", 16), 0x60000011: ("US", 16), 0x60003000: ("OW", bytes(32))},
    ),
    _made(
        "many private elements",
        "accept",
        "4,000 of them",
        elements={
            0x00110010: ("LO", "MANY"),
            **{0x00111000 + number: ("LO", f"v{number}") for number in range(0x100)},
            **{
                (0x0013 + 2 * group << 16) + 0x1000 + number: ("UN", b"ab")
                for group in range(15)
                for number in range(0x100)
            },
        },
    ),
    _made(
        "large private value",
        "accept",
        "two megabytes before the pixels",
        elements={0x00110010: ("LO", "LARGE"), 0x00111001: ("OB", bytes(2 << 20))},
    ),
    _made(
        "trailing padding",
        "accept",
        "Data Set Trailing Padding is legal",
        elements={0xFFFCFFFC: ("OB", bytes(300))},
    ),
    _case("depth 40", "accept", "forty nested sequences", _nested, 40),
    _made(
        "tiff preamble",
        "accept",
        "a file that is TIFF as well is legal",
        preamble=b"II*\0\x08\0\0\0" + bytes(120),
    ),
    _case(
        "group length",
        "accept",
        "retired group length elements",
        _insert,
        0x00080000,
        element(0x00080000, b"UL", pack("<I", 9999)),
    ),
)

DOUBTFUL: tuple[Case, ...] = (
    _case("trailing zeros", "warn", "zeros after the data set", _append, bytes(512)),
    _case(
        "element out of order",
        "warn",
        "Modality twice, first at the front",
        lambda name: _insert(name, 0, element(0x00080060, b"CS", b"MR")),
    ),
    _case(
        "odd length",
        "warn",
        "a value of odd length",
        _replace,
        element(0x00100020, b"LO", b"ODDLENGTH "),
        element(0x00100020, b"LO", b"ODDLENGTH"),
        PatientID="ODDLENGTH",
    ),
    _made("no preamble at all", "warn", "file meta without preamble", preamble=None),
    Case(
        "no preamble",
        lambda: file("no preamble")[128:],
        "warn",
        "begins with DICM",
    ),
    _case("no meta, explicit", "warn", "a bare data set", _bare),
    _case(
        "no meta, implicit",
        "warn",
        "a bare data set",
        _bare,
        transfer_syntax=uids.ImplicitVRLittleEndian,
    ),
    _case("rows as text", "warn", "Rows with VR LO", _replace, b"(\0\x10\0US", b"(\0\x10\0LO"),
    _case("unknown VR", "warn", "PatientSex with VR ZZ", _replace, b"\x10\0@\0CS", b"\x10\0@\0ZZ"),
    _made("impossible date", "warn", "month 13", StudyDate="20231399"),
    _made("impossible time", "warn", "hour 25", StudyTime="256161"),
    _case(
        "decimal comma",
        "warn",
        "in a DS",
        _replace,
        b"DS\x06\x001.2500",
        b"DS\x06\x001,2500",
        SliceThickness="1.2500",
    ),
    _case(
        "number in words",
        "warn",
        "in an IS",
        _replace,
        b"IS\x04\x004711",
        b"IS\x04\x00four",
        InstanceNumber=4711,
    ),
    _case(
        "no final delimiter",
        "warn",
        "encapsulated pixels end with the file",
        lambda name: file(name, transfer_syntax=uids.JPEGLSLossless)[:-8],
    ),
    _made(
        "meta of another instance",
        "warn",
        "SOP Instance UID of the meta differs",
        meta={"MediaStorageSOPInstanceUID": "1.2.3.4"},
    ),
    _made("leading zero in a UID", "warn", "seen in the wild", StudyInstanceUID="1.2.003.4.5"),
    _case(
        "invalid utf-8",
        "warn",
        "a lone surrogate",
        _replace,
        "Mülle^J".encode(),
        b"M\xed\xa0\x80le^J",
        PatientName="Mülle^J",
    ),
    _case(
        "unknown character set",
        "warn",
        "must be read somehow",
        _replace,
        b"ISO_IR 100",
        b"ISO_IR 999",
        SpecificCharacterSet="ISO_IR 100",
        PatientName="Müller^Jörg",
    ),
    _made("huge picture", "warn", "65,535 squared is declared", Rows=65535, Columns=65535),
    _made("million frames", "warn", "a million are declared", NumberOfFrames=1_000_000),
    _made("no rows", "warn", "Rows is zero", Rows=0),
    _made(
        "fewer frames than declared",
        "warn",
        "five are declared and two there",
        frames=2,
        transfer_syntax=uids.JPEGLSLossless,
        NumberOfFrames=5,
    ),
    _made("pixels without rows", "warn", "nothing says their shape", Rows=None, Columns=None),
    _made(
        "broken codestream",
        "warn",
        "stored, and cannot be shown",
        pixels=[b"\xff\xd8 nothing \xff\xd9 "],
        transfer_syntax=uids.JPEGBaseline8Bit,
    ),
    _case("lying offset table", "warn", "offsets beyond the end", _lying_basic_table),
    _made(
        "lying extended table",
        "warn",
        "offsets and lengths beyond the end",
        frames=3,
        transfer_syntax=uids.HTJ2KLossless,
        table="none",
        ExtendedOffsetTable=pack("<3Q", 0, 2**62, 5),
        ExtendedOffsetTableLengths=pack("<3Q", 2**63, 1, 0),
    ),
    _made("executable preamble", "warn", "Windows would run it", preamble=b"MZ" + b"\x90" * 126),
    _made(
        "html preamble",
        "warn",
        "never to be served as HTML",
        preamble=b"<html><script>alert(document.domain)</script>".ljust(128),
    ),
    _case("short group length", "warn", "file meta is longer than it says", _short_group_length),
    _case("two files in one", "warn", "a second file after the first", lambda name: file(name) * 2),
    _case(
        "vr of another syntax",
        "warn",
        "implicit VR under a meta that says explicit",
        lambda name: file(name, transfer_syntax=uids.ImplicitVRLittleEndian).replace(
            element(0x00020010, b"UI", b"1.2.840.10008.1.2\0"),
            element(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0")[:8] + b"1.2.840.10008.1.2.1\0",
        ),
    ),
)

BAD: tuple[Case, ...] = (
    _raw("nothing", "zero bytes", b""),
    _raw("random bytes", "not DICOM", Random(1).randbytes(4096)),
    _raw("html", "not DICOM", b"<html><body>no</body></html>" * 20),
    _raw("json", "not DICOM", b'{"00080018": {"vr": "UI", "Value": ["1.2.3"]}}' * 8),
    _raw("png", "not DICOM", b"\x89PNG\r\n\x1a\n" + bytes(400)),
    _raw("zip inside nothing", "a broken zip", b"PK\x03\x04" + bytes(400)),
    _raw("zeros", "a thousand zeros", bytes(1000)),
    _raw("only the prefix", "no elements", bytes(128) + b"DICM"),
    _case("cut in the meta", "refuse", "200 bytes", _cut, 200),
    _case(
        "only meta",
        "refuse",
        "no data set",
        lambda name: file(name)[: meta_end(file(name))],
    ),
    _case(
        "cut in the header",
        "refuse",
        "in the middle of a value",
        lambda name: file(name)[: position(file(name), 0x00100010) + 12],
    ),
    _case("cut in the pixels", "refuse", "100 bytes are missing", _cut, -100),
    _case(
        "cut in a fragment",
        "refuse",
        "encapsulated pixels end early",
        _cut,
        -600,
        frames=4,
        pixels=ramp(4, 64, 64),
        transfer_syntax=uids.JPEGLSLossless,
    ),
    _made(
        "unknown syntax", "refuse", "of nobody", meta={"TransferSyntaxUID": "1.2.840.10008.1.2.77"}
    ),
    _made("no syntax", "refuse", "file meta without it", meta={"TransferSyntaxUID": None}),
    *(
        _made(f"no {word}", "refuse", "a UID is missing", **{word: None})
        for word in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
    ),
    *(
        _made(f"UID with {what}", "refuse", "not a UID", **{word: value})
        for what, word, value in BAD_UIDS
    ),
    _case("depth 20000", "refuse", "twenty thousand nested sequences", _nested, 20_000),
    _case(
        "two gigabytes claimed",
        "refuse",
        "an element claims them in a small file",
        lambda name: _insert(name, 0x00110000, element(0x00111001, b"UN", b"x" * 100, 0x7FFFFFF0)),
    ),
    _case("huge item", "refuse", "an item claims two gigabytes", _huge_item),
    _case("deflate bomb", "refuse", "300 MB out of 300 kB", _deflate_bomb),
    _case("broken deflate", "refuse", "the stream cannot be inflated", _broken_deflate),
    _made(
        "media directory",
        "refuse",
        "a DICOMDIR is no instance of a study",
        image=False,
        SOPClassUID=uids.MediaStorageDirectoryStorage,
        StudyInstanceUID=None,
        SeriesInstanceUID=None,
    ),
)

CONFLICTING: tuple[Case, ...] = (
    _made("instance", "accept", "the first of two"),
    Case(
        "instance again",
        partial(file, "instance"),
        "accept",
        "the same bytes: a duplicate, nothing new is stored",
        after="instance",
    ),
    Case(
        "instance with other pixels",
        partial(_other_pixels, "instance with other pixels", "instance"),
        "refuse",
        "different bytes under a known SOP Instance UID",
        after="instance",
    ),
    Case(
        "study of another patient",
        partial(_same_study, "instance", "someone else"),
        "refuse",
        "a known study under another PatientID",
        after="instance",
    ),
)

CASES: tuple[Case, ...] = (*UNUSUAL, *DOUBTFUL, *BAD, *CONFLICTING)
