"""What a DICOM search asks the records for, and what they give it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fhir.dicom_keys import Level
from fhir.dicom_matching import Criterion
from fhir.search import EVERYTHING, Filter, Index

Part = Literal["shown", "rest", "header"]
"""Of the text of a row: what is always shown, what is kept beside it, an instance's header."""

Text = tuple[Level, Part]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows a search means.

    Attributes:
        level: Of the rows.
        rows: Of which studies, as they are stored; EVERYTHING for instances.
        criteria: By the level at which they are met; for instances those of their own level alone.
        studies: Of instances: only those of these studies; None is of all.
        series: Of instances: only those of these series; None is of all.
    """

    level: Level
    rows: Filter = EVERYTHING
    criteria: Mapping[Level, tuple[Criterion, ...]] = field(default_factory=dict)
    studies: frozenset[str] | None = None
    series: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Portion:
    """Which part of the rows is read, and what of each.

    Attributes:
        texts: Of the row, and of the study of a series.
        index: Search parameters of ImagingStudy whose values are needed to decide about a study.
        newest: Studies with the latest StudyDate first, instead of in the order of their UIDs.
        numbered: Series and instances by their numbers, instead of by their UIDs.
    """

    texts: frozenset[Text] = frozenset()
    index: frozenset[str] = frozenset()
    newest: bool = False
    numbered: bool = False
    limit: int = 1
    skip: int = 0


@dataclass(frozen=True, slots=True)
class DicomRow:
    """A study, a series of one, or an instance.

    Attributes:
        uids: Of the row and of those that it is in.
        texts: As they were asked for; DICOM JSON.
        index: Of the study; empty where the row is an instance.
        real_id: What the row, or the study of a series, is stored under: for the audit, never for
            an answer.
    """

    uids: Mapping[Level, str]
    texts: Mapping[Text, bytes]
    real_id: str
    index: Index = field(default_factory=dict)
