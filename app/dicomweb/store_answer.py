"""The Store Instances Response (PS3.18 10.5.3 and annex I): what became of each object."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from app.imaging.outcome import Outcome
from fhir.attributes import tag

Json = Any

OUT_OF_RESOURCES: Final = 0xA700
MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
SYNTAX_NOT_SUPPORTED: Final = 0xC122
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_INSTANCE: Final = 0x0111
TOLERATED: Final = 0xB007

FAILURE_REASONS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "too-large": OUT_OF_RESOURCES,
        "header-too-large": OUT_OF_RESOURCES,
        "deflate-bomb": OUT_OF_RESOURCES,
        "wrong-study": MISMATCH,
        "wrong-patient": MISMATCH,
        "different-bytes": DUPLICATE_INSTANCE,
        "unknown-transfer-syntax": SYNTAX_NOT_SUPPORTED,
        "being-deleted": PROCESSING_FAILURE,
        "study-deleted": PROCESSING_FAILURE,
    }
)
"""Failure reason by outcome; what is not here cannot be understood. Besides those of PS3.18 the
duplicate SOP instance of PS3.7 C.5.9 is used: other bytes are stored under the UID."""

# Standard attributes have no words for a failure. PS3.5 7.8.1: a private block with its creator.
_CREATOR = {"00090010": {"vr": "LO", "Value": ["RADIOGRAPH"]}}
_EXPLANATION, _POSITION = "00091001", "00091002"

_OK, _ACCEPTED, _CONFLICT, _TOO_LARGE = 200, 202, 409, 413


def status(outcomes: Sequence[Outcome]) -> int:
    """Give the HTTP status: all stored, some, or none."""
    kept = [one.kept for one in outcomes]
    if any(kept):
        return _OK if all(kept) else _ACCEPTED
    return _TOO_LARGE if {one.reason for one in outcomes} == {"too-large"} else _CONFLICT


def response(outcomes: Sequence[Outcome], base_url: str) -> dict[str, Json]:
    """Write the response as DICOM JSON.

    Args:
        outcomes: Of each object, in the order of the body.
        base_url: Of the door.
    """
    stored, failed, other = [], [], []
    for position, outcome in enumerate(outcomes, start=1):
        if outcome.kept:
            stored.append(_stored(outcome, position, base_url))
        elif outcome.instance and outcome.sop_class:
            failed.append(_sop(outcome) | _failure(outcome, position))
        else:
            other.append(_failure(outcome, position))
    studies = {one.study for one in outcomes if one.kept}
    url = _ur(f"{base_url}/studies/{studies.pop()}") if len(studies) == 1 else {"vr": "UR"}
    sequences = {
        "FailedSOPSequence": failed,
        "ReferencedSOPSequence": stored,
        "OtherFailuresSequence": other,
    }
    return {tag("RetrieveURL"): url} | {
        tag(keyword): {"vr": "SQ", "Value": items} for keyword, items in sequences.items() if items
    }


def _stored(outcome: Outcome, position: int, base_url: str) -> dict[str, Json]:
    url = f"{base_url}/studies/{outcome.study}/series/{outcome.series}/instances/{outcome.instance}"
    item = _sop(outcome) | {tag("RetrieveURL"): _ur(url)}
    if outcome.warnings:
        item |= {tag("WarningReason"): _us(TOLERATED)}
        item |= _explained("; ".join(outcome.warnings), position)
    return _sorted(item)


def _failure(outcome: Outcome, position: int) -> dict[str, Json]:
    reason = FAILURE_REASONS.get(outcome.reason, CANNOT_UNDERSTAND)
    said = _explained(f"{outcome.reason}: {outcome.message}", position)
    return _sorted({tag("FailureReason"): _us(reason)} | said)


def _explained(text: str, position: int) -> dict[str, Json]:
    return _CREATOR | {
        _EXPLANATION: {"vr": "LT", "Value": [text]},
        _POSITION: {"vr": "UL", "Value": [position]},
    }


def _sop(outcome: Outcome) -> dict[str, Json]:
    return {
        tag("ReferencedSOPClassUID"): {"vr": "UI", "Value": [outcome.sop_class]},
        tag("ReferencedSOPInstanceUID"): {"vr": "UI", "Value": [outcome.instance]},
    }


def _ur(url: str) -> dict[str, Json]:
    return {"vr": "UR", "Value": [url]}


def _us(number: int) -> dict[str, Json]:
    return {"vr": "US", "Value": [number]}


def _sorted(item: dict[str, Json]) -> dict[str, Json]:
    return dict(sorted(item.items()))
