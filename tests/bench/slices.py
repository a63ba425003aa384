"""CT slices of 512 by 512 pixels that are all different, quickly."""

from collections.abc import Iterator

import numpy as np

from tests.build import dicom


def slices(study: str, count: int) -> Iterator[bytes]:
    """Give the slices of one series: `<study>.1`, instances `<study>.1.<number>`."""
    base = np.random.default_rng(1).integers(0, 4096, (512, 512), np.uint16)
    for number in range(1, count + 1):
        yield dicom(
            pixels=base ^ np.uint16(number & 0xFFF),
            StudyInstanceUID=study,
            SeriesInstanceUID=f"{study}.1",
            SOPInstanceUID=f"{study}.1.{number}",
            InstanceNumber=number,
        )
