"""Taking uploaded files in: each part streamed into the archive, zip files opened."""

import asyncio
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from python_multipart.multipart import parse_options_header

from app.imaging.ingest import Ingest
from app.imaging.outcome import Outcome
from app.imaging.part10 import Refused
from app.imaging.sources import Source, zipped
from app.multipart import MAX_PARTS, Part, limited, parts
from fhir.access import MAX_IDS, Entry
from fhir.errors import TooLarge
from fhir.guarded import GuardedRepository, patients_by_study

_NAME_LENGTH = 255
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_DICM = slice(128, 132)

Add = Callable[[AsyncIterator[bytes]], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Received:
    """One uploaded file and what became of it.

    Attributes:
        position: Of its part in the body, from 1.
        filename: As the sender called it, without folders; goes back to the sender alone.
        entry: Its path in the zip file that the part is.
    """

    position: int
    filename: str | None
    entry: str | None
    outcome: Outcome


@dataclass(slots=True)
class Upload:
    """One request's files.

    Attributes:
        received: What became of each, in their order; grows while they arrive.
        max_bytes: Of the body, and again of everything that its zip files hold.
        add: Takes in one object, where that is more than `ingest.add`.
    """

    ingest: Ingest
    max_bytes: int
    received: list[Received] = field(default_factory=list)
    add: Add | None = None
    _unpacked: int = 0

    async def receive(self, body: AsyncIterator[bytes], boundary: bytes) -> None:
        """Take in every file of a body; what is received counts only after `settle`.

        Raises:
            Invalid: The body is malformed or cut; what came before is received.
            TooLarge: The body is; what came before is received.
        """
        async for part in parts(self._limited(body), boundary):
            name = _filename(part)
            if name is not None:  # else a field of the form, not a file
                await self._receive(part.number, name or None, part.chunks)

    async def receive_file(self, body: AsyncIterator[bytes]) -> None:
        """Take in a body that is one file: a DICOM object, or a zip file of them.

        Raises:
            Invalid: The body is cut; what came before is received.
            TooLarge: The body is; what came before is received.
        """
        await self._receive(1, None, self._limited(body))

    async def settle(self) -> None:
        """Make the studies true for what was received."""
        await self.ingest.settle_all(self.studies)

    @property
    def studies(self) -> list[str]:
        """Studies that have something of this request, each once."""
        found = (one.outcome for one in self.received)
        return list(dict.fromkeys(one.study for one in found if one.kept and one.study))

    async def note(self, guarded: GuardedRepository) -> None:
        """Write down what was stored, and what was refused."""
        # for the audit alone: who sends images need not be allowed to see the study
        by_study = await patients_by_study(guarded.repository, self.studies)
        patients = tuple(dict.fromkeys(one for ones in by_study.values() for one in ones))
        kept = [one.outcome for one in self.received if one.outcome.kept]
        failed = [one.outcome for one in self.received if not one.outcome.kept]
        for outcome, ones in (("allowed", kept), ("failed", failed)):
            for start in range(0, len(ones), MAX_IDS):
                batch = ones[start : start + MAX_IDS]
                guarded.access.note(
                    Entry(
                        "create",
                        "Image",
                        "allowed" if outcome == "allowed" else "failed",
                        ids=tuple(one.instance for one in batch if one.instance),
                        patients=patients if outcome == "allowed" else (),
                        total=len(batch),
                    )
                )

    def _limited(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        refusal = TooLarge(f"a request may have {self.max_bytes:,} bytes; send several")
        return limited(body, self.max_bytes, refusal)

    async def _receive(self, position: int, name: str | None, body: AsyncIterator[bytes]) -> None:
        head, chunks = await _peeked(body)
        if head.startswith(_ZIP) and head[_DICM] != b"DICM":
            await self._open_zip(position, name, chunks)
        else:
            outcome = await self._add(chunks)
            self.received.append(Received(position, name, None, outcome))

    async def _add(self, chunks: AsyncIterator[bytes]) -> Outcome:
        return await (self.add or self.ingest.add)(chunks)

    async def _open_zip(
        self, position: int, name: str | None, chunks: AsyncIterator[bytes]
    ) -> None:
        # without a name on the disk: nothing of it is left, however this process ends
        with tempfile.TemporaryFile() as spooled:
            async for chunk in chunks:
                await asyncio.to_thread(spooled.write, chunk)
            await asyncio.to_thread(spooled.seek, 0)
            entries = zipped("", spooled)
            number = 0
            while (entry := await asyncio.to_thread(next, entries, None)) is not None:
                number += 1
                if number > MAX_PARTS:
                    raise TooLarge(f"a zip file may have {MAX_PARTS:,} files; send several")
                async with aclosing(self._unpacking(entry)) as pieces:
                    outcome = await self._add(pieces)
                within = _without_controls(entry.name.removeprefix("!")) or None
                self.received.append(Received(position, name, within, outcome))

    async def _unpacking(self, entry: Source) -> AsyncGenerator[bytes, None]:
        async with aclosing(entry.chunks()) as pieces:
            async for piece in pieces:
                self._unpacked += len(piece)
                if self._unpacked > self.max_bytes:
                    limit = f"the zip files hold more than {self.max_bytes:,} bytes"
                    raise Refused("too-large", limit)
                yield piece


async def _peeked(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """Look at the beginning, and give everything again from there."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= _DICM.stop:
            break
    return head, _again(head, chunks)


async def _again(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if head:
        yield head
    async for chunk in chunks:
        yield chunk


def _filename(part: Part) -> str | None:
    """Give a file's name, empty if it has none; None for what is no file."""
    _, options = parse_options_header(part.headers.get("content-disposition", "").encode())
    name = options.get(b"filename")
    if name is not None:
        return _without_controls(re.split(r"[\\/]", name.decode("utf-8", "replace"))[-1])
    media_type = part.headers.get("content-type", "").partition(";")[0].strip().lower()
    return "" if media_type.startswith("application/") else None


def _without_controls(text: str) -> str:
    return "".join(one for one in text if one.isprintable())[:_NAME_LENGTH]
