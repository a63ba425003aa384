"""Links that open records to people, as scope variables of the one they open them to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from app.store.database import Database
from app.store.filters import mongo_filter
from fhir.granting import in_force
from fhir.parameters import spelled
from fhir.search import Has, all_of


@dataclass(frozen=True, slots=True)
class Named:
    """What a link says for a scope variable.

    Attributes:
        kind: Type of the link.
        element: What it names: a patient, or a study.
        access: Only links of this access; None: all.
    """

    kind: str
    element: str
    access: str | None = None

    def of(self, link: Mapping[str, Any]) -> str | None:
        """Give what a link names; None if it is none of these, or names nothing."""
        other = self.kind != link["resourceType"] or self.access not in {None, link.get("access")}
        if other or self.element not in link:
            return None
        value = link[self.element]
        named: str = value["reference"] if isinstance(value, dict) else value
        return named.removeprefix("Patient/")


# Scope variable to what fills it.
VARIABLES: Mapping[str, Named] = MappingProxyType(
    {
        "care-team": Named("CareTeam", "patient"),
        "proxied": Named("Proxy", "patient"),
        "assigned": Named("Assignment", "study"),
        "assigned-patient": Named("Assignment", "patient"),
        "break-glass": Named("BreakGlass", "patient"),
        "shared": Named("Share", "study"),
        "shared-patient": Named("Share", "patient"),
        "shared-file": Named("Share", "study", access="DOWNLOAD"),
        "shared-file-patient": Named("Share", "patient", access="DOWNLOAD"),
    }
)
MOST_LINKS = 10_000  # what is beyond stays closed


class Links:
    """Reads the links in force."""

    def __init__(self, database: Database) -> None:
        self._grants = database["access_grants"]

    async def of(
        self, agent: str, variables: frozenset[str], now: datetime
    ) -> dict[str, tuple[str, ...]]:
        """Give the values of scope variables for one person, in one query or none.

        Args:
            agent: `iss#sub`.
            variables: Those that are needed; others than `VARIABLES` are not stored.
            now: A link that has ended by then, or has not begun, opens nothing.
        """
        wanted = {name: VARIABLES[name] for name in variables & VARIABLES.keys()}
        if not wanted:
            return {}
        found: dict[str, dict[str, None]] = {name: {} for name in wanted}
        cursor = self._grants.find(
            {
                "resource.resourceType": {"$in": sorted({one.kind for one in wanted.values()})},
                **mongo_filter(all_of((Has("agent", spelled(agent)), in_force(now)))),
            },
            {f"resource.{name}": 1 for name in ("resourceType", "patient", "study", "access")},
            limit=MOST_LINKS,
            batch_size=MOST_LINKS + 1,
        )
        for link in await cursor.to_list(MOST_LINKS):
            for name, named in wanted.items():
                value = named.of(link["resource"])
                if value is not None:
                    found[name][value] = None
        return {name: tuple(values) for name, values in found.items() if values}
