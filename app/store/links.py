"""Links that open records to people, as scope variables of the one they open them to."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from app.store.database import Database
from app.store.filters import mongo_filter
from fhir.granting import in_force
from fhir.parameters import spelled
from fhir.search import Has, all_of

# Scope variable to the type of link that fills it, and to what the link names.
VARIABLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "care-team": ("CareTeam", "patient"),
        "proxied": ("Proxy", "patient"),
        "assigned": ("Assignment", "study"),
        "assigned-patient": ("Assignment", "patient"),
        "break-glass": ("BreakGlass", "patient"),
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
                "resource.resourceType": {"$in": sorted({kind for kind, _ in wanted.values()})},
                **mongo_filter(all_of((Has("agent", spelled(agent)), in_force(now)))),
            },
            {"resource.resourceType": 1, "resource.patient": 1, "resource.study": 1},
            limit=MOST_LINKS,
            batch_size=MOST_LINKS + 1,
        )
        for link in await cursor.to_list(MOST_LINKS):
            resource = link["resource"]
            for name, (kind, names) in wanted.items():
                if kind == resource["resourceType"] and names in resource:
                    value = resource[names]
                    found[name][value["reference"] if isinstance(value, dict) else value] = None
        return {
            name: tuple(value.removeprefix("Patient/") for value in values)
            for name, values in found.items()
            if values
        }
