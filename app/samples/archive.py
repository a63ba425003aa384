"""Everything that `make demo` loads."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom.data

from app.samples import documents, people, projections, resonance, sections

MEDIA_DIRECTORY = "DICOMDIR"


def samples(seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Make the generated archive: 10 people, 14 studies, about 55 MB, always the same bytes.

    Args:
        seed: Of the noise in the pictures; names and UIDs do not depend on it.

    Yields:
        A name with slashes, unique and free of what a file system would mind, and the bytes of
        one Part-10 file.
    """
    rng = np.random.default_rng(seed)
    yield from sections.ct_chest(rng)
    yield from sections.ct_chest_prior(rng)
    yield from documents.chest_report()
    yield from documents.key_image()
    yield from projections.dx_chest(rng)
    yield from sections.pet(rng)
    yield from resonance.mr_brain(rng)
    yield from projections.mammograms(people.MG_SCREENING, rng)
    yield from projections.mammograms(people.MG_PRIOR, rng)
    yield from projections.us_heart(rng)
    yield from resonance.mr_spine(rng)
    yield from projections.xa_heart(rng)
    yield from projections.cr_chest(rng)
    yield from projections.cr_hand(rng)
    yield from documents.outside_report()
    yield from sections.ct_head(rng)


def pydicom_files() -> Iterator[Path]:
    """List the DICOM files inside the installed pydicom, sorted, without looking elsewhere.

    Directories of media (`DICOMDIR`) are left out: they describe objects and are none. What is
    left holds broken files and several that share a SOP Instance UID, as pydicom's tests need.
    """
    folder = Path(pydicom.data.__file__).parent
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(MEDIA_DIRECTORY) and _is_dicom(path):
            yield path


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM" or path.suffix == ".dcm"
