"""DICOM files and upload bodies for tests, valid unless an argument makes them otherwise."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import product
from secrets import randbelow
from typing import Any, Literal
from zlib import MAX_WBITS, compressobj

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom import uid as uids
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID

from app.samples.encoding import NATIVE, encode

COLOUR: Mapping[str, str] = {
    uids.JPEGBaseline8Bit: "YBR_FULL_422",
    uids.JPEG2000Lossless: "YBR_RCT",
    uids.JPEG2000: "YBR_ICT",
    uids.HTJ2KLossless: "YBR_RCT",
    uids.HTJ2KLosslessRPCL: "YBR_RCT",
}
"""Photometric interpretation of colour frames whose codec turns them; else they stay RGB."""

OffsetTable = Literal["basic", "none", "extended"]
Pixels = NDArray[Any] | Sequence[bytes]


LOSSLESS_SYNTAXES = (
    uids.ImplicitVRLittleEndian,
    uids.ExplicitVRLittleEndian,
    uids.ExplicitVRBigEndian,
    uids.DeflatedExplicitVRLittleEndian,
    uids.RLELossless,
    uids.JPEGLosslessSV1,
    uids.JPEGLSLossless,
    uids.JPEG2000Lossless,
    uids.HTJ2KLossless,
    "1.2.840.10008.1.2.1.98",
    "1.2.840.10008.1.2.8.1",
)
"""What `dicom` writes without loss, every kind of encoding among them."""


def uid(*words: object) -> str:
    """Give a UID below 2.25: always the same one for the same words, a fresh one for none.

    All fresh ones are as long as each other, so that files which differ in them alone are, too.
    """
    if not words:
        return f"2.25.{10**37 + randbelow(9 * 10**37)}"
    digest = sha256("\0".join(map(str, words)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def ramp(frames: int = 1, rows: int = 16, columns: int = 16) -> NDArray[np.uint16]:
    """Give 12-bit frames of shape (frames, rows, columns); no two of 4,096 are alike."""
    count = np.arange(frames * rows * columns, dtype=np.uint64).reshape(frames, rows, columns)
    offset = np.arange(frames, dtype=np.uint64)[:, None, None]
    return ((count * 7 + offset) % 4096).astype(np.uint16)


def dicom(
    *,
    pixels: Pixels | None = None,
    frames: int = 1,
    transfer_syntax: str = uids.ExplicitVRLittleEndian,
    table: OffsetTable = "basic",
    fragments: int = 1,
    preamble: bytes | None = bytes(128),
    meta: Mapping[str, object] | None = None,
    elements: Mapping[int, tuple[str, Any]] | None = None,
    image: bool = True,
    **keywords: object,
) -> bytes:
    """Write one Part-10 file, a CT slice of 16 by 16 pixels if nothing is said.

    UIDs that are not given are fresh with every call, so two calls never conflict.

    Args:
        pixels: Array of shape (rows, columns) or (frames, rows, columns), with a last axis of 3
            where `SamplesPerPixel=3` is given too; or frames encoded already, whose `Rows`,
            `Columns` and bits are then yours to give.
        frames: How many frames to make where `pixels` is not given.
        transfer_syntax: UID of any native syntax or of `app.samples.encoding.ENCODERS`.
        table: Which offset table encapsulated frames get.
        fragments: Fragments that each encapsulated frame is cut into.
        preamble: 128 bytes; None leaves out preamble and `DICM`.
        meta: File meta elements by keyword; None removes one.
        elements: More elements by tag, each with its VR and value, private ones too.
        image: False leaves out pixel data and what describes it.
        keywords: Elements by DICOM keyword, beside or in place of the ones a CT has. None removes
            one, a list of dicts is a sequence. Nothing is checked.
    """
    with config.disable_value_validation():
        dataset = _dataset(_header(transfer_syntax))
        if image:
            samples = 3 if keywords.get("SamplesPerPixel") == 3 else 1
            stack = _stack(ramp(frames) if pixels is None else pixels, samples)
            photometric = COLOUR.get(transfer_syntax, "RGB") if samples == 3 else "MONOCHROME2"
            _override(dataset, _description(stack, samples, photometric))
            _add_frames(dataset, stack, transfer_syntax, table, fragments)
        _override(dataset, keywords)
        for tag, (vr, value) in (elements or {}).items():
            dataset.add_new(tag, vr, value)
        return _written(dataset, transfer_syntax, preamble, meta or {})


def study(series: int = 1, instances: int = 1, **keywords: Any) -> list[bytes]:
    """Write the instances of one study, numbered from 1, series after series.

    Args:
        series: How many series.
        instances: How many instances in each.
        keywords: As `dicom` takes them, for all. UIDs follow from `StudyInstanceUID`: series 2 is
            `<study>.2`, its third instance `<study>.2.3`.
    """
    root = str(keywords.pop("StudyInstanceUID", None) or uid())
    made = []
    for number, instance in product(range(1, series + 1), range(1, instances + 1)):
        its_own: dict[str, Any] = {
            "StudyInstanceUID": root,
            "SeriesInstanceUID": f"{root}.{number}",
            "SOPInstanceUID": f"{root}.{number}.{instance}",
            "SeriesNumber": number,
            "InstanceNumber": instance,
            "ImagePositionPatient": [-8, -8, 2.5 * instance],
        }
        made.append(dicom(**(its_own | keywords)))
    return made


def multipart(
    parts: Sequence[bytes | tuple[bytes, str]],
    boundary: str = "radiograph-test-boundary",
    media_type: str = "application/dicom",
) -> tuple[bytes, str]:
    """Give a multipart/related body and its Content-Type header.

    Args:
        parts: Bodies, or bodies with a Content-Type of their own.
        boundary: Must not occur in a part.
        media_type: Of bodies that come alone, and the `type` of the whole.
    """
    body = b""
    for part in parts:
        content, of_type = part if isinstance(part, tuple) else (part, media_type)
        body += f"--{boundary}\r\nContent-Type: {of_type}\r\n\r\n".encode() + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return body, f'multipart/related; type="{media_type}"; boundary="{boundary}"'


def _header(transfer_syntax: str) -> dict[str, object]:
    return {
        "SpecificCharacterSet": "ISO_IR 192",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SOPClassUID": uids.CTImageStorage,
        "SOPInstanceUID": uid(),
        "StudyDate": "20240229",
        "StudyTime": "101500",
        "SeriesDate": "20240229",
        "SeriesTime": "101600",
        "AccessionNumber": "ACC1",
        "Modality": "CT",
        "Manufacturer": "Radiograph tests",
        "ReferringPhysicianName": "Referrer^Rita",
        "StudyDescription": "CT chest",
        "SeriesDescription": "Axial",
        "PatientName": "Doe^Jane",
        "PatientID": "P1",
        "PatientBirthDate": "19700131",
        "PatientSex": "F",
        "BodyPartExamined": "CHEST",
        "StudyInstanceUID": uid(),
        "SeriesInstanceUID": uid(),
        "StudyID": "1",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "ImagePositionPatient": [-8, -8, 0],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "FrameOfReferenceUID": uid("frame of reference"),
    }


def _stack(pixels: Pixels, samples: int) -> Pixels:
    if isinstance(pixels, np.ndarray) and pixels.ndim == (2 if samples == 1 else 3):
        return pixels[None]
    return pixels


def _description(stack: Pixels, samples: int, photometric: str) -> dict[str, object]:
    rows, columns, allocated, stored, signed = 16, 16, 16, 12, 0
    if isinstance(stack, np.ndarray):
        rows, columns = stack.shape[1:3]
        allocated = 8 * stack.itemsize
        stored = 12 if stack.dtype == np.uint16 and stack.max() < 4096 else allocated
        signed = int(stack.dtype.kind == "i")
    described: dict[str, object] = {
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": photometric,
        "PlanarConfiguration": None if samples == 1 else 0,
        "NumberOfFrames": len(stack) if len(stack) > 1 else None,
        "Rows": rows,
        "Columns": columns,
        "BitsAllocated": allocated,
        "BitsStored": stored,
        "HighBit": stored - 1,
        "PixelRepresentation": signed,
        "PixelSpacing": [0.5, 0.5],
    }
    if samples == 1:
        described |= {
            "WindowCenter": 40,
            "WindowWidth": 400,
            "RescaleIntercept": -1024,
            "RescaleSlope": 1,
            "RescaleType": "HU",
        }
    return described


def _add_frames(
    dataset: Dataset, stack: Pixels, transfer_syntax: str, table: OffsetTable, fragments: int
) -> None:
    encoded = [
        frame if isinstance(frame, bytes) else encode(frame, transfer_syntax) for frame in stack
    ]
    native = transfer_syntax in NATIVE
    if native:
        value = b"".join(encoded)
        value += bytes(len(value) % 2)
    elif table == "extended":
        value, offsets, lengths = encapsulate_extended(encoded)
        dataset.ExtendedOffsetTable = offsets
        dataset.ExtendedOffsetTableLengths = lengths
    else:
        value = encapsulate(encoded, fragments_per_frame=fragments, has_bot=table == "basic")
    dataset.add_new("PixelData", "OW" if native and dataset.BitsAllocated > 8 else "OB", value)
    dataset["PixelData"].is_undefined_length = not native


def _dataset(values: Mapping[str, object]) -> Dataset:
    dataset = Dataset()
    _override(dataset, values)
    return dataset


def _override(dataset: Dataset, values: Mapping[str, object]) -> None:
    for keyword, value in values.items():
        if value is None:
            dataset.pop(keyword, None)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            setattr(dataset, keyword, [_dataset(item) for item in value])
        else:
            setattr(dataset, keyword, value)


def _written(
    dataset: Dataset, transfer_syntax: str, preamble: bytes | None, meta: Mapping[str, object]
) -> bytes:
    file_meta = FileMetaDataset()
    _override(
        file_meta,
        {
            "FileMetaInformationGroupLength": 0,
            "FileMetaInformationVersion": b"\0\1",
            "MediaStorageSOPClassUID": dataset.get("SOPClassUID"),
            "MediaStorageSOPInstanceUID": dataset.get("SOPInstanceUID"),
            "TransferSyntaxUID": transfer_syntax,
            "ImplementationClassUID": uid("radiograph tests"),
            **meta,
        },
    )
    out, body = DicomBytesIO(), DicomBytesIO()
    if preamble is not None:
        out.write(preamble + b"DICM")
    write_file_meta_info(out, file_meta, enforce_standard=False)
    body.is_implicit_VR = transfer_syntax == uids.ImplicitVRLittleEndian
    body.is_little_endian = transfer_syntax != uids.ExplicitVRBigEndian
    write_dataset(body, dataset)
    content = body.getvalue()
    if UID(transfer_syntax) == uids.DeflatedExplicitVRLittleEndian:
        squeeze = compressobj(wbits=-MAX_WBITS)
        content = squeeze.compress(content) + squeeze.flush()
        content += bytes(len(content) % 2)
    return bytes(out.getvalue() + content)
