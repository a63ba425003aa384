"""The part of FHIRPath that is understood, and the refusal of the rest."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir.errors import NotSupported
from schema.fhir_path import LONGEST, naming, picked

ITEM: dict[str, Any] = {
    "use": "official",
    "family": "O'Brien",
    "given": ["Ann", "Bea"],
    "rank": 2,
    "score": 1.5,
    "open": True,
    "shut": False,
    "type": {"coding": [{"code": "MR"}]},
}


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("use = 'official'", True),
        ("use='official'", True),
        ("use != 'official'", False),
        ("use = 'old'", False),
        ("absent = 'x'", False),
        ("absent != 'x'", False),
        ("family = 'O\\'Brien'", True),
        ("given = 'Ann'", False),
        ("given.first() = 'Ann'", True),
        ("given.exists()", True),
        ("absent.exists()", False),
        ("absent.empty()", True),
        ("absent.exists().not()", True),
        ("type.coding.code = 'MR'", True),
        ("type.coding.exists() and use = 'old'", False),
        ("use = 'old' or use = 'official'", True),
        ("use = 'old' and use = 'old' or rank = 2", True),
        ("rank = 2 or use = 'old' and use = 'x'", True),
        ("(rank = 2 or use = 'old') and use = 'x'", False),
        ("(rank = 3).not()", True),
        ("rank = 2", True),
        ("rank = '2'", False),
        ("score = 1.5", True),
        ("open", True),
        ("shut", False),
        ("open = true", True),
        ("shut = false", True),
        ("rank = true", False),
        ("shut.not()", True),
        ("use.startsWith('off')", True),
        ("use.endsWith('cial')", True),
        ("use.contains('fic')", True),
        ("rank.contains('2')", False),
        ("$index = 1", True),
        ("$index != 1", False),
        ("$index >= 1 and $index < 2", True),
        ("$index > 1", False),
        ("$index <= 0", False),
        ("$this.use = 'official'", True),
    ],
)
def test_what_is_understood_is_true_or_false(text: str, *, true: bool) -> None:
    assert picked(text).test(ITEM, 1) is true


@pytest.mark.parametrize(
    "text",
    [
        "",
        "use =",
        "= 'x'",
        "use = official",
        "use ~ 'x'",
        "use & 'x'",
        "name.where(use = 'x')",
        "given[0]",
        "use = 'x' xor use = 'y'",
        "resolve()",
        "use.matches('o.*')",
        "use = 'x",
        "(use = 'x'",
        "use = 'x')",
        "use use",
        "$total = 1",
        "$index = 'x'",
        "$index + 1 = 2",
        "now() = 1",
        "and",
        "use = 'x' and",
        "(" * 50 + "use = 'x'" + ")" * 50,
        "a" * (LONGEST + 1),
        "use = 'x'; drop",
        "%resource",
    ],
)
def test_everything_else_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(NotSupported) as refusal:
        picked(text)
    assert "drop" not in refusal.value.message


def test_it_says_which_elements_it_looks_at() -> None:
    assert picked("a.b = 'x' and (c.exists() or d.first() = 1)").names == {
        ("a", "b"),
        ("c",),
        ("d",),
    }
    assert picked("$index = 0").names == frozenset()


@given(st.text(alphabet="abc.()='$ 0123<>!andorindex\\\"\n", max_size=60))
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    with suppress(NotSupported):
        assert picked(text).test(ITEM, 0) in {True, False}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("$index", "3"),
        ("use", "official"),
        (" use ", "official"),
        ("type.coding.code", "MR"),
        ("rank", "2"),
        ("open", "true"),
        ("absent", ""),
    ],
)
def test_items_are_named_by_their_place_or_by_an_element(text: str, name: str) -> None:
    assert naming(text).of(ITEM, 3) == name


@pytest.mark.parametrize("text", ["", "use.first()", "a..b", "'x'", "$this", "a b"])
def test_items_are_named_by_nothing_else(text: str) -> None:
    with pytest.raises(NotSupported):
        naming(text)
