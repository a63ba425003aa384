"""Smaller pictures by area, each new pixel the mean of what it covers; larger ones by line."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BAND = 256


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


def resize(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Make a picture smaller or larger, each way for itself.

    Args:
        picture: Shape (rows, columns) or (rows, columns, 3).
        height: Rows of the result.
        width: Columns of the result.
    """
    smaller = shrink(picture, min(height, len(picture)), min(width, picture.shape[1]))
    if smaller.shape[:2] == (height, width):
        return smaller
    larger = np.empty((height, width, *picture.shape[2:]), np.uint8)
    for first in range(0, height, _BAND):  # a band at a time: what is between takes four times it
        last = min(first + _BAND, height)
        lines = _between(smaller, height, first, last)
        turned = _between(np.ascontiguousarray(lines.swapaxes(0, 1)), width, 0, width)
        larger[first:last] = turned.swapaxes(0, 1) + np.float32(0.5)
    return larger


def _between(lines: NDArray[Any], length: int, first: int, last: int) -> NDArray[np.float32]:
    """Give some of the lines that there are once the first axis has been stretched."""
    if length == len(lines):
        return lines[first:last].astype(np.float32)
    places = (np.arange(first, last) + 0.5) * (len(lines) / length) - 0.5
    places = places.clip(0, len(lines) - 1)
    before = places.astype(np.intp)
    after = np.minimum(before + 1, len(lines) - 1)
    share = (places - before).astype(np.float32).reshape(-1, *[1] * (lines.ndim - 1))
    near: NDArray[np.float32] = lines.take(before, axis=0) * (1 - share)
    near += lines.take(after, axis=0) * share
    return near


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
