"""What a request that was answered tells of what its caller may ask for next."""

import re
from dataclasses import dataclass
from typing import Final, Literal

UID: Final = r"[0-9.]{1,64}"
_STUDY: Final = rf"(?P<study>{UID})"
_SERIES: Final = rf"(?P<series>{UID})"
_INSTANCE: Final = rf"(?P<instance>{UID})"
_BELOW: Final = rf"/dicomweb/studies/{_STUDY}/series/{_SERIES}/instances/{_INSTANCE}"

_FRAMES: Final = re.compile(rf"{_BELOW}/frames/(?P<listed>[0-9,]+)(/rendered)?")
_RENDERED: Final = re.compile(rf"{_BELOW}/rendered")
_OPENED: Final = re.compile(
    rf"/dicomweb/studies/{_STUDY}(/series/{UID})?/(metadata|series|instances)"
    rf"|/postdicom/studies/(?P<rest>{UID})|/fhir/ImagingStudy/(?P<fhir>{UID})"
)
_SEARCHES: Final = frozenset({"/dicomweb/studies", "/postdicom/studies", "/fhir/ImagingStudy"})


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, by the ids that the caller knows.

    Attributes:
        what: `frames` were read, a study was `opened`, studies were `searched`.
        frame: The last one that was read, counted from 1.
    """

    what: Literal["frames", "opened", "searched"]
    study: str = ""
    series: str = ""
    instance: str = ""
    frame: int = 1


def event(path: str) -> Event | None:
    """Read the path of a GET that was answered; None if it tells nothing."""
    if not path.startswith(("/dicomweb/", "/postdicom/studies", "/fhir/ImagingStudy")):
        return None
    if path in _SEARCHES:
        return Event("searched")
    if found := _FRAMES.fullmatch(path):
        last = found["listed"].rpartition(",")[2]
        return Event("frames", found["study"], found["series"], found["instance"], int(last or 1))
    if found := _RENDERED.fullmatch(path):
        return Event("frames", found["study"], found["series"], found["instance"])
    if found := _OPENED.fullmatch(path):
        return Event("opened", found["study"] or found["rest"] or found["fhir"])
    return None
