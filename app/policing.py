"""The commands `policy …`: checking, testing, explaining and comparing policy files."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.archive import Archive, open_archive, scope_problem
from app.loading import say
from app.logs import configure_logging
from app.settings import Settings
from fhir.access import Access
from fhir.dicom_elements import coordinate_named
from fhir.elements import COORDINATES, REPEATS
from fhir.repository import Record, Wanted
from fhir.search import Filter, Has, matches
from policies import files
from policies.caller import Caller
from policies.checking import Checked, check
from policies.difference import difference
from policies.errors import PolicyError, instead
from policies.expectations import Outcome, outcomes
from policies.explanation import Explanation, explain
from policies.grants import Policy
from policies.rules import ACTIONS, ROLES
from policies.scopes import CLAIMED, ROWS
from schema.build import build_schema
from schema.visible import visible_sdl

MISUSED = 2
MOST_REASONS = 3

Run = Callable[[argparse.Namespace], int]


def add_policy_commands(policy: argparse.ArgumentParser) -> None:
    """Put the commands below `policy`."""
    commands = policy.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Run, about: str, more: str = "") -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=f"{about}{more}")
        added.set_defaults(run=_quietly(run))
        return added

    checking = command(
        "check", _check, "say everything that is wrong with the policy files",
        "; exit code 1 if they cannot be used, 0 if they can, with warnings or without",
    )  # fmt: skip
    testing = command("test", _test, "run tests.toml against the policy files")
    explaining = command("explain", _explain, "say which lines decide what a role may do, and why")
    comparing = command(
        "diff", _diff, "say who gains and who loses what from one policy folder to another",
        "; exit code 0 if nothing changes, 1 if something does, 2 if a folder cannot be used",
    )  # fmt: skip
    simulating = command("simulate", _simulate, "print the GraphQL schema as a role sees it")
    for added in (checking, testing, explaining, simulating):
        added.add_argument(
            "--policy", type=Path, metavar="FOLDER", help="default: RADIOGRAPH_POLICY_DIR"
        )
    for added in (explaining, simulating):
        added.add_argument(
            "--role", action="append", required=True, metavar="R",
            help="again for a caller with several roles",
        )  # fmt: skip
    explaining.add_argument(
        "--element",
        required=True,
        metavar="E",
        help="such as Patient.name, or a DICOM attribute: PatientName, 00100010",
    )
    explaining.add_argument("--action", default="read", metavar="A", help=", ".join(ACTIONS))
    explaining.add_argument(
        "--study", metavar="U", help="StudyInstanceUID: is it open on this one?"
    )
    explaining.add_argument("--patient", metavar="ID", help="the Patient that the caller is")
    explaining.add_argument("--subject", metavar="S", help="the caller: issuer#subject")
    explaining.add_argument(
        "--variable", action="append", default=[], metavar="NAME=VALUE",
        help=f"what else the token says: {', '.join(sorted(CLAIMED - {'subject', 'patient'}))}",
    )  # fmt: skip
    alone = "folder, or a file of rules beside what else is in RADIOGRAPH_POLICY_DIR"
    comparing.add_argument("old", type=Path, metavar="OLD", help=alone)
    comparing.add_argument("new", type=Path, metavar="NEW", help=alone)


@dataclass(frozen=True, slots=True)
class _Misuse(Exception):
    """A word on the command line that means nothing."""

    said: str


def _quietly(run: Run) -> Run:
    def runs(arguments: argparse.Namespace) -> int:
        configure_logging(readable=True)
        try:
            return run(arguments)
        except _Misuse as misuse:
            _complain([misuse.said])
            return MISUSED

    return runs


def _complain(lines: Iterable[object]) -> None:
    for line in lines:
        sys.stderr.write(f"{line}\n")


def _folder(arguments: argparse.Namespace) -> Path:
    given: Path | None = arguments.policy
    return given or Settings().policy_dir


def _checked(folder: Path, *, warn: bool = False) -> Checked:
    if not folder.is_dir():
        raise _Misuse(f"{folder} is no folder")
    return check(files.read_folder(folder), COORDINATES, scope_problem, warn=warn)


def _compared(place: Path) -> Checked:
    """Read a folder, or rules alone that stand in place of those in force."""
    if not place.is_file():
        return _checked(place)
    content = files.read_folder(Settings().policy_dir) | {files.RULES: place.read_bytes()}
    return check(content, COORDINATES, scope_problem, warn=False)


def _usable(folder: Path) -> Policy:
    """Give the policy of a folder even if its own tests fail: what it decides can be told.

    Raises:
        PolicyError: Its rules or scopes cannot be used.
    """
    return _unproven(_checked(folder))


def _unproven(checked: Checked) -> Policy:
    if checked.unproven is None:
        raise PolicyError(checked.problems)
    return checked.unproven


def _check(arguments: argparse.Namespace) -> int:
    folder = _folder(arguments)
    checked = _checked(folder, warn=True)
    _complain(checked.problems)
    if checked.policy is None:
        _complain([f"the policy in {folder} cannot be used: {_counted(checked)}"])
        return 1
    warned = f", {_counted(checked)}" if checked.warnings else ""
    say(f"the policy in {folder} is good, version {checked.policy.version}{warned}")
    return 0


def _counted(checked: Checked) -> str:
    counts = ((len(checked.errors), "error"), (len(checked.warnings), "warning"))
    return " and ".join(f"{n} {kind}{'s' if n != 1 else ''}" for n, kind in counts if n)


def _test(arguments: argparse.Namespace) -> int:
    checked = _checked(_folder(arguments))
    if checked.unproven is None or (checked.errors and not checked.expectations):
        raise PolicyError(checked.errors)
    failed = 0
    for outcome in outcomes(checked.unproven, checked.expectations):
        failed += bool(outcome.wrong)
        for line in _told(checked.unproven, outcome):
            say(line)
    good = len(checked.expectations) - failed
    say(f"{len(checked.expectations)} tests: {good} ok, {failed} failed")
    return 1 if failed else 0


def _told(policy: Policy, outcome: Outcome) -> Iterator[str]:
    test = outcome.test
    if not outcome.wrong:
        yield f"ok      {test.name}"
        return
    yield f"FAILED  {test.name} (tests.toml:{test.line})"
    held = " and ".join(sorted(test.scopes)) or "no scope"
    for element in outcome.wrong[:MOST_REASONS]:
        found = explain(policy, test.roles, element, test.action)
        places = sorted({line.place for part in found.parts for line in part.lines if line.counts})
        by = f" ({', '.join(places)})" if places else ""
        got = "denied" if test.expect == "allow" else "allowed"
        yield f"        on a row with {held}, {element} is {got}: {found.verdict}{by}"
    if len(outcome.wrong) > MOST_REASONS:
        yield f"        and {len(outcome.wrong) - MOST_REASONS} more elements"


def _diff(arguments: argparse.Namespace) -> int:
    policies: list[Policy] = []
    for place in (arguments.old, arguments.new):
        try:
            policies.append(_unproven(_compared(place)))
        except PolicyError as error:
            _complain([*error.problems, f"the policy in {place} cannot be used"])
            return MISUSED
    old, new = policies
    found = difference(old, new, COORDINATES)
    for line in found.lines():
        say(line)
    if not found:
        say("nothing changed")
    return 1 if found else 0


def _simulate(arguments: argparse.Namespace) -> int:
    roles = _roles(arguments)
    sys.stdout.write(visible_sdl(build_schema(), _usable(_folder(arguments)), roles))
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    roles = _roles(arguments)
    element = coordinate_named(arguments.element)
    if element is None:
        element = str(_known("element", arguments.element, COORDINATES))
    else:
        say(f"{arguments.element} is {element}")
    action = _known("action", arguments.action, ACTIONS)
    policy = _usable(_folder(arguments))
    elements = (element, REPEATS[element]) if element in REPEATS else (element,)
    for number, one in enumerate(elements):
        if number:
            say(f"\n{element} repeats {one}, so that has to be open too:")
        for line in _explained(explain(policy, roles, one, action)):
            say(line)
    if arguments.study is None:
        return 0
    if _rows(element) not in ("ImagingStudy", "Patient"):
        raise _Misuse(f"a study says nothing of rows of {_rows(element)}; leave --study out")
    caller = Caller(arguments.subject or "", roles, variables=_variables(arguments))
    return asyncio.run(_on_study(policy, caller, element, action, arguments.study))


def _roles(arguments: argparse.Namespace) -> frozenset[str]:
    return frozenset(_known("role", role, ROLES) for role in arguments.role)


def _known(kind: str, word: str, words: Iterable[str]) -> Any:
    if word not in words:
        raise _Misuse(f"unknown {kind} '{word}'; {instead(word, words)}")
    return word


def _variables(arguments: argparse.Namespace) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    if arguments.patient is not None:
        found["patient"] = (arguments.patient,)
    for text in arguments.variable:
        name, equals, value = text.partition("=")
        if not equals:
            raise _Misuse(f"'{text}' has no value; write {name}=VALUE")
        _known("variable", name, CLAIMED)
        found[name] = (*found.get(name, ()), value)
    return found


def _explained(found: Explanation) -> Iterator[str]:
    yield found.verdict
    for part in found.parts:
        yield f"\n{part.element}: {part.verdict}"
        if not part.lines:
            yield "  no line speaks of it"
        for line in part.lines:
            mark = "*" if line.counts else " "
            yield f"{mark} {line.place}: {line.text}"
            if line.links:
                yield f"    through {' -> '.join(line.path)} ({', '.join(line.links)})"
    if any(line.counts for part in found.parts for line in part.lines):
        yield "\n* decides; deny outdoes allow, and the elements around must be open too"
    for scope in found.scopes:
        view = "" if scope.view == "identified" else f" ({scope.view} view)"
        yield f"\n[{scope.name}] {scope.description}{view}"
        yield from (f"  {resource}: {text}" for resource, text in scope.texts.items())


async def _on_study(policy: Policy, caller: Caller, element: str, action: Any, study: str) -> int:
    async with open_archive(Settings()) as archive:
        access = await archive.access(caller, policy)
        rows = _rows(element)
        record = await _record(archive, access, rows, study)
    say("")
    if record is None:
        _complain([f"there is no {rows} of a study {study}"])
        return 1
    if access.view == "deidentified":
        say("the caller sees records without anybody's identity")
    decisions = access.decisions(element, action)
    for scope in sorted({scope for one in decisions for scope in one.scopes}):
        holds = matches(access.held([scope], rows)[scope], record.index)
        say(f"{scope} {'holds' if holds else 'does not hold'} on {rows}/{record.id}")
    opened = all(_lets_in(access.rows(one, rows), record) for one in decisions)
    say(f"{element} is {'open' if opened else 'closed'} to this caller on {rows}/{record.id}")
    key = f"{element.partition('.')[0]}.id"
    anchor = access.grant.decision(key)
    if opened and action == "read" and not _lets_in(access.rows(anchor, rows), record):
        say(f"but they see no such row, because {key} is closed on it")
    return 0


def _lets_in(tree: Filter, record: Record) -> bool:
    return matches(tree, record.index)


def _rows(element: str) -> str:
    resource = element.partition(".")[0]
    return ROWS.get(resource, resource)


async def _record(archive: Archive, access: Access, rows: str, study: str) -> Record | None:
    """Find what a scope looks at: the study, or the patient whose study it is."""
    found = await _one(archive, access, "ImagingStudy", study)
    if rows == "ImagingStudy" or found is None:
        return found
    subject = str(found.resource["subject"]["reference"]).removeprefix("Patient/")
    return await _one(archive, access, "Patient", subject)


async def _one(archive: Archive, access: Access, resource: str, key: str) -> Record | None:
    wanted = Wanted(frozenset({"id", "subject"}), access.looked_at(resource) | {"patient"})
    found = await archive.repository.find(resource, Has("_id", key), wanted=wanted, limit=1)
    return found[0] if found else None
