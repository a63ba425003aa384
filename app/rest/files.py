"""DICOM objects as they were stored, whole or a range of their bytes; or without identity."""

import re
from collections.abc import AsyncIterator
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.imaging.deidentify import outgoing
from app.refusals import respond_rest
from app.store.ports import ObjectStore
from fhir.errors import Invalid
from fhir.repository import StoredImage

DICOM = "application/dicom"
_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})", re.IGNORECASE)


class RangeNotSatisfiable(Invalid):
    """The bytes asked for lie beyond the end."""

    code: ClassVar[str] = "RANGE_NOT_SATISFIABLE"
    status: ClassVar[int] = 416


async def dicom_file(request: Request, image: StoredImage, objects: ObjectStore) -> Response:
    """Stream a DICOM object to somebody who may have it; one byte range is honoured.

    There are no ranges of what is de-identified on its way out.

    Raises:
        Withheld: It cannot be de-identified.
        NotFound: It was deleted a moment ago.
    """
    tag = f'"{image.sha256}"'
    headers = {
        "ETag": tag,
        "Accept-Ranges": "bytes" if image.disguise is None else "none",
        "Content-Disposition": f'attachment; filename="{image.id}.dcm"',
    }
    if _known(request, tag):
        return Response(status_code=304, headers=headers)
    if image.disguise is not None:
        sent = await outgoing(image, objects)
        headers["Content-Length"] = str(sent.size)
        first = await anext(sent.chunks, b"")
        return StreamingResponse(_joined(first, sent.chunks), headers=headers, media_type=DICOM)
    status, start, end = 200, 0, image.size
    # RFC 9110 13.1.5: a range of another version would not fit what the client has
    if request.headers.get("if-range") in {None, tag}:
        asked = _range(request.headers.get("range", ""), image.size)
        if asked is not None:
            status, (start, end) = 206, asked
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{image.size}"
        if start >= end:
            return _unsatisfiable(image.size)
    headers["Content-Length"] = str(end - start)
    # the first piece before the status: the object may be gone
    pieces = objects.get(image.object_key, start, end)
    first = await anext(pieces, b"")
    return StreamingResponse(
        _joined(first, pieces), status_code=status, headers=headers, media_type=DICOM
    )


def _known(request: Request, tag: str) -> bool:
    tags = request.headers.get("if-none-match", "").split(",")
    return any(one.strip().removeprefix("W/") in {tag, "*"} for one in tags)


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Give bytes [start, end); empty if they lie beyond the end, None for the whole.

    What is not one range of bytes is ignored, as RFC 9110 14.2 allows.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match["first"] == match["last"] == "":
        return None
    if match["first"] == "":
        return max(size - int(match["last"]), 0), size if int(match["last"]) else 0
    first = int(match["first"])
    last = min(int(match["last"]), size - 1) if match["last"] else size - 1
    if match["last"] and int(match["last"]) < first:
        return None
    return first, last + 1


def _unsatisfiable(size: int) -> Response:
    response = respond_rest(RangeNotSatisfiable("the object ends before this range"))
    response.headers["Content-Range"] = f"bytes */{size}"
    return response


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
