"""One S3 multipart upload: parts sent side by side, all taken back if it does not complete."""

import asyncio
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from botocore.exceptions import ClientError

PARTS_AT_ONCE: Final = 2  # each holds 16 MiB: its bytes, and those on their way
# 412, and S3's 409 for two conditional writes of one key at the same moment
CHECKSUM: Final = "CRC32"  # of each part, and checked once more when they are put together
TAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


class Multipart:
    """An async context; the upload begins with its first part, and leaving aborts it."""

    def __init__(
        self,
        client: Any,
        bucket: str,
        name: str,
    ) -> None:
        self._client = client
        self._target = {"Bucket": bucket, "Key": name}
        self._beginning: asyncio.Task[dict[str, str]] | None = None
        self._sending: deque[asyncio.Task[dict[str, object]]] = deque()
        self._sent: list[dict[str, object]] = []
        self._completed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._beginning is None or self._completed:
            return
        abort = asyncio.create_task(self._abort(self._beginning))
        while not abort.done():
            with suppress(asyncio.CancelledError):  # the one under way is raised all the same
                await asyncio.wait((abort,))
        abort.exception()  # seen: the reason for leaving counts, and a sweep takes back the rest

    @property
    def begun(self) -> bool:
        """Whether a part was added."""
        return self._beginning is not None

    async def add(self, part: bytes) -> None:
        """Send a part once there is room for it; raises what an earlier one failed with."""
        if self._beginning is None:
            create = self._client.create_multipart_upload(
                **self._target, ChecksumAlgorithm=CHECKSUM
            )
            self._beginning = asyncio.ensure_future(create)
        upload = (await asyncio.shield(self._beginning))["UploadId"]
        if len(self._sending) == PARTS_AT_ONCE:
            self._sent.append(await self._sending.popleft())
        number = len(self._sent) + len(self._sending) + 1
        self._sending.append(asyncio.create_task(self._send(upload, number, part)))

    async def complete(self) -> bool:
        """Make the parts an object once all are there; say False if the key is taken."""
        while self._sending:
            self._sent.append(await self._sending.popleft())
        if self._beginning is None:
            raise ValueError("an upload needs a part")
        try:
            await self._client.complete_multipart_upload(
                **self._target,
                UploadId=self._beginning.result()["UploadId"],
                MultipartUpload={"Parts": self._sent},
                IfNoneMatch="*",
            )
        except ClientError as error:
            if taken(error):
                return False
            raise
        self._completed = True
        return True

    async def _send(self, upload: str, number: int, part: bytes) -> dict[str, object]:
        answer = await self._client.upload_part(
            **self._target,
            UploadId=upload,
            PartNumber=number,
            Body=part,
            ChecksumAlgorithm=CHECKSUM,
        )
        checksum = {name: answer[name] for name in (f"Checksum{CHECKSUM}",) if name in answer}
        return {"ETag": answer["ETag"], "PartNumber": number, **checksum}

    async def _abort(self, beginning: "asyncio.Task[dict[str, str]]") -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        upload = (await beginning)["UploadId"]
        await self._client.abort_multipart_upload(**self._target, UploadId=upload)


def taken(error: ClientError) -> bool:
    """Say whether a conditional write found an object under its key."""
    return error.response["Error"]["Code"] in TAKEN
