"""Every DICOM attribute is governed by an element that policies know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import keyword_for_tag, tag_for_keyword

from fhir.dicom_elements import (
    _KEYWORDS,
    OTHER,
    PIXELS,
    PRIVATE,
    coordinate_named,
    coordinate_of,
    public_tags,
)
from fhir.elements import COORDINATES
from fhir.images import FILE_ELEMENTS


def test_every_attribute_of_the_dictionary_has_an_element_that_a_file_needs() -> None:
    found = {coordinate_of(tag) for tag in public_tags()}
    assert len(list(public_tags())) > 5_000
    assert found <= COORDINATES
    assert found | {PRIVATE} <= FILE_ELEMENTS


def test_every_keyword_of_the_table_is_one_and_is_named_once() -> None:
    keywords = [one for named in _KEYWORDS.values() for one in named.split()]
    assert [one for one in keywords if tag_for_keyword(one) is None] == []
    assert len(keywords) == len(set(keywords))


@given(st.integers(0, 0x7FFF), st.integers(0, 0xFFFF))
def test_a_private_attribute_is_closed_but_by_its_own_element(half: int, element: int) -> None:
    assert coordinate_of((2 * half + 1) << 16 | element) == PRIVATE


@given(st.integers(0, 0xFFFFFFFF))
def test_an_attribute_that_nobody_knows_has_an_element_too(tag: int) -> None:
    assert coordinate_of(tag) in COORDINATES


def test_whatever_stands_in_the_patient_group_is_of_the_patient() -> None:
    strays = {
        keyword_for_tag(tag): coordinate_of(tag)
        for tag in public_tags()
        if tag >> 16 == 0x0010 and not coordinate_of(tag).startswith("Patient.")
    }
    assert strays == {}


@pytest.mark.parametrize(
    ("name", "coordinate"),
    [
        ("PatientName", "Patient.name"),
        ("00100010", "Patient.name"),
        ("(0010,0010)", "Patient.name"),
        ("PatientWeight", "Patient.extension"),
        ("StudyInstanceUID", "ImagingStudy.id"),
        ("AccessionNumber", "ImagingStudy.identifier"),
        ("OperatorsName", "ImagingStudy.series.performer"),
        ("AcquisitionDate", "ImagingStudy.series.started"),
        ("KVP", OTHER),
        ("DeviceSerialNumber", OTHER),
        ("60003000", PIXELS),
        ("PixelData", PIXELS),
        ("00091001", PRIVATE),
        ("PatientNmae", None),
        ("Patient.name", None),
        ("0010001", None),
        ("zzzzzzzz", None),
    ],
)
def test_an_attribute_is_found_by_keyword_and_by_tag(name: str, coordinate: str | None) -> None:
    assert coordinate_named(name) == coordinate
