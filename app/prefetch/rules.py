"""What is read ahead, as data: the file of rules, checked as a whole before any of it counts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from app.identity.roles import SPECIALTIES
from policies.errors import PolicyError, Problem
from policies.toml import Section, parse, read, sections

Fetch = Literal["next-frames", "next-series", "priors", "recent"]
"""What is read ahead, and so when: after frames, after frames, after a study, after a search."""

Modality = Annotated[str, Field(pattern=r"^[A-Z0-9_ ]{1,16}$")]
_MEGABYTE: Final = 2**20
Model = TypeVar("Model", bound=BaseModel)


class Budget(BaseModel):
    """What may be read ahead for one caller within a minute."""

    model_config = {"frozen": True, "extra": "forbid"}

    items: int = Field(600, ge=0, le=100_000)
    bytes: int = Field(64 * _MEGABYTE, ge=0)


class Rule(BaseModel):
    """One rule.

    Attributes:
        count: Frames that are read at most, each time; of each study where there are several.
        studies: Of priors and recent ones, how many.
        hours: How long ago a recent study was made at most.
        modalities: Only of these; empty: of any.
        specialties: Only for callers of one of these; empty: for all.
        of_specialty: Only of the modalities that matter to the caller's specialties, if any do.
        budget: Within that of the file.
    """

    model_config = {"frozen": True, "extra": "forbid"}

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    fetch: Fetch
    enabled: bool = True
    count: int = Field(20, ge=1, le=1000)
    studies: int = Field(2, ge=1, le=50)
    hours: int = Field(24, ge=1, le=24 * 31)
    modalities: tuple[Modality, ...] = ()
    specialties: tuple[str, ...] = ()
    of_specialty: bool = False
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one file, in their order."""

    budget: Budget
    rules: tuple[Rule, ...]

    def that(self, fetch: Fetch) -> Iterator[Rule]:
        """Give the rules that read something ahead and are switched on."""
        return (rule for rule in self.rules if rule.fetch == fetch and rule.enabled)


NONE: Final = Rules(Budget(), ())


def read_rules(path: Path) -> Rules:
    """Read a file of rules.

    Raises:
        PolicyError: It cannot be used; every problem has its line and says why.
    """
    text = read(path)
    content = parse(path.name, text)
    written = sections(text)
    problems = list(_unknown(path.name, content, written))
    budget = _checked(path.name, Budget, content.get("budget", {}), written, "budget", 0, problems)
    rules = []
    listed = content.get("rule", [])
    for number, one in enumerate(listed if isinstance(listed, list) else []):
        rules.append(_checked(path.name, Rule, one, written, "rule", number, problems))
    problems += _doubled(path.name, rules, written)
    if problems or budget is None:
        raise PolicyError(problems)
    return Rules(budget, tuple(one for one in rules if one is not None))


def _unknown(file: str, content: dict[str, Any], written: list[Section]) -> Iterator[Problem]:
    for name in content.keys() - {"budget", "rule"}:
        yield Problem(file, _line(written, name, 0), None, f"{name}: write [budget] or [[rule]]")
    if not isinstance(content.get("rule", []), list):
        yield Problem(
            file, _line(written, "rule", 0), None, "rule: write [[rule]], in two brackets"
        )


def _checked(
    file: str,
    model: type[Model],
    content: Any,
    written: list[Section],
    name: str,
    number: int,
    problems: list[Problem],
) -> Model | None:
    try:
        made = model.model_validate(content)
    except ValidationError as error:
        for one in error.errors():
            key = str(one["loc"][0]) if one["loc"] else ""
            where = ".".join(map(str, one["loc"])) or name
            line = _line(written, name, number, key)
            problems.append(Problem(file, line, None, f"{where}: {one['msg']}"))
        return None
    if isinstance(made, Rule):
        for unknown in sorted(set(made.specialties) - SPECIALTIES):
            line = _line(written, name, number, "specialties")
            problems.append(Problem(file, line, None, f"specialties: there is no {unknown}"))
    return made


def _doubled(file: str, rules: list[Rule | None], written: list[Section]) -> Iterator[Problem]:
    times = Counter(rule.name for rule in rules if rule is not None)
    for number, rule in enumerate(rules):
        if rule is not None and times[rule.name] > 1:
            line = _line(written, "rule", number, "name")
            yield Problem(file, line, None, f"name: several rules are called {rule.name}")


def _line(written: list[Section], name: str, number: int, key: str = "") -> int:
    named = [one for one in written if one.name == name]
    return named[number].line_of(key) if number < len(named) else 1
