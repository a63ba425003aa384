"""What somebody saw through one door."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.doors.planted import (
    ANNOTATION_ID,
    DELETED,
    HOLD_ID,
    JOB_ID,
    LINK_IDS,
    REQUEST_ID,
    SESSION_ID,
    VIEW_ID,
)

Json = Any
Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """What somebody looks at, by the ids that they know it by."""

    patient: str
    study: str
    series: str
    instance: str

    @property
    def ids(self) -> Mapping[str, str]:
        """Id by type of record."""
        return {
            "Patient": self.patient,
            "ImagingStudy": self.study,
            "ImagingStudySeries": self.series,
            "Image": self.instance,
            **LINK_IDS,
            "ReleaseRequest": REQUEST_ID,
            "DeletedStudy": DELETED,
            "Hold": HOLD_ID,
            "Session": SESSION_ID,
            "SavedView": VIEW_ID,
            "Job": JOB_ID,
            "ImageAnnotation": ANNOTATION_ID,
        }


def filled(text: str, target: Target) -> str:
    """Put ids where they are named."""
    for name in ("patient", "study", "series", "instance"):
        text = text.replace(f"{{{name}}}", getattr(target, name))
    return text


@dataclass(frozen=True, slots=True)
class Claim:
    """What a value that was shown tells.

    Attributes:
        held: Scopes that hold on its row, where it is none of the planted ones.
        on: Type of the row that decides, where it is not that of each coordinate.
    """

    coordinates: frozenset[str]
    held: frozenset[str] | None = None
    on: str | None = None


@dataclass(slots=True)
class Sight:
    """What somebody saw through one door.

    Attributes:
        labels: Whatever showed a value, with what it tells.
        bytes: Every answer with its headers, as it came.
        asked: Methods and paths.
    """

    labels: dict[str, Claim] = field(default_factory=dict)
    bytes: bytearray = field(default_factory=bytearray)
    asked: set[tuple[str, str]] = field(default_factory=set)

    def saw(
        self,
        label: str,
        *coordinates: str,
        held: frozenset[str] | None = None,
        on: str | None = None,
    ) -> None:
        self.labels[label] = Claim(frozenset(coordinates), held, on)

    def shows(self, word: str) -> bool:
        return word.encode() in self.bytes


@dataclass(slots=True)
class Visit:
    """Somebody at a door, looking at a target."""

    client: httpx.AsyncClient
    headers: Headers
    target: Target
    agent: str
    sight: Sight = field(default_factory=Sight)

    async def get(self, address: str, accept: str = "*/*", **request: Any) -> httpx.Response:
        return await self.ask("GET", address, headers={"Accept": accept}, **request)

    async def ask(
        self, method: str, address: str, *, named: str | None = None, **request: Any
    ) -> httpx.Response:
        """Ask, and look at all of the answer but for what a refusal repeats of the request."""
        headers = {**self.headers, **request.pop("headers", {})}
        answer = await self.client.request(method, address, headers=headers, **request)
        self.sight.asked.add((method, answer.request.url.path))
        content = answer.content
        if named is not None and answer.is_error:
            content = content.replace(f'"{named}"'.encode(), b"")
        self.sight.bytes += repr(answer.headers.multi_items()).encode() + content
        assert answer.status_code in {200, 204, 206, 403, 404}, (method, address, answer.text)
        return answer


def as_text(answer: httpx.Response) -> str:
    """Write an answer with its headers."""
    return repr(answer.headers.multi_items()) + answer.content.decode("latin-1")
