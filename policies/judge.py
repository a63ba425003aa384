"""Casbin, the judge that the compiled rules are held against; nothing else here knows it."""

import random
import threading
import time
from collections.abc import Iterator

import casbin
from casbin.persist.adapters.string_adapter import StringAdapter

from policies.errors import Problem
from policies.files import MODEL, RULES
from policies.grants import Policy
from policies.rules import Action, Rules, covers, parts
from policies.scopes import ANY

# Casbin needs up to 75 ms for one question at 10,000 rules.
MOST_QUESTIONS = 150
FEWEST_QUESTIONS = 8
ASKING_SECONDS = 0.2

# Casbin parses its matcher with `ast` for every question, and CPython 3.11 counts the depth of
# that once for all threads, so that two at a time fail with SystemError (python/cpython#106905).
_ONE_AT_A_TIME = threading.Lock()


def enforcer(model: str, rules: str) -> casbin.Enforcer:
    """Build a fresh Casbin enforcer from the texts of `model.conf` and `rules.csv`.

    Always a fresh one: while an enforcer reloads in place, its role links are gone for a moment
    and a deny line that hangs on one lets callers in.
    """
    lines = (line.strip() for line in rules.split("\n"))
    # pycasbin fails on a line of blanks, and on a bracket in an indented comment.
    text = "\n".join(line for line in lines if line and not line.startswith("#"))
    made = casbin.Enforcer(casbin.Enforcer.new_model(text=model), StringAdapter(text))
    links = made.get_role_manager()
    made.add_function("covers", covers)
    made.add_function("holds", lambda scopes, scope: scope == ANY or scope in scopes)
    made.add_function(
        "has_role", lambda roles, role: any(links.has_link(one, role) for one in sorted(roles))
    )
    return made


def disagreement(
    policy: Policy, vocabulary: frozenset[str], model: str, rules: str
) -> Problem | None:
    """Compare the lines as Casbin took them, then samples of what it decides by them.

    Args:
        policy: Compiled from `rules`.
        vocabulary: Every coordinate that exists.
        model: Text of `model.conf`.
        rules: Text of `rules.csv`.
    """
    with _ONE_AT_A_TIME:
        return _disagreement(policy, vocabulary, model, rules)


def _disagreement(
    policy: Policy, vocabulary: frozenset[str], model: str, rules: str
) -> Problem | None:
    restore = "restore the shipped model.conf"
    try:
        judge = enforcer(model, rules)
        if not _same_lines(judge, policy.rules):
            return Problem(RULES, 1, None, "Casbin reads other rules here; write one rule a line")
        for roles, element, action, scopes in _questions(policy, vocabulary):
            theirs = all(judge.enforce(roles, part, action, scopes) for part in parts(element))
            if policy.grant(roles).decision(element, action).holds(scopes) != theirs:
                asked = f"{action} of {element} as {', '.join(sorted(roles))}"
                said = f"the service and this model disagree about {asked}; {restore}"
                return Problem(MODEL, 1, None, said)
    except Exception as error:  # noqa: BLE001 - Casbin fails in every possible way on a bad model
        said = f"Casbin cannot use this ({type(error).__name__}: {error}); {restore}"
        return Problem(MODEL, 1, None, said)
    return None


def _same_lines(judge: casbin.Enforcer, rules: Rules) -> bool:
    lines = [[one.role, one.element, one.action, one.scope, one.effect] for one in rules.lines]
    links = {(child, parent) for child, parents in rules.parents.items() for parent in parents}
    theirs = {(child, parent) for child, parent in judge.get_grouping_policy()}
    return bool(judge.get_policy() == lines and theirs == links)


def _questions(
    policy: Policy, vocabulary: frozenset[str]
) -> Iterator[tuple[frozenset[str], str, Action, frozenset[str]]]:
    """Yield questions that lines answer, deny lines first, until time is up."""
    pick = random.Random(policy.version)  # noqa: S311 - the same questions for the same policy
    every = policy.rules.lines
    denying = [rule for rule in every if rule.effect == "deny"] or every
    roles = sorted(policy.rules.roles)
    elements = sorted(vocabulary)
    scopes = sorted(policy.scopes)
    end = time.monotonic() + ASKING_SECONDS
    for number in range(MOST_QUESTIONS):
        if number >= FEWEST_QUESTIONS and time.monotonic() > end:
            return
        rule = pick.choice(denying if number % 2 else every)
        spoken_of = [element for element in elements if covers(rule.element, element)]
        others = pick.sample(roles, pick.randint(0, min(2, len(roles))))
        yield (
            frozenset((rule.role, *others)),
            pick.choice(spoken_of),
            pick.choice(rule.actions),
            frozenset(pick.sample(scopes, pick.randint(0, len(scopes)))),
        )
