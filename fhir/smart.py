"""SMART App Launch scopes: what a token leaves of what its bearer's roles may do.

Versions 1 (`patient/ImagingStudy.read`) and 2 (`patient/ImagingStudy.rs?modality=…|CT`). They only
ever take away: whatever they name has to be open to the bearer's roles too.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Literal
from urllib.parse import parse_qsl

from fhir.elements import ELEMENTS
from fhir.errors import Invalid
from fhir.parameters import PARAMETERS
from fhir.search import EVERYTHING, NOTHING, AllOf, AnyOf, Filter, Has, all_of, any_of, criteria
from policies.scopes import ROWS

Interaction = Literal["c", "r", "u", "d", "s"]
"""Create, read, update, delete, search."""

# What makes a token a SMART token, in any spelling: one that cannot be read must not widen it.
_SMART = re.compile(r"(?:patient|user|system)(?:/|%2f)|launch(?:/|%2f|$)", re.IGNORECASE)
_SCOPE = re.compile(
    r"(?P<level>patient|user|system)/(?P<resource>\*|[A-Z][A-Za-z]*)\."
    r"(?:(?P<first>read|write|\*)|(?P<second>(?=[cruds])c?r?u?d?s?)"
    r"(?:\?(?P<query>[\x21\x23-\x5b\x5d-\x7e]+))?)"  # RFC 6749 3.3
)
_FIRST: Mapping[str, str] = MappingProxyType({"read": "rs", "write": "cud", "*": "cruds"})

# Nobody's record in particular: of these every row is in every patient's compartment.
_OPEN = frozenset({"Endpoint"})
# Whoever may see a study may read where its DICOM data are.
_COMES_WITH: Mapping[str, str] = MappingProxyType({"Endpoint": "ImagingStudy"})
# In no patient's compartment, even if some day they refer to a patient.
_NOT_OF_PATIENTS = frozenset({"Policy", "Session", "Cache", "SavedView"})

_PATIENT = re.compile(r"(?:.*/)?Patient/[^/]+")
_MOST = 256  # tokens remembered; one is 16 KB at the very most


@dataclass(frozen=True, slots=True)
class _Right:
    """One scope.

    Attributes:
        confined: Whether it is about the patient of the launch alone.
        resource: A type, or `*`.
        interactions: Letters of `cruds`.
        query: Search criteria that narrow it, names and values.
    """

    confined: bool
    resource: str
    interactions: str
    query: tuple[tuple[str, str], ...] = ()

    def names(self, resource: str) -> bool:
        return self.resource in {"*", resource}


@dataclass(frozen=True, slots=True)
class Smart:
    """What the scopes of one token leave open. An Image is governed by the scopes of its study.

    Attributes:
        restricted: Whether the token has SMART scopes at all; without one it leaves everything,
            with one it leaves what its scopes name and nothing else.
        context: Id of the Patient that the app was launched for.
    """

    restricted: bool = False
    context: str | None = None
    _rights: tuple[_Right, ...] = ()
    _known: dict[tuple[str, Interaction], Filter] = field(
        default_factory=dict, repr=False, compare=False
    )

    @staticmethod
    def of(scopes: frozenset[str], context: str | None) -> "Smart":
        """Read the scopes of a token; what cannot be read, or is not known here, opens nothing.

        Args:
            scopes: All of them, as the token has them; others than SMART's change nothing.
            context: Id of the Patient of the launch. Without it `patient/` scopes open nothing.
        """
        return _remembered(scopes, context or None)

    def rows(self, resource: str, interaction: Interaction) -> Filter:
        """Give the rows that an interaction is left for: `EVERYTHING`, `NOTHING` or between.

        Args:
            resource: Type; for `Image` the rows are those of `ImagingStudy`.
            interaction: What is to be done with them.
        """
        if not self.restricted:
            return EVERYTHING
        key = (ROWS.get(resource, resource), interaction)
        if key not in self._known:
            self._known[key] = any_of(self._each(*key))
        return self._known[key]

    def confined(self, resource: str) -> str | None:
        """Give the patient of the launch, if the scopes leave no other patient's rows of a type."""
        kind = ROWS.get(resource, resource)
        fitting = [
            one for one in self._rights if one.names(kind) and self._opens(one, kind) != NOTHING
        ]
        return self.context if fitting and all(one.confined for one in fitting) else None

    def blind(self, resource: str, on: str = "ImagingStudy") -> bool:
        """Say whether what repeats elements of a type has to stay closed on another type's rows.

        Args:
            resource: Type whose elements are repeated, such as Patient.
            on: Type that repeats them. Its rows may be of patients whose own record is closed.
        """
        left = any_of((self.rows(resource, "r"), self.rows(resource, "s")))
        if left == EVERYTHING:
            return False
        same_patient = self.confined(on) is not None
        return not same_patient or left != self._compartment(resource)

    def mismatch(self, resource: str, tree: Filter) -> bool:
        """Say whether a search asks for a patient that the token is not for, and for no other.

        Only what all rows have to match is looked at: `patient` and `subject`, or the id where
        Patients are searched or read.
        """
        patient = self.confined(resource)
        if patient is None:
            return False
        parts = tree.parts if isinstance(tree, AllOf) else (tree,)
        named = (_patients(resource, part) for part in parts)
        return any(one and patient not in one for one in named)

    def _each(self, resource: str, interaction: Interaction) -> Iterator[Filter]:
        for right in self._rights:
            if right.names(resource) and interaction in right.interactions:
                yield self._opens(right, resource)
        host = _COMES_WITH.get(resource)
        if host and interaction == "r":
            opened = (self.rows(host, "r"), self.rows(host, "s"))
            yield NOTHING if any_of(opened) == NOTHING else EVERYTHING

    def _opens(self, right: _Right, resource: str) -> Filter:
        within = self._compartment(resource) if right.confined else EVERYTHING
        return all_of((within, _narrowed(resource, right.query)))

    def _compartment(self, resource: str) -> Filter:
        if self.context is None or resource in _NOT_OF_PATIENTS:
            return NOTHING
        if resource in _OPEN:
            return EVERYTHING
        if resource == "Patient":
            return Has("_id", self.context)
        if "patient" in PARAMETERS.get(resource, {}):
            return Has("patient", f"Patient/{self.context}")
        return NOTHING


@lru_cache(maxsize=_MOST)
def _remembered(scopes: frozenset[str], context: str | None) -> Smart:
    smart = sorted(scope for scope in scopes if _SMART.match(scope))
    return Smart(bool(smart), context, tuple(right for one in smart for right in _rights(one)))


def _rights(scope: str) -> Iterator[_Right]:
    """Give what one scope grants: a right, or nothing."""
    found = _SCOPE.fullmatch(scope)
    # an Image has no scopes of its own: it goes with its study
    if found is None or found["resource"] not in {"*", *ELEMENTS} - ROWS.keys():
        return
    interactions = _FIRST[found["first"]] if found["first"] else found["second"]
    confined = found["level"] == "patient"
    if found["query"] is None:
        yield _Right(confined, found["resource"], interactions)
        return
    try:
        query = parse_qsl(
            found["query"], keep_blank_values=True, strict_parsing=True, errors="strict"
        )
    except ValueError:
        return
    yield _Right(confined, found["resource"], interactions, tuple(query))


def _narrowed(resource: str, query: tuple[tuple[str, str], ...]) -> Filter:
    if not query:
        return EVERYTHING
    table = PARAMETERS.get(resource, {})
    # modifiers and chains are experimental in SMART 2.2; a guess would open the wrong rows
    if any(name not in table for name, _ in query):
        return NOTHING
    try:
        return criteria(resource, query).tree
    except Invalid:
        return NOTHING


def _patients(resource: str, part: Filter) -> set[str]:
    """List the ids of the Patients of whom a row has to be about one to match; none if any may."""
    options = part.parts if isinstance(part, AnyOf) else (part,)
    found = set()
    for one in options:
        if not isinstance(one, Has):
            return set()
        if resource == "Patient" and one.parameter == "_id":
            found.add(one.value.removeprefix("|"))
        elif one.parameter in {"patient", "subject"}:
            if _PATIENT.fullmatch(one.value):
                found.add(one.value.removeprefix("Patient/"))
        else:
            return set()
    return found
