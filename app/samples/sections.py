"""CT and PET studies of the sample archive, and what all sections through a body share."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from app.samples import anatomy, people
from app.samples.anatomy import Tissue, axis, tissue_values
from app.samples.pictures import hot_metal
from app.samples.writing import Elements, Series, stable_uid

Volume = NDArray[np.float32]
Named = Iterator[tuple[str, bytes]]
Orientation = tuple[int, int, int, int, int, int]

AXIAL: Orientation = (1, 0, 0, 0, 1, 0)
CORONAL: Orientation = (1, 0, 0, 0, 0, -1)

CT_ELEMENTS: Elements = {
    "KVP": 120,
    "XRayTubeCurrent": 210,
    "RescaleIntercept": -1024,
    "RescaleSlope": 1,
    "RescaleType": "HU",
    "PatientPosition": "HFS",
    "RotationDirection": "CW",
}


def place(
    orientation: Orientation, corner: tuple[float, float, float], spacing_mm: float
) -> Elements:
    """Say where a slice lies whose first pixel has its centre at `corner`."""
    position = [round(float(value), 3) for value in corner]
    return {
        "ImageOrientationPatient": list(orientation),
        "ImagePositionPatient": position,
        "SliceLocation": position[2 if orientation == AXIAL else 1],
        "PixelSpacing": [spacing_mm, spacing_mm],
    }


def twelve_bits(values: Volume, noise: float, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Add noise of a standard deviation and round to stored values from 0 to 4095."""
    noisy = values + noise * rng.standard_normal(values.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), 0, 4095).astype(np.uint16)


def frame_of_reference(study: people.Study) -> Elements:
    """Say that all images of a study lie in one coordinate system."""
    return {
        "FrameOfReferenceUID": stable_uid(study.name, "frame of reference"),
        "PositionReferenceIndicator": "",
    }


def ct_chest(rng: np.random.Generator) -> Named:
    """130 axial slices for soft tissue, 130 in JPEG-LS for the lung, 40 coronal ones."""
    study, spacing, step = people.CT_CHEST, 1.5, 2.4
    x, y, z = axis(256, spacing), axis(256, spacing), axis(130, step)
    volume = tissue_values(anatomy.chest(x, y, z), anatomy.HOUNSFIELD) + 1024
    common = {
        **CT_ELEMENTS,
        **frame_of_reference(study),
        "ContrastBolusAgent": "Iohexol",
        "SliceThickness": step,
    }
    soft = {"ConvolutionKernel": "B30f", "WindowCenter": [40, -600], "WindowWidth": [400, 1600]}
    lung = {"ConvolutionKernel": "B60f", "WindowCenter": -600, "WindowWidth": 1600}
    image_type = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}
    kernels = (
        (1, "Axial Weichteil", soft, 9.0, uid.ExplicitVRLittleEndian),
        (2, "Axial Lunge", lung, 22.0, uid.JPEGLSLossless),
    )
    for number, description, kernel, noise, syntax in kernels:
        series = Series(
            study,
            number,
            "CT",
            uid.CTImageStorage,
            description,
            {**common, **image_type, **kernel},
            syntax,
        )
        for index, level in enumerate(z):
            where = place(AXIAL, (x[0], y[0], level), spacing)
            yield series.instance(index + 1, [twelve_bits(volume[index], noise, rng)], where)
    fine = np.arange(z[-1], z[0], -spacing, dtype=np.float32)
    reformat = {"ImageType": ["DERIVED", "SECONDARY", "MPR"], "SliceThickness": 3}
    series = Series(
        study, 3, "CT", uid.CTImageStorage, "Koronar MPR", {**common, **soft, **reformat}
    )
    upper = np.clip(np.searchsorted(z, fine), 1, len(z) - 1)
    share = ((fine - z[upper - 1]) / step)[:, None]
    for index, row in enumerate(range(60, 180, 3)):
        plane = volume[upper, row] * share + volume[upper - 1, row] * (1 - share)
        where = place(CORONAL, (x[0], y[row], fine[0]), spacing)
        yield series.instance(index + 1, [twelve_bits(plane, 5.0, rng)], where)


def ct_chest_prior_series() -> Series:
    """Give the only series of images of the earlier chest CT."""
    elements = {
        **CT_ELEMENTS,
        **frame_of_reference(people.CT_CHEST_PRIOR),
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "RescaleIntercept": 0,
        "WindowCenter": [40, -600],
        "WindowWidth": [400, 1600],
        "BitsStored": 16,
        "HighBit": 15,
        "SliceThickness": 5,
    }
    return Series(people.CT_CHEST_PRIOR, 1, "CT", uid.CTImageStorage, "Axial 5 mm", elements)


def ct_chest_prior(rng: np.random.Generator) -> Named:
    """60 axial slices of signed pixels, the nodule still small."""
    x, y, z = axis(128, 3), axis(128, 3), axis(60, 5)
    volume = tissue_values(anatomy.chest(x, y, z, nodule_mm=5.5), anatomy.HOUNSFIELD)
    series = ct_chest_prior_series()
    for index, level in enumerate(z):
        noisy = np.rint(volume[index] + rng.normal(0, 9, volume[index].shape)).astype(np.int16)
        yield series.instance(index + 1, [noisy], place(AXIAL, (x[0], y[0], level), 3))


def pet(rng: np.random.Generator) -> Named:
    """50 slices with a rescale slope of their own, and a coloured projection with a palette."""
    study, spacing, step = people.PET, 3.0, 6.0
    x, y, z = axis(128, spacing), axis(128, spacing), axis(50, step)
    activity = tissue_values(anatomy.chest(x, y, z), anatomy.FDG_BQML)
    activity = anatomy.soften(anatomy.soften(activity))
    activity *= 1 + 0.08 * rng.standard_normal(activity.shape, dtype=np.float32)
    elements = {
        **frame_of_reference(study),
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ["DECY", "ATTN", "SCAT", "NORM"],
        "RescaleIntercept": 0,
        "PatientWeight": 81,
        "SliceThickness": step,
        "BitsStored": 16,
        "HighBit": 15,
        "RadiopharmaceuticalInformationSequence": [
            {
                "Radiopharmaceutical": "FDG -- fluorodeoxyglucose",
                "RadionuclideTotalDose": 310_000_000,
                "RadionuclideHalfLife": 6586.2,
                "RadiopharmaceuticalStartTime": "081500",
            }
        ],
    }
    series = Series(
        study,
        1,
        "PT",
        uid.PositronEmissionTomographyImageStorage,
        "PET AC",
        elements,
        uid.RLELossless,
    )
    for index, level in enumerate(z):
        slope = round(float(activity[index].max()) / 32767, 6)
        stored = np.clip(np.rint(activity[index] / slope), 0, 32767).astype(np.uint16)
        own = {"RescaleSlope": slope, "WindowCenter": 7_500, "WindowWidth": 15_000}
        where = place(AXIAL, (x[0], y[0], level), spacing)
        yield series.instance(index + 1, [stored], {**where, **own, "ImageIndex": index + 1})
    hottest = np.repeat(activity.max(axis=1)[::-1], 2, axis=0)
    grey = np.clip(hottest / 30_000 * 255, 0, 255).astype(np.uint8)
    red, green, blue = hot_metal()
    palette: dict[str, object] = {
        "ImageType": ["DERIVED", "SECONDARY", "MIP"],
        "PhotometricInterpretation": "PALETTE COLOR",
        "ConversionType": "WSD",
        "BurnedInAnnotation": "NO",
    }
    for colour, channel in (("Red", red), ("Green", green), ("Blue", blue)):
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette[f"{colour}PaletteColorLookupTableData"] = channel.astype("<u2").tobytes()
    projection = Series(
        study,
        2,
        "PT",
        uid.SecondaryCaptureImageStorage,
        "MIP koronar",
        palette,
        uid.RLELossless,
    )
    yield projection.instance(1, [grey])


def ct_head(rng: np.random.Generator) -> Named:
    """20 slices with a fresh haemorrhage."""
    study, spacing, step = people.CT_HEAD, 1.8, 7.0
    x, y, z = axis(128, spacing), axis(128, spacing), axis(20, step)
    table = {**anatomy.HOUNSFIELD, Tissue.LESION: 72, Tissue.CORTEX: 1100, Tissue.MARROW: 500}
    volume = tissue_values(anatomy.head(x, y, z, lesion=(-40, 4, 14)), table) + 1024
    elements = {
        **CT_ELEMENTS,
        **frame_of_reference(study),
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "WindowCenter": [40, 75],
        "WindowWidth": [80, 215],
        "WindowCenterWidthExplanation": ["BRAIN", "SUBDURAL"],
        "SliceThickness": step,
    }
    series = Series(study, 1, "CT", uid.CTImageStorage, "Axial 7 mm", elements)
    for index, level in enumerate(z):
        where = place(AXIAL, (x[0], y[0], level), spacing)
        yield series.instance(index + 1, [twelve_bits(volume[index], 4, rng)], where)
