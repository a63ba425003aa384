"""What pycasbin does in silence, and that no such line, file or question gets so far.

Each test shows the trap with Casbin itself, so that it fails if Casbin mends its ways. That a
reload in place lets suspended people in for a moment has its test with the book.
"""

from itertools import pairwise
from pathlib import Path

import casbin
import pytest
from casbin.model import FastModel
from casbin.persist.adapters.string_adapter import StringAdapter

from policies import files
from policies.checking import check
from policies.judge import enforcer
from tests.policies.samples import MODEL, VOCABULARY, book, fine, policy, problems, read, write

ALLOW = "p, nurse, Patient.*, read, any, allow"
DENY = "p, nurse, Patient.name, read, any, deny"
NURSE = frozenset({"nurse"})
NOWHERE: frozenset[str] = frozenset()


def casbin_lets_in(text: str, roles: frozenset[str] = NURSE) -> bool:
    return bool(enforcer(MODEL, text).enforce(roles, "Patient.name", "read", NOWHERE))


def refused(text: str) -> str:
    (problem,) = problems(lambda: read(text))
    return str(problem)


def test_the_trap_is_none_without_a_mistake() -> None:
    assert casbin_lets_in(ALLOW)
    assert not casbin_lets_in(f"{ALLOW}\n{DENY}")


@pytest.mark.parametrize("typo", ["Deny", "denny", "DENY"])
def test_trap_a_typo_in_deny_lets_in(typo: str) -> None:
    text = f"{ALLOW}\n{DENY.replace('deny', typo)}"
    assert casbin_lets_in(text)
    assert refused(text) == f"rules.csv:2:36: unknown effect '{typo}'; write 'deny'"


@pytest.mark.parametrize("kind", ["P", "p3", "q"])
def test_trap_a_line_of_an_unknown_kind_is_dropped(kind: str) -> None:
    text = f"{ALLOW}\n{kind}{DENY[1:]}"
    assert casbin_lets_in(text)
    assert refused(text).startswith(f"rules.csv:2:1: a line begins with p or g, not '{kind}'")


def test_trap_a_byte_order_mark_drops_the_first_line() -> None:
    text = f"\ufeff{DENY}\n{ALLOW}"
    assert casbin_lets_in(text)
    _, found = files.decode({"rules.csv": text.encode()})
    assert "rules.csv:1:1: begins with a byte order mark; save as UTF-8 without BOM" in map(
        str, found
    )


def test_trap_one_missing_column_fails_every_question() -> None:
    text = f"{ALLOW}\n{DENY.replace(', any', '')}"
    with pytest.raises(RuntimeError, match="invalid policy size"):
        casbin_lets_in(text)
    assert refused(text).startswith("rules.csv:2:31: a p line has 5 values, not 4")


def test_trap_an_extra_column_is_refused_too() -> None:
    assert refused(f"{DENY}, always").startswith("rules.csv:1:42: a p line has 5 values, not 6")


@pytest.mark.parametrize("bracket", [")", "]"])
def test_trap_an_unbalanced_bracket_breaks_the_load(bracket: str) -> None:
    text = DENY.replace("Patient.name", f"Patient.name{bracket}")
    with pytest.raises(IndexError):
        enforcer(MODEL, text)
    assert refused(text) == (
        f"rules.csv:1:23: the character '{bracket}' is not allowed; write names without it"
    )


def test_trap_the_fast_enforcer_overlooks_a_deny_with_a_glob() -> None:
    text = f"{ALLOW.replace('*', 'name')}\n{DENY.replace('name', '*')}"
    model = FastModel([1])
    model.load_model_from_text(MODEL)
    fast = casbin.FastEnforcer(model, StringAdapter(text), cache_key_order=[1])
    for name in ("covers", "holds", "has_role"):
        fast.add_function(name, enforcer(MODEL, text).fm.get_functions()[name])
    assert fast.enforce(NURSE, "Patient.name", "read", NOWHERE)
    assert type(enforcer(MODEL, text)) is casbin.Enforcer
    assert not casbin_lets_in(text)
    assert policy(text).grant(NURSE).decision("Patient.name").never


def test_trap_asking_for_each_role_alone_overlooks_the_deny_of_another() -> None:
    text = f"{ALLOW}\n{DENY.replace('nurse', 'billing')}"
    both = NURSE | {"billing"}
    assert any(casbin_lets_in(text, frozenset({role})) for role in both)
    assert not casbin_lets_in(text, both)
    assert policy(text).grant(both).decision("Patient.name").never


@pytest.mark.parametrize(("steps", "kept"), [(9, True), (10, False)])
def test_trap_a_tenth_step_to_a_parent_is_forgotten(steps: int, kept: bool) -> None:
    names = ["nurse", *(f"step{one}" for one in range(1, steps + 1))]
    links = "\n".join(f"g, {child}, {parent}" for child, parent in pairwise(names))
    text = f"{links}\n{ALLOW}\n{DENY.replace('nurse', names[-1])}"
    assert casbin_lets_in(text) is not kept
    if kept:
        assert policy(text).grant(NURSE).decision("Patient.name").never
    else:
        assert refused(text).startswith("rules.csv:1:4: 'nurse' has a parent more than 9 steps")


def test_trap_code_in_a_rule_is_refused_before_anything_evaluates_it() -> None:
    for text in ('p, eval("1"), Patient.name, read, any, allow', "p, nurse, a[0], read, any, deny"):
        assert "is not allowed; write names without it" in refused(text)


def test_trap_a_circle_of_roles_is_refused() -> None:
    text = f"{ALLOW}\ng, nurse, fellow\ng, fellow, nurse\n"
    assert refused(text).startswith("rules.csv:3:12: 'nurse' is a 'fellow' already")


def test_all_traps_in_all_files_are_told_in_one_run() -> None:
    rules = "\n".join(
        (
            ALLOW,
            DENY.replace("deny", "Deny"),
            f"P{DENY[1:]}",
            DENY.replace(", any", ""),
            DENY.replace("name", "name)"),
            DENY.replace("Patient.name", "Patient.nmae"),
            DENY.replace("read", "raed"),
            DENY.replace("any", "onw"),
            DENY.replace("nurse", "nurze"),
            ALLOW,
            "g, fellow, fellow",
        )
    )
    content = {
        "model.conf": MODEL.replace("[matchers]", "[matcher]").encode(),
        "rules.csv": rules.encode(),
        "scopes.toml": b'[own]\nPatient = "a=1"\n[open\n[late]\ndescription = 1\nPatient = "a=1"\n',
        "tests.toml": b'[[test]]\nname = "x"\nroles = ["nurze"]\nelement = "x"\nexpect = "deny"\n'
        b"[[test]]\nname =\n",
    }
    checked = check(content, VOCABULARY, fine)
    assert checked.policy is None
    assert checked.warnings == ()
    assert [str(one).partition("; ")[0] for one in checked.problems] == [
        "model.conf:1: Casbin cannot use this (RuntimeError: model is undefined)",
        "rules.csv:2:36: unknown effect 'Deny'",
        "rules.csv:3:1: a line begins with p or g, not 'P'",
        "rules.csv:4:31: a p line has 5 values, not 4",
        "rules.csv:5:23: the character ')' is not allowed",
        "rules.csv:6:11: unknown element 'Patient.nmae'",
        "rules.csv:7:25: unknown action 'raed'",
        "rules.csv:8:31: unknown scope 'onw'",
        "rules.csv:9:4: unknown role 'nurze'",
        "rules.csv:10: says again what line 1 says",
        "rules.csv:11:12: 'fellow' is a 'fellow' already, so this closes a circle",
        "scopes.toml:1: [own] has no description",
        "scopes.toml:3:6: is not TOML: Expected ']' at the end of a table declaration",
        "scopes.toml:5: [late] has no description",
        "tests.toml:3: unknown role 'nurze'",
        "tests.toml:4: unknown element 'x'",
        "tests.toml:7:7: is not TOML: Invalid value",
    ]


def test_a_warning_stops_no_load_and_no_start(tmp_path: Path) -> None:
    idle = f"{ALLOW}\np, nurse, Patient.name, read, own, allow\n"
    opened = book(write(tmp_path, rules=idle, tests=""))
    assert opened.status.ok
    assert opened.status.problems == ()
    assert [str(one) for one in opened.status.warnings] == [
        "rules.csv:2: warning: line 1 allows this to 'nurse' already; delete this line"
    ]
    write(tmp_path, rules=f"# edited\n{idle}", tests="")
    assert opened.reload()
    assert [one.line for one in opened.status.warnings] == [3]
