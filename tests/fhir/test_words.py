"""Words of text: which spellings meet, and which stay apart."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir.words import LONGEST_WORD, fold, sought, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller", "MULLER"),
        ("Groß", "GROSS"),
        ("Øster-Ærø", "oster aero"),
        ("Łukasz Żółć", "lukasz zolc"),
        ("Yıldız İnci", "yildiz inci"),
        ("Nguyễn Thị Ánh", "nguyen thi anh"),
        ("Ａｌｉｃｅ", "alice"),
        ("ﬁnn", "FINN"),
        ("Σίσυφος", "ΣΙΣΥΦΟΣ"),
        ("Ёлкин", "елкин"),
        ("ﾔﾏﾀﾞ", "ヤマダ"),
        ("か\u3099", "が"),
        ("ᄀ\u1161\u11a8", "각"),
        ("أَحْمَد", "احمد"),
        ("مـحـمـد", "محمد"),
        ("یوسفی", "يوسفي"),
        ("علی\u200cرضا", "عليرضا"),
        ("שָׁלוֹם", "שלום"),
        ("O'Brien", "o’brien"),
        ("  Doe^Jane_Ann ", "doe jane ann"),
        ("clark\u00adson", "Clarkson"),
    ],
)
def test_spellings_of_one_name_fold_together(one: str, other: str) -> None:
    assert fold(one) == fold(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("はた", "ばた"),
        ("ハハ", "パパ"),
        ("가", "각"),
        ("山田", "山本"),
        ("कमल", "कोमल"),
        ("मोहन", "मो हन"),
        ("น้ำ", "นา"),
        ("Doe", "Dole"),
    ],
)
def test_names_that_differ_in_more_than_an_accent_stay_apart(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_a_voiced_kana_does_not_begin_with_its_plain_one_nor_a_syllable_with_a_part_of_it() -> None:
    assert not fold("がく").startswith(fold("か"))
    assert not fold("각").startswith(fold("가"))


@given(st.text())
def test_folded_text_holds_letters_marks_and_single_spaces_and_folds_to_itself(text: str) -> None:
    folded = fold(text)
    assert fold(folded) == folded
    assert folded == " ".join(folded.split())
    assert all(
        letter == " " or letter.isalnum() or unicodedata.category(letter)[0] == "M"
        for letter in folded
    )


def test_every_letter_folds_to_something_that_folds_to_itself() -> None:
    unstable = [
        hex(code) for code in range(sys.maxunicode + 1) if fold(fold(chr(code))) != fold(chr(code))
    ]
    assert unstable == []


def finds(asked: str, text: str) -> bool:
    stored = list(words(text))
    return bool(sought(asked)) and all(
        any(one.startswith(beginnings) for one in stored) for beginnings in sought(asked)
    )


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("muller", "Müller"),
        ("mueller", "MÜLLER"),
        ("Mu\u0308ller", "Mueller"),
        ("müller", "Muller"),
        ("müll", "Mueller"),
        ("groesse", "Größe"),
        ("GRÖSSE", "Größe"),
        ("aase", "Åse"),
        ("soeren", "Søren"),
        ("sören", "Soeren"),
        ("jane doe", "Doe Jane"),
        ("do ja", "DOE^JANE"),
        ("berg", "van der Berg"),
        ("山田", "山田 太郎"),
        ("太郎", "山田太郎"),
        ("郎", "山田太郎"),
        ("ct", "頭部ＣＴスキャン"),
        ("すきゃん", "頭部ＣＴスキャン"),
        ("やまだ", "ﾔﾏﾀﾞ ﾀﾛｳ"),
        ("ヤマダ", "やまだ"),
        ("احمد", "أَحْمَد"),
        ("कम", "कमल"),
        ("홍", "홍길동"),
        ("x" * 70, "x" * 80),
    ],
)
def test_a_text_is_found_by_the_beginnings_of_its_words(asked: str, text: str) -> None:
    assert finds(asked, text)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("manul", "Manuel"),
        ("mueller", "Muller"),
        ("muller", "Mueller"),
        ("oe", "Olaf"),
        ("horax", "Thorax"),
        ("まだ", "やまだ"),
        ("t", "頭部ＣＴ"),
        ("は", "ば"),
        ("jane smith", "Jane Doe"),
        ("...", "..."),
    ],
)
def test_a_text_is_not_found_by_what_no_word_of_it_begins_with(asked: str, text: str) -> None:
    assert not finds(asked, text)


@given(st.text())
def test_a_text_is_found_by_itself_and_by_the_beginning_of_each_word(text: str) -> None:
    asked = sought(text)
    assert finds(text, text) is bool(asked)
    assert all(finds(word[:1], text) for word in fold(text).split())
    assert all(0 < len(one) <= LONGEST_WORD for one in words(text))
    assert all(one == fold(one) for one in words(text) if one.isascii())
