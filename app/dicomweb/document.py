"""Documents that an object carries, given out as they are (PS3.18 table 8.7.4-1)."""

from base64 import b64decode

from starlette.requests import Request
from starlette.responses import Response

from app.dicomweb.answers import Form, streamed, unchanged, whole
from app.dicomweb.media_types import Offer, choose
from app.dicomweb.retrieve import Address, accept, addressed, archive_of
from app.imaging.arriving.dataset import DEFLATED
from app.imaging.deidentify import Outgoing
from app.imaging.lut import bulk_range
from fhir.attributes import integer, tag
from fhir.errors import Withheld
from fhir.repository import StoredImage

_PDF = "application/pdf"


async def document(request: Request, address: Address) -> Response:
    """Give the PDF of an encapsulated one: whoever may have the whole object may have it.

    Raises:
        Withheld: The caller sees no identities, and a document may say anything.
    """
    image = await addressed(request, address, "Image.file")
    if image.disguise is not None:
        raise Withheld("a document may say who it is about")
    offer = choose(accept(request), [Offer((_PDF,), multipart=many) for many in (False, True)])
    form = Form.of(image, offer, f"{address.url(request)}/rendered")
    if known := unchanged(request, form):
        return known
    where = bulk_range(image.attributes, "EncapsulatedDocument")
    if where is None:
        inline = (image.attributes.get(tag("EncapsulatedDocument")) or {}).get("InlineBinary", "")
        return whole(form, b64decode(inline)[: _length(image)])
    start, length = where[0], min(where[1], _length(image) or where[1])
    archive = archive_of(request)
    if image.transfer_syntax in DEFLATED:
        return whole(form, await archive.pictures.part(image, start, length))
    chunks = archive.objects.get(image.object_key, start, start + length)
    return await streamed(request, form, Outgoing(length, chunks))


def _length(image: StoredImage) -> int | None:
    """Give the length of the document without padding, if that is said."""
    said = integer(image.attributes, "EncapsulatedDocumentLength")
    return said if said is not None and said > 0 else None
