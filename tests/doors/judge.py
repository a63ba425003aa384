"""What Casbin itself says about the shipped rules: what the doors are held against."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import casbin

from fhir.elements import REPEATS
from policies.files import MODEL, RULES
from policies.judge import enforcer
from policies.rules import parts
from policies.scopes import ROWS
from tests.doors.people import Person

_NOTHING: frozenset[str] = frozenset()


def whole(folder: Path) -> casbin.Enforcer:
    """Give Casbin with all rules of a policy."""
    return enforcer((folder / MODEL).read_text(), (folder / RULES).read_text())


@dataclass(slots=True)
class Judge:
    """Casbin with, for each role, the lines that Casbin itself says are the role's.

    It takes 3 ms to go through all lines; answers are remembered.
    """

    folder: Path
    _all: casbin.Enforcer = field(init=False)
    _of: dict[str, casbin.Enforcer] = field(default_factory=dict)
    _known: dict[tuple[str, str, str, frozenset[str]], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._all = whole(self.folder)

    def allows(
        self,
        person: Person,
        coordinate: str,
        action: str = "read",
        held: frozenset[str] | None = None,
    ) -> bool:
        """Say whether somebody may do something to what is planted.

        Args:
            person: Who.
            coordinate: To which element.
            action: What.
            held: Scopes that hold on the row, where it is none of the planted ones.
        """
        kind = coordinate.partition(".")[0]
        scopes = person.held.get(ROWS.get(kind, kind), _NOTHING) if held is None else held
        wanted = [coordinate, *([REPEATS[coordinate]] if coordinate in REPEATS else [])]
        return all(
            self.says(person.role, part, action, scopes) for one in wanted for part in parts(one)
        )

    def allows_all(
        self, person: Person, coordinates: Iterable[str], held: frozenset[str] | None = None
    ) -> bool:
        """Say whether somebody may read all of them."""
        return all(self.allows(person, one, held=held) for one in sorted(coordinates))

    def says(self, role: str, part: str, action: str, scopes: frozenset[str]) -> bool:
        """Ask about one element without those around it."""
        key = (role, part, action, scopes)
        if key not in self._known:
            self._known[key] = self._lines(role).enforce(frozenset({role}), part, action, scopes)
        return self._known[key]

    def _lines(self, role: str) -> casbin.Enforcer:
        if role not in self._of:
            own = self._all.get_implicit_permissions_for_user(role)
            lines = [", ".join(("p", *line)) for line in own]
            lines += [", ".join(("g", *link)) for link in self._all.get_grouping_policy()]
            self._of[role] = enforcer((self.folder / MODEL).read_text(), "\n".join(lines))
        return self._of[role]
