"""What became of one object that somebody sent."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["stored", "duplicate", "conflict", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one object.

    Attributes:
        status: `stored`; `duplicate`: the same bytes were there; `conflict`: other bytes, or
            another patient, are there under this UID; `refused`: not an object we can hold;
            `failed`: our fault, and the same may work later.
        reason: Stable slug for anything but `stored`; empty otherwise.
        message: What is wrong and what to do, without values of the object.
        size: Bytes of the object; 0 if it could not be read.
        warnings: What was odd and tolerated.
    """

    status: Status
    reason: str = ""
    message: str = ""
    sop_class: str | None = None
    instance: str | None = None
    series: str | None = None
    study: str | None = None
    size: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the object is in the archive now."""
        return self.status in {"stored", "duplicate"}
