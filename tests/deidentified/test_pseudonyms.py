import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pseudonym_key import KEY_FILE, pseudonym_key
from app.settings import Settings
from fhir.errors import Invalid
from fhir.pseudonyms import Pseudonyms
from tests.deidentified.objects import MASTER, pseudonyms

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def test_a_pseudonym_is_always_the_same_in_one_project() -> None:
    first, second = pseudonyms("A"), pseudonyms("A")
    assert first.uid("1.2.3") == second.uid("1.2.3") != first.uid("1.2.4")
    assert first.patient("p") == second.patient("p") != first.patient("q")
    assert first.number("p") == second.number("p") != first.number("q")
    assert first.accession("1") == second.accession("1") != first.accession("2")


def test_another_project_or_another_key_gives_other_pseudonyms() -> None:
    found = {
        Pseudonyms(master, project).uid("1.2.3")
        for master in (MASTER, bytes(32))
        for project in ("A", "B")
    }
    assert len(found) == 4


def test_what_is_equal_has_no_equal_pseudonyms_as_another_kind() -> None:
    one = pseudonyms()
    assert one.number("x")[1:] != one.accession("x")[1:]


@given(st.text(), st.text(min_size=1))
def test_pseudonyms_have_the_shape_of_what_they_stand_for(real: str, project: str) -> None:
    made = pseudonyms(project)
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{30,38}", made.uid(real))
    assert re.fullmatch(_UUID, made.patient(real))
    assert re.fullmatch(r"P[0-9A-F]{14}", made.number(real))
    assert re.fullmatch(r"A[0-9A-F]{14}", made.accession(real))


@given(st.text(), st.integers(1, 3650))
def test_dates_are_moved_by_some_days_and_no_more_than_the_most(patient: str, most: int) -> None:
    days = pseudonyms(days=most).days(patient)
    assert days is not None
    assert 1 <= abs(days) <= most


def test_all_days_are_drawn_and_patients_differ() -> None:
    drawn = {pseudonyms(days=2).days(str(patient)) for patient in range(200)}
    assert drawn == {-2, -1, 1, 2}


def test_without_a_setting_there_are_no_dates() -> None:
    assert pseudonyms().days("p") is None


def test_a_pseudonym_does_not_show_the_key_or_what_it_stands_for() -> None:
    one = pseudonyms("secret-project")
    assert "secret" not in one.uid("1.2.3") + one.number("MRN1") + one.accession("ACC1")
    assert MASTER.hex() not in repr(vars(one))


def test_the_key_is_made_once_and_its_owner_alone_reads_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path_factory.mktemp("data") / "new"})
    first = pseudonym_key(settings)
    path = settings.data_dir / KEY_FILE
    assert (len(first), pseudonym_key(settings)) == (32, first)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in settings.data_dir.iterdir()] == [KEY_FILE]
    path.write_bytes(b"short")
    with pytest.raises(Invalid, match="put back"):
        pseudonym_key(settings)


def test_the_key_of_the_settings_goes_before_that_of_the_file(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("data")
    settings = Settings.model_validate({"data_dir": folder, "pseudonym_key": "k" * 32})
    assert pseudonym_key(settings) == b"k" * 32
    assert list(folder.iterdir()) == []
    with pytest.raises(ValueError, match="32 bytes"):
        Settings.model_validate({"pseudonym_key": "k" * 31})
    assert "kkk" not in repr(settings)
