"""Every element that a policy can name: the vocabulary of `policies/rules.csv`.

`Patient`, `ImagingStudy` and `Endpoint` are FHIR R4. `Image` is ours: one SOP instance with what
its header says about the picture, its `pixels` (frames, rendered or not), its `file` (the DICOM
object as stored) and, of what is in that, the `attributes` that have no element of their own and
the `private` ones (see `fhir.dicom_elements`). Ours too: the links that open records to people
(`CareTeam`, `Proxy`, `Assignment`, `BreakGlass`, `Share`), `ReleaseRequest`, `DeletedStudy`, the
legal `Hold`, `Session`, `Job`, `SavedView`, the `Policy` itself, and the `Cache`, of which there is
one: deleting its id is to empty it, updating it to fill it with studies.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

_DOMAIN_RESOURCE = ("id", "meta", "text", "contained", "extension")
_LINK = ("id", "agent", "patient", "study", "reason", "period", "recorder", "revoked")

ELEMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Patient": (
            *_DOMAIN_RESOURCE,
            "identifier",
            "active",
            "name",
            "telecom",
            "gender",
            "birthDate",
            "deceased",
            "address",
            "maritalStatus",
            "multipleBirth",
            "photo",
            "contact",
            "communication",
            "generalPractitioner",
            "managingOrganization",
            "link",
        ),
        "ImagingStudy": (
            *_DOMAIN_RESOURCE,
            "identifier",
            "status",
            "modality",
            "subject",
            "subject.display",
            "encounter",
            "started",
            "basedOn",
            "referrer",
            "interpreter",
            "endpoint",
            "numberOfSeries",
            "numberOfInstances",
            "procedureReference",
            "procedureCode",
            "location",
            "reasonCode",
            "reasonReference",
            "note",
            "description",
            "series",
            "series.uid",
            "series.number",
            "series.modality",
            "series.description",
            "series.numberOfInstances",
            "series.endpoint",
            "series.bodySite",
            "series.laterality",
            "series.specimen",
            "series.started",
            "series.performer",
            "series.instance",
            "series.instance.uid",
            "series.instance.sopClass",
            "series.instance.number",
            "series.instance.title",
        ),
        "Endpoint": (
            *_DOMAIN_RESOURCE,
            "identifier",
            "status",
            "connectionType",
            "name",
            "managingOrganization",
            "contact",
            "period",
            "payloadType",
            "payloadMimeType",
            "address",
            "header",
        ),
        "Image": (
            "id",
            "study",
            "series",
            "number",
            "sopClass",
            "title",
            "transferSyntax",
            "size",
            "rows",
            "columns",
            "numberOfFrames",
            "bitsAllocated",
            "bitsStored",
            "photometricInterpretation",
            "windowCenter",
            "windowWidth",
            "rescaleIntercept",
            "rescaleSlope",
            "pixelSpacing",
            "sliceThickness",
            "imagePosition",
            "imageOrientation",
            "attributes",
            "private",
            "pixels",
            "file",
        ),
        "AuditEvent": ("id", "recorded", "action", "outcome", "agent", "source", "entity"),
        "CareTeam": _LINK,
        "Proxy": _LINK,
        "Assignment": _LINK,
        "BreakGlass": _LINK,
        "Share": (*_LINK, "access", "maxUses", "uses"),
        "ReleaseRequest": (
            "id",
            "patient",
            "study",
            "reason",
            "urgency",
            "requester",
            "recorded",
            "status",
            "decision",
        ),
        "ImageAnnotation": (
            "id",
            "meta",
            "study",
            "series",
            "image",
            "frame",
            "patient",
            "note",
            "author",
            "code",
            "graphic",
            "measurement",
            "status",
            "recorded",
            "removed",
        ),
        "DeletedStudy": (
            "id",
            "patient",
            "recorded",
            "recorder",
            "reason",
            "until",
            "numberOfInstances",
        ),
        "Hold": ("id", "study", "patient", "reason", "recorder", "period", "revoked"),
        "Session": (
            "id",
            "agent",
            "name",
            "roles",
            "started",
            "seen",
            "expires",
            "address",
            "ended",
        ),
        "Job": (
            "id",
            "kind",
            "agent",
            "patient",
            "study",
            "recorded",
            "expires",
            "status",
            "total",
            "done",
            "refused",
            "bytes",
            "maxFiles",
            "maxBytes",
            "problems",
        ),
        "SavedView": ("id", "agent", "name", "kind", "query", "sort", "recorded"),
        "Policy": ("id", "text", "history"),
        "Cache": ("id", "stats"),
    }
)

COORDINATES = frozenset(
    f"{resource}.{path}" for resource, paths in ELEMENTS.items() for path in paths
)

# Records that let somebody (`agent`) see a patient's records, or one study, for a `period`.
LINKS = ("CareTeam", "Proxy", "Assignment", "BreakGlass", "Share")

# Records that lie in a study (`study`) without being part of it: they are there for whoever may
# find that study too, and as long as it is there.
IN_STUDIES = frozenset({"ImageAnnotation"})

# R4 cardinality 1..1: refused, they are marked as masked instead of left out.
MANDATORY = frozenset(
    {
        "ImagingStudy.status",
        "ImagingStudy.subject",
        "ImagingStudy.series.uid",
        "ImagingStudy.series.modality",
        "ImagingStudy.series.instance.uid",
        "ImagingStudy.series.instance.sopClass",
        "Endpoint.status",
        "Endpoint.connectionType",
        "Endpoint.payloadType",
        "Endpoint.address",
    }
)

# An element that repeats what another one says is open only where that one is.
REPEATS: Mapping[str, str] = MappingProxyType({"ImagingStudy.subject.display": "Patient.name"})


def below(coordinate: str) -> Iterable[str]:
    """List the coordinates that lie inside another one."""
    return (one for one in COORDINATES if one.startswith(f"{coordinate}."))


def parents(coordinate: str) -> Iterable[str]:
    """List the elements around a coordinate, outermost first; the resource is none of them."""
    resource, *path = coordinate.split(".")
    return (".".join((resource, *path[:end])) for end in range(1, len(path)))


def covering(resource: str, path: str) -> str:
    """Give the coordinate that governs an element path: `name.family` is in `Patient.name`."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        coordinate = ".".join((resource, *parts[:end]))
        if coordinate in COORDINATES:
            return coordinate
    raise KeyError(f"{resource}.{path}")
