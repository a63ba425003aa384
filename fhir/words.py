"""Words of text, folded so that spellings of one word meet, for searches by their beginnings."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

LONGEST_WORD: Final = 64  # characters; of what is longer, only the beginning is compared

# Letters that have no decomposition and yet are typed without their stroke, tail or ligature;
# Arabic ones that are written in two ways.
_PLAIN = str.maketrans(
    {
        "ı": "i",
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "ħ": "h",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "\u0640": "",  # tatweel
        "\u0649": "\u064a",  # alef maksura as yeh
        "\u06cc": "\u064a",  # Farsi yeh as yeh
        "\u06a9": "\u0643",  # keheh as kaf
        "\u0629": "\u0647",  # teh marbuta as heh
    }
)
# How passports write them (ICAO 9303 part 3, 6.A), and people who have no such key.
_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_HIRAGANA = str.maketrans({one: one - 0x60 for one in range(0x30A1, 0x30F7)})
_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Chinese and Japanese are written without spaces: each ideograph may begin a word, and so may
# what follows in another script.
_PIECES = re.compile(f"[{_HAN}]|[\u3041-\u309f]+|[\u30a0-\u30ff]+|[^{_HAN}\u3041-\u30ff]+")
_IDEOGRAPH = re.compile(f"[{_HAN}]")


def fold(text: str) -> str:
    """Normalise text for comparison: no accents, case, punctuation or width; single spaces.

    Marks that make another letter stay: vowel signs of Indic scripts, voicing of kana. The result
    holds letters, digits, such marks and single spaces; folding it again changes nothing.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    kept = "".join(one for one in plain if not _is_accent(one)).translate(_PLAIN)
    letters = unicodedata.normalize("NFKC", kept)
    return " ".join("".join(one if _is_letter(one) else " " for one in letters).split())


def words(text: str) -> Iterator[str]:
    """List what the words of a text are found by, from the beginning of each.

    A word with umlauts is there twice, for `Müller` is found as muller and as mueller. Katakana
    is as hiragana. Nothing is longer than `LONGEST_WORD`.
    """
    for spellings in _spelled(text):
        for word in spellings:
            yield _kana(word)
            if _IDEOGRAPH.search(word):
                starts = [piece.start() for piece in _PIECES.finditer(word)]
                yield from (_kana(word[at:]) for at in starts[1:])


def sought(text: str) -> list[tuple[str, ...]]:
    """Read what somebody looks for: of each word the beginnings, one of which has to be found."""
    found = []
    for spellings in _spelled(text):
        plain, *others = dict.fromkeys(map(_kana, spellings))
        # whatever begins with the longer one begins with the shorter one too
        found.append((plain, *(one for one in others if not one.startswith(plain))))
    return list(dict.fromkeys(found))


def _spelled(text: str) -> Iterator[dict[str, None]]:
    """Give the spellings of each word, each once."""
    composed = unicodedata.normalize("NFC", text).casefold()
    plain, out = fold(text).split(), fold(composed.translate(_SPELLED_OUT)).split()
    if len(plain) != len(out):
        out = plain
    for pair in zip(plain, out, strict=True):
        yield dict.fromkeys(pair)


def _kana(word: str) -> str:
    return word.translate(_HIRAGANA)[:LONGEST_WORD]


def _is_accent(letter: str) -> bool:
    # Combining classes of UAX #44: 1 overlays, 10-36 Hebrew and Arabic vowel points, from 200 on
    # accents; between them those that make another letter (nukta, voicing, virama, Thai vowels).
    place = unicodedata.combining(letter)
    return place == 1 or 10 <= place <= 36 or place >= 200 or unicodedata.category(letter) == "Cf"  # noqa: PLR2004 -- named above


def _is_letter(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter).startswith("M")
