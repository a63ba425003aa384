"""What pydicom makes of the images that pydicom and pydicom-data ship: the reference of ours."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.data.data_manager import external_data_sources
from pydicom.encaps import get_frame
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut

_PIXELS = 0x7FE0
_MACROS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")


@contextmanager
def tolerant() -> Iterator[None]:
    """Let pydicom warn of the odd files that it ships."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def image_paths() -> list[Path]:
    """List every shipped file that has an Image Pixel module, by name; nothing is fetched."""
    known = get_testdata_file("CT_small.dcm", download=False)
    assert isinstance(known, str)
    found = [path for path in Path(known).parent.rglob("*") if path.is_file()]
    found += map(Path, external_data_sources()["pydicom-data"].get_paths("*.dcm", 0))
    return sorted((path for path in found if _is_image(path)), key=lambda path: path.name)


def _is_image(path: Path) -> bool:
    with tolerant():
        try:
            dataset = dcmread(path, specific_tags=["Rows"])
        except Exception:  # noqa: BLE001 - the folders hold DICOMDIRs, text and broken files too
            return False
    return "Rows" in dataset and "TransferSyntaxUID" in dataset.file_meta


def read(name: str) -> FileDataset:
    """Read one shipped file."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return read_path(path)


def read_path(path: str | Path) -> FileDataset:
    """Read one file, every element of it."""
    with tolerant():
        dataset = dcmread(path)
        for _ in dataset:
            pass
        return dataset


def header(dataset: Dataset) -> Dataset:
    """Give everything before the pixel data."""
    return Dataset({e.tag: e for e in dataset if e.tag.group < _PIXELS})


def attributes(dataset: Dataset) -> dict[str, Any]:
    """Give the DICOM JSON of what pydicom can write before the pixel data, all of it inline."""
    with tolerant():
        found: dict[str, Any] = header(dataset).to_json_dict(suppress_invalid_tags=True)
    if "PixelData" in dataset:
        found["7FE00010"] = {"vr": str(dataset["PixelData"].VR)}
    return found


def syntax(dataset: FileDataset) -> str:
    """Give the transfer syntax of a file."""
    return str(dataset.file_meta.TransferSyntaxUID)


def frames(dataset: FileDataset) -> int:
    """Count the frames that a file declares."""
    try:
        return int(dataset.get("NumberOfFrames") or 1)
    except ValueError:
        return 1


def frame(dataset: FileDataset, number: int = 1) -> bytes:
    """Cut out one frame, counted from 1: a codestream, or native pixels from bit 0 on."""
    count = frames(dataset)
    raw: bytes = dataset["PixelData"].value
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        codestream: bytes = get_frame(raw, number - 1, number_of_frames=count)
        return codestream
    bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits * 2 // 3
    start = (number - 1) * bits
    if bits % 8 == 0:
        native: bytes = raw[start // 8 : (start + bits) // 8]
        return native
    value = int.from_bytes(raw, "little") >> start & (1 << bits) - 1
    return int(value).to_bytes(-(-bits // 8), "little")


def stored(dataset: FileDataset) -> NDArray[Any]:
    """Give the values of all frames, frames first."""
    with tolerant():
        array = dataset.pixel_array
    return array if frames(dataset) > 1 else array[None]


def picture(dataset: FileDataset, array: NDArray[Any], number: int = 1) -> NDArray[np.uint8]:
    """Give the 8-bit picture of one frame by pydicom's own functions."""
    with tolerant():
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            colours = apply_color_lut(array, dataset)[..., :3]
            return (colours >> 8 if colours.dtype == np.uint16 else colours).astype(np.uint8)
        if dataset.SamplesPerPixel == 3:
            return _levels(array, 0, 2**dataset.BitsStored - 1)
        return _grey(flattened(dataset, number), array)


def flattened(dataset: FileDataset, number: int) -> Dataset:
    """Bring what functional groups say of one frame to the top level, where pydicom looks."""
    flat = header(dataset)
    flat.file_meta = dataset.file_meta
    own = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])[number - 1 : number]
    for group in (*(dataset.get("SharedFunctionalGroupsSequence") or []), *own):
        for macro in _MACROS:
            for item in group.get(macro) or []:
                for element in item:
                    flat[element.tag] = element
    return flat


def _grey(flat: Dataset, array: NDArray[Any]) -> NDArray[np.uint8]:
    values = apply_modality_lut(array, flat)
    low, high = _range(flat)
    if flat.get("VOILUTSequence"):
        shown = apply_voi_lut(values, flat)
        low, high = 0, 2 ** flat.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif flat.get("WindowWidth") not in (None, ""):
        shown = apply_voi_lut(values, flat)
    else:
        shown = values
        if flat.BitsStored > 8 or flat.get("ModalityLUTSequence"):
            padding = flat.get("PixelPaddingValue")
            inside = values[array != padding] if padding is not None else values
            low, high = inside.min(), inside.max()
    levels = _levels(shown, low, high)
    return 255 - levels if flat.PhotometricInterpretation == "MONOCHROME1" else levels


def _range(flat: Dataset) -> tuple[float, float]:
    if flat.get("ModalityLUTSequence"):
        return 0, 2 ** flat.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    half = 2 ** (flat.BitsStored - 1)
    low, high = (-half, half - 1) if flat.PixelRepresentation else (0, 2 * half - 1)
    slope, intercept = flat.get("RescaleSlope"), flat.get("RescaleIntercept")
    if slope is None or intercept is None:
        return low, high
    return low * float(slope) + float(intercept), high * float(slope) + float(intercept)


def _levels(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    share = (values.astype(np.float64) - float(low)) / ((float(high) - float(low)) or 1)
    levels: NDArray[np.uint8] = np.rint(share.clip(0, 1) * 255).astype(np.uint8)
    return levels
