"""The door to fhir.resources, and the two packages that share its name."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import fhirkit
import pytest

import fhir
from fhir.errors import Invalid
from fhir.models import KNOWN, validate
from tests.validators import assert_valid, flaws

ROOT = Path(fhir.__file__).parents[1]


def test_our_package_and_the_library_share_one_name() -> None:
    library = importlib.import_module("fhir.resources")
    ours = importlib.import_module("fhir.errors")
    assert fhir.__file__ == str(ROOT / "fhir" / "__init__.py")
    assert ours.__file__ == str(ROOT / "fhir" / "errors.py")
    assert library.__file__ is not None
    assert not Path(library.__file__).is_relative_to(ROOT / "fhir")


@pytest.mark.parametrize("first", ["fhir.resources", "fhir.errors"])
def test_the_two_packages_load_in_either_order(first: str) -> None:
    program = f"import {first}, fhir.errors, fhir.resources.R4B, fhir.models; fhir.models.validate"
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, check=True)


def test_a_model_is_loaded_when_its_type_is_first_seen() -> None:
    program = (
        "import sys, fhir.models; names = lambda: {n for n in sys.modules if 'R4B.pat' in n}; "
        "assert not names(); fhir.models.validate({'resourceType': 'Patient'}); assert names()"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    "resource",
    [
        {
            "resourceType": "ImagingStudy",
            "status": "available",
            "subject": {"reference": "Patient/p"},
            "started": "2016-12-31T23:59:60Z",
        },
        {"resourceType": "Patient", "birthDate": "1970-01", "_gender": {"id": "a"}},
        {
            "resourceType": "Endpoint",
            "status": "active",
            "connectionType": {"code": "dicom-wado-rs"},
            "payloadType": [{"text": "DICOM"}],
            "address": "http://x",
        },
        {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": 1,
            "entry": [{"resource": {"resourceType": "Patient", "id": "p"}}],
        },
        {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": "not-found"}],
        },
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": "2024-02-29",
            "kind": "instance",
            "software": {"name": "radiograph"},
            "implementation": {"description": "one"},
            "fhirVersion": "4.0.1",
            "format": ["json"],
            "rest": [{"mode": "server"}],
        },
        {
            "resourceType": "AuditEvent",
            "type": {"code": "rest"},
            "recorded": "2024-02-29T00:00:00Z",
            "agent": [{"requestor": True}],
            "source": {"observer": {"display": "radiograph"}},
        },
    ],
)
def test_each_known_type_is_accepted_by_both_validators(resource: dict[str, Any]) -> None:
    assert resource["resourceType"] in KNOWN
    assert_valid(resource)


def test_a_refusal_names_paths_and_kinds_and_no_values() -> None:
    wrong = {
        "resourceType": "ImagingStudy",
        "status": "available",
        "started": "Jane Doe",
        "Jane Doe": "Jane Doe",
        "series": [{"uid": "Jane Doe", "number": -1}],
    }
    with pytest.raises(Invalid) as refused:
        validate(wrong)
    assert sorted(refused.value.message.split("; ")) == [
        "ImagingStudy.?: extra forbidden",
        "ImagingStudy.series[0].modality: missing",
        "ImagingStudy.series[0].number: greater than equal",
        "ImagingStudy.series[0].uid: string pattern mismatch",
        "ImagingStudy.started: value error",
        "ImagingStudy.subject: missing",
    ]


def test_of_many_problems_ten_are_named() -> None:
    with pytest.raises(Invalid) as refused:
        validate({"resourceType": "Patient", **{f"x{n}": 1 for n in range(12)}})
    assert refused.value.message.count("extra forbidden") == 10
    assert refused.value.message.endswith("; and 2 more")


@pytest.mark.parametrize("resource_type", ["Observation", "patient", "", None, 3, ["Patient"]])
def test_a_type_that_is_not_known_is_refused(resource_type: Any) -> None:
    with pytest.raises(Invalid, match=r"^resourceType: one of AuditEvent, Bundle, "):
        validate({"resourceType": resource_type})


@pytest.mark.parametrize("resource_type", ["Nope", 3, None, {}])
def test_a_resource_of_no_type_inside_another_is_refused(resource_type: Any) -> None:
    inner = {"resourceType": resource_type, "id": "x"}
    with pytest.raises(Invalid, match=r"^Bundle: something inside has no known type"):
        validate({"resourceType": "Bundle", "type": "batch", "entry": [{"resource": inner}]})


def test_a_text_where_an_object_belongs_is_refused() -> None:
    with pytest.raises(Invalid, match=r"^Patient"):
        validate({"resourceType": "Patient", "_birthDate": "null"})


def test_the_validators_in_tests_do_find_faults() -> None:
    study = {"resourceType": "ImagingStudy", "status": "available", "subject": {"display": "x"}}
    assert_valid(study)
    assert [str(issue) for issue in fhirkit.validate({**study, "status": None})] != []
    faults: list[dict[str, Any]] = [
        {"description": ""},
        {"note": []},
        {"referrer": {}},
        {"started": "2024-02-30"},
    ]
    for fault in faults:
        with pytest.raises((AssertionError, Invalid)):
            assert_valid({**study, **fault})
    assert list(flaws({"a": [None, " x", "a\x01", "\ud800"], "uid": "1" * 65, "b": {"c": {}}})) == [
        ".a[0]: empty",
        ".a[1]: padded",
        ".a[2]: control character",
        ".a[3]: half a surrogate pair",
        ".uid: more than 64 characters",
        ".b.c: empty",
    ]
