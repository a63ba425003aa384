"""Bytes on their way from one place to another."""

from collections.abc import AsyncIterator, Sequence


async def resumed(pieces: Sequence[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Give pieces that were taken from chunks, and then the rest of these."""
    for piece in pieces:
        yield piece
    async for chunk in rest:
        yield chunk
