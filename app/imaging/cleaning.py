"""Takes identity out of a data set by the confidentiality profile, at every depth."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset

from app.imaging.confidentiality import EDITION, TEMPORAL, Action, action, is_movable
from app.imaging.writing import Element, Elements, encoded, implied_vr
from fhir.from_dicom.uids import is_registered
from fhir.pseudonyms import Disguise

DUMMY: Final = "DEIDENTIFIED"
METHOD: Final = f"DICOM PS3.15 {EDITION} Table E.1-1, by Radiograph"

_BASIC: Final = (b"113100", b"Basic Application Confidentiality Profile")
_MOVED: Final = (
    b"113107",
    b"Retain Longitudinal Temporal Information Modified Dates Option",
)

_UNDEFINED: Final = 0xFFFFFFFF
_NUMBER: Final = re.compile(rb"[0-9+\-.eE \\\0]*")
_DATE: Final = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")
_DATE_TIME: Final = re.compile(r"(\d{8})([\d.]*(?:[+-]\d{4})?)")
_TIME: Final = re.compile(rb"[0-9:.\\ \0]*")
_DUMMIES: Mapping[str, bytes] = MappingProxyType(
    {
        "AS": b"000Y",
        "DA": b"19000101",
        "DT": b"19000101000000",
        "TM": b"000000",
        "DS": b"0",
        "IS": b"0",
        "UR": b"urn:deidentified",
        "UI": b"2.25.0",
    }
    | dict.fromkeys(("US", "SS", "OB", "OW", "UN"), bytes(2))
    | dict.fromkeys(("UL", "SL", "FL", "AT", "OF", "OL"), bytes(4))
    | dict.fromkeys(("UV", "SV", "FD", "OD", "OV"), bytes(8))
)


class Cleaning:
    """Cleans the data sets of one instance.

    Values that are kept are not decoded.
    """

    def __init__(self, disguise: Disguise) -> None:
        self._pseudonyms = disguise.pseudonyms
        self._days = disguise.pseudonyms.days(disguise.patient)
        self._uids: dict[str, str] = {}

    def cleaned(self, dataset: Dataset) -> Elements:
        """Give what may stay of a data set, and of those within it.

        Args:
            dataset: As it was read; nothing of it has been decoded.
        """
        kept: Elements = {}
        # taken before any is looked at: pydicom decodes some for the sake of others
        for tag, found in [(tag, dataset.get_item(tag)) for tag in dataset.keys()]:  # noqa: SIM118 -- else they are decoded
            unsaid = found.VR in {None, "UN"}
            vr = implied_vr(tag) if unsaid else str(found.VR)
            what = action(tag, vr)
            if what == "remove" and not self._is_moved(tag, vr):
                continue
            if vr == "SQ" and found.VR == "UN":
                continue  # in an encoding of its own (PS3.5 6.2.2)
            if vr == "SQ":
                element = self._sequence(found, what)
            elif isinstance(found, RawDataElement) and found.length != _UNDEFINED:
                element = self._element(tag, vr, what, found.value or b"")
            else:
                continue  # nothing but sequences and pixel data comes so
            if element is not None:
                kept[int(tag)] = element
        return kept

    def _sequence(self, found: RawDataElement | DataElement, what: Action) -> Element | None:
        if what in {"keep", "references"}:
            known = found if isinstance(found, DataElement) else convert_raw_data_element(found)
            return Element("SQ", [self.cleaned(item) for item in known.value])
        if what == "uid":
            return None
        return Element("SQ", [{}] if what == "dummy" else [])

    def _element(self, tag: int, vr: str, what: Action, value: bytes) -> Element | None:
        left = self._value(tag, vr, what, value)
        if left is None:
            return None
        return Element(vr, value) if left is value else encoded(vr, left)

    def _is_moved(self, tag: int, vr: str) -> bool:
        return self._days is not None and is_movable(tag, vr)

    def _value(self, tag: int, vr: str, what: Action, value: bytes) -> bytes | None:
        """Give what becomes of a value; None removes the element."""
        if not value.strip(b" \0"):
            return value
        if self._is_moved(tag, vr):
            moved = self._moved(vr, value)
            if moved is not None:
                return moved
        match what:
            case "uid" | "references":
                return self._uid(value) if vr == "UI" or what == "uid" else b""
            case "empty":
                return b""
            case "dummy":
                return self._uid(value) if vr == "UI" else _DUMMIES.get(vr, DUMMY.encode())
            case "keep" if vr in TEMPORAL:
                return None
            case "keep" if vr in {"DS", "IS"} and not _NUMBER.fullmatch(value):
                return None
            case "keep":
                return value
        return None

    def _uid(self, value: bytes) -> bytes:
        found = value.decode("latin-1").split("\\")
        return "\\".join(self._one_uid(one.strip(" \0")) for one in found).encode("latin-1")

    def _one_uid(self, real: str) -> str:
        if not real or is_registered(real):
            return real
        if real not in self._uids:
            self._uids[real] = self._pseudonyms.uid(real)
        return self._uids[real]

    def _moved(self, vr: str, value: bytes) -> bytes | None:
        """Move dates by whole days; None where there is something else than whole dates."""
        if vr == "TM":
            return value if _TIME.fullmatch(value) else None
        moved = [
            self._moved_one(vr, one.strip(" \0")) for one in value.decode("latin-1").split("\\")
        ]
        if any(one is None for one in moved):
            return None
        return "\\".join(one or "" for one in moved).encode("latin-1")

    def _moved_one(self, vr: str, said: str) -> str | None:
        if not said:
            return said
        found = (_DATE if vr == "DA" else _DATE_TIME).fullmatch(said)
        if found is None or self._days is None:
            return None
        day = "".join(found.groups()) if vr == "DA" else found[1]
        try:
            moved = date.fromisoformat(day) + timedelta(self._days)
        except (ValueError, OverflowError):
            return None
        return f"{moved:%Y%m%d}".rjust(8, "0") + ("" if vr == "DA" else found[2])


def disguised_header(dataset: Dataset, disguise: Disguise, accession: str | None) -> Elements:
    """Give a header without identity, which says that this was done.

    Args:
        dataset: Header before its pixel data, as it was read.
        disguise: Whose.
        accession: The accession number as FHIR has it.
    """
    pseudonyms = disguise.pseudonyms
    moved = pseudonyms.days(disguise.patient) is not None
    header = Cleaning(disguise).cleaned(dataset) | {
        0x00100020: encoded("LO", pseudonyms.number(disguise.patient).encode()),
        0x00120062: encoded("CS", b"YES"),
        0x00120063: encoded("LO", METHOD.encode()),
        0x00120064: Element(
            "SQ", [_code(*code) for code in (_BASIC, *([_MOVED] if moved else []))]
        ),
        0x00280303: encoded("CS", b"MODIFIED" if moved else b"REMOVED"),
    }
    if accession:
        header[0x00080050] = encoded("SH", pseudonyms.accession(accession).encode())
    return header


def _code(value: bytes, meaning: bytes) -> Elements:
    return {
        0x00080100: encoded("SH", value),
        0x00080102: encoded("SH", b"DCM"),
        0x00080104: encoded("LO", meaning),
    }
