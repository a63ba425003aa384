"""The policy in force: loaded, held against Casbin, and replaced whole when its files change."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import casbin
import structlog
from casbin.persist.adapters.string_adapter import StringAdapter
from watchfiles import awatch

from policies import files
from policies.errors import PolicyError, Problem
from policies.expectations import failures, read_expectations
from policies.files import MODEL, RULES, SCOPES, TESTS
from policies.grants import Policy
from policies.reader import read_rules
from policies.rules import ROLES, Action, Rules, covers, parts
from policies.scopes import ANY, CheckScope, read_scopes

# Casbin needs up to 75 ms for one question at 10,000 rules.
MOST_QUESTIONS = 150
FEWEST_QUESTIONS = 8
ASKING_SECONDS = 0.2

# Milliseconds. An edit counts once nothing has changed for QUIET; where the file system tells
# nothing (NFS, some containers, a folder that was replaced) the files are looked at every GLANCE.
QUIET = 100
LONGEST_EDIT = 1_000
GLANCE = 1_500

log = structlog.get_logger()


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


def load(
    content: Mapping[str, bytes], vocabulary: frozenset[str], check_scope: CheckScope
) -> Policy:
    """Make a policy of the files of a folder, if everything about them is right.

    Raises:
        PolicyError: With all problems of the first step that found any: files, scopes, rules,
            tests, agreement with Casbin, what the tests expect.
    """
    text = files.texts(content)
    resources = frozenset(element.partition(".")[0] for element in vocabulary)
    scopes = read_scopes(text[SCOPES], resources, check_scope)
    rules = read_rules(text[RULES], vocabulary, scopes)
    expectations = read_expectations(text[TESTS], vocabulary, scopes)
    policy = Policy(files.version(content), rules, scopes)
    problems = [*failures(policy, expectations), *_lock_out(policy, vocabulary)]
    disagreement = _disagreement(policy, vocabulary, text)
    if disagreement is not None:
        problems.insert(0, disagreement)
    if problems:
        raise PolicyError(problems)
    return policy


def _lock_out(policy: Policy, vocabulary: frozenset[str]) -> Iterator[Problem]:
    rows = [element for element in vocabulary if element.endswith(".id")]
    if not any(policy.grant(frozenset({role})).allows(row) for role in ROLES for row in rows):
        yield Problem(RULES, 1, None, "nobody could see anything; allow some role to read an id")


def _disagreement(
    policy: Policy, vocabulary: frozenset[str], text: Mapping[str, str]
) -> Problem | None:
    """Compare the lines as Casbin took them, then samples of what it decides by them."""
    restore = "restore the shipped model.conf"
    try:
        judge = enforcer(text[MODEL], text[RULES])
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


@dataclass(frozen=True, slots=True)
class Status:
    """How the last attempt to load the folder ended.

    Attributes:
        when: UTC.
        problems: Why the files were refused; empty if `ok`. The policy in force is then the one
            before, or at start the last good one.
    """

    ok: bool
    when: datetime
    problems: tuple[Problem, ...] = ()


class Book:
    """The policy in force; replaced whole, by one assignment.

    Whoever serves a request takes `current` once and keeps it to the end.
    """

    def __init__(
        self,
        folder: Path,
        vocabulary: frozenset[str],
        check_scope: CheckScope,
        last_good: Path | None = None,
    ) -> None:
        """Load the folder.

        Args:
            folder: Holds the four files of a policy.
            vocabulary: Every coordinate that exists.
            check_scope: Takes a resource type and a search text as written in `scopes.toml`,
                variables in place; says what is wrong with it, or None.
            last_good: Zip archive to keep the last good files in, and to start from if those of
                the folder are refused.

        Raises:
            PolicyError: The files are refused, and there is no last good copy that holds.
        """
        self._folder = folder
        self._vocabulary = vocabulary
        self._check_scope = check_scope
        self._last_good = last_good
        self._lock = threading.Lock()
        self._seen = files.read_folder(folder)
        try:
            self.current = self._load(self._seen)
        except PolicyError as error:
            self.current = self._restore(error)
            self._refuse(error)
        else:
            self._accept(self._seen)

    def reload(self) -> bool:
        """Load the folder again; what cannot be used changes nothing but `status`.

        Blocks for up to a second; safe to call from any thread.

        Returns:
            Whether the files of the folder are in force now.
        """
        with self._lock:
            return self._take(files.read_folder(self._folder))

    async def watch(self) -> None:
        """Reload whenever a file of the folder changes; runs until cancelled."""
        while True:
            await asyncio.to_thread(self._reload_if_changed)
            # A folder that is not there now may come back.
            if await asyncio.to_thread(self._folder.is_dir):
                async for _ in awatch(
                    self._folder,
                    # Editors rename, and Kubernetes swaps a link beside the files.
                    watch_filter=None,
                    recursive=False,
                    debounce=LONGEST_EDIT,
                    step=QUIET,
                    rust_timeout=GLANCE,
                    yield_on_timeout=True,
                ):
                    await asyncio.to_thread(self._reload_if_changed)
            await asyncio.sleep(GLANCE / 1_000)

    def _reload_if_changed(self) -> None:
        with self._lock:
            content = files.read_folder(self._folder)
            if content != self._seen:
                self._take(content)

    def _take(self, content: dict[str, bytes]) -> bool:
        self._seen = content
        try:
            policy = self._load(content)
        except PolicyError as error:
            self._refuse(error)
            return False
        if policy.version != self.current.version:  # else keep what is compiled already
            self.current = policy
        self._accept(content)
        return True

    def _load(self, content: Mapping[str, bytes]) -> Policy:
        return load(content, self._vocabulary, self._check_scope)

    def _accept(self, content: Mapping[str, bytes]) -> None:
        self.status = Status(ok=True, when=datetime.now(UTC))
        log.info("policy in force", version=self.current.version)
        if self._last_good is None:
            return
        try:
            files.keep(content, self._last_good)
        except OSError as error:
            log.warning("last good policy not kept", error=type(error).__name__)

    def _refuse(self, error: PolicyError) -> None:
        self.status = Status(ok=False, when=datetime.now(UTC), problems=error.problems)
        said = [str(problem) for problem in error.problems]
        log.error("policy refused", problems=said, in_force=self.current.version)

    def _restore(self, error: PolicyError) -> Policy:
        content = files.kept(self._last_good) if self._last_good else {}
        if not content:
            raise error
        try:
            return self._load(content)
        except PolicyError:
            # Its problems are of a copy nobody edits; those of the folder can be mended.
            raise error from None
