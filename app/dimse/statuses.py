"""How the network protocol says that something went wrong (PS3.7 annex C, PS3.4 B and C)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from app.imaging.outcome import Outcome
from fhir.errors import AccessDenied, Invalid, ResourceError, Unavailable

SUCCESS: Final = 0x0000
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_INSTANCE: Final = 0x0111
NOT_AUTHORIZED: Final = 0x0124
OUT_OF_RESOURCES: Final = 0xA700
UNABLE_TO_PERFORM: Final = 0xA702
DESTINATION_UNKNOWN: Final = 0xA801
MISMATCH: Final = 0xA900
SUB_OPERATIONS_FAILED: Final = 0xB000
TOLERATED: Final = 0xB007
CANNOT_UNDERSTAND: Final = 0xC000
CANCELLED: Final = 0xFE00
PENDING: Final = 0xFF00
PENDING_WITHOUT_SOME_KEYS: Final = 0xFF01

COMMENT_CHARACTERS: Final = 64

# What is not here cannot be understood.
_OF_REASONS: Mapping[str, int] = MappingProxyType(
    {
        "too-large": OUT_OF_RESOURCES,
        "header-too-large": OUT_OF_RESOURCES,
        "deflate-bomb": OUT_OF_RESOURCES,
        "wrong-patient": MISMATCH,
        "different-bytes": DUPLICATE_INSTANCE,
        "being-deleted": PROCESSING_FAILURE,
        "study-deleted": PROCESSING_FAILURE,
    }
)


def status_of(outcome: Outcome) -> int:
    """Give the status of a C-STORE response."""
    if outcome.kept:
        return TOLERATED if outcome.warnings else SUCCESS
    return _OF_REASONS.get(outcome.reason, CANNOT_UNDERSTAND)


def status_of_error(error: ResourceError) -> int:
    """Give the status that says why something was not done at all."""
    match error:
        case AccessDenied():
            return NOT_AUTHORIZED
        case Unavailable():
            return OUT_OF_RESOURCES
        case Invalid():
            return MISMATCH
    return CANNOT_UNDERSTAND


def comment(text: str) -> str:
    """Shorten a text to what a response can hold (PS3.7 annex E: LO, in ASCII)."""
    plain = text.encode("ascii", "replace").decode().replace("\\", "/")
    return plain[:COMMENT_CHARACTERS].rstrip()
