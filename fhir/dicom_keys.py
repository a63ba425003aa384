"""Which DICOM attributes are kept to be searched by and shown, at which level, and as what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Final, Literal

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword

from fhir.dicom_elements import coordinate_of
from fhir.errors import Invalid

Level = Literal["study", "series", "instance"]
Kind = Literal["name", "text", "prose", "code", "uid", "date", "time", "moment", "number", "items"]
"""How the values of an attribute are compared: prose holds backslashes, codes never commas."""

Path = tuple[int, ...]
"""Tags of an attribute, those of the sequences that it stands in before it."""

LEVELS: Final[tuple[Level, ...]] = ("study", "series", "instance")
STUDY_UID: Final[Path] = (0x0020000D,)
SERIES_UID: Final[Path] = (0x0020000E,)
INSTANCE_UID: Final[Path] = (0x00080018,)
PATIENT_NAME: Final[Path] = (0x00100010,)
PATIENT_ID: Final[Path] = (0x00100020,)
UID_OF: Final[Mapping[Level, Path]] = MappingProxyType(
    {"study": STUDY_UID, "series": SERIES_UID, "instance": INSTANCE_UID}
)

# What we say of our own answer, and no header: that the row is there tells it.
CHARACTER_SET: Final = 0x00080005
AVAILABILITY: Final = 0x00080056
RETRIEVE_URL: Final = 0x00081190
OURS: Final = frozenset({CHARACTER_SET, AVAILABILITY, RETRIEVE_URL})

_SHOWN: Final[Mapping[Level, str]] = MappingProxyType(
    {
        # PS3.18 table 10.6.3-3, and what every list of studies shows
        "study": "StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName "
        "TimezoneOffsetFromUTC StudyDescription PatientName PatientID PatientBirthDate PatientSex "
        "StudyInstanceUID StudyID NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances",
        # table 10.6.3-4
        "series": "Modality TimezoneOffsetFromUTC SeriesDescription StudyInstanceUID "
        "SeriesInstanceUID SeriesNumber NumberOfSeriesRelatedInstances "
        "PerformedProcedureStepStartDate PerformedProcedureStepStartTime "
        "RequestAttributesSequence.ScheduledProcedureStepID "
        "RequestAttributesSequence.RequestedProcedureID",
        # table 10.6.3-5
        "instance": "SOPClassUID SOPInstanceUID TimezoneOffsetFromUTC AvailableTransferSyntaxUID "
        "StudyInstanceUID SeriesInstanceUID InstanceNumber Rows Columns BitsAllocated "
        "NumberOfFrames",
    }
)
_OTHERS: Final[Mapping[Level, str]] = MappingProxyType(
    {
        "study": "PatientBirthTime PatientAge PatientSize PatientWeight PatientComments "
        "EthnicGroup Occupation AdditionalPatientHistory IssuerOfPatientID TypeOfPatientID "
        "OtherPatientIDs OtherPatientNames PatientBirthName PatientMotherBirthName "
        "ResponsiblePerson ResponsibleOrganization PatientSpeciesDescription "
        "PatientBreedDescription PatientSexNeutered QualityControlSubject "
        "OtherPatientIDsSequence.PatientID OtherPatientIDsSequence.IssuerOfPatientID "
        "NameOfPhysiciansReadingStudy PhysiciansOfRecord RequestingPhysician "
        "AdmittingDiagnosesDescription AdmissionID ServiceEpisodeID StudyComments "
        "RequestedProcedureDescription ReasonForTheRequestedProcedure "
        "IssuerOfAccessionNumberSequence.LocalNamespaceEntityID "
        "IssuerOfAccessionNumberSequence.UniversalEntityID "
        "ProcedureCodeSequence.CodeValue ProcedureCodeSequence.CodingSchemeDesignator "
        "ProcedureCodeSequence.CodeMeaning "
        "ReferencedStudySequence.ReferencedSOPInstanceUID",
        "series": "SeriesDate SeriesTime BodyPartExamined Laterality ProtocolName PatientPosition "
        "PerformingPhysicianName OperatorsName InstitutionName InstitutionalDepartmentName "
        "StationName Manufacturer ManufacturerModelName DeviceSerialNumber SoftwareVersions "
        "FrameOfReferenceUID ContrastBolusAgent SequenceName ScanningSequence "
        "PerformedProcedureStepID PerformedProcedureStepDescription "
        "PerformedProcedureStepEndDate PerformedProcedureStepEndTime "
        "PerformedStationAETitle PerformedLocation "
        "ReferencedPerformedProcedureStepSequence.ReferencedSOPInstanceUID "
        "RequestAttributesSequence.AccessionNumber RequestAttributesSequence.StudyInstanceUID "
        "RequestAttributesSequence.RequestedProcedureDescription "
        "RequestAttributesSequence.ScheduledProcedureStepDescription "
        "SeriesDescriptionCodeSequence.CodeValue SeriesDescriptionCodeSequence.CodeMeaning",
        "instance": "ContentDate ContentTime AcquisitionDate AcquisitionTime AcquisitionDateTime "
        "AcquisitionNumber InstanceCreationDate InstanceCreationTime ImageType ImageLaterality "
        "ContentLabel ContentDescription CompletionFlag VerificationFlag DocumentTitle "
        "ConceptNameCodeSequence.CodeValue ConceptNameCodeSequence.CodingSchemeDesignator "
        "ConceptNameCodeSequence.CodeMeaning",
    }
)
_PAIRS: Final = (
    "StudyDate StudyTime",
    "PatientBirthDate PatientBirthTime",
    "SeriesDate SeriesTime",
    "PerformedProcedureStepStartDate PerformedProcedureStepStartTime",
    "PerformedProcedureStepEndDate PerformedProcedureStepEndTime",
    "ContentDate ContentTime",
    "AcquisitionDate AcquisitionTime",
    "InstanceCreationDate InstanceCreationTime",
)
_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "PN": "name",
        "UI": "uid",
        "DA": "date",
        "TM": "time",
        "DT": "moment",
        "CS": "code",
        "SQ": "items",
        **dict.fromkeys(("LT", "ST", "UT", "UR"), "prose"),
        **dict.fromkeys(
            ("DS", "IS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV", "US or SS"), "number"
        ),
    }
)
_TAG_DIGITS: Final = 8
_MOST_STEPS: Final = 8


def path_named(text: str) -> Path:
    """Read an attribute path: keywords or tags, with dots between a sequence and what is in it.

    Raises:
        Invalid: There is no such attribute, or what a part of it stands in is no sequence.
    """
    path = _path(text)
    if path is None:
        raise Invalid(
            "an attribute is named by keyword (PatientName) or tag (00100010), and in a sequence "
            "after it and a dot (RequestAttributesSequence.ScheduledProcedureStepID); this is none"
        )
    return path


@lru_cache(4096)
def _path(text: str) -> Path | None:
    tags = [_tag(step) for step in text.split(".")]
    known = [one for one in tags if one is not None]
    if len(known) < len(tags) or len(tags) > _MOST_STEPS:
        return None
    whole = all(_vr(one) in {"SQ", "UN"} for one in known[:-1])
    return tuple(known) if whole else None


def _tag(name: str) -> int | None:
    found = tag_for_keyword(name) if name else None  # retired attributes have none
    if found is not None:
        return found
    if len(name) != _TAG_DIGITS or not name.isascii() or not name.isalnum():
        return None
    try:
        tag = int(name, 16)
    except ValueError:
        return None
    return tag if tag >> 16 > 2 and (dictionary_has_tag(tag) or tag >> 16 & 1) else None  # noqa: PLR2004 -- group 2 is about the file


def _vr(tag: int) -> str:
    return dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"


@cache
def kind_of(path: Path) -> Kind:
    """Say how the values of an attribute are compared."""
    return _KINDS.get(_vr(path[-1]), "text")


def field_of(path: Path) -> str:
    """Name the place where the values of an attribute are kept."""
    return "".join(f"{tag:08X}" for tag in path)


def words_of(path: Path) -> str:
    """Name the place where the words of a person name are kept."""
    return f"{field_of(path)}w"


def coordinates_of_path(path: Path) -> frozenset[str]:
    """List the elements of the policy that an attribute tells of."""
    return frozenset(coordinate_of(tag) for tag in path if tag not in OURS)


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(path_named(name) for name in text.split())


SHOWN: Final[Mapping[Level, tuple[Path, ...]]] = MappingProxyType(
    {level: _paths(text) for level, text in _SHOWN.items()}
)
"""What is given without being asked for, at each level, besides what is ours."""

BUILT_IN: Final[Mapping[Level, tuple[Path, ...]]] = MappingProxyType(
    {level: (*SHOWN[level], *_paths(text)) for level, text in _OTHERS.items()}
)
"""What can be searched by at each level."""

TIME_OF: Final[Mapping[Path, Path]] = MappingProxyType(
    {path_named(pair.split()[0]): path_named(pair.split()[1]) for pair in _PAIRS}
)
"""To each date the time that says when on that day."""

WHEN: Final = field_of((0x00080020, 0x00080030))
"""The place of the day and time of a study, by which lists are ordered."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What can be searched by here: what is built in, and the paths configured for each level."""

    study: tuple[Path, ...] = ()
    series: tuple[Path, ...] = ()
    instance: tuple[Path, ...] = ()

    @classmethod
    def of(cls, named: Mapping[Level, Iterable[str]]) -> "Catalogue":
        """Read the configured paths, by level.

        Raises:
            Invalid: A path is none.
        """
        built_in = {path for level in LEVELS for path in BUILT_IN[level]}
        found = {
            level: tuple(path for name in names if (path := path_named(name)) not in built_in)
            for level, names in named.items()
        }
        return cls(**found)

    def configured(self, level: Level) -> tuple[Path, ...]:
        """List what is searched by at a level besides what is built in."""
        match level:
            case "study":
                return self.study
            case "series":
                return self.series
            case "instance":
                return self.instance

    def level_of(self, path: Path) -> Level | None:
        """Say of which level an attribute is, or None if it cannot be searched by."""
        return _levels(self).get(path)

    def searchable(self, level: Level, path: Path) -> bool:
        """Say whether a search at a level can be by an attribute: one of it or of those above."""
        found = self.level_of(path)
        return found is not None and LEVELS.index(found) <= LEVELS.index(level)


BUILT_IN_KEYS: Final = Catalogue()


@lru_cache(16)
def _levels(catalogue: Catalogue) -> Mapping[Path, Level]:
    found: dict[Path, Level] = {}
    for level in LEVELS:
        for path in (*BUILT_IN[level], *catalogue.configured(level)):
            found.setdefault(path, level)
    return MappingProxyType(found)
