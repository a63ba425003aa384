"""Annotations as one DICOM object, a file of PS3.10 to be sent or stored."""

from datetime import tzinfo
from io import BytesIO
from typing import Literal

from pydicom import dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from app.imaging.annotation_report import measurement_report
from app.imaging.presentation_state import presentation_state
from app.imaging.writing import IMPLEMENTATION_NAME, IMPLEMENTATION_UID
from fhir.annotation_files import Annotated

Kind = Literal["sr", "gsps"]


def annotation_object(export: Annotated, kind: Kind, zone: tzinfo) -> tuple[str, bytes]:
    """Write annotations as a Comprehensive SR or as a Grayscale Softcopy Presentation State.

    Args:
        export: What to write.
        kind: Which of the two.
        zone: Where the images were made, if they do not say.

    Returns:
        SOP Instance UID and bytes; the same ones for the same annotations.

    Raises:
        Invalid: The images are of a kind that a presentation state cannot be of.
    """
    made = {"sr": measurement_report, "gsps": presentation_state}[kind]
    dataset = made(export, zone)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    dataset.file_meta.ImplementationVersionName = IMPLEMENTATION_NAME
    dataset.preamble = bytes(128)
    written = BytesIO()
    dcmwrite(written, dataset, enforce_file_format=True)
    return str(dataset.SOPInstanceUID), written.getvalue()
