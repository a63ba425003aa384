"""Every file that pydicom and pydicom-data ship reads as pydicom reads it."""

import warnings
import zlib
from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_charset_files, get_testdata_files
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.encaps import get_frame
from pydicom.tag import BaseTag

from app.imaging.arriving import meta
from app.imaging.arriving.dataset import DataSet
from app.imaging.part10 import Part10Parser, Refused
from tests.imaging.raw import read

REFUSED = {
    # Made to show one thing of the encoding; they identify nothing.
    "chrSQEncoding.dcm": "missing-uid",
    "chrSQEncoding1.dcm": "missing-uid",
    "empty_charset_LEI.dcm": "missing-uid",
    "JPEGLSNearLossless_08.dcm": "missing-uid",
    "JPEGLSNearLossless_16.dcm": "missing-uid",
    "nested_priv_SQ.dcm": "missing-uid",
    "no_meta_group_length.dcm": "missing-uid",
    "priv_SQ.dcm": "missing-uid",
    "SC_rgb_jls_lossy_line.dcm": "missing-uid",
    "SC_rgb_jls_lossy_sample.dcm": "missing-uid",
    "UN_sequence.dcm": "missing-uid",
    "bad_sequence.dcm": "bad-uid",
    # Directories of media are no instances of a study.
    "DICOMDIR": "missing-uid",
    "DICOMDIR-bigEnd": "missing-uid",
    "DICOMDIR-empty.dcm": "missing-uid",
    "DICOMDIR-implicit": "missing-uid",
    "DICOMDIR-nooffset": "malformed",
    "DICOMDIR-nopatient": "missing-uid",
    "DICOMDIR-reordered": "missing-uid",
    # Cut, or without what reading depends on.
    "MR_truncated.dcm": "truncated",
    "rtplan_truncated.dcm": "truncated",
    "meta_missing_tsyntax.dcm": "no-transfer-syntax",
    # No DICOM: texts, profiles, archives.
    "README": "not-dicom",
    "README.txt": "not-dicom",
    "crayons.icc": "not-dicom",
    "no_meta.dcm": "not-dicom",
    "rtplan.dump": "not-dicom",
    "rtstruct.dump": "not-dicom",
    "test1.json": "not-dicom",
    "test_PN.json": "not-dicom",
    "zipMR.gz": "not-dicom",
}
"""Why a file is refused; those whose UIDs are at fault are compared all the same."""

BEYOND_PYDICOM = {
    "badVR.dcm": "pydicom raises at an IS of 1A and at numbers of frames of 1A",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "pydicom reads nothing where no delimiter ends "
    "the pixel data",
}
"""Files that pydicom itself cannot read."""


def files() -> list[Path]:
    names = chain(get_testdata_files("**/*"), get_charset_files("*.dcm"))
    return sorted({Path(name) for name in names if Path(name).is_file()})


READABLE = [
    path
    for path in files()
    if REFUSED.get(path.name) in (None, "missing-uid", "bad-uid")
    and path.name not in BEYOND_PYDICOM
]
HELD = [path for path in READABLE if path.name not in REFUSED]


def identified(path: Path) -> str:
    return f"{path.parent.name}-{path.name}"


@pytest.fixture(autouse=True)
def _pydicom_may_warn() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def attributes_of(data: bytes) -> dict[str, Any]:
    notes: dict[str, None] = {}
    found = meta.read(data, notes, whole=True)
    assert isinstance(found, meta.Meta)
    data_set = DataSet(found.end, found.transfer_syntax, notes, 2**32, 2**25)
    data_set.feed(data[found.end :])
    data_set.close()
    return data_set.attributes


def inflated(data: bytes, dataset: Dataset) -> bytes:
    end = 144 + dataset.file_meta.FileMetaInformationGroupLength
    return data[:end] + zlib.decompress(data[end:], -zlib.MAX_WBITS)


def fetched(attributes: dict[str, Any], data: bytes, dataset: Dataset) -> dict[str, Any]:
    """Put the bytes of bulk data in its place, as pydicom writes them without a threshold."""
    return {key: _fetched(key, value, data, dataset) for key, value in attributes.items()}


def _fetched(key: str, element: dict[str, Any], data: bytes, dataset: Dataset) -> dict[str, Any]:
    if "BulkDataURI" in element:
        place = parse_qs(element["BulkDataURI"].removeprefix("?"))
        offset, length = int(place["offset"][0]), int(place["length"][0])
        implicit, little = dataset.original_encoding
        assert implicit is not None
        assert little is not None
        value = data[offset : offset + length]
        assert len(value) == length
        tag = BaseTag(int(key, 16))
        raw = RawDataElement(tag, element["vr"], length, value, 0, implicit, little)
        encoding = dataset.original_character_set
        return dict(convert_raw_data_element(raw, encoding=encoding).to_json_dict(None, 0))
    if element["vr"] == "SQ" and "Value" in element:
        items = [fetched(item, data, dataset) for item in element["Value"]]
        return {"vr": "SQ", "Value": items}
    return element


def standard(attributes: dict[str, Any], *, top: bool = True) -> dict[str, Any]:
    """Put right what pydicom writes otherwise than PS3.18 F.2.

    Group lengths are left out; absent values are null and absent name groups are absent; an
    empty sequence has no Value. Pixel data and what follows it are no part of ours.
    """
    return {
        key: _standard(element)
        for key, element in attributes.items()
        if not key.endswith("0000") and not (top and key >= "7FE00008")
    }


def _standard(element: dict[str, Any]) -> dict[str, Any]:
    values = element.get("Value")
    if values is None:
        return element
    if element["vr"] == "SQ":
        values = [standard(item, top=False) for item in values]
    elif element["vr"] == "PN":
        values = [{name: part for name, part in v.items() if part} or None for v in values]
    else:
        values = [None if value == "" else value for value in values]
    return {"vr": element["vr"], "Value": values} if values else {"vr": element["vr"]}


@pytest.mark.parametrize("path", READABLE, ids=identified)
def test_attributes_are_those_of_pydicom(path: Path) -> None:
    data = path.read_bytes()
    dataset = dcmread(BytesIO(data), force=True)
    whole = inflated(data, dataset) if path.name == "image_dfl.dcm" else data
    ours = attributes_of(whole)
    theirs = standard(dataset.to_json_dict(bulk_data_threshold=2**40))
    assert fetched(ours, whole, dataset) == theirs


@pytest.mark.parametrize("path", HELD, ids=identified)
def test_frames_are_those_of_pydicom(path: Path) -> None:
    data = path.read_bytes()
    frames = read(data).frames
    dataset = dcmread(BytesIO(data), force=True)
    pixels = dataset.get("PixelData", dataset.get("FloatPixelData"))
    assert (frames is None) == (pixels is None)
    if frames is None:
        return
    number_of_frames = int(dataset.get("NumberOfFrames") or 1)
    assert frames.count == number_of_frames
    whole = inflated(data, dataset) if frames.deflated else data
    for frame_number in range(1, frames.count + 1):
        offset, length = frames.range(frame_number)
        frame = frames.extract(frame_number, whole[offset : offset + length])
        if frames.encapsulated:
            index = frame_number - 1
            assert frame == get_frame(pixels, index, number_of_frames=number_of_frames)
        else:
            assert frame == native_frame(dataset, pixels, frame_number)


def native_frame(dataset: Dataset, pixels: bytes, frame_number: int) -> bytes:
    samples = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
    bits = samples * dataset.BitsAllocated
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits * 2 // 3
    start, end = (frame_number - 1) * bits, frame_number * bits
    if bits % 8:
        unpacked = np.unpackbits(np.frombuffer(pixels, np.uint8), bitorder="little")
        return np.packbits(unpacked[start:end], bitorder="little").tobytes()
    return pixels[start // 8 : end // 8]


@pytest.mark.parametrize("path", [path for path in files() if path.name in REFUSED], ids=identified)
def test_files_that_cannot_be_held_are_refused(path: Path) -> None:
    parser = Part10Parser()
    with pytest.raises(Refused) as refused:  # noqa: PT012 - either step may be the one
        parser.feed(path.read_bytes())
        parser.close()
    assert refused.value.reason == REFUSED[path.name]


@pytest.mark.parametrize(
    "path", [path for path in files() if path.name in BEYOND_PYDICOM], ids=identified
)
def test_files_that_pydicom_cannot_read_are_held(path: Path) -> None:
    part10 = read(path.read_bytes())
    assert part10.frames is not None
    assert part10.attributes["00280010"]["Value"][0] > 0


def test_every_shipped_file_is_accounted_for() -> None:
    assert len(READABLE) >= 210
    assert {path.name for path in files()} >= REFUSED.keys() | BEYOND_PYDICOM.keys()
