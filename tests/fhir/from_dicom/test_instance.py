"""One instance of a series."""

from typing import Any

import pytest

from fhir.errors import Invalid
from fhir.from_dicom.imaging_study import assemble
from fhir.from_dicom.instance import instance
from tests.fhir.from_dicom.header import INSTANCE, SERIES, STUDY, code, header
from tests.validators import assert_valid

CT_IMAGE = {
    "system": "urn:ietf:rfc:3986",
    "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2",
    "display": "CT Image Storage",
}


def mapped(**keywords: Any) -> dict[str, Any]:
    """Map a header to an instance that is known to be valid in its study."""
    found = instance(header(**keywords))
    one = {
        "uid": SERIES,
        "modality": {"code": "X"},
        "numberOfInstances": 1,
        "instance": [found],
    }
    assert_valid(assemble({}, id=STUDY, subject={"reference": "Patient/p"}, series=[one]))
    return found


def test_an_instance_has_a_bare_uid_and_a_sop_class_by_uri() -> None:
    found = mapped(SOPInstanceUID=f"{INSTANCE}\0", SOPClassUID="1.2.840.10008.5.1.4.1.1.2\0")
    assert found == {"uid": INSTANCE, "sopClass": CT_IMAGE}


def test_a_private_sop_class_has_no_display() -> None:
    assert mapped(SOPClassUID="1.3.12.2.1107.5.9.1")["sopClass"] == {
        "system": "urn:ietf:rfc:3986",
        "code": "urn:oid:1.3.12.2.1107.5.9.1",
    }


def test_a_sop_class_with_leading_zeros_is_no_uri() -> None:
    assert mapped(SOPClassUID="1.2.03")["sopClass"] == {"code": "1.2.03"}


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("found", [None, "", "a.b", "1" * 65])
def test_an_instance_without_its_uids_is_refused(keyword: str, found: str | None) -> None:
    with pytest.raises(Invalid, match=f"^{keyword} is not a UID"):
        instance(header(**{keyword: found}))


@pytest.mark.parametrize(("written", "number"), [("1.0", 1), (0, 0), (2147483647, 2147483647)])
def test_an_instance_number_that_fhir_can_hold_is_kept(written: Any, number: int) -> None:
    assert mapped(InstanceNumber=written)["number"] == number


@pytest.mark.parametrize("written", [-5, 2147483648, "1e9x", ""])
def test_an_instance_number_that_fhir_cannot_hold_is_left_out(written: Any) -> None:
    assert "number" not in mapped(InstanceNumber=written)


IMAGE_TYPE = ["ORIGINAL", "PRIMARY", "", "AXIAL "]


@pytest.mark.parametrize(
    ("sop_class", "keywords", "title"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", {}, "ORIGINAL\\PRIMARY\\AXIAL"),
        (
            "1.2.840.10008.5.1.4.1.1.88.33",
            {"ConceptNameCodeSequence": [code("18748-4", "LN", "Imaging Report")]},
            "Imaging Report",
        ),
        (
            "1.2.840.10008.5.1.4.1.1.88.59",
            {"ConceptNameCodeSequence": [code("113000", "DCM", "Of Interest")]},
            "Of Interest",
        ),
        ("1.2.840.10008.5.1.4.1.1.11.1", {"ContentLabel": "WINDOWED"}, "WINDOWED"),
        ("1.2.840.10008.5.1.4.1.1.104.1", {"DocumentTitle": "Letter"}, "Letter"),
        ("1.2.840.10008.5.1.4.1.1.104.1", {"DocumentTitle": " "}, "ORIGINAL\\PRIMARY\\AXIAL"),
        ("1.2.840.10008.5.1.4.1.1.66.4", {"ContentLabel": "SEG"}, "ORIGINAL\\PRIMARY\\AXIAL"),
    ],
)
def test_the_title_is_what_an_object_of_its_class_calls_itself(
    sop_class: str, keywords: dict[str, Any], title: str
) -> None:
    assert mapped(SOPClassUID=sop_class, ImageType=IMAGE_TYPE, **keywords)["title"] == title
