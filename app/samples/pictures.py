"""Phantoms that are drawn in the plane: breast, hand, coronary arteries and a beating heart."""

# ruff: noqa: PLR2004 - the numbers are the drawing

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.samples.anatomy import HOUNSFIELD, Labels, Tissue, soften, tissue_values

Plane = NDArray[np.float32]


def grid(rows: int, columns: int) -> tuple[Plane, Plane]:
    """Give y and x of each pixel, both from 0 to 1, shape (rows, 1) and (1, columns)."""
    y, x = np.linspace(0, 1, rows), np.linspace(0, 1, columns)
    return y[:, None].astype(np.float32), x[None, :].astype(np.float32)


def clouds(rows: int, columns: int, grain: float, rng: np.random.Generator) -> Plane:
    """Give noise without structures finer than a share `grain` of the side; about 0 ± 1."""
    down, across = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :]
    keep = np.exp(-(down**2 + across**2) * (grain * max(rows, columns)) ** 2)
    spectrum = np.fft.rfft2(rng.standard_normal((rows, columns))) * keep
    noise = np.fft.irfft2(spectrum, s=(rows, columns))
    scaled: Plane = (noise / noise.std()).astype(np.float32)
    return scaled


def _twelve_bits(picture: NDArray[Any]) -> NDArray[np.uint16]:
    stored: NDArray[np.uint16] = np.clip(picture, 0, 4095).astype(np.uint16)
    return stored


def radiograph(
    labels: Labels, along: int, scale: int, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Project a volume as X-rays would.

    Args:
        labels: Volume of tissues (z, y, x).
        along: Axis of the beam: 1 from back to front, 2 from side to side.
        scale: Pixels per voxel along the columns and, twice as many, along the slices.
        rng: Source of quantum noise.

    Returns:
        12-bit picture, head up; high where much radiation arrived (MONOCHROME1).
    """
    density = np.clip(tissue_values(labels, HOUNSFIELD) + 1000, 0, None)
    density[labels == Tissue.TABLE] = 0
    shadow = density.sum(axis=along)[::-1]
    height, width = shadow.shape
    fine_x = np.linspace(0, width - 1, width * scale)
    shadow = np.array([np.interp(fine_x, np.arange(width), line) for line in shadow])
    fine_y = np.linspace(0, height - 1, height * scale * 2)
    shadow = np.array([np.interp(fine_y, np.arange(height), line) for line in shadow.T]).T
    exposure = 3900 * (1 - shadow / shadow.max() * 0.94)
    return _twelve_bits(exposure + rng.normal(0, 14, shadow.shape))


def breast(rows: int, columns: int, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Draw a left breast seen from above (chest wall at the left edge), 12 bits."""
    y, x = grid(rows, columns)
    edge = np.sqrt((x / 0.86) ** 2 + ((y - 0.5) / 0.44) ** 2)
    thickness = np.clip(1 - edge**6, 0, 1)
    glands = np.clip(clouds(rows, columns, 0.012, rng) + clouds(rows, columns, 0.05, rng), 0, 4)
    middle = np.exp(-(((x - 0.42) / 0.3) ** 2) - ((y - 0.5) / 0.27) ** 2)
    fibres = np.abs(np.sin(9 * np.arctan2(y - 0.5, 0.9 - x) + clouds(rows, columns, 0.04, rng)))
    picture = thickness * (900 + 620 * middle * glands + 260 * middle * fibres)
    picture += 500 * np.exp(-(((edge - 0.985) / 0.012) ** 2))
    for _ in range(9):
        spot = 0.47 + rng.normal(0, 0.012), 0.42 + rng.normal(0, 0.012)
        picture += 1500 * np.exp(-(((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 0.002**2))
    picture += rng.normal(0, 12, (rows, columns)) * thickness
    return _twelve_bits(picture)


def _bone(picture: Plane, ends: tuple[float, float, float, float], width: float) -> None:
    y, x = grid(*picture.shape)
    run_y, run_x = ends[2] - ends[0], ends[3] - ends[1]
    share = np.clip(
        ((y - ends[0]) * run_y + (x - ends[1]) * run_x) / (run_y**2 + run_x**2 + 1e-9), 0, 1
    )
    flare = width * (0.72 + 0.55 * (2 * share - 1) ** 2)
    away = np.hypot(y - ends[0] - share * run_y, x - ends[1] - share * run_x) / flare
    picture += np.where(away < 1, 700 + 900 * np.clip(away, 0, 1) ** 4, 0).astype(np.float32)


def hand(rows: int, columns: int, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Draw the bones of a left hand, fingers up, 12 bits."""
    y, x = grid(rows, columns)
    flesh, bones = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    wrist = np.array((0.74, 0.47))
    for angle, reach in ((-0.42, 0.56), (-0.14, 0.66), (0.05, 0.7), (0.24, 0.64), (0.86, 0.5)):
        way = np.array((-np.cos(angle), np.sin(angle)))
        stops = (0.1, 0.42, 0.66, 0.84, 1.0) if angle < 0.5 else (0.14, 0.56, 0.82, 1.0)
        for start, end in pairwise(stops):
            low, high = wrist + way * reach * (start + 0.015), wrist + way * reach * (end - 0.015)
            _bone(bones, (low[0], low[1], high[0], high[1]), 0.021 - 0.008 * start)
        share = np.clip(((y - wrist[0]) * way[0] + (x - wrist[1]) * way[1]) / reach, 0, 1.02)
        away = np.hypot(
            y - wrist[0] - share * way[0] * reach, x - wrist[1] - share * way[1] * reach
        )
        flesh = np.maximum(flesh, np.clip(1 - (away / 0.046) ** 4, 0, 1))
    palm = ((y - 0.62) / 0.2) ** 2 + ((x - 0.5) / 0.19) ** 2
    arm = (np.abs(x - 0.47) / 0.13) ** 4 + np.where(y > 0.62, 0, 9)
    flesh = np.maximum(flesh, np.clip(1.4 * (1 - np.minimum(palm, arm) ** 3), 0, 1))
    for row, column in ((0.70, 0.43), (0.70, 0.48), (0.70, 0.53), (0.745, 0.44), (0.745, 0.51)):
        _bone(bones, (row, column - 0.008, row, column + 0.008), 0.026)
    _bone(bones, (0.79, 0.51, 1.1, 0.52), 0.04)
    _bone(bones, (0.80, 0.42, 1.1, 0.41), 0.03)
    picture = 120 + 900 * flesh + bones + rng.normal(0, 12, bones.shape)
    return _twelve_bits(soften(picture.astype(np.float32)))


def angiogram(size: int, frames: int, rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Draw contrast running down the left coronary artery, one 8-bit frame after another."""
    y, x = grid(size, size)
    ground = 168 + 18 * clouds(size, size, 0.3, rng) - 26 * np.exp(-(((x - 0.2) / 0.12) ** 2))
    ground -= 12 * (np.abs(((y + 0.25 * x) * 7) % 1 - 0.5) < 0.14)
    ground -= 34 / (1 + np.exp(-(y - 0.82 - 0.25 * (x - 0.5) ** 2) * 40))
    arrival = np.full((size, size), np.inf, np.float32)
    depth = np.zeros((size, size), np.float32)
    pending = [
        (np.array((0.22, 0.38)), 1.15, 0.022, 0.0),
        (np.array((0.22, 0.38)), 0.25, 0.02, 0.0),
    ]
    while pending:
        start, angle, width, when = pending.pop()
        step = 0.05 + 1.6 * width
        end = start + step * np.array((np.sin(angle), np.cos(angle)))
        run = end - start
        share = np.clip(((y - start[0]) * run[0] + (x - start[1]) * run[1]) / (run @ run), 0, 1)
        away = np.hypot(y - start[0] - share * run[0], x - start[1] - share * run[1]) / width
        arrival = np.where(away < 1, np.minimum(arrival, when + share * step), arrival)
        depth = np.maximum(depth, np.sqrt(np.clip(1 - away**2, 0, 1)) * width)
        if width > 0.0045:
            pending.append((end, angle + rng.uniform(-0.16, 0.3), width * 0.9, when + step))
            if rng.random() < 0.5:
                turn = rng.choice((-0.8, 0.75))
                pending.append((end, angle + turn, width * 0.62, when + step))
    for index in range(frames):
        front = 1.25 * index / (frames * 0.6)
        washed = np.clip((index / frames - 0.7) / 0.3, 0, 1)
        filled = np.clip((front - arrival) * 14, 0, 1) * (1 - 0.75 * washed)
        frame = ground - 4600 * depth * filled + rng.normal(0, 3, ground.shape)
        yield np.clip(soften(frame.astype(np.float32)), 0, 255).astype(np.uint8)


def echocardiogram(
    rows: int, columns: int, frames: int, rng: np.random.Generator
) -> Iterator[NDArray[np.uint8]]:
    """Draw one heart beat in a four-chamber view with colour Doppler; (rows, columns, 3) each."""
    y, x = grid(rows, columns)
    across = (x - 0.5) * columns / rows
    depth, angle = np.hypot(y - 0.03, across), np.arctan2(across, y - 0.03)
    sector = (np.abs(angle) < 0.66) & (depth < 0.93) & (depth > 0.02)
    grain = np.abs(clouds(rows, columns, 0.005, rng))
    for index in range(frames):
        beat = 0.5 - 0.5 * np.cos(2 * np.pi * index / frames)
        squeeze = 1 - 0.24 * beat
        wall = np.exp(-(((depth - 0.5) / 0.6) ** 2)) * 110
        blood = np.zeros((rows, columns), bool)
        for place, size in (
            ((0.36, 0.1), (0.21 * squeeze, 0.105 * squeeze)),
            ((0.38, -0.13), (0.18 * squeeze, 0.075 * squeeze)),
            ((0.71, 0.1), (0.12 / squeeze, 0.1)),
            ((0.71, -0.12), (0.12 / squeeze, 0.1)),
        ):
            blood |= ((y - place[0]) / size[0]) ** 2 + ((across - place[1]) / size[1]) ** 2 < 1
        valve = (np.abs(y - 0.585 + 0.5 * beat * np.abs(np.abs(across) - 0.11)) < 0.008) & (
            np.abs(across) < 0.22
        )
        shade = np.where(blood, 9, wall) * (0.45 + 0.6 * grain) + 120 * valve
        grey = np.where(sector, np.clip(shade + 6 * rng.random((rows, columns)), 0, 255), 0)
        frame = np.repeat(grey[..., None], 3, axis=2)
        jet = blood & sector & (np.abs(across - 0.1) < 0.055) & (np.abs(y - 0.56) < 0.17)
        speed = np.sin(2 * np.pi * index / frames) + 0.25 * clouds(rows, columns, 0.02, rng)
        frame[..., 0] = np.where(
            jet & (speed > 0.12), 90 + 150 * np.clip(speed, 0, 1), frame[..., 0]
        )
        frame[..., 2] = np.where(
            jet & (speed < -0.12), 90 + 150 * np.clip(-speed, 0, 1), frame[..., 2]
        )
        frame[:, -24:-14] = _scale(rows)
        yield np.clip(frame, 0, 255).astype(np.uint8)


def _scale(rows: int) -> NDArray[np.float64]:
    value = np.linspace(1, -1, rows // 3)
    bar = np.zeros((rows, 10, 3))
    bar[12 : 12 + len(value), :, 0] = (90 + 150 * np.clip(value, 0, 1))[:, None] * (value > 0)[
        :, None
    ]
    bar[12 : 12 + len(value), :, 2] = (90 + 150 * np.clip(-value, 0, 1))[:, None] * (value < 0)[
        :, None
    ]
    return bar


def hot_metal() -> NDArray[np.uint16]:
    """Give a palette of 256 colours from black over red and yellow to white, shape (3, 256)."""
    step = np.arange(256, dtype=np.float64)
    channels = [
        np.clip(step * 1.4, 0, 255),
        np.clip((step - 100) * 1.65, 0, 255),
        np.clip((step - 190) * 3.95, 0, 255),
    ]
    return (np.array(channels) * 257).astype(np.uint16)
