"""What a search by pseudonyms means in real values, and what cannot be searched by without them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NoReturn

from fhir.errors import AccessDenied
from fhir.parameters import spelled
from fhir.pseudonyms import SYSTEM, Kind
from fhir.search import (
    AllOf,
    Among,
    AnyOf,
    Filter,
    Has,
    Not,
    Present,
    Stored,
    all_of,
    any_of,
    coordinates_of,
    negated,
    parameter,
)

Ask = tuple[Kind, str]
"""A pseudonym, after what it is taken for."""

# Nobody's record in particular: these are shown, and searched, as they are.
PLAIN: Final = frozenset({"Endpoint", "Session", "Policy", "Cache", "SavedView"})
# What callers make for themselves, also in the de-identified view.
OWN: Final = frozenset({"SavedView"})
# Their values are references to Patients.
REFERENCES: Final = frozenset({"patient", "subject"})


@dataclass(frozen=True, slots=True)
class _Naming:
    """One way in which a search value names a pseudonym.

    Attributes:
        prefixes: What may stand before the pseudonym.
        meant: Writes the criterion, given the real value.
    """

    kind: Kind
    prefixes: Sequence[str]
    meant: Callable[[str], Filter]

    def ask(self, value: str) -> Ask | None:
        for prefix in self.prefixes:
            if value.startswith(prefix):
                return self.kind, value.removeprefix(prefix)
        return None


_OURS = (f"{SYSTEM}|", "")
_UID = ("urn:dicom:uid|urn:oid:", "urn:oid:")


def _reference(name: str) -> tuple[_Naming, ...]:
    return (_Naming("patient", ("Patient/",), lambda real: Has(name, f"Patient/{real}")),)


def _uid(name: str) -> tuple[_Naming, ...]:
    return (_Naming("uid", ("",), lambda real: Has(name, real)),)


_ACCESSION = _Naming("accession", _OURS, lambda real: Has("accession", spelled(real)))

# What can be searched and sorted by, and how it names pseudonyms; nothing where it names none.
_NAMINGS: Mapping[str, Mapping[str, tuple[_Naming, ...]]] = MappingProxyType(
    {
        "Patient": {
            "_id": (_Naming("patient", ("",), lambda real: Has("_id", real)),),
            "_security": (),
            "identifier": (_Naming("number", _OURS, lambda real: Has("_id", real)),),
            "gender": (),
        },
        "ImagingStudy": {
            "_id": _uid("_id"),
            "_security": (),
            "identifier": (_Naming("uid", _UID, lambda real: Has("_id", real)), _ACCESSION),
            "accession": (_ACCESSION,),
            "patient": _reference("patient"),
            "subject": _reference("subject"),
            "status": (),
            "modality": (),
            "bodysite": (),
            "series": _uid("series"),
            "endpoint": (),
        },
        "Image": {
            "_id": _uid("_id"),
            "study": _uid("study"),
            "series": _uid("series"),
            "dicom-class": (),
        },
    }
)


def searchable(resource: str, name: str) -> None:
    """Refuse to search or sort by what is not there as such without identity.

    Raises:
        AccessDenied: The type, or the parameter, is not in this view.
    """
    _namings(resource, name)


def asks(resource: str, tree: Filter) -> Iterator[Ask]:
    """List the pseudonyms that criteria name.

    Raises:
        AccessDenied: They look at something that is not in this view.
    """
    match tree:
        case Has(name, value):
            yield from filter(None, (one.ask(value) for one in _namings(resource, name)))
        case Among(name, values):
            namings = _namings(resource, name)
            yield from filter(None, (one.ask(value) for value in values for one in namings))
        case Not(part):
            yield from asks(resource, part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from asks(resource, part)


def meaning(resource: str, tree: Filter, real: Mapping[str, str]) -> Filter:
    """Write criteria in real values; those that name what is not known match nothing.

    Args:
        resource: Type.
        tree: Criteria by pseudonym; parts that are marked as `Stored` stay.
        real: Pseudonym to real value.

    Raises:
        AccessDenied: They look at something that is not in this view.
    """
    if resource not in PLAIN:
        _known(resource)
    match tree:
        case Stored():
            return tree
        case Has(name, value):
            namings = _namings(resource, name)
            return any_of(_meant(namings, value, real)) if namings else tree
        case Among(name, values):
            namings = _namings(resource, name)
            each = (one for value in sorted(values) for one in _meant(namings, value, real))
            return any_of(each) if namings else tree
        case Not(part):
            return negated(meaning(resource, part, real))
        case AllOf(parts):
            return all_of(meaning(resource, part, real) for part in parts)
        case AnyOf(parts):
            return any_of(meaning(resource, part, real) for part in parts)
        case Present(name):
            _namings(resource, name)
            return tree
    if resource not in PLAIN:
        _refuse(resource, tree.parameter)
    return tree


def _meant(namings: Sequence[_Naming], value: str, real: Mapping[str, str]) -> Iterator[Filter]:
    for naming in namings:
        ask = naming.ask(value)
        if ask is not None and ask[1] in real:
            yield naming.meant(real[ask[1]])


def _namings(resource: str, name: str) -> tuple[_Naming, ...]:
    if resource in PLAIN:
        return ()
    known = _known(resource)
    if name not in known:
        _refuse(resource, name)
    return known[name]


def _known(resource: str) -> Mapping[str, tuple[_Naming, ...]]:
    if resource not in _NAMINGS:
        raise AccessDenied(
            f"There is no {resource} in the de-identified view.", frozenset({f"{resource}.id"})
        )
    return _NAMINGS[resource]


def _refuse(resource: str, name: str) -> NoReturn:
    able = ", ".join(_known(resource))
    raise AccessDenied(
        f"In the de-identified view {resource} cannot be searched or sorted by {name}, for it "
        f"tells who somebody is; by {able} it can.",
        frozenset(coordinates_of(resource, parameter(resource, name))),
    )
