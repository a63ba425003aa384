"""Objects in a bucket of S3 or of a server that speaks its protocol."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from aiohttp import ClientError as ConnectionBroken
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from app.settings import Settings
from app.store.multipart import Multipart, taken
from app.store.ports import (
    KEY,
    Entry,
    ObjectMissing,
    StoreUnreachable,
    checked,
    checked_prefix,
    checked_range,
)

PART_BYTES: Final = 8 * 2**20
PIECE_BYTES: Final = 256 * 1024
CONNECTIONS: Final = 64
CONNECT_SECONDS: Final = 5
ATTEMPTS: Final = 4
PROBE: Final = ".check"  # no object's key: parts of those begin without a dot


class S3Objects:
    """An `ObjectStore` below a prefix of one bucket.

    A put is one conditional request, or a multipart upload whose completion is conditional:
    `If-None-Match: *` keeps the first bytes among any processes.
    """

    def __init__(
        self,
        client: Any,
        stack: AsyncExitStack,
        bucket: str,
        prefix: str,
    ) -> None:
        self._client = client
        self._stack = stack
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @classmethod
    async def open(cls, settings: Settings, bucket: str, prefix: str) -> Self:
        """Make a client; nothing is asked of the server yet."""
        access, secret = settings.storage_access_key, settings.storage_secret_key
        config = AioConfig(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=settings.request_timeout.total_seconds(),
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            signature_version="s3v4",  # signed addresses would be in a form that is no longer sure
            s3={"addressing_style": "path" if settings.storage_endpoint else "auto"},
        )
        stack = AsyncExitStack()
        client = await stack.enter_async_context(
            AioSession().create_client(
                "s3",
                region_name=settings.storage_region,
                endpoint_url=settings.storage_endpoint,
                aws_access_key_id=access and access.get_secret_value(),
                aws_secret_access_key=secret and secret.get_secret_value(),
                config=config,
            )
        )
        return cls(client, stack, bucket, checked_prefix(prefix))

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """See `ObjectStore.put`."""
        name = self._name(key)
        waiting = bytearray()
        size = 0
        with self._errors(key):
            async with Multipart(self._client, self._bucket, name) as upload:
                async for chunk in chunks:
                    waiting += chunk
                    size += len(chunk)
                    while len(waiting) > PART_BYTES:
                        await upload.add(bytes(memoryview(waiting)[:PART_BYTES]))
                        del waiting[:PART_BYTES]
                if upload.begun:
                    await upload.add(bytes(waiting))
                    stored = await upload.complete()
                else:
                    stored = await self._put_new(name, bytes(waiting))
        return size if stored else await self._taken_size(key)

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """See `ObjectStore.get`; a broken connection is taken up where it broke."""
        checked_range(start, end)
        if end is not None and end <= start:
            await self.size(key)
            return
        failures = 0
        while True:
            try:
                async for piece in self._stream(key, start, end):
                    start += len(piece)
                    yield piece
            except Broken:
                failures += 1
                if failures == ATTEMPTS:
                    raise
            else:
                return

    async def read(self, key: str, start: int, end: int) -> bytes:
        """See `ObjectStore.read`."""
        return b"".join([piece async for piece in self.get(key, start, end)])

    async def size(self, key: str) -> int:
        """See `ObjectStore.size`."""
        with self._errors(key):
            head = await self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        return int(head["ContentLength"])

    async def signed_address(self, key: str, lasting: timedelta, media_type: str) -> str:
        """See `ObjectStore.signed_address`; with temporary credentials it ends with those."""
        with self._errors(key):
            signed: str = await self._client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": self._name(key),
                    "ResponseContentType": media_type,
                    "ResponseContentDisposition": "attachment",
                },
                ExpiresIn=int(lasting.total_seconds()),
            )
        return signed

    async def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        with self._errors(key):
            await self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    async def list(self, prefix: str = "") -> AsyncIterator[Entry]:
        """See `ObjectStore.list`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + checked_prefix(prefix)
        )
        with self._errors(prefix):
            async for page in pages:
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._prefix)
                    if KEY.fullmatch(key):  # the bucket may hold what is not ours
                        yield Entry(key, item["Size"], item["LastModified"].astimezone(UTC))

    async def sweep(self, older_than: timedelta) -> int:
        """See `ObjectStore.sweep`."""
        before = datetime.now(UTC) - older_than
        swept = 0
        pages = self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        with self._errors(self._prefix):
            abandoned = [
                upload
                async for page in pages
                for upload in page.get("Uploads", ())
                if upload["Initiated"] <= before
            ]
            for upload in abandoned:
                await self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
                swept += 1
        return swept

    async def check(self) -> None:
        """See `ObjectStore.check`; begins a write and takes it back, so no object appears."""
        probe = {"Bucket": self._bucket, "Key": self._prefix + PROBE}
        with self._errors(PROBE):
            upload = await self._client.create_multipart_upload(**probe)
            await self._client.abort_multipart_upload(**probe, UploadId=upload["UploadId"])

    async def close(self) -> None:
        """See `ObjectStore.close`."""
        await self._stack.aclose()

    def _name(self, key: str) -> str:
        return self._prefix + checked(key)

    async def _put_new(self, name: str, body: bytes) -> bool:
        """Store a small object; say False if the key is taken."""
        try:
            await self._client.put_object(Bucket=self._bucket, Key=name, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if taken(error):
                return False
            raise
        return True

    async def _taken_size(self, key: str) -> int:
        try:
            return await self.size(key)
        except ObjectMissing as error:
            raise StoreUnreachable("two writers met and neither won: write again") from error

    async def _stream(self, key: str, start: int, end: int | None) -> AsyncIterator[bytes]:
        """One request's bytes [start, end); none past the last byte."""
        place: dict[str, str] = {"Bucket": self._bucket, "Key": self._name(key)}
        if start or end is not None:
            place["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        with self._errors(key):
            try:
                answer = await self._client.get_object(**place)
            except ClientError as error:
                if error.response["Error"]["Code"] == "InvalidRange":
                    return
                raise
            async with answer["Body"] as body:
                async for piece in body.iter_chunks(PIECE_BYTES):
                    yield piece

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Say what the server's and the client's errors mean."""
        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if code == "NoSuchBucket":
                message = f"the bucket {self._bucket} of the object store does not exist"
            elif status == HTTPStatus.NOT_FOUND:
                raise ObjectMissing(key) from error
            elif status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                message = f"the object store refuses the bucket {self._bucket} to us: {code}"
            else:
                message = f"the object store answers {status} {code}"
            raise StoreUnreachable(message) from error
        except (ResponseStreamingError, ReadTimeoutError, ConnectionBroken) as error:
            raise Broken("the object store broke off its answer") from error
        except BotoCoreError as error:
            reason = error.fmt.split("{", maxsplit=1)[0].strip(' :"')
            raise StoreUnreachable(f"the object store does not answer: {reason}") from error


class Broken(StoreUnreachable):
    """An answer ended before its end."""
