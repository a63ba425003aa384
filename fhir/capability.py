"""What this server can do, in FHIR's words, derived from the tables that make it do it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fhir.access import Interaction
from fhir.batch import MAX_ENTRIES
from fhir.includes import MAX_REFERRING
from fhir.parameters import PARAMETERS, Parameter
from fhir.referring import TYPES, references, referring_to, targets
from fhir.search import coordinates_of
from fhir.sight import Sight
from fhir.smart_configuration import Discovery, security

Json = Any
RELEASED = "2026-11-24"
_DEFINITIONS = "http://hl7.org/fhir/SearchParameter"
_CODES: Mapping[Interaction, str] = MappingProxyType({"r": "read", "s": "search-type"})
_DOCUMENTATION = (
    "What a caller sees is narrowed by the policy to rows and elements; refused elements are "
    "marked as masked and SUBSETTED. Searches follow one link, forwards (patient.name) or "
    "backwards (_has:ImagingStudy:patient:modality), where the type at its other end may be "
    "searched. _summary and _elements work on reads too; what they leave out is marked as "
    f"SUBSETTED in meta.tag. _revinclude brings up to {MAX_REFERRING} resources of a type, and "
    f"more is refused. A batch has up to {MAX_ENTRIES} entries, each a read or a search by GET."
)
_GRAPHQL: Mapping[str, Json] = MappingProxyType(
    {
        "name": "graphql",
        "definition": "http://hl7.org/fhir/OperationDefinition/Resource-graphql",
        "documentation": "[base]/$graphql and [base]/[type]/[id]/$graphql, by GET and POST; "
        "queries only. Its own introspection says what it offers.",
    }
)
_YOURS = " This statement shows what is open to the bearer of the token it was asked for with."


def capability_statement(
    base_url: str,
    version: str,
    server: Discovery | None = None,
    seen: Sight | None = None,
) -> dict[str, Json]:
    """Describe the REST surface below `base_url`.

    Args:
        base_url: Address of the FHIR server.
        version: Of the software.
        server: Discovery document of the authorization server, if there is one and it answers.
        seen: What is open to whoever asks; None: everything there is, where nobody says who asks.
    """
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": RELEASED,
        "publisher": "Radiograph",
        "kind": "instance",
        "software": {"name": "Radiograph", "version": version},
        "implementation": {"description": "Imaging studies from DICOM", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "documentation": _DOCUMENTATION + ("" if seen is None else _YOURS),
                "security": security(server),
                **_resources(seen),
                "operation": [dict(_GRAPHQL)],
            }
        ],
    }


def _resources(seen: Sight | None) -> dict[str, Json]:
    found = [_resource(name, seen) for name in TYPES]
    shown = [one for one in found if one["interaction"]]
    # what nothing is open in shows nothing
    return {"resource": shown, "interaction": [{"code": "batch"}]} if shown else {}


def _resource(name: str, seen: Sight | None) -> dict[str, Json]:
    parameters = [
        _parameter(
            row,
            sortable=row.sortable and (seen is None or (name, row.name) in seen.sorted),
            chained=[one for one in targets(row) if seen is None or seen.sees(one, "s")],
        )
        for row in PARAMETERS[name].values()
        if seen is None or (name, row.name) in seen.searched
    ]
    included = [
        f"{name}:{row.name}" for row in references(name) if seen is None or _leads(seen, name, row)
    ]
    referring = [
        f"{source}:{row.name}"
        for source, row in referring_to(name)
        if seen is None or (seen.sees(source, "s") and (source, row.name) in seen.searched)
    ]
    searched = seen is None or seen.sees(name, "s")
    described: dict[str, Json] = {
        "type": name,
        "versioning": "versioned",
        "conditionalRead": "full-support",
        "readHistory": False,
        "updateCreate": False,
        "searchInclude": included if searched else [],
        "searchRevInclude": referring if searched else [],
        "searchParam": parameters if searched else [],
    }
    return {
        "interaction": [
            {"code": code}
            for letter, code in _CODES.items()
            if seen is None or seen.sees(name, letter)
        ],
        **{key: value for key, value in described.items() if value != []},
    }


def _leads(seen: Sight, name: str, row: Parameter) -> bool:
    """Say whether what `_include` looks at is open, and what it leads to."""
    return any(seen.opens(one) for one in coordinates_of(name, row)) and any(
        seen.sees(target, "r") for target in targets(row)
    )


def _parameter(row: Parameter, *, sortable: bool, chained: Sequence[str]) -> dict[str, Json]:
    definition = {"definition": f"{_DEFINITIONS}/{row.definition}"} if row.definition else {}
    return {
        "name": row.name,
        **definition,
        "type": row.kind,
        "documentation": f"Looks at {', '.join(row.paths)}."
        + (" Takes any words, in any order." if row.words else "")
        + (" Takes the beginnings of words, in any order." if row.by_element else "")
        + (" Can be sorted by." if sortable else "")
        + (f" Chains to the parameters of {', '.join(chained)}." if chained else ""),
    }
