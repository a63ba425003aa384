"""What may be said to narrow a list, and how it becomes FHIR search.

The arguments are data: those of `patients`, `studies` and `images` are written here, those under
FHIR's own names follow from the table of search parameters.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType
from typing import Any, Literal

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.unset import UNSET

from fhir.elements import LINKS
from fhir.errors import Invalid
from fhir.from_dicom.body_parts import BODY_PARTS
from fhir.granting import MOST_REASON, in_force
from fhir.parameters import PARAMETERS
from fhir.search import Search, coordinates_of, criteria, escape, negated, parameter, parameters_of
from schema.paging import DEFAULT_PAGE, LARGEST_PAGE
from schema.scalars import Date, DateTime

Json = Any
Pairs = list[tuple[str, str]]


@strawberry.input(description="A span of days, both ends included; either end may be open.")
class DateRange:
    """`from` and `to` as dates."""

    from_: Date | None = strawberry.field(
        name="from", default=UNSET, description="First day, month or year."
    )
    to: Date | None = strawberry.field(default=UNSET, description="Last day, month or year.")


@strawberry.input(description="A span of time, both ends included; either end may be open.")
class DateTimeRange:
    """`from` and `to` as times."""

    from_: DateTime | None = strawberry.field(
        name="from", default=UNSET, description="First moment; of a day, its beginning (UTC)."
    )
    to: DateTime | None = strawberry.field(
        default=UNSET, description="Last moment; of a day, its end (UTC)."
    )


@strawberry.enum(description="What patients are sorted by; DESC is from the last to the first.")
class PatientSort(Enum):
    """Values are FHIR's `_sort`."""

    ID = "_id"
    ID_DESC = "-_id"
    LAST_UPDATED = "_lastUpdated"
    LAST_UPDATED_DESC = "-_lastUpdated"
    BIRTH_DATE = "birthdate"
    BIRTH_DATE_DESC = "-birthdate"
    NAME = "name"
    NAME_DESC = "-name"


@strawberry.enum(description="What studies are sorted by; DESC is from the last to the first.")
class StudySort(Enum):
    """Values are FHIR's `_sort`."""

    ID = "_id"
    ID_DESC = "-_id"
    LAST_UPDATED = "_lastUpdated"
    LAST_UPDATED_DESC = "-_lastUpdated"
    PATIENT = "patient"
    PATIENT_DESC = "-patient"
    PATIENT_NAME = "patient-name"
    PATIENT_NAME_DESC = "-patient-name"
    MODALITY = "modality"
    MODALITY_DESC = "-modality"
    STATUS = "status"
    STATUS_DESC = "-status"
    STARTED = "started"
    STARTED_DESC = "-started"


@strawberry.enum(description="What records are sorted by that begin at some time.")
class DateSort(Enum):
    """Values are FHIR's `_sort`."""

    ID = "_id"
    ID_DESC = "-_id"
    DATE = "date"
    DATE_DESC = "-date"


def _same(value: str) -> str:
    return value


def modalities(value: str) -> str:
    """Give the DICOM codes of a modality, joined by commas; people also say MRI or X-ray."""
    code = value.strip().upper()
    return _MODALITIES.get(code, code)


_MODALITIES = {"MRI": "MR", "XR": "CR,DX,RG", "X-RAY": "CR,DX,RG", "ECHO": "US", "PET": "PT"}


def body_site(value: str) -> str:
    """Give the SNOMED CT code of a BodyPartExamined like CHEST; codes stay as they are."""
    known = BODY_PARTS.get(re.sub(r"[^A-Z0-9]", "", value.upper()))
    return known[0] if known else value


@dataclass(frozen=True, slots=True)
class Filter:
    """One argument that narrows.

    Attributes:
        parameter: Search parameter that it becomes.
        form: `any`: a list, one of which has to match; `text`: one text, taken literally;
            `range`: from and to; `there`: whether it has a value; `force`: whether a link opens
        something now, which looks at every parameter of the other links.
        rewrite: What a value of a list is before it is searched for.
    """

    name: str
    parameter: str
    form: Literal["any", "id", "text", "range", "there", "force"]
    description: str
    graphql_type: Any
    rewrite: Callable[[str], str] = _same


def _whole(value: str) -> str:
    # a bar is part of what some issuers call people
    return value.replace("|", r"\|")


_BEGINNINGS = (
    "Words, each of which begins one of the record, in any order and spelling; looked for in what "
    "you may read of"
)
_TOKENS = list[str] | None
_IDS = list[strawberry.ID] | None
_AGENTS = "People, as issuer#subject."

_LINKS = (
    Filter("agent", "agent", "any", _AGENTS, _TOKENS, _whole),
    Filter("patient", "patient", "any", "Ids of Patients.", _IDS),
    Filter("study", "study", "any", "Study Instance UIDs.", _IDS),
    Filter("started", "date", "range", "Began within.", DateTimeRange | None),
    Filter("active", "revoked", "force", "Whether it opens something now.", bool | None),
)

FILTERS: Mapping[str, tuple[Filter, ...]] = MappingProxyType(
    {
        "Patient": (
            Filter("identifier", "identifier", "any", "`value` or `system|value`.", _TOKENS),
            Filter("name", "name", "text", "Any part of a name begins so.", str | None),
            Filter("family", "family", "text", "A family name begins so.", str | None),
            Filter("given", "given", "text", "A given name begins so.", str | None),
            Filter("birthDate", "birthdate", "range", "Born within.", DateRange | None),
            Filter("gender", "gender", "any", "male, female, other or unknown.", _TOKENS),
            Filter("text", "text", "text", f"{_BEGINNINGS} name and numbers.", str | None),
        ),
        "ImagingStudy": (
            Filter("patient", "patient", "any", "Ids of Patients.", _IDS),
            Filter("identifier", "identifier", "any", "`value` or `system|value`.", _TOKENS),
            Filter("accession", "accession", "any", "Accession numbers.", _TOKENS),
            Filter(
                "modality",
                "modality",
                "any",
                "Modality of a series: CT, MR (or MRI), US (ECHO), PT (PET), CR, DX, RG (or XR "
                "for all three), …",
                _TOKENS,
                modalities,
            ),
            Filter(
                "bodySite",
                "bodysite",
                "any",
                "Body site of a series: SNOMED CT code, or DICOM's word for it (CHEST).",
                _TOKENS,
                body_site,
            ),
            Filter("started", "started", "range", "Began within.", DateTimeRange | None),
            Filter("status", "status", "any", "available, registered, cancelled, …", _TOKENS),
            Filter("description", "description", "text", "Words it contains.", str | None),
            Filter(
                "text",
                "text",
                "text",
                f"{_BEGINNINGS} patient name, accession number, descriptions, modalities and body "
                "sites.",
                str | None,
            ),
        ),
        "Image": (
            Filter("study", "study", "id", "Study Instance UID.", strawberry.ID | None),
            Filter("series", "series", "id", "Series Instance UID.", strawberry.ID | None),
        ),
        **dict.fromkeys(LINKS, _LINKS),
        "ReleaseRequest": (
            Filter("patient", "patient", "any", "Ids of Patients.", _IDS),
            Filter("study", "study", "any", "Study Instance UIDs.", _IDS),
            Filter("requester", "requester", "any", _AGENTS, _TOKENS, _whole),
            Filter("status", "status", "any", "pending, accepted or declined.", _TOKENS),
            Filter("urgency", "urgency", "any", "routine, urgent or emergency.", _TOKENS),
            Filter("recorded", "date", "range", "Asked within.", DateTimeRange | None),
        ),
        "ImageAnnotation": (
            Filter("study", "study", "any", "Study Instance UIDs.", _IDS),
            Filter("series", "series", "any", "Series Instance UIDs.", _IDS),
            Filter("image", "image", "any", "SOP Instance UIDs.", _IDS),
            Filter("author", "author", "any", _AGENTS, _TOKENS, _whole),
            Filter("patient", "patient", "any", "Ids of Patients.", _IDS),
            Filter("status", "status", "any", "active or entered-in-error.", _TOKENS),
            Filter("recorded", "date", "range", "Written first within.", DateTimeRange | None),
        ),
        "DeletedStudy": (
            Filter("study", "_id", "any", "Study Instance UIDs.", _IDS),
            Filter("patient", "patient", "any", "Ids of Patients.", _IDS),
            Filter("recorder", "recorder", "any", _AGENTS, _TOKENS, _whole),
            Filter("recorded", "date", "range", "Deleted within.", DateTimeRange | None),
            Filter("until", "end", "range", "Removed for good within.", DateTimeRange | None),
        ),
        "Hold": (
            Filter("study", "study", "any", "Study Instance UIDs.", _IDS),
            Filter("patient", "patient", "any", "Ids of Patients.", _IDS),
            Filter("recorder", "recorder", "any", _AGENTS, _TOKENS, _whole),
            Filter("started", "date", "range", "Placed within.", DateTimeRange | None),
            Filter("lifted", "revoked", "there", "Whether it was lifted.", bool | None),
        ),
        "Job": (
            Filter("agent", "agent", "any", _AGENTS, _TOKENS, _whole),
            Filter("patient", "patient", "any", "Ids of Patients.", _IDS),
            Filter(
                "status",
                "status",
                "any",
                "waiting, active, completed, cancelled or failed.",
                _TOKENS,
            ),
            Filter("recorded", "date", "range", "Announced within.", DateTimeRange | None),
        ),
        "SavedView": (Filter("kind", "kind", "any", "studies or patients.", _TOKENS),),
        "Session": (
            Filter("agent", "agent", "any", _AGENTS, _TOKENS, _whole),
            Filter("started", "date", "range", "Began within.", DateTimeRange | None),
            Filter("ended", "ended", "there", "Whether it was ended.", bool | None),
        ),
    }
)

_SORTS: Mapping[str, Any] = MappingProxyType(
    {
        "Patient": list[PatientSort] | None,
        "ImagingStudy": list[StudySort] | None,
        **dict.fromkeys(
            (
                *LINKS,
                "ReleaseRequest",
                "ImageAnnotation",
                "DeletedStudy",
                "Hold",
                "SavedView",
                "Session",
                "Job",
            ),
            list[DateSort] | None,
        ),
    }
)


def argument(
    name: str, graphql_type: Any, description: str, default: Any = UNSET
) -> StrawberryArgument:
    """Declare one argument."""
    return StrawberryArgument(
        name, name, StrawberryAnnotation(graphql_type), description=description, default=default
    )


# What many roots and mutations take.
ID = argument("id", strawberry.ID, "Logical id.")
STUDY = argument("study", strawberry.ID, "Study Instance UID.")
REASON = argument("reason", str, f"1 to {MOST_REASON} characters.")
WHY = argument("reason", str | None, f"For the record, at most {MOST_REASON} characters.")


def slice_arguments(what: str, first: int | None = None) -> list[StrawberryArgument]:
    """Declare the arguments of a list that comes with its record."""
    return [
        argument(
            "first", int | None, f"At most so many {what}.", UNSET if first is None else first
        ),
        argument("offset", int, f"So many {what} are passed over.", 0),
    ]


def filter_arguments(resource: str) -> list[StrawberryArgument]:
    """Declare the arguments that narrow."""
    return [argument(one.name, one.graphql_type, one.description) for one in FILTERS[resource]]


def relay_arguments(resource: str) -> list[StrawberryArgument]:
    """Declare the arguments of a Relay connection."""
    declared = filter_arguments(resource)
    if resource in _SORTS:
        declared.append(argument("sort", _SORTS[resource], "Order; what is equal goes by id."))
    return [
        *declared,
        argument("first", int | None, f"Rows of a page, 1 to {LARGEST_PAGE}.", DEFAULT_PAGE),
        argument("after", str | None, "`endCursor` of the page before."),
    ]


def fhir_arguments(resource: str) -> list[StrawberryArgument]:
    """Declare the arguments of a list under FHIR's own name."""
    return [
        *(
            argument(
                _argument_name(row.name),
                list[str] | None,
                f"Search parameter `{row.name}`; commas are OR, further values AND.",
            )
            for row in PARAMETERS[resource].values()
        ),
        argument("_count", int | None, f"Rows of a page, 1 to {LARGEST_PAGE}.", DEFAULT_PAGE),
        argument("_cursor", str | None, "`next` of the page before."),
        argument("_sort", str | None, "Parameters, joined by commas; a hyphen descends."),
    ]


def searched_by(resource: str, fetch: str) -> Mapping[str, str]:
    """Say which arguments of a field look at records, and by which search parameter.

    Args:
        resource: Type that the field leads to.
        fetch: How it is followed (`schema.loading`).

    Returns:
        Argument to parameter. Arguments that are about the page are not among them.
    """
    match fetch:
        case "page" | "studies" | "facets":
            return {one.name: one.parameter for one in FILTERS[resource]}
        case "list" | "connection":
            return {_argument_name(name): name for name in PARAMETERS[resource]}
        case "series":
            return {"uid": "series"}
        case "event":
            return {"patient": "patient", "study": "_id", "id": "_id"}
        case "one" | "image":
            return {"id": "_id", "uid": "_id"}
    return {}


def relay_search(resource: str, arguments: Mapping[str, Json], base_url: str) -> tuple[Search, str]:
    """Read the arguments of a Relay connection; give them as FHIR search text too.

    Raises:
        Invalid: A value that cannot be searched for.
    """
    pairs: Pairs = []
    for one in FILTERS[resource]:
        value = arguments.get(one.name)
        if value is not None and one.form != "force":
            pairs += _pairs(one, value)
    search, text = criteria(resource, pairs, base_url=base_url), _written(pairs)
    active = arguments.get("active")
    if active is None:
        return search, text
    text = "&".join(filter(None, (text, f"active={str(active).lower()}")))
    return search.and_also(_active(resource, active=active)), text


def _active(resource: str, *, active: bool) -> Search:
    tree = in_force(datetime.now(UTC))
    looked_at = (coordinates_of(resource, parameter(resource, one)) for one in parameters_of(tree))
    return Search(resource, tree if active else negated(tree), frozenset().union(*looked_at))


def fhir_search(resource: str, arguments: Mapping[str, Json], base_url: str) -> tuple[Search, str]:
    """Read the arguments of a list under FHIR's name; give them as FHIR search text too.

    Raises:
        Invalid: A value that cannot be searched for.
    """
    pairs = [
        (row.name, value)
        for row in PARAMETERS[resource].values()
        for value in arguments.get(_argument_name(row.name)) or ()
    ]
    return criteria(resource, pairs, base_url=base_url), _written(pairs)


def _pairs(one: Filter, value: Json) -> Iterable[tuple[str, str]]:
    match one.form:
        case "any":
            if not value:
                raise Invalid(f"{one.name}: an empty list; leave the argument out instead")
            yield one.parameter, ",".join(_option(one, item) for item in value)
        case "id" | "text":
            yield one.parameter, escape(value)
        case "there":
            yield f"{one.parameter}:missing", str(not value).lower()
        case "range":
            for end, prefix in (("from", "ge"), ("to", "le")):
                if value.get(end) is not None:
                    yield one.parameter, f"{prefix}{value[end]}"


def _option(one: Filter, value: str) -> str:
    # a bar stays: it parts system and value
    written = re.sub(r"([,$\\])", r"\\\1", value)
    return one.rewrite(written)


def _argument_name(parameter: str) -> str:
    return parameter.replace("-", "_")


def _written(pairs: Pairs) -> str:
    return "&".join(f"{name}={value}" for name, value in pairs)
