"""MR studies of the sample archive."""

from collections.abc import Iterator

import numpy as np
from pydicom import uid

from app.samples import anatomy, people
from app.samples.anatomy import axis, tissue_values
from app.samples.sections import AXIAL, frame_of_reference, place, twelve_bits
from app.samples.writing import Series, code, stable_uid

Named = Iterator[tuple[str, bytes]]

SAGITTAL = (0, 1, 0, 0, 0, -1)


def mr_brain(rng: np.random.Generator) -> Named:
    """T1 and T2, 24 slices each, the T2 in JPEG 2000."""
    study, spacing, step = people.MR_BRAIN, 0.9, 5.5
    x, y, z = axis(256, spacing), axis(256, spacing), axis(24, step)
    labels = anatomy.head(x, y, z, lesion=(38, -6, 20))
    common = {
        **frame_of_reference(study),
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "SE"],
        "MagneticFieldStrength": 3,
        "MRAcquisitionType": "2D",
        "ScanningSequence": "SE",
        "SequenceVariant": "SK",
        "SliceThickness": 5,
        "SpacingBetweenSlices": step,
        "PatientPosition": "HFS",
    }
    t1 = {"RepetitionTime": 550, "EchoTime": 11, "WindowCenter": 450, "WindowWidth": 900}
    t2 = {"RepetitionTime": 4800, "EchoTime": 98, "WindowCenter": 550, "WindowWidth": 1100}
    weights = (
        (1, "AX T1 SE 軸位断", t1, anatomy.T1_SIGNAL, uid.ExplicitVRLittleEndian),
        (2, "AX T2 TSE 軸位断", t2, anatomy.T2_SIGNAL, uid.JPEG2000Lossless),
    )
    for number, description, timing, signal, syntax in weights:
        values = tissue_values(labels, signal)
        elements = {**common, **timing}
        series = Series(study, number, "MR", uid.MRImageStorage, description, elements, syntax)
        for index, level in enumerate(z):
            where = place(AXIAL, (x[0], y[0], level), spacing)
            yield series.instance(index + 1, [twelve_bits(values[index], 14, rng)], where)


def mr_spine(rng: np.random.Generator) -> Named:
    """One enhanced multi-frame object of 15 sagittal frames, HTJ2K with extended offset table."""
    study, spacing, step = people.MR_SPINE, 0.9, 4.0
    x, y, z = axis(15, step), axis(256, spacing), axis(256, spacing)[::-1]
    frames = [
        twelve_bits(tissue_values(anatomy.lumbar_spine(y, z, side), anatomy.T2_SIGNAL), 12, rng)
        for side in x.tolist()
    ]
    shared = {
        "PixelMeasuresSequence": [{"PixelSpacing": [spacing, spacing], "SliceThickness": step}],
        "PlaneOrientationSequence": [{"ImageOrientationPatient": list(SAGITTAL)}],
        "MRTimingAndRelatedParametersSequence": [{"RepetitionTime": 3500, "FlipAngle": 150}],
        "MREchoSequence": [{"EffectiveEchoTime": 105}],
        "FrameVOILUTSequence": [{"WindowCenter": 500, "WindowWidth": 1000}],
        "PixelValueTransformationSequence": [
            {"RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "US"}
        ],
        "FrameAnatomySequence": [
            {
                "FrameLaterality": "U",
                "AnatomicRegionSequence": [code(study.region)],
            }
        ],
    }
    each = [
        {
            "FrameContentSequence": [
                {
                    "StackID": "1",
                    "InStackPositionNumber": index + 1,
                    "DimensionIndexValues": [1, index + 1],
                }
            ],
            "PlanePositionSequence": [
                {"ImagePositionPatient": [round(side, 3), float(y[0]), float(z[0])]}
            ],
        }
        for index, side in enumerate(x.tolist())
    ]
    organisation = stable_uid(study.name, "dimensions")
    elements = {
        **frame_of_reference(study),
        "ImageType": ["ORIGINAL", "PRIMARY", "T2", "NONE"],
        "AcquisitionDateTime": f"{study.date}{study.time}.000000{study.zone}",
        "MagneticFieldStrength": 1.5,
        "DimensionOrganizationSequence": [{"DimensionOrganizationUID": organisation}],
        "SharedFunctionalGroupsSequence": [shared],
        "PerFrameFunctionalGroupsSequence": each,
    }
    series = Series(
        study,
        1,
        "MR",
        uid.EnhancedMRImageStorage,
        "SAG T2",
        elements,
        uid.HTJ2KLossless,
        extended_offset_table=True,
    )
    yield series.instance(1, frames)
