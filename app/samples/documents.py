"""Objects without pixels: a structured report, a key object selection, an encapsulated PDF."""

from collections.abc import Iterator, Sequence

from pydicom import uid

from app.samples import people
from app.samples.people import Code
from app.samples.sections import ct_chest_prior_series
from app.samples.writing import Elements, Series, code, stable_uid

Named = Iterator[tuple[str, bytes]]

NODULE_SLICE_NUMBER = 39
"""Instance of the earlier chest CT that cuts the nodule in the middle."""


def chest_report() -> Named:
    """A basic text report on the earlier chest CT."""
    parts = (
        (Code("121070", "DCM", "Findings"), "Rundherd im rechten Oberlappen, 11 mm."),
        (Code("121072", "DCM", "Impression"), "CT-Kontrolle oder PET empfohlen."),
    )
    series = Series(
        people.CT_CHEST_PRIOR,
        90,
        "SR",
        uid.BasicTextSRStorage,
        "Befund",
        {
            **_container(Code("11528-7", "LN", "Radiology Report")),
            "CompletionFlag": "COMPLETE",
            "VerificationFlag": "UNVERIFIED",
            "ContentSequence": [
                {
                    "RelationshipType": "CONTAINS",
                    "ValueType": "TEXT",
                    "ConceptNameCodeSequence": [code(concept)],
                    "TextValue": text,
                }
                for concept, text in parts
            ],
        },
    )
    yield series.instance(1, [])


def key_image() -> Named:
    """A selection of the slice of the earlier chest CT that shows the nodule."""
    chosen = {
        "ReferencedSOPClassUID": uid.CTImageStorage,
        "ReferencedSOPInstanceUID": ct_chest_prior_series().uid(NODULE_SLICE_NUMBER),
    }
    series = Series(
        people.CT_CHEST_PRIOR,
        91,
        "KO",
        uid.KeyObjectSelectionDocumentStorage,
        "Schlüsselbild",
        {
            **_container(Code("113000", "DCM", "Of Interest")),
            "ContentSequence": [
                {
                    "RelationshipType": "CONTAINS",
                    "ValueType": "IMAGE",
                    "ReferencedSOPSequence": [chosen],
                }
            ],
            "CurrentRequestedProcedureEvidenceSequence": [
                {
                    "StudyInstanceUID": stable_uid(people.CT_CHEST_PRIOR.name),
                    "ReferencedSeriesSequence": [
                        {
                            "SeriesInstanceUID": stable_uid(people.CT_CHEST_PRIOR.name, 1),
                            "ReferencedSOPSequence": [chosen],
                        }
                    ],
                }
            ],
        },
    )
    yield series.instance(1, [])


def outside_report() -> Named:
    """A letter as PDF inside DICOM."""
    text = pdf(("Radiograph General Hospital", "Outside report", "No focal lung lesion."))
    series = Series(
        people.REPORT,
        1,
        "DOC",
        uid.EncapsulatedPDFStorage,
        "Letter",
        {
            "DocumentTitle": "Outside report",
            "MIMETypeOfEncapsulatedDocument": "application/pdf",
            "BurnedInAnnotation": "YES",
            "ConversionType": "SD",
            "EncapsulatedDocument": text + bytes(len(text) % 2),
            "EncapsulatedDocumentLength": len(text),
        },
    )
    yield series.instance(1, [])


def pdf(lines: Sequence[str]) -> bytes:
    """Write one A5 page of plain ASCII lines."""
    shown = " ".join(f"({line}) Tj 0 -22 Td" for line in lines)
    stream = f"BT /F1 16 Tf 40 540 Td {shown} ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 420 595] /Contents 4 0 R"
        " /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    count = len(objects) + 1
    return (
        body
        + (
            f"xref\n0 {count}\n0000000000 65535 f \n{table}"
            f"trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
        ).encode()
    )


def _container(concept: Code) -> Elements:
    return {
        "ValueType": "CONTAINER",
        "ContinuityOfContent": "SEPARATE",
        "ConceptNameCodeSequence": [code(concept)],
    }
