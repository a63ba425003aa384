"""Smaller pictures by area: each new pixel is the mean of what it covers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def shrink(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Make a picture smaller.

    Args:
        picture: Shape (rows, columns) or (rows, columns, 3).
        height: Rows of the result, at most those of the picture.
        width: Columns of the result, at most those of the picture.
    """
    lower = _shorten(picture, height)
    narrower = _shorten(np.ascontiguousarray(lower.swapaxes(0, 1)), width).swapaxes(0, 1)
    return np.ascontiguousarray((narrower + np.float32(0.5)).astype(np.uint8))


def _shorten(lines: NDArray[Any], length: int) -> NDArray[np.float32]:
    """Average along the first axis: whole blocks of lines, then the fraction that is left."""
    block = len(lines) // length
    blocks = _blocks(lines, block) if block > 1 else lines.astype(np.float32)
    if block * length == len(lines):
        return blocks
    # A new line begins inside one block and is less than two long: it covers three at most.
    edges = np.arange(length + 1) * (len(lines) / block / length)
    begins, ends = edges[:-1], edges[1:]
    first = begins.astype(np.intp)
    total = np.zeros((length, *blocks.shape[1:]), np.float32)
    for step in range(3):
        covered = np.minimum(ends, first + step + 1) - np.maximum(begins, first + step)
        weights = (covered.clip(0, None) / (ends - begins)).astype(np.float32)
        chosen = blocks.take((first + step).clip(None, len(blocks) - 1), axis=0)
        total += chosen * weights.reshape(-1, *[1] * (blocks.ndim - 1))
    return total


def _blocks(lines: NDArray[Any], block: int) -> NDArray[np.float32]:
    """Average each block of lines, and the shorter one at the end if there is one."""
    count = len(lines) // block
    # Sums of 256 bytes fit two; narrow sums are several times faster.
    narrow = lines.dtype == np.uint8 and block <= 1 << 8
    kind = np.uint16 if narrow else np.float32
    whole = lines[: count * block].reshape(count, block, *lines.shape[1:])
    sums: NDArray[Any] = whole.sum(axis=1, dtype=kind)
    means: NDArray[np.float32] = sums.astype(np.float32) / np.float32(block)
    rest = lines[count * block :]
    if not len(rest):
        return means
    return np.concatenate([means, rest.mean(axis=0, dtype=np.float32)[None]])
