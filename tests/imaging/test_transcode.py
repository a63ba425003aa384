"""Objects in another transfer syntax, read back by pydicom."""

import struct
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom import uid as uids
from pydicom.encaps import generate_frames, parse_basic_offsets
from pydicom.pixels.utils import pixel_array

from app.imaging import transcode
from app.imaging.encode import ENCODED, HTJ2K, JPEG, JPEG_2000, JPEG_LS, LOSSLESS, RLE
from app.imaging.layout import Undecodable
from app.imaging.part10 import Part10Parser
from app.imaging.pictures import Pictures
from app.imaging.transcode import EXPLICIT, syntaxes, transcoded
from app.store.local import LocalObjects
from fhir.errors import NotFound, Withheld
from fhir.pseudonyms import Disguise, Pseudonyms
from fhir.repository import StoredImage
from tests.build import LOSSLESS_SYNTAXES, dicom, ramp, uid
from tests.dicomweb.parts import shipped
from tests.stored import KEY, kept


@pytest.fixture
async def objects(tmp_path: Path) -> LocalObjects:
    return await LocalObjects.open(tmp_path)


async def given(objects: LocalObjects, image: StoredImage, syntax: str) -> bytes:
    """The whole object as it leaves."""
    sent = await transcoded(image, syntax, objects, Pictures(objects, 2))
    content = b"".join([chunk async for chunk in sent.chunks])
    assert len(content) == sent.size
    return content


def parsed(content: bytes) -> Dataset:
    """What pydicom reads; every byte of it has to be there."""
    assert content[:132] == bytes(128) + b"DICM"
    parser = Part10Parser()
    parser.feed(content)
    assert parser.close().size == len(content)
    return dcmread(BytesIO(content))


def same_header(was: Dataset, now: Dataset, *but: str) -> None:
    """Make sure that nothing else was changed, or lost."""
    changed = {"PixelData", "BitsStored", "HighBit", "PhotometricInterpretation", *but}
    changed |= {"PlanarConfiguration"} if was.get("SamplesPerPixel") == 3 else set()
    for element in was:
        if element.keyword not in changed and element.tag.group < 0x7FE0:
            assert now[element.tag] == element
    assert {one.tag for one in now} - {one.tag for one in was} == {
        now[word].tag for word in but if word not in was
    }


@pytest.mark.parametrize("target", [EXPLICIT, *LOSSLESS])
@pytest.mark.parametrize("source", LOSSLESS_SYNTAXES)
async def test_grey_frames_are_equal_in_every_syntax(
    objects: LocalObjects, source: str, target: str
) -> None:
    pixels = ramp(3, 15, 17)
    data = dicom(
        pixels=pixels,
        transfer_syntax=source,
        elements={
            0x00091001: ("LO", "private"),
            0x00090010: ("LO", "CREATOR"),
            0x00081140: (
                "SQ",
                [Dataset()],
            ),
        },
        PatientName="Müller^Jürgen",
        RescaleSlope=2,
        SmallestImagePixelValue=None,
        StudyComments="",
    )
    image = await kept(objects, data)
    assert set(syntaxes(image)) == {EXPLICIT, *LOSSLESS} - {source}
    now = parsed(await given(objects, image, target))
    assert now.file_meta.TransferSyntaxUID == target
    assert now.file_meta.MediaStorageSOPInstanceUID == now.SOPInstanceUID
    assert np.array_equal(pixel_array(now), pixels)
    assert now.PatientName == "Müller^Jürgen"
    same_header(dcmread(BytesIO(data)), now)


@pytest.mark.parametrize("target", [EXPLICIT, *LOSSLESS])
@pytest.mark.parametrize("stored", [9, 12, 13, 16])
async def test_signed_values_keep_their_sign(
    objects: LocalObjects, target: str, stored: int
) -> None:
    least = -(1 << (stored - 1))
    pixels = np.array([[least, -1, 0, 1, -least - 1]] * 3, np.int16)
    for source in (uids.ImplicitVRLittleEndian, uids.JPEG2000Lossless):
        data = dicom(
            pixels=pixels,
            transfer_syntax=source,
            PixelRepresentation=1,
            BitsStored=16 if source == uids.JPEG2000Lossless else stored,
            HighBit=15 if source == uids.JPEG2000Lossless else stored - 1,
        )
        image = await kept(objects, data)
        now = parsed(await given(objects, image, target))
        assert np.array_equal(pixel_array(now), pixels)


@pytest.mark.parametrize("target", [EXPLICIT, *LOSSLESS])
@pytest.mark.parametrize(
    ("source", "interpretation", "planar"),
    [
        (uids.ImplicitVRLittleEndian, "RGB", 0),
        (uids.ImplicitVRLittleEndian, "RGB", 1),
        (uids.ImplicitVRLittleEndian, "YBR_FULL", 0),
        (uids.RLELossless, "RGB", 1),
        (uids.RLELossless, "YBR_FULL", 1),
        (uids.JPEGLSLossless, "RGB", 0),
        (uids.JPEG2000Lossless, "YBR_RCT", 0),
        (uids.HTJ2KLossless, "YBR_RCT", 0),
    ],
)
async def test_colours_are_equal_and_described_as_they_are(
    objects: LocalObjects, source: str, interpretation: str, planar: int, target: str
) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (2, 9, 6, 3), np.uint8)
    held = pixels.transpose(0, 3, 1, 2).copy() if planar and source not in ENCODED else pixels
    data = dicom(
        pixels=pixels,
        transfer_syntax=source,
        SamplesPerPixel=3,
        PhotometricInterpretation=interpretation,
        PlanarConfiguration=planar,
        elements={0x7FE00010: ("OB", held.tobytes())} if held is not pixels else {},
    )
    image = await kept(objects, data)
    if source == target:
        return
    now = parsed(await given(objects, image, target))
    assert np.array_equal(pixel_array(now, raw=True), pixels)
    turned = {JPEG_2000: "YBR_RCT", HTJ2K: "YBR_RCT"}.get(target, "RGB")
    expected = "YBR_FULL" if interpretation == "YBR_FULL" else turned
    assert now.PhotometricInterpretation == expected
    native = source == uids.ImplicitVRLittleEndian and target == EXPLICIT
    assert now.PlanarConfiguration == (planar if native else int(target == RLE))


async def test_lossy_frames_say_that_they_are(objects: LocalObjects) -> None:
    rows, columns = np.mgrid[0:64, 0:64]
    pixels = (rows * 2 + columns).astype(np.uint8)
    image = await kept(objects, dicom(pixels=pixels))
    now = parsed(await given(objects, image, JPEG))
    assert np.abs(pixel_array(now).astype(int) - pixels).max() < 8
    assert now.LossyImageCompression == "01"
    assert now.LossyImageCompressionMethod == "ISO_10918_1"
    assert float(now.LossyImageCompressionRatio) > 1
    assert now.ImageType[0] == "DERIVED"
    again = await kept(objects, await given(objects, image, JPEG))
    twice = parsed(await given(objects, again, JPEG_LS))
    assert (twice.LossyImageCompression, twice.ImageType[0]) == ("01", "DERIVED")
    assert np.array_equal(pixel_array(twice), pixel_array(now))


async def test_lossy_syntaxes_are_for_8_bits_alone(objects: LocalObjects) -> None:
    grey = await kept(objects, dicom())
    assert JPEG not in syntaxes(grey)
    with pytest.raises(Undecodable):
        await given(objects, grey, JPEG)


@pytest.mark.parametrize("frames", [1, 5])
async def test_the_offset_table_leads_to_each_frame(objects: LocalObjects, frames: int) -> None:
    image = await kept(objects, dicom(frames=frames))
    now = parsed(await given(objects, image, JPEG_LS))
    offsets = parse_basic_offsets(now.PixelData)
    assert len(offsets) == frames
    found = list(generate_frames(now.PixelData, number_of_frames=frames))
    first = 8 + 4 * frames
    for offset, frame in zip(offsets, found, strict=True):
        item, length = struct.unpack_from("<II", now.PixelData, first + offset)
        assert item == 0xE000FFFE
        start = first + offset + 8
        assert now.PixelData[start : start + length].rstrip(b"\0") == frame.rstrip(b"\0")


async def test_offsets_beyond_four_gibibytes_are_in_an_extended_table() -> None:
    frames = transcode._Frames()
    with frames.file:
        for number in range(3):
            frames.add(b"abc" * (number + 1), "MONOCHROME2")
        opening = frames.opening(longest=10)
        frames.file.seek(0)
        content = opening + frames.file.read() + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    meta = dicom(image=False)
    dataset = dcmread(BytesIO(meta))
    dataset.file_meta.TransferSyntaxUID = uids.JPEGLSLossless
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    found = dcmread(BytesIO(written.getvalue() + content))
    table = (found.ExtendedOffsetTable, found.ExtendedOffsetTableLengths)
    assert struct.unpack("<3Q", table[0]) == (0, 12, 26)
    assert struct.unpack("<3Q", table[1]) == (4, 6, 10)
    assert list(generate_frames(found.PixelData, number_of_frames=3, extended_offsets=table)) == [
        b"abc\0",
        b"abcabc",
        b"abcabcabc\0",
    ]


@pytest.mark.parametrize("source", [uids.ImplicitVRLittleEndian, uids.ExplicitVRBigEndian])
async def test_an_object_without_pixels_is_written_in_explicit_values_alone(
    objects: LocalObjects, source: str
) -> None:
    data = dicom(image=False, transfer_syntax=source, elements={0x00080301: ("US", [258, 3])})
    image = await kept(objects, data)
    assert syntaxes(image) == (EXPLICIT,)
    now = parsed(await given(objects, image, EXPLICIT))
    assert now[0x00080301].value == [258, 3]
    same_header(dcmread(BytesIO(data)), now)


async def test_words_of_big_endian_tables_are_turned(objects: LocalObjects) -> None:
    table = np.arange(512, dtype=">u2")
    sequence = Dataset()
    sequence.LUTDescriptor = [512, 0, 16]
    sequence.add_new(0x00283006, "OW", table.tobytes())
    data = dicom(
        transfer_syntax=uids.ExplicitVRBigEndian, elements={0x00283010: ("SQ", [sequence])}
    )
    image = await kept(objects, data)
    now = parsed(await given(objects, image, HTJ2K))
    found = np.frombuffer(now.VOILUTSequence[0].LUTData, "<u2")
    assert np.array_equal(found, table)


async def test_packed_bits_of_many_frames_are_copied(objects: LocalObjects) -> None:
    dataset = dcmread(BytesIO(shipped("liver.dcm")))
    dataset.file_meta.TransferSyntaxUID = uids.ImplicitVRLittleEndian
    written = BytesIO()
    dcmwrite(written, dataset, implicit_vr=True, little_endian=True)
    data = written.getvalue()
    image = await kept(objects, data)
    assert syntaxes(image) == (EXPLICIT,)
    now = parsed(await given(objects, image, EXPLICIT))
    assert now.PixelData == dataset.PixelData


@pytest.mark.parametrize(
    ("kind", "tag", "vr"), [("<f4", 0x7FE00008, "OF"), ("<f8", 0x7FE00009, "OD")]
)
async def test_floating_pixels_stay_as_they_are(
    objects: LocalObjects, kind: str, tag: int, vr: str
) -> None:
    values = np.linspace(-1, 1, 12, dtype=kind).reshape(3, 4)
    data = dicom(
        image=False,
        transfer_syntax=uids.ImplicitVRLittleEndian,
        elements={tag: (vr, values.tobytes())},
        Rows=3,
        Columns=4,
        BitsAllocated=8 * values.itemsize,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
    )
    content = await given(objects, await kept(objects, data), EXPLICIT)
    assert np.array_equal(pixel_array(parsed(content)), values)


async def test_a_frame_that_is_damaged_is_known_before_anything_leaves(
    objects: LocalObjects,
) -> None:
    good = list(
        generate_frames(
            dcmread(BytesIO(dicom(transfer_syntax=uids.JPEGLSLossless))).PixelData,
            number_of_frames=1,
        )
    )
    frames = [*good, *good, b"\xff\xd8\xff\xf7" + bytes(96)]
    data = dicom(pixels=frames, transfer_syntax=uids.JPEGLSLossless, **DESCRIBED)
    image = await kept(objects, data)
    with pytest.raises(Undecodable):
        await transcoded(image, HTJ2K, objects, Pictures(objects, 1))
    # native frames are not all made before: the connection breaks off
    sent = await transcoded(image, EXPLICIT, objects, Pictures(objects, 1))
    with pytest.raises(Undecodable):
        _ = [chunk async for chunk in sent.chunks]


DESCRIBED: dict[str, Any] = {
    "Rows": 16,
    "Columns": 16,
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "NumberOfFrames": 3,
}


async def test_a_video_has_no_other_syntax(objects: LocalObjects) -> None:
    data = dicom(pixels=[b"\0\0\0\x18ftypmp42"], transfer_syntax=uids.MPEG4HP41, NumberOfFrames=9)
    assert syntaxes(await kept(objects, data)) == ()


async def test_more_pixels_than_an_object_can_hold_are_refused_before_anything_is_read(
    objects: LocalObjects,
) -> None:
    image = await kept(objects, dicom(transfer_syntax=uids.RLELossless, frames=2))
    wide = {
        **image.attributes,
        "00280010": {"vr": "US", "Value": [11000]},
        "00280011": {"vr": "US", "Value": [11000]},
    }
    assert image.frames is not None
    many = {**image.frames, "count": 20, "bounds": bytes(8) * 21}
    lying = replace(image, attributes=wide, frames=many)
    with pytest.raises(Undecodable, match="longer than 4 GiB"):
        await given(objects, lying, JPEG_LS)


async def test_an_object_that_is_gone_is_not_found(objects: LocalObjects) -> None:
    image = await kept(objects, dicom())
    await objects.delete(KEY)
    with pytest.raises(NotFound):
        await given(objects, image, JPEG_LS)


@pytest.mark.parametrize("source", [uids.ImplicitVRLittleEndian, uids.JPEGLSLossless])
@pytest.mark.parametrize("target", [EXPLICIT, HTJ2K])
async def test_what_leaves_without_identity_is_clean_in_every_syntax(
    objects: LocalObjects, source: str, target: str
) -> None:
    data = dicom(
        transfer_syntax=source,
        PatientName="Secret^Name",
        InstitutionName="Secret Hospital",
        elements={0x00091001: ("LO", "Secret private"), 0x00090010: ("LO", "SECRET")},
        meta={"SourceApplicationEntityTitle": "SECRET"},
    )
    image = await kept(objects, data)
    pseudonyms = Pseudonyms(bytes(32), "project")
    shown = replace(
        image,
        id=pseudonyms.uid(image.id),
        study=pseudonyms.uid(image.study),
        series=pseudonyms.uid(image.series),
        disguise=Disguise(pseudonyms, uid("patient")),
    )
    content = await given(objects, shown, target)
    assert b"secret" not in content.lower()
    for real in (image.id, image.study, image.series):
        assert real.encode() not in content
    now = parsed(content)
    assert (now.SOPInstanceUID, now.StudyInstanceUID) == (shown.id, shown.study)
    assert now.file_meta.MediaStorageSOPInstanceUID == shown.id
    assert np.array_equal(pixel_array(now), ramp()[0])
    with pytest.raises(Withheld):
        await given(objects, replace(shown, withheld="it may show a name"), target)
