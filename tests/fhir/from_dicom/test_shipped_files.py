"""Every file that pydicom ships, mapped and validated."""

import warnings
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydicom import dcmread
from pydicom.data import get_charset_files, get_testdata_files
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from fhir.attributes import Attributes
from fhir.errors import Invalid
from fhir.from_dicom.imaging_study import assemble, imaging_study, subject
from fhir.from_dicom.instance import instance
from fhir.from_dicom.patient import patient, patient_key
from fhir.from_dicom.series import image_laterality, series
from fhir.from_dicom.site import Site
from fhir.from_dicom.uids import uid
from tests.validators import assert_valid

SITE = Site(time_zone=ZoneInfo("Europe/Berlin"), pad_times=True)
WITHOUT_UID = {
    "DICOMDIR",
    "DICOMDIR-bigEnd",
    "DICOMDIR-empty.dcm",
    "DICOMDIR-implicit",
    "DICOMDIR-nooffset",
    "DICOMDIR-nopatient",
    "DICOMDIR-reordered",
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "UN_sequence.dcm",
    "bad_sequence.dcm",
    "chrSQEncoding.dcm",
    "chrSQEncoding1.dcm",
    "empty_charset_LEI.dcm",
    "meta_missing_tsyntax.dcm",
    "nested_priv_SQ.dcm",
    "no_meta_group_length.dcm",
    "priv_SQ.dcm",
}


def readable() -> dict[str, Attributes]:
    """Read every shipped file that pydicom can read, by path."""
    paths = sorted({*get_testdata_files("**/*"), *get_charset_files("*")})
    datasets = ((path, _read(path)) for path in paths if Path(path).is_file())
    return {path: _json(dataset) for path, dataset in datasets if dataset is not None}


def _read(path: str) -> Dataset | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # many of them are broken on purpose
        try:
            return dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, EOFError):
            return None


def _json(dataset: Dataset) -> Attributes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        attributes: dict[str, Any] = dataset.to_json_dict(
            bulk_data_threshold=1024,
            bulk_data_element_handler=lambda element: "?offset=0&length=0",
            suppress_invalid_tags=True,
        )
    return attributes


def resources(attributes: Attributes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Map one header to its Patient and its ImagingStudy."""
    one = {
        **series(attributes, SITE, image_laterality(attributes)),
        "numberOfInstances": 1,
        "instance": [instance(attributes)],
    }
    study = assemble(
        imaging_study(attributes, SITE),
        id=uid(attributes, "StudyInstanceUID"),
        subject=subject("p", attributes),
        series=[one],
        endpoint="Endpoint/dicomweb",
    )
    return patient(attributes, SITE), study


def test_every_shipped_file_becomes_valid_resources_or_lacks_a_uid() -> None:
    refused, reasons = set(), set()
    headers = readable()
    for path, attributes in headers.items():
        try:
            found = resources(attributes)
        except Invalid as error:
            refused.add(Path(path).name)
            reasons.add(error.message.split(" ", 1)[1])
            continue
        for resource in found:
            assert_valid(resource)
        assert patient_key(attributes, SITE).isascii()
    assert refused == WITHOUT_UID
    assert reasons == {"is not a UID: digits and dots, 64 characters at most"}
    assert len(headers) == 247


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("chrH31.dcm", ["Tarou Yamada", "山田 太郎", "やまだ たろう"]),
        ("chrH32.dcm", ["ﾀﾛｳ ﾔﾏﾀﾞ", "山田 太郎", "やまだ たろう"]),
        ("chrI2.dcm", ["Gildong Hong", "洪 吉洞", "홍 길동"]),
        ("chrArab.dcm", ["لنزار قباني"]),
        ("chrRuss.dcm", ["Люкceмбypг"]),
        ("chrGreek.dcm", ["Διονυσιος"]),
        ("chrHbrw.dcm", ["דבורה שרון"]),
        ("chrFren.dcm", ["Jérôme Buc"]),
        ("chrGerm.dcm", ["Rüdiger Äneas"]),
        ("chrX1.dcm", ["XiaoDong Wang", "王 小東"]),
        ("chrX2.dcm", ["XiaoDong Wang", "王 小东"]),
    ],
)
def test_a_name_in_any_character_set_is_read_whole(file: str, names: list[str]) -> None:
    [path] = get_charset_files(file)
    found = patient(_json(dcmread(path)), SITE)
    assert [name["text"] for name in found["name"]] == names
