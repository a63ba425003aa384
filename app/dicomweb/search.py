"""QIDO-RS (PS3.18 10.6): studies, series and instances by what their headers say."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from starlette.requests import Request
from starlette.responses import Response

from app.dicomweb.envelope import END_OF_PART, Envelope
from app.dicomweb.media_types import DATA_SETS, choose
from app.dicomweb.native_xml import native_xml
from app.dicomweb.retrieve import accept, archive_of
from app.doors import guarded
from fhir.dicom_keys import SERIES_UID, STUDY_UID, Level, Path, kind_of, path_named
from fhir.dicom_search import ALL, Answer, Key, Query, search_dicom
from fhir.errors import Invalid

_BOUNDARY_BYTES: Final = 16
_DIGITS: Final = 9
_MOST_FIELDS: Final = 500

PARAMETERS: Final[list[dict[str, Any]]] = [
    {"name": name, "in": "query", "description": about, "schema": schema, "required": False}
    for name, about, schema in (
        ("limit", "at most so many rows", {"type": "integer", "minimum": 0}),
        ("offset", "so many rows are left out before", {"type": "integer", "minimum": 0}),
        (
            "includefield",
            "further attributes to show, by keyword, tag or dotted path; several with commas or "
            "repeated; all: everything there is",
            {"type": "string"},
        ),
        (
            "fuzzymatching",
            "person names match by the beginnings of their words, in any order",
            {"type": "boolean"},
        ),
        ("PatientName", "any attribute is matched by its keyword, tag or dotted path", {}),
    )
]


@dataclass(slots=True)
class _Reading:
    """The parameters of a search as they are read, one after the other."""

    keys: dict[Path, str] = field(default_factory=dict)
    include: set[Path] = field(default_factory=set)
    everything: bool = False
    fuzzy: bool = False
    limit: int | None = None
    offset: int = 0

    def take(self, name: str, value: str) -> None:
        """Read one parameter.

        Raises:
            Invalid: It cannot be understood.
        """
        match name.lower():
            case "limit":
                self.limit = _count(name, value)
            case "offset":
                self.offset = _count(name, value)
            case "includefield":
                self._show(value)
            case "fuzzymatching":
                self.fuzzy = _flag(name, value)
            case "emptyvaluematching" | "multiplevaluematching":
                _flag(name, value)  # both are always done: no value has quotes or backslashes
            case "accept" | "charset":
                return
            case _:
                self._match(name, value)

    def _show(self, listed: str) -> None:
        for name in filter(None, (one.strip() for one in listed.split(","))):
            if name.lower() == ALL:
                self.everything = True
            else:
                self.include.add(path_named(name))
        if len(self.include) > _MOST_FIELDS:
            raise Invalid(f"includefield: more than {_MOST_FIELDS} attributes; write all")

    def _match(self, name: str, value: str) -> None:
        path = path_named(name)
        if path not in self.keys:
            self.keys[path] = value
        elif kind_of(path) == "uid":
            self.keys[path] += f",{value}"
        else:
            raise Invalid("an attribute is matched once; list UIDs and codes with commas instead")


async def search(
    request: Request, level: Level, study: str | None = None, series: str | None = None
) -> Response:
    """List what matches.

    Args:
        request: Its query says what is looked for and shown.
        level: Of the rows.
        study: Study Instance UID that the address names.
        series: Series Instance UID that the address names.

    Raises:
        AccessDenied: The rows, or an attribute that is matched, are closed to the caller.
        Invalid: The query cannot be understood; the text says what to write.
        NotAcceptable: The client accepts neither JSON nor XML.
    """
    offer = choose(accept(request), DATA_SETS)
    archive = archive_of(request)
    address = f"{archive.settings.base_url}/dicomweb"
    query = _query(request, level, archive.settings.search_limit, study, series)
    answer = await search_dicom(guarded(request), archive.catalogue, query, address=address)
    headers = _headers(answer, query, address)
    if not answer.texts:
        return Response(status_code=204, headers=headers)
    if offer.multipart:
        boundary = secrets.token_hex(_BOUNDARY_BYTES)
        envelope = Envelope(boundary, offer.media_type)
        content = b"".join(
            _parts(envelope, answer, f"{archive.settings.base_url}{request.url.path}")
        )
        return Response(content, headers=headers, media_type=envelope.content_type)
    content = b"".join((b"[", b",".join(answer.texts), b"]"))
    return Response(content, headers=headers, media_type=offer.media_type)


def _query(
    request: Request, level: Level, most: int, study: str | None, series: str | None
) -> Query:
    read = _Reading()
    for name, value in request.query_params.multi_items():
        read.take(name, value)
    named = [
        Key(path, _single(uid))
        for path, uid in ((STUDY_UID, study), (SERIES_UID, series))
        if uid is not None
    ]
    include: frozenset[Path] | Literal["all"] = ALL if read.everything else frozenset(read.include)
    path = request.url.path.removeprefix("/dicomweb/")
    return Query(
        level,
        (*named, *(Key(*one) for one in read.keys.items())),
        include,
        fuzzy=read.fuzzy,
        limit=most if read.limit is None else min(read.limit, most),
        offset=read.offset,
        counted=True,
        text=f"{path}?{request.url.query}" if request.url.query else path,
    )


def _headers(answer: Answer, query: Query, address: str) -> dict[str, str]:
    headers = {"X-Total-Count": str(answer.total), "Vary": "Accept, Authorization"}
    if answer.more and answer.total is not None:
        left = max(answer.total - query.offset - len(answer.texts), 1)
        agent = address.partition("://")[2].partition("/")[0]
        headers["Warning"] = f'299 {agent} "There are {left} additional results; ask with offset"'
    return headers


def _parts(envelope: Envelope, answer: Answer, location: str) -> Iterable[bytes]:
    for one in answer.items:
        content = native_xml(one)
        yield envelope.opening(location, len(content)) + content + END_OF_PART
    yield envelope.closing


def _single(uid: str) -> str:
    if not uid.replace(".", "").isdecimal():
        raise Invalid("a UID has digits and dots, 64 characters at most")
    return uid


def _count(name: str, value: str) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > _DIGITS:
        raise Invalid(f"{name} is a whole number of at most {_DIGITS} digits")
    return int(value)


def _flag(name: str, value: str) -> bool:
    if value.lower() not in {"true", "false"}:
        raise Invalid(f"{name} is true or false")
    return value.lower() == "true"
