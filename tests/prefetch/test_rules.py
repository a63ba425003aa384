"""The file of rules: read as a whole, or refused with the line and the reason."""

from pathlib import Path

import pytest

from app.prefetch.rules import read_rules
from policies.errors import PolicyError

SHIPPED = Path(__file__).parents[2] / "policies" / "prefetch.toml"


def problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "prefetch.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError) as error:
        read_rules(path)
    return [str(one) for one in error.value.problems]


def test_the_shipped_rules_read_every_kind_of_thing_ahead() -> None:
    rules = read_rules(SHIPPED)
    assert {one.fetch for one in rules.rules} == {"next-frames", "next-series", "priors", "recent"}
    assert all(one.enabled for one in rules.rules)
    [recent] = rules.that("recent")
    assert (recent.hours, recent.count, recent.of_specialty) == (24, 50, True)
    [_, slices] = rules.that("next-frames")
    assert (slices.modalities, slices.count) == (("CT", "MR"), 20)


def test_a_rule_that_is_switched_off_is_none_of_those_that_read(tmp_path: Path) -> None:
    path = tmp_path / "prefetch.toml"
    path.write_text('[[rule]]\nname = "a"\nfetch = "priors"\nenabled = false\n')
    rules = read_rules(path)
    assert list(rules.that("priors")) == []
    assert [one.name for one in rules.rules] == ["a"]


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    text = """[budget]
items = -1

[[rule]]
name = "one"
fetch = "priors"
studies = 0

[[rule]]
fetch = "the lot"
name = "one"
colour = "red"

[[rule]]
name = "two"
fetch = "recent"
specialties = ["CARDIOLOGY", "PHRENOLOGY"]

[[rule]]
name = "two"
fetch = "next-frames"

[limits]
a = 1
"""
    found = problems(tmp_path, text)
    assert [one.split(": ")[0] for one in found] == [
        "prefetch.toml:23",
        "prefetch.toml:2",
        "prefetch.toml:7",
        "prefetch.toml:10",
        "prefetch.toml:12",
        "prefetch.toml:17",
        "prefetch.toml:15",
        "prefetch.toml:20",
    ]
    assert "no PHRENOLOGY" in found[5]
    assert "several rules are called two" in found[7]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[budget\n", "prefetch.toml:1"),
        ('[rule]\nname = "a"\n', "prefetch.toml:1: rule: write [[rule]], in two brackets"),
        ("[[rule]]\n", "prefetch.toml:1: name: Field required"),
    ],
)
def test_what_is_no_file_of_rules_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert problems(tmp_path, text)[0].startswith(said)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read: No such file"):
        read_rules(tmp_path / "none.toml")
