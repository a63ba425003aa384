"""Who comes to the doors: every role in every relation that it can have to the planted patient."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from app.settings import DEVELOPMENT_ISSUER
from policies.rules import ROLES

TREATING = ("provider", "attending", "fellow", "resident", "nurse")
# Who are in the de-identified view, for their roles open rows in no other.
WITHOUT_IDENTITY = ("researcher",)
PROJECT = "planted-project"


def _same(*scopes: str, on: str) -> dict[str, frozenset[str]]:
    return dict.fromkeys(on.split(), frozenset(scopes))


_ABOUT_ME = _same("about-me", on="CareTeam Proxy BreakGlass ReleaseRequest") | _same(
    "about-me", "proxied", on="Share"
)
_RECORD = "Patient ImagingStudy"
_WRITTEN = "ImageAnnotation"
# Relation to the scopes that hold on what is planted, by type of record. The scopes that hold
# whoever asks (`released`, `unrestricted`) are left out: the shipped rules name none of them.
HELD: Mapping[str, Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "no relation": {},
        "care team": _same("care-team", on=f"{_RECORD} CareTeam Share ReleaseRequest {_WRITTEN}"),
        "assigned": _same("assigned", on=f"{_RECORD} {_WRITTEN}"),
        "broke the glass": _same("break-glass", on=f"{_RECORD} {_WRITTEN}"),
        "own": _same("own", "proxied", on=_RECORD) | _ABOUT_ME,
        "own, sensitive": _same("own", "proxied", on="Patient")
        | _same("locked", on="ImagingStudy")
        | _ABOUT_ME,
        "proxy by link": _same("proxied", on=f"{_RECORD} Share"),
        "proxy by link, sensitive": _same("proxied", on="Patient Share"),
        "shared with": _same("shared", on=_RECORD),
        "shared with, files": _same("shared", "shared-file", on=_RECORD),
        "stranger": {},
        "project": _same("deidentified", on=_RECORD),
    }
)


@dataclass(frozen=True, slots=True)
class Person:
    """One role in one relation; each is somebody of their own."""

    role: str
    relation: str

    def __str__(self) -> str:
        return f"{self.role}, {self.relation}"

    @property
    def subject(self) -> str:
        """`sub` of their tokens."""
        return f"{self.role}.{self.relation.replace(', ', '-').replace(' ', '-')}"

    @property
    def agent(self) -> str:
        """`iss#sub` of their tokens."""
        return f"{DEVELOPMENT_ISSUER}#{self.subject}"

    @property
    def held(self) -> Mapping[str, frozenset[str]]:
        """Scopes that hold on what is planted."""
        return HELD[self.relation]

    @property
    def sensitive(self) -> bool:
        """Whether they come for the sensitive study."""
        return self.relation.endswith("sensitive")

    @property
    def sees(self) -> "tuple[Person, ...]":
        """Themselves in each relation to what they see: whom one study is of, others are too."""
        others = (self.relation.removesuffix(", sensitive"),) if self.sensitive else ()
        return (self, *(Person(self.role, one) for one in others))


def relations(role: str) -> tuple[str, ...]:
    """List the relations that a role can have."""
    if role in TREATING:
        shared = ("shared with", "shared with, files") if role == "nurse" else ()
        return ("no relation", "care team", "assigned", "broke the glass", *shared)
    if role == "patient":
        return ("own", "own, sensitive", "stranger")
    if role == "proxy":
        linked = ("proxy by link", "proxy by link, sensitive")
        return ("own", "own, sensitive", *linked, "stranger")
    if role in WITHOUT_IDENTITY:
        return ("project",)
    return ("no relation",)


PEOPLE = tuple(Person(role, one) for role in sorted(ROLES) for one in relations(role))
IDENTIFIED = tuple(one for one in PEOPLE if one.role not in WITHOUT_IDENTITY)
RESEARCHER = Person("researcher", "project")
# They announce uploads.
UPLOADING = ("admin", "radiologist", "technologist")
# They see together all that anybody sees.
WATCHERS = tuple(Person(role, "no relation") for role in ("admin", "auditor", "radiologist"))
