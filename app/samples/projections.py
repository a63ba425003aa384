"""Studies seen through or across the body: radiographs, mammograms, ultrasound, angiography."""

from collections.abc import Iterator

import numpy as np
from pydicom import uid

from app.samples import anatomy, people, pictures
from app.samples.anatomy import axis
from app.samples.writing import Elements, Series

Named = Iterator[tuple[str, bytes]]

WINDOW_12_BIT: Elements = {"WindowCenter": 2048, "WindowWidth": 4096}
MONOCHROME1: Elements = {
    **WINDOW_12_BIT,
    "PhotometricInterpretation": "MONOCHROME1",
    "PixelIntensityRelationship": "LIN",
    "PixelIntensityRelationshipSign": 1,
    "RescaleIntercept": 0,
    "RescaleSlope": 1,
    "RescaleType": "US",
}


def dx_chest(rng: np.random.Generator) -> Named:
    """A chest from behind and from the side, MONOCHROME1, JPEG Lossless."""
    labels = anatomy.chest(axis(192, 2), axis(192, 2), axis(128, 2.4), nodule_mm=5.5)
    series = Series(
        people.DX_CHEST,
        1,
        "DX",
        uid.DigitalXRayImageStorageForPresentation,
        "Thorax p.a. und seitlich",
        {
            **MONOCHROME1,
            "ImageType": ["ORIGINAL", "PRIMARY"],
            "PresentationIntentType": "FOR PRESENTATION",
            "ImagerPixelSpacing": [0.5, 0.5],
        },
        uid.JPEGLosslessSV1,
    )
    views = ((1, "PA", ["L", "F"], 1), (2, "LL", ["P", "F"], 2))
    for number, view, orientation, along in views:
        picture = pictures.radiograph(labels, along, 4, rng)
        own = {"ViewPosition": view, "PatientOrientation": orientation}
        yield series.instance(number, [picture], own)


def cr_chest(rng: np.random.Generator) -> Named:
    """One chest from behind, MONOCHROME1, not compressed."""
    labels = anatomy.chest(axis(128, 3), axis(128, 3), axis(100, 3), nodule_mm=0)
    series = Series(
        people.CR_CHEST,
        1,
        "CR",
        uid.ComputedRadiographyImageStorage,
        "PA",
        {**MONOCHROME1, "ViewPosition": "PA", "PatientOrientation": ["L", "F"]},
        uid.ImplicitVRLittleEndian,
    )
    yield series.instance(1, [pictures.radiograph(labels, 1, 4, rng)])


def cr_hand(rng: np.random.Generator) -> Named:
    """A child's left hand in RLE."""
    series = Series(
        people.CR_HAND,
        1,
        "CR",
        uid.ComputedRadiographyImageStorage,
        "Кисть, прямая проекция",
        {
            **WINDOW_12_BIT,
            "WindowCenter": 1500,
            "WindowWidth": 3000,
            "Laterality": "L",
            "ViewPosition": "PA",
            "PatientAge": "008Y",
            "ImagerPixelSpacing": [0.3, 0.3],
        },
        uid.RLELossless,
    )
    yield series.instance(1, [pictures.hand(720, 560, rng)])


def mammograms(study: people.Study, rng: np.random.Generator) -> Named:
    """Both breasts from above, a series each, HTJ2K."""
    for number, side in enumerate("LR", start=1):
        picture = pictures.breast(768, 576, rng)
        series = Series(
            study,
            number,
            "MG",
            uid.DigitalMammographyXRayImageStorageForPresentation,
            f"{side} CC",
            {
                "WindowCenter": 1300,
                "WindowWidth": 2600,
                "ImageType": ["ORIGINAL", "PRIMARY"],
                "PresentationIntentType": "FOR PRESENTATION",
                "ImageLaterality": side,
                "ViewPosition": "CC",
                "PatientOrientation": ["A", "R"] if side == "L" else ["P", "L"],
                "ImagerPixelSpacing": [0.3, 0.3],
                "RescaleIntercept": 0,
                "RescaleSlope": 1,
                "BurnedInAnnotation": "NO",
                "ViewCodeSequence": [
                    {
                        "CodeValue": "R-10242",
                        "CodingSchemeDesignator": "SRT",
                        "CodeMeaning": "cranio-caudal",
                    }
                ],
            },
            uid.HTJ2KLossless,
        )
        mirrored = picture if side == "L" else np.ascontiguousarray(picture[:, ::-1])
        yield series.instance(1, [mirrored])


def us_heart(rng: np.random.Generator) -> Named:
    """One heart beat of 24 colour frames, JPEG Baseline."""
    series = Series(
        people.US_HEART,
        1,
        "US",
        uid.UltrasoundMultiFrameImageStorage,
        "A4C colour Doppler",
        {
            "PhotometricInterpretation": "YBR_FULL_422",
            "ImageType": ["ORIGINAL", "PRIMARY", "", "0001"],
            "LossyImageCompression": "01",
            "LossyImageCompressionMethod": "ISO_10918_1",
            "LossyImageCompressionRatio": 8,
            "FrameTime": 38,
            "FrameIncrementPointer": 0x00181063,
            "CineRate": 26,
            "HeartRate": 66,
            "SequenceOfUltrasoundRegions": [
                {
                    "RegionSpatialFormat": 1,
                    "RegionDataType": 1,
                    "RegionFlags": 0,
                    "RegionLocationMinX0": 0,
                    "RegionLocationMinY0": 0,
                    "RegionLocationMaxX1": 399,
                    "RegionLocationMaxY1": 299,
                    "PhysicalUnitsXDirection": 3,
                    "PhysicalUnitsYDirection": 3,
                    "PhysicalDeltaX": 0.05,
                    "PhysicalDeltaY": 0.05,
                }
            ],
        },
        uid.JPEGBaseline8Bit,
    )
    yield series.instance(1, list(pictures.echocardiogram(300, 400, 24, rng)))


def xa_heart(rng: np.random.Generator) -> Named:
    """One run of 24 native 8-bit frames of the left coronary artery."""
    series = Series(
        people.XA_HEART,
        1,
        "XA",
        uid.XRayAngiographicImageStorage,
        "LCA RAO 30",
        {
            "WindowCenter": 128,
            "WindowWidth": 256,
            "ImageType": ["ORIGINAL", "PRIMARY", "SINGLE PLANE"],
            "PixelIntensityRelationship": "LOG",
            "RadiationSetting": "GR",
            "KVP": 78,
            "PositionerPrimaryAngle": -30,
            "PositionerSecondaryAngle": 0,
            "FrameTime": 66.7,
            "FrameIncrementPointer": 0x00181063,
            "CineRate": 15,
        },
    )
    yield series.instance(1, list(pictures.angiogram(256, 24, rng)))
