"""What the archive of these tests holds."""

from dataclasses import dataclass
from typing import Any

CT, MR, US, XR = "1.2.31", "1.2.32", "1.2.33", "1.2.34"
YAMADA: dict[str, Any] = {
    "PatientID": "P1",
    "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "PatientBirthDate": "19700809",
    "PatientBirthTime": "101112",
    "PatientSex": "M",
    "SpecificCharacterSet": "ISO_IR 192",
}
SAID: dict[str, Any] = {
    "StudyDate": "20240301",
    "StudyTime": "101530",
    "TimezoneOffsetFromUTC": "+0100",
    "AccessionNumber": "A1",
    "StudyDescription": "CT of the thorax",
    "SeriesDescription": "Thin slices",
    "ReferringPhysicianName": "Refer^Ron",
    "BodyPartExamined": "CHEST",
}


@dataclass(frozen=True)
class Known:
    """Ids of the patients: Yamada has `CT` and `MR`, van der Berg `US`, Doe `XR`."""

    yamada: str
    berg: str
    doe: str

    @staticmethod
    def others() -> dict[str, dict[str, Any]]:
        """Say what the other studies hold, one instance each."""
        berg = {"PatientID": "P2", "PatientName": "van der Berg^Bo", "PatientSex": "F"}
        doe = {"PatientID": "P3", "PatientName": "Doe^Dee", "PatientSex": "O"}
        return {
            MR: {**YAMADA, "Modality": "MR", "StudyDate": "20230115", "AccessionNumber": "A2"},
            US: {**berg, "Modality": "US", "StudyDate": "20220606", "AccessionNumber": "A3"},
            XR: {**doe, "Modality": "DX", "StudyDate": None, "AccessionNumber": None},
        }
