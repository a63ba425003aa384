"""The catalogue of error codes in README.md has every code, once."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from app.graphql.refused import Later
from app.rest.envelope import Code
from fhir.errors import ResourceError
from schema.errors import NotShown
from tests.catalogue import ADVICE, ROOTS, STRINGS, UNUSED, WITHIN, classes, codes, meaning
from tests.readme import PLACE, README

HOUSE = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([A-Z_]+)` \| ([\d or]+) \| (.+) \|$", re.MULTILINE)
# A code where an error gets it: an attribute, a member of `extensions`, an argument.
WRITTEN = re.compile(
    r"""(?:\bcode(?:,\ \w+)?(?::\ \S+)?\ =|"code":|PolicyRefused\(|FORBIDDEN\ =)\ ?
        "([A-Z][A-Z_]{3,})\"""",
    re.VERBOSE,
)
TAGS = frozenset({"PSEUDED", "SUBSETTED"})  # codings of FHIR, which are no errors


def sources() -> Iterator[str]:
    for root in sorted(ROOTS):
        for path in (HOUSE / root).rglob("*.py"):
            yield path.read_text(encoding="utf-8")


def rows() -> list[tuple[str, str, str]]:
    [written] = [
        found[0]
        for found in PLACE.finditer(README.read_text(encoding="utf-8"))
        if found[2] == "codes"
    ]
    return ROW.findall(written)


def test_every_code_has_one_row_and_they_are_sorted() -> None:
    told = [code for code, _, _ in rows()]
    assert told == sorted(codes())
    assert set(Counter(told).values()) == {1}


def test_every_code_that_is_written_in_the_source_is_in_the_catalogue() -> None:
    written = {code for text in sources() for code in WRITTEN.findall(text)}
    assert {"NOT_FOUND", "FORBIDDEN", "INVALID_DICOM_FILE", "POLICY_UNUSABLE"} <= written
    assert written - TAGS - {ResourceError.code} <= set(codes())


def test_every_code_of_the_rest_envelope_is_in_the_catalogue_or_unused() -> None:
    assert set(get_args(Code)) - set(codes()) == UNUSED


@pytest.mark.parametrize("code", sorted(STRINGS))
def test_a_code_that_is_only_a_string_is_written_somewhere(code: str) -> None:
    assert any(f'"{code}"' in text for text in sources())


def test_every_status_that_a_code_comes_with_is_in_its_row() -> None:
    told = {code: set(statuses.split(" or ")) for code, statuses, _ in rows()}
    for one in classes():
        if one.code not in WITHIN | {ResourceError.code}:
            assert str(one.status) in told[one.code], one
    assert [told[code] for code in sorted(WITHIN)] == [{"200"}] * len(WITHIN)
    several = {code for code, statuses in told.items() if len(statuses) > 1}
    assert several == {"NOT_SUPPORTED"}  # 405 is the method's


def test_every_row_says_what_it_means_and_what_to_do() -> None:
    assert ADVICE.keys() == codes().keys()
    for code, carriers in codes().items():
        for said in (meaning(code, carriers[0]), ADVICE[code]):
            assert re.fullmatch(r"[A-Z`].*[\w`]\.", said), (code, said)


def test_only_bases_of_others_have_no_code_of_their_own() -> None:
    assert {one for one in classes() if one.code == ResourceError.code} == {
        ResourceError,
        Later,  # never raised itself
        NotShown,  # told by the code of its cause
    }
