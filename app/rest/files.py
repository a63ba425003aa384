"""DICOM objects as they were stored, whole or a range of their bytes; or without identity."""

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.chunks import resumed
from app.imaging.deidentify import outgoing
from app.ranges import RangeNotSatisfiable, asked_range
from app.refusals import respond_rest
from app.store.ports import ObjectStore
from fhir.repository import StoredImage

DICOM = "application/dicom"


async def dicom_file(
    request: Request, image: StoredImage, objects: ObjectStore, *, zero_preamble: bool = False
) -> Response:
    """Stream a DICOM object to somebody who may have it; one byte range is honoured.

    There are no ranges of what is de-identified on its way out.

    Raises:
        Withheld: It cannot be de-identified.
        NotFound: It was deleted a moment ago.
    """
    ranged = image.disguise is None
    zeroed = zero_preamble and ranged
    tag = f'"{image.sha256}{"-zeroed" if zeroed else ""}"'
    headers = {
        "ETag": tag,
        "Accept-Ranges": "bytes" if ranged else "none",
        "Content-Disposition": f'attachment; filename="{image.id}.dcm"',
    }
    if _known(request, tag):
        return Response(status_code=304, headers=headers)
    sent = await outgoing(image, objects, zero_preamble=zero_preamble)
    status, start, end = 200, 0, sent.size
    # RFC 9110 13.1.5: a range of another version would not fit what the client has
    if ranged and request.headers.get("if-range") in {None, tag}:
        try:
            asked = asked_range(request.headers.get("range"), sent.size)
        except RangeNotSatisfiable as error:
            return _unsatisfiable(error)
        if asked is not None:
            status, (start, end) = 206, asked
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{sent.size}"
    headers["Content-Length"] = str(end - start)
    # the first piece before the status: the object may be gone
    pieces = sent.between(start, end)
    first = await anext(pieces, b"")
    return StreamingResponse(
        resumed((first,), pieces), status_code=status, headers=headers, media_type=DICOM
    )


def _known(request: Request, tag: str) -> bool:
    tags = request.headers.get("if-none-match", "").split(",")
    return any(one.strip().removeprefix("W/") in {tag, "*"} for one in tags)


def _unsatisfiable(error: RangeNotSatisfiable) -> Response:
    response = respond_rest(error)
    response.headers["Content-Range"] = f"bytes */{error.size}"
    return response
