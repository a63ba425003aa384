"""Person names as HumanName."""

from typing import Any

import pytest

from fhir.from_dicom.names import display, human_names


def written(code: str) -> list[dict[str, str]]:
    url = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
    return [{"url": url, "valueCode": code}]


def test_the_five_components_become_the_parts_of_a_human_name() -> None:
    name = {"Alphabetic": "Adams^John Robert Quincy^Paul^Rev. Dr.^B.A. M.Div."}
    assert human_names(name, "maiden") == [
        {
            "extension": written("ABC"),
            "use": "maiden",
            "text": "Rev. Dr. John Robert Quincy Paul Adams B.A. M.Div.",
            "family": "Adams",
            "given": ["John Robert Quincy", "Paul"],
            "prefix": ["Rev.", "Dr."],
            "suffix": ["B.A.", "M.Div."],
        }
    ]


def test_each_component_group_becomes_a_name_marked_with_its_script() -> None:
    name = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    assert human_names(name) == [
        {
            "extension": written("ABC"),
            "text": "Tarou Yamada",
            "family": "Yamada",
            "given": ["Tarou"],
        },
        {"extension": written("IDE"), "text": "山田 太郎", "family": "山田", "given": ["太郎"]},
        {
            "extension": written("SYL"),
            "text": "やまだ たろう",
            "family": "やまだ",
            "given": ["たろう"],
        },
    ]


def test_a_name_in_ideographs_alone_is_one_name() -> None:
    name = {"Ideographic": "홍^길동"}
    assert human_names(name) == [
        {"extension": written("IDE"), "text": "홍 길동", "family": "홍", "given": ["길동"]}
    ]
    assert display(name) == "홍 길동"


@pytest.mark.parametrize("family", ["van der Berg", "قباني", "Люкceмбypг", "Buc Jérôme"])
def test_a_family_name_is_kept_whole_in_any_script(family: str) -> None:
    [name] = human_names({"Alphabetic": f"{family}^X"})
    assert (name["family"], name["given"], name["text"]) == (family, ["X"], f"X {family}")


def test_a_name_without_carets_is_a_family_name() -> None:
    assert human_names({"Alphabetic": "Doe, Jane"}) == [
        {"extension": written("ABC"), "text": "Doe, Jane", "family": "Doe, Jane"}
    ]


@pytest.mark.parametrize(
    "name", [{}, None, {"Alphabetic": ""}, {"Alphabetic": "^^^^"}, {"Alphabetic": " ^ \0", "x": 1}]
)
def test_a_name_without_any_component_is_no_name(name: Any) -> None:
    assert human_names(name) == []
    assert display(name) is None


def test_padding_and_control_characters_leave_a_name() -> None:
    [name] = human_names({"Alphabetic": " Doe \r\n^ Jane\x1b\0"})
    assert (name["family"], name["given"], name["text"]) == ("Doe", ["Jane"], "Jane Doe")


def test_half_a_surrogate_pair_is_marked_as_unreadable() -> None:
    assert display({"Alphabetic": "Do\udc80e"}) == "Do\ufffde"


def test_a_sixth_component_is_not_part_of_a_name() -> None:
    assert display({"Alphabetic": "Doe^Jane^^^^more"}) == "Jane Doe"


def test_a_name_for_reading_is_in_letters_where_there_are_any() -> None:
    assert display({"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小東"}) == "XiaoDong Wang"
    assert display({"Alphabetic": "^^", "Ideographic": "王^小東"}) == "王 小東"
    assert display({"Phonetic": "やまだ^たろう"}) == "やまだ たろう"
