"""Modality codes (0008,0060): PS3.16 CID 33, and CID 29 for those that acquire images."""

from functools import cache

from pydicom.sr.codedict import codes

from fhir.attributes import Attributes
from fhir.from_dicom.coding_schemes import DCM
from fhir.from_dicom.shapes import Element
from fhir.from_dicom.texts import token


@cache
def _meanings() -> dict[str, str]:
    return {code.value: code.meaning for code in codes.cid33.concepts.values()}


def is_modality(code: str) -> bool:
    """Say whether DICOM has a modality of this code."""
    return code in _meanings()


def meaning(code: str) -> str | None:
    """Say in words what a modality is."""
    return _meanings().get(code)


@cache
def acquisition_modalities() -> frozenset[str]:
    """Give the modalities that a study may be said to have; SR or SEG are none of them."""
    return frozenset(code.value for code in codes.cid29.concepts.values())


def modality(attributes: Attributes) -> Element:
    """Give a series' modality as Coding: `OT` if absent, without system if DICOM has no such."""
    found = token(attributes, "Modality") or "OT"
    code = found if found in _meanings() else found.upper()
    if code not in _meanings():
        return {"code": found}
    return {"system": DCM, "code": code, "display": _meanings()[code]}
