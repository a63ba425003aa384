"""Who is told of changes by HTTP, as data: the file of hooks, checked before any of it counts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError, field_validator

from app.live.signature import secret_of
from app.settings import SiteCode, trusted_transport
from fhir.changes import Change
from policies.caller import Caller
from policies.errors import PolicyError, Problem
from policies.rules import Role
from policies.toml import Section, parse, read, sections

_ISSUER: Final = "urn:radiograph:webhook"
_OTHERS: Final = 0o077
_SECRET_AT_MOST: Final = 4096

Event = Annotated[
    str, Field(pattern=r"^(\*|ImagingStudy|Job|Policy)\.(\*|created|changed|deleted)$")
]
"""Type and kind, either of which may be any."""


class Written(BaseModel):
    """One hook as the file has it."""

    model_config = {"frozen": True, "extra": "forbid", "hide_input_in_errors": True}

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")
    url: str = Field(max_length=2048)
    roles: tuple[Role, ...] = Field(min_length=1)
    events: tuple[Event, ...] = Field(min_length=1)
    secret_file: Path
    project: SiteCode | None = None

    @field_validator("url")
    @classmethod
    def _nobody_reads_it_on_the_way(cls, url: str) -> str:
        if not trusted_transport(url):
            raise ValueError("neither https nor http on loopback")
        if "@" in urlsplit(url).netloc:
            raise ValueError("an address holds no password; what is sent is signed instead")
        return url


@dataclass(frozen=True, slots=True)
class Hook:
    """Somebody who is told."""

    name: str
    url: str
    caller: Caller
    events: frozenset[tuple[str, str]]
    secret: bytes = field(repr=False)

    def wants(self, change: Change) -> bool:
        """Say whether it is to be told of a change, if it may."""
        return any(
            resource in {"*", change.resource} and kind in {"*", change.kind}
            for resource, kind in self.events
        )


def read_hooks(path: Path) -> tuple[Hook, ...]:
    """Read a file of hooks, and their secrets.

    Raises:
        PolicyError: It cannot be used; every problem has its line and says why.
    """
    text = read(path)
    content = parse(path.name, text)
    written = sections(text)
    problems = [
        Problem(path.name, _line(written, name, 0), None, f"{name}: write [[hook]]")
        for name in content
        if name != "hook" or not isinstance(content[name], list)
    ]
    listed = content.get("hook", []) if not problems else []
    hooks = [_hook(path, one, written, number, problems) for number, one in enumerate(listed)]
    problems += _doubled(path.name, listed, written)
    if problems:
        raise PolicyError(problems)
    return tuple(one for one in hooks if one is not None)


def _hook(
    path: Path, content: Any, written: list[Section], number: int, problems: list[Problem]
) -> Hook | None:
    try:
        said = Written.model_validate(content)
    except ValidationError as error:
        for one in error.errors():
            key = str(one["loc"][0]) if one["loc"] else ""
            where = ".".join(map(str, one["loc"])) or "hook"
            line = _line(written, "hook", number, key)
            problems.append(Problem(path.name, line, None, f"{where}: {one['msg']}"))
        return None
    try:
        secret = _secret(path.parent / said.secret_file)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        line = _line(written, "hook", number, "secret_file")
        problems.append(Problem(path.name, line, None, f"secret_file: {why}"))
        return None
    caller = Caller(
        f"{_ISSUER}#{said.name}",
        frozenset(said.roles),
        f"webhook {said.name}",
        {"project": (said.project,)} if said.project else {},
    )
    events = frozenset((one.partition(".")[0], one.partition(".")[2]) for one in said.events)
    return Hook(said.name, said.url, caller, events, secret)


def _secret(path: Path) -> bytes:
    if path.stat().st_mode & _OTHERS:
        raise ValueError("others may read or write it; chmod 600 takes that away")
    with path.open("rb") as file:
        return secret_of(file.read(_SECRET_AT_MOST).decode("utf-8"))


def _doubled(file: str, listed: list[Any], written: list[Section]) -> Iterator[Problem]:
    names = [one.get("name") for one in listed if isinstance(one, dict)]
    times = Counter(one for one in names if isinstance(one, str))
    for number, name in enumerate(names):
        if isinstance(name, str) and times[name] > 1:
            line = _line(written, "hook", number, "name")
            yield Problem(file, line, None, f"name: several hooks are called {name}")


def _line(written: list[Section], name: str, number: int, key: str = "") -> int:
    named = [one for one in written if one.name == name]
    return named[number].line_of(key) if number < len(named) else 1
