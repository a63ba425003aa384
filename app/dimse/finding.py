"""C-FIND (PS3.4 C.4.1): the hierarchical search of both query models, a page at a time."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from app.dimse.contexts import Root
from app.dimse.identifiers import texts
from app.dimse.operation import Operation
from fhir.attributes import Attributes, tag, text, values
from fhir.dicom_keys import Catalogue, Level, Path
from fhir.dicom_search import Key, Query, search_dicom
from fhir.errors import Invalid

PAGE: Final = 100

_LEVEL = tag("QueryRetrieveLevel")
_CHARACTER_SET = tag("SpecificCharacterSet")
_AE_TITLE = tag("RetrieveAETitle")
_AVAILABILITY = tag("InstanceAvailability")
# What a query says of itself, and what is answered whoever asks.
_OWN = frozenset({_LEVEL, _CHARACTER_SET, _AE_TITLE, _AVAILABILITY, tag("TimezoneOffsetFromUTC")})
_LEVELS: Mapping[str, Level] = MappingProxyType(
    {"PATIENT": "study", "STUDY": "study", "SERIES": "series", "IMAGE": "instance"}
)
_UNIQUE: Mapping[str, str] = MappingProxyType(
    {
        "PATIENT": "PatientID",
        "STUDY": "StudyInstanceUID",
        "SERIES": "SeriesInstanceUID",
        "IMAGE": "SOPInstanceUID",
    }
)
"""Which attribute names a row of a level, from the outermost on."""


@dataclass(frozen=True, slots=True)
class Question:
    """One query, as it was understood.

    Attributes:
        level: As the peer names it.
        keys: What is compared, and what is only to be returned.
        ignored: Whether something was to be compared that cannot be.
    """

    level: str
    identifier: Attributes
    keys: tuple[Key, ...]
    ignored: bool

    @property
    def searched(self) -> Level:
        """Level that is searched: patients are those of studies."""
        return _LEVELS[self.level]


@dataclass(slots=True)
class Answers:
    """The answers to one question, given out page by page; each is in the audit before it is."""

    operation: Operation
    question: Question
    _seen: set[tuple[str, ...]] = field(default_factory=set)

    async def pages(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Give the answers as DICOM JSON, as many at a time as are read together.

        Raises:
            AccessDenied: Something that is compared, or every row, is closed to the caller.
            Invalid: A value cannot be understood.
        """
        catalogue = self.operation.archive.catalogue
        offset, more = 0, True
        while more:
            query = Query(
                self.question.searched,
                keys=self.question.keys,
                combined=False,
                limit=PAGE,
                offset=offset,
                text=_told(self.question),
            )
            try:
                answer = await search_dicom(self.operation.guarded, catalogue, query)
            finally:
                await self.operation.write_down()
            yield [self._finished(one) for one in answer.items if self._is_new(one)]
            more, offset = answer.more, offset + PAGE

    def _is_new(self, found: Attributes) -> bool:
        if self.question.level != "PATIENT":
            return True
        patient = (text(found, "PatientID") or "", text(found, "IssuerOfPatientID") or "")
        if patient in self._seen:
            return False
        self._seen.add(patient)
        return True

    def _finished(self, found: Attributes) -> dict[str, Any]:
        """Give exactly what was asked for, with what every answer says."""
        identifier = self.question.identifier
        answer: dict[str, Any] = {}
        for key, asked in identifier.items():
            if key in found:
                answer[key] = found[key]
            elif key not in _OWN:
                answer[key] = asked if key in _above(self.question.level) else {"vr": asked["vr"]}
        if _AVAILABILITY in identifier:
            answer[_AVAILABILITY] = {"vr": "CS", "Value": ["ONLINE"]}
        title = self.operation.archive.settings.dimse_aet
        answer[_LEVEL] = {"vr": "CS", "Value": [self.question.level]}
        answer[_AE_TITLE] = {"vr": "AE", "Value": [title]}
        return answer


def understood(root: Root, identifier: Attributes, catalogue: Catalogue) -> Question:
    """Read a query.

    Raises:
        Invalid: It is none of the model: no level, or no unique key of a level above.
    """
    level = level_of(root, identifier)
    searched = _LEVELS[level]
    keys, ignored = [], False
    for path, value in _keys(identifier):
        if value and not catalogue.searchable(searched, path):
            keys.append(Key(path, ""))
            ignored = True
        else:
            keys.append(Key(path, value))
    if level == "PATIENT":
        keys += [Key((int(tag(one), 16),), "") for one in ("PatientID", "IssuerOfPatientID")]
    return Question(level, identifier, tuple(dict.fromkeys(keys)), ignored)


def level_of(root: Root, identifier: Attributes) -> str:
    """Give the level that a query, or a retrieval, is about.

    Raises:
        Invalid: It names none of the model, or lacks a unique key of a level above.
    """
    level = text(identifier, "QueryRetrieveLevel")
    levels = [one for one in _UNIQUE if root == "patient" or one != "PATIENT"]
    if level not in levels:
        raise Invalid(f"QueryRetrieveLevel is one of {', '.join(levels)}")
    for above in levels[: levels.index(level)]:
        if not values(identifier, _UNIQUE[above]):
            raise Invalid(f"level {level} needs {_UNIQUE[above]}")
    return level


def unique_keys(identifier: Attributes, level: str) -> list[str]:
    """List what names the rows of a level in a retrieval."""
    return [one for one in texts(identifier.get(tag(_UNIQUE[level]), {})) if one]


def _above(level: str) -> frozenset[str]:
    names = list(_UNIQUE)
    return frozenset(tag(_UNIQUE[one]) for one in names[: names.index(level)])


def _keys(identifier: Attributes, outer: Path = ()) -> Iterator[tuple[Path, str]]:
    for key, attribute in identifier.items():
        if not outer and key in _OWN:
            continue
        path = (*outer, int(key, 16))
        if attribute["vr"] != "SQ":
            yield path, "\\".join(texts(attribute))
            continue
        items = [one for one in attribute.get("Value", ()) if one]
        if not items:
            yield path, ""
        for item in items:
            yield from _keys(item, path)


def _told(question: Question) -> str:
    """Say for the audit what was compared."""
    compared = "&".join(
        f"{'.'.join(f'{one:08X}' for one in key.path)}={key.value}"
        for key in question.keys
        if key.value
    )
    return f"C-FIND {question.level} {compared}".rstrip()
