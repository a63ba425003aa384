"""Presigned URLs: one image for whoever has its address, without a token, for a short while."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from app.archive import Archive
from app.doors import guarded, sign_in
from app.identity.signed import Signed
from app.imaging.deidentify import outgoing
from app.rest.envelope import Envelope, Shape
from app.rest.files import DICOM, dicom_file
from fhir.images import stored_image
from fhir.repository import StoredImage

Failures = Callable[..., dict[int | str, dict[str, Any]]]
DEFAULT_SECONDS: Final = 300
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}


class Signing(BaseModel):
    """For how long an image is to be had without a token."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expires_in: int = Field(
        DEFAULT_SECONDS,
        alias="expiresIn",
        ge=1,
        strict=True,
        description="seconds; never longer than SIGNED_URL_LONGEST, or than your token holds",
    )


class SignedUrl(Shape):
    """Where an image is to be had without a token."""

    url: str = Field(
        description="whoever has it gets the image: keep it out of logs and messages",
        examples=["https://images.example/postdicom/signed/3q2-7w…"],
    )
    expires: datetime = Field(
        description="until when, UTC; earlier than asked for where a limit is shorter",
        examples=["2024-02-29T09:20:00Z"],
    )
    method: Literal["GET"] = Field("GET", description="`Range` is honoured")


def add_signing(closed: APIRouter, router: APIRouter, failures: Failures) -> None:
    """Add the routes.

    Args:
        closed: Behind the guard.
        router: Whose routes tell the documentation of no bearer token.
        failures: Documents how a route fails.
    """

    @closed.post("/images/{image_uid}/presigned-url", responses=failures(400, 403, 404))
    async def sign_image(
        request: Request,
        image_uid: Annotated[str, Path(description="DICOM UID", examples=["2.25.7"])],
        signing: Annotated[Signing | None, Body()] = None,
    ) -> Envelope[SignedUrl]:
        """Give an address at which one image can be had for a while without a token.

        It takes the right to download the image, and is recorded. The address is the storage's own
        where that holds exactly what may leave; else it is one of this service, which asks again
        whether your session goes on and whether the policy still lets you have the image.
        """
        url = await _signed(request, image_uid, signing or Signing())
        return Envelope[SignedUrl](data=url)

    @router.get(
        "/signed/{token}",
        response_class=Response,
        responses={
            200: {"content": {DICOM: _BINARY}, "description": "The object, as its signer has it"},
            206: {"content": {DICOM: _BINARY}, "description": "The range that was asked for"},
            304: {"description": "Not changed"},
            **failures(403, 404, 416, 503, public=True),
        },
    )
    async def read_signed(
        request: Request, token: Annotated[str, Path(description="of a presigned URL")]
    ) -> Response:
        """Stream the image that an address was signed for; needs no token besides that in it.

        It is given as whoever had it signed may have it now, and recorded as their access.
        """
        image = await stored_image(
            guarded(request), request.state.signed, "Image.file", asked="signed address"
        )
        archive: Archive = request.app.state.archive
        zeroed = archive.settings.zero_preamble
        return await dicom_file(request, image, archive.objects, zero_preamble=zeroed)


async def _signed(request: Request, identifier: str, signing: Signing) -> SignedUrl:
    archive: Archive = request.app.state.archive
    repository = guarded(request)
    entered = sign_in(request)
    longest = int(archive.settings.signed_url_longest.total_seconds())
    wanted = timedelta(seconds=min(signing.expires_in, longest))
    lasting = archive.signed.lasting(entered, wanted)
    asked = f"presigned-url, {lasting.total_seconds():.0f} s"
    image = await stored_image(repository, identifier, "Image.file", asked=asked)
    if image.disguise is not None:
        await outgoing(image, archive.objects)  # refuses now what it would refuse then
    expires = archive.signed.until(lasting)
    url = await _by_storage(archive, image, lasting)
    if url is None:
        signed = Signed(identifier, repository.access.caller, entered)
        token = await archive.signed.sign(signed, lasting)
        url = f"{archive.settings.base_url}/postdicom/signed/{token}"
    return SignedUrl(url=url, expires=expires)


async def _by_storage(archive: Archive, image: StoredImage, lasting: timedelta) -> str | None:
    """Give an address of the storage, which gives the bytes as they are stored and asks nobody."""
    settings = archive.settings
    if image.disguise is not None or settings.zero_preamble or not settings.signed_url_by_storage:
        return None
    return await archive.objects.signed_address(image.object_key, lasting, DICOM)
