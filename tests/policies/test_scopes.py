"""Scopes are FHIR searches with the caller's variables, checked before they are used."""

from urllib.parse import parse_qsl

import pytest

from policies.scopes import Scope, read_scopes
from tests.policies.samples import SCOPES_TOML, fine, problems

RESOURCES = frozenset({"Patient", "ImagingStudy", "Endpoint", "Image"})
OWN = Scope("own", "", {"Patient": "_id={patient}", "ImagingStudy": "patient=Patient/{patient}"})


def test_a_file_becomes_scopes_by_name() -> None:
    scopes = read_scopes(SCOPES_TOML, RESOURCES, fine)
    assert list(scopes) == ["own", "open", "released"]
    assert scopes["own"].description == "Their own"
    assert scopes["own"].texts == {
        "Patient": "_id={patient}",
        "ImagingStudy": "patient=Patient/{patient}",
    }


def test_each_value_of_a_variable_makes_one_search() -> None:
    assert OWN.searches("Patient", {"patient": ("a", "b")}) == ("_id=a", "_id=b")


def test_several_variables_make_every_combination() -> None:
    scope = Scope("x", "", {"ImagingStudy": "patient={patient}&a={specialty}&b={patient}"})
    values = {"patient": ("1", "2"), "specialty": ("X", "Y")}
    assert scope.searches("ImagingStudy", values) == (
        "patient=1&a=X&b=1",
        "patient=1&a=Y&b=1",
        "patient=2&a=X&b=2",
        "patient=2&a=Y&b=2",
    )


@pytest.mark.parametrize("variables", [{}, {"patient": ()}, {"patient": ("",)}, {"other": ("a",)}])
def test_a_variable_without_a_value_matches_nothing(variables: dict[str, tuple[str, ...]]) -> None:
    assert OWN.searches("Patient", variables) == ()


def test_a_resource_without_a_text_has_no_row_in_the_scope() -> None:
    assert OWN.searches("Endpoint", {"patient": ("a",)}) == ()
    assert not OWN.reaches("Endpoint")


def test_an_image_is_in_the_scopes_of_its_study() -> None:
    assert OWN.reaches("Image")
    assert not Scope("x", "", {"Patient": "active=true"}).reaches("Image")


def test_a_text_without_variables_is_one_search_for_everybody() -> None:
    assert Scope("x", "", {"Patient": "active=true"}).searches("Patient", {}) == ("active=true",)


def test_a_value_cannot_add_to_the_search() -> None:
    hostile = r"1,2&active=true|x\$ü{specialty}"
    (search,) = OWN.searches("ImagingStudy", {"patient": (hostile,), "specialty": ("S",)})
    assert parse_qsl(search) == [("patient", r"Patient/1\,2&active=true\|x\\\$ü{specialty}")]


ONE = '[own]\ndescription = "Own"\n'


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("[own\n", 1, 5, "is not TOML: Expected ']' at the end of a table declaration"),
        ('[own]\na = "x', 2, None, "is not TOML: Unterminated string"),
        ("own = 1\n", 1, None, "'own' is not a scope; write [name] in small letters, digits and"
            " hyphens"),
        ('[Own]\ndescription = "x"\nPatient = "_id=1"\n', 1, None,
            "'Own' is not a scope; write [name] in small letters, digits and hyphens"),
        (ONE.replace("own", "any") + 'Patient = "_id=1"\n', 1, None,
            "'any' is built in and means every row; choose another name"),
        (ONE, 1, None, '[own] names no resource and matches nothing; write Patient = "_id=…"'),
        ('\n\n[own]\nPatient = "_id=1"\n', 3, None,
            '[own] has no description; write description = "…"'),
        (ONE + 'Pateint = "_id=1"\n', 3, None, "unknown resource 'Pateint'; write 'Patient'"),
        # A search without conditions finds every row.
        (ONE + 'Patient = ""\n', 3, None,
            "Patient needs a FHIR search text; for every row use 'any' in the rule"),
        (ONE + "Patient = 1\n", 3, None,
            "Patient needs a FHIR search text; for every row use 'any' in the rule"),
        (ONE + 'Patient = "_id={pateint}"\n', 3, None,
            "unknown variable '{pateint}'; write '{patient}'"),
        (ONE + 'Patient = "_id={patient"\n', 3, None, "a brace stands alone; write {variable}"),
    ],
)  # fmt: skip
def test_a_scope_that_cannot_be_used_is_refused_with_its_line_and_remedy(
    text: str, line: int, column: int | None, message: str
) -> None:
    told = problems(lambda: read_scopes(text, RESOURCES, fine))
    assert [(one.file, one.line, one.column) for one in told] == [("scopes.toml", line, column)]
    assert told[0].message.startswith(message)


def test_search_texts_are_checked_as_written_by_whoever_knows_search() -> None:
    asked = []

    def check(resource: str, text: str) -> str | None:
        asked.append((resource, text))
        return "unknown parameter '_idd'; write '_id'" if "_idd" in text else None

    text = ONE + 'Patient = "_idd={patient}"\nImagingStudy = "_tag=x"\n'
    told = problems(lambda: read_scopes(text, RESOURCES, check))
    assert asked == [("Patient", "_idd={patient}"), ("ImagingStudy", "_tag=x")]
    assert [str(one) for one in told] == ["scopes.toml:3: unknown parameter '_idd'; write '_id'"]
