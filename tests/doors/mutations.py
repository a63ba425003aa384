"""What each mutation is tried with, and what it does it to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from tests.doors.people import UPLOADING, Person
from tests.doors.planted import (
    ERASED,
    OPEN_ANNOTATION_ID,
    OPEN_HOLD_ID,
    OPEN_IDS,
    OPEN_JOB_ID,
    OPEN_REQUEST_ID,
    OPEN_SESSION_ID,
    SHARE_TOKEN,
    VIEW_ID,
)
from tests.doors.world import World

_NOTHING: frozenset[str] = frozenset()
_NEWCOMER = "https://elsewhere.example#newcomer"
OWN = frozenset({"own"})
SHARER = frozenset({"sharer"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One mutation as somebody tries it.

    Attributes:
        arguments: As GraphQL has them.
        held: Scopes that hold on the record that it is done to, beside those that hold on what
            is planted of that type.
        exists: Whether there is such a record.
    """

    arguments: str
    held: frozenset[str] = _NOTHING
    exists: bool = True


Write = Callable[[World, Person], Attempt]


def _about_patient(more: str) -> Write:
    return lambda world, person: Attempt(f'patient: "{world.target(person).patient}", {more}')


def _about_study(more: str = "") -> Write:
    return lambda world, person: Attempt(f'study: "{world.target(person).study}"{more}')


def _open(kind: str) -> Write:
    return lambda world, person: Attempt(f'id: "{OPEN_IDS[kind]}"')


def _own_glass(world: World, person: Person) -> Attempt:
    broke = person.relation == "broke the glass"
    return Attempt(f'id: "link-of-{person.subject}"', OWN, exists=broke)


def _break_glass(world: World, person: Person) -> Attempt:
    patient = world.target(person).patient
    return Attempt(f'patient: "{patient}", reason: "nobody else is here", minutes: 5', OWN)


def _request(world: World, person: Person) -> Attempt:
    target = world.target(person)
    said = 'reason: "for my doctor", urgency: urgent'
    return Attempt(f'patient: "{target.patient}", study: "{target.study}", {said}', OWN)


def _unreleased(world: World, person: Person) -> Attempt:
    return Attempt(f'study: "{world.burned_in.study}"')


def _answer(accepted: str) -> Write:
    return lambda world, person: Attempt(f'id: "{OPEN_REQUEST_ID}", accepted: {accepted}')


def _sharing(access: str) -> Write:
    def write(world: World, person: Person) -> Attempt:
        until = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
        said = f'access: {access}, until: "{until}", maxUses: 1'
        return Attempt(f'study: "{world.target(person).study}", {said}', SHARER)

    return write


def _accept(world: World, person: Person) -> Attempt:
    return Attempt(f'token: "{SHARE_TOKEN}"', OWN)


def _announce(world: World, person: Person) -> Attempt:
    target = world.target(person)
    said = f'patient: "{target.patient}", study: "{target.study}"'
    return Attempt(f"{said}, files: 1, bytes: 10", OWN)


def _own_job(world: World, person: Person) -> Attempt:
    return Attempt(f'id: "job-of-{person.subject}"', OWN, exists=person.role in UPLOADING)


def _job_of_somebody(world: World, person: Person) -> Attempt:
    return Attempt(f'id: "{OPEN_JOB_ID}"')


def _save(world: World, person: Person) -> Attempt:
    rules = world.policy()["rules.csv"].decode() + "\n# looked at\n"
    text = rules.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    files = f'[{{name: "rules.csv", text: "{text}"}}]'
    return Attempt(f'files: {files}, expectedEdition: "{world.edition}"')


def _own_view(more: str = "") -> Write:
    return lambda world, person: Attempt(f'id: "view-of-{person.subject}"{more}', OWN)


def _annotate(world: World, person: Person) -> Attempt:
    target = world.target(person)
    spot = f'study: "{target.study}", image: "{target.instance}"'
    return Attempt(f'{spot}, text: "looked at"', OWN)


def _annotation(more: str) -> tuple[Write, Write]:
    """Try it on what somebody else wrote, and on what one wrote oneself."""
    return (
        lambda world, person: Attempt(f'id: "{OPEN_ANNOTATION_ID}", {more}'),
        lambda world, person: Attempt(f'id: "annotation-of-{person.subject}", {more}', OWN),
    )


_VIEW = 'name: "looked at", kind: studies, query: "{}"'


# A mutation that is not here fails `test_mutations` by its name.
ATTEMPTS: Mapping[str, tuple[Write, ...]] = MappingProxyType(
    {
        "breakGlass": (_break_glass,),
        "endBreakGlass": (_open("BreakGlass"), _own_glass),
        "addToCareTeam": (_about_patient(f'agent: "{_NEWCOMER}"'),),
        "removeFromCareTeam": (_open("CareTeam"),),
        "addProxy": (_about_patient(f'agent: "{_NEWCOMER}"'),),
        "removeProxy": (_open("Proxy"),),
        "assignStudy": (_about_study(f', agent: "{_NEWCOMER}"'),),
        "unassignStudy": (_open("Assignment"),),
        "releaseStudy": (_unreleased,),
        "withholdStudy": (_about_study(),),
        "labelStudy": (_about_study(", confidentiality: V"),),
        "requestRelease": (_request,),
        "answerReleaseRequest": (_answer("false"), _answer("true")),
        "shareStudy": (_sharing("DOWNLOAD"), _sharing("VIEW")),
        "acceptShare": (_accept,),
        "revokeShare": (_open("Share"),),
        "annotate": (_annotate,),
        "editAnnotation": _annotation('expectedVersion: "1", text: "looked at"'),
        "removeAnnotation": _annotation('reason: "looked at"'),
        "createUpload": (_announce,),
        "completeUpload": (_job_of_somebody, _own_job),
        "cancelUpload": (_job_of_somebody, _own_job),
        "saveView": (
            lambda world, person: Attempt(_VIEW, OWN),
            _own_view(f", {_VIEW}"),
            lambda world, person: Attempt(f'id: "{VIEW_ID}", {_VIEW}'),
        ),
        "deleteView": (lambda world, person: Attempt(f'id: "{VIEW_ID}"'), _own_view()),
        "deleteStudy": (_about_study(', reason: "of somebody else"'),),
        "restoreStudy": (lambda world, person: Attempt(f'study: "{ERASED}"'),),
        "holdStudy": (_about_study(', reason: "a case"'),),
        "liftHold": (lambda world, person: Attempt(f'id: "{OPEN_HOLD_ID}", reason: "closed"'),),
        "endSession": (lambda world, person: Attempt(f'id: "{OPEN_SESSION_ID}"'),),
        "savePolicy": (_save,),
    }
)
