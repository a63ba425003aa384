"""Phantoms of chest, head and lumbar spine as volumes of tissue labels.

Positions are in millimetres in the patient's system (PS3.3 C.7.6.2.1.1): x to the left, y to the
back, z to the head. Volumes have the shape (slices, rows, columns) = (z, y, x), z ascending.
"""

# ruff: noqa: PLR2004 - the numbers are the anatomy

from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
Axis = NDArray[np.float32]


class Tissue(IntEnum):
    """What a voxel is made of."""

    AIR = 0
    LUNG = 1
    FAT = 2
    MUSCLE = 3
    BLOOD = 4
    HEART = 5
    LIVER = 6
    SPLEEN = 7
    CORTEX = 8
    MARROW = 9
    DISC = 10
    FLUID = 11
    NERVE = 12
    LESION = 13
    TABLE = 14
    GREY = 15
    WHITE = 16
    CALCIUM = 17


HOUNSFIELD = {
    Tissue.AIR: -1000,
    Tissue.LUNG: -860,
    Tissue.FAT: -100,
    Tissue.MUSCLE: 55,
    Tissue.BLOOD: 210,
    Tissue.HEART: 110,
    Tissue.LIVER: 105,
    Tissue.SPLEEN: 120,
    Tissue.CORTEX: 750,
    Tissue.MARROW: 220,
    Tissue.DISC: 90,
    Tissue.FLUID: 8,
    Tissue.NERVE: 35,
    Tissue.LESION: 62,
    Tissue.TABLE: -180,
    Tissue.GREY: 39,
    Tissue.WHITE: 29,
    Tissue.CALCIUM: 400,
}

FDG_BQML = {
    Tissue.LUNG: 1_800,
    Tissue.FAT: 1_200,
    Tissue.MUSCLE: 3_200,
    Tissue.BLOOD: 7_500,
    Tissue.HEART: 21_000,
    Tissue.LIVER: 11_500,
    Tissue.SPLEEN: 9_800,
    Tissue.CORTEX: 2_500,
    Tissue.MARROW: 6_000,
    Tissue.DISC: 2_800,
    Tissue.NERVE: 5_000,
    Tissue.LESION: 42_000,
}

T1_SIGNAL = {
    Tissue.FAT: 900,
    Tissue.MUSCLE: 330,
    Tissue.BLOOD: 120,
    Tissue.CORTEX: 40,
    Tissue.MARROW: 560,
    Tissue.DISC: 300,
    Tissue.FLUID: 140,
    Tissue.NERVE: 420,
    Tissue.GREY: 430,
    Tissue.WHITE: 620,
    Tissue.LESION: 330,
}

T2_SIGNAL = {
    Tissue.FAT: 720,
    Tissue.MUSCLE: 200,
    Tissue.BLOOD: 60,
    Tissue.CORTEX: 30,
    Tissue.MARROW: 420,
    Tissue.DISC: 520,
    Tissue.FLUID: 1_050,
    Tissue.NERVE: 380,
    Tissue.GREY: 560,
    Tissue.WHITE: 400,
    Tissue.LESION: 900,
}


def axis(count: int, spacing_mm: float) -> Axis:
    """Give the positions of `count` samples about the origin, in mm."""
    return ((np.arange(count) - (count - 1) / 2) * spacing_mm).astype(np.float32)


def tissue_values(labels: Labels, table: dict[Tissue, int]) -> NDArray[np.float32]:
    """Give each voxel the value of its tissue, edges softened over three samples in the plane."""
    lookup = np.zeros(len(Tissue), np.float32)
    for tissue, value in table.items():
        lookup[tissue] = value
    return soften(lookup[labels])


def soften(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average with the neighbours along the last two axes, weights 1 2 1."""
    for along in (-1, -2):
        before, after = np.roll(volume, 1, along), np.roll(volume, -1, along)
        volume = (volume * 2 + before + after) * np.float32(0.25)
    return volume


def chest(x: Axis, y: Axis, z: Axis, nodule_mm: float = 9) -> Labels:
    """Label a chest from the diaphragm to the clavicles, z from -150 to 150.

    Args:
        x: Positions of the columns.
        y: Positions of the rows.
        z: Positions of the slices.
        nodule_mm: Radius of a nodule in the right upper lobe at z = 45; it leans, so its place in
            the plane moves from slice to slice. 0 leaves it out.
    """
    column, row, level = x[None, None, :], y[None, :, None], z[:, None, None]
    labels = np.zeros((len(z), len(y), len(x)), np.uint8)
    breadth = 160 + 18 / (1 + np.exp(-(level - 80) / 15))
    outline = np.abs(column / breadth) ** 2.4 + np.abs(row / 108) ** 2.4
    labels[outline < 1] = Tissue.FAT
    labels[outline < 0.8] = Tissue.MUSCLE
    _thorax(labels, column, row, level)
    _organs(labels, column, row, level)
    _vessels(labels, x, y, z)
    _skeleton(labels, column, row, level)
    if nodule_mm:
        lean = column + 75 - 0.7 * (level - 45)
        labels[_ball(lean, row + 12, level - 45, (nodule_mm, nodule_mm, 1.4 * nodule_mm))] = (
            Tissue.LESION
        )
    bed = np.abs(row - 122 + 0.0009 * column**2) < 3
    labels[np.broadcast_to(bed & (np.abs(column) < 175), labels.shape)] = Tissue.TABLE
    return labels


def _ball(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    z: NDArray[np.float32],
    radii: tuple[float, float, float],
) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (
        (x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2
    ) < 1
    return inside


def _cage(level: Axis) -> Axis:
    return np.sqrt(np.clip(1 - ((level + 45) / 185) ** 2, 0.02, None))


def _thorax(labels: Labels, column: Axis, row: Axis, level: Axis) -> None:
    size = _cage(level)
    for side in (-1, 1):
        lung = (np.abs(column - side * 70 * size) / (60 * size)) ** 2.3 + (
            np.abs(row - 2) / (84 * size)
        ) ** 2.3 < 1
        labels[lung & (level < 128)] = Tissue.LUNG
    labels[_ball(column + 68, row - 2, level + 165, (88, 84, 88))] = Tissue.LIVER
    labels[_ball(column - 72, row - 20, level + 172, (74, 72, 74))] = Tissue.SPLEEN
    labels[_ball(column - 70, row + 30, level + 150, (38, 30, 34))] = Tissue.AIR


def _organs(labels: Labels, column: Axis, row: Axis, level: Axis) -> None:
    labels[_ball(column - 22, row + 30, level + 62, (62, 50, 56))] = Tissue.HEART
    labels[_ball(column - 34, row + 26, level + 68, (34, 30, 38))] = Tissue.BLOOD
    labels[_ball(column + 16, row + 34, level + 52, (24, 27, 34))] = Tissue.BLOOD
    trunk = (column / 34) ** 2 + ((row + 8) / 52) ** 2 < 1
    labels[trunk & (level > -30) & (level < 128)] = Tissue.FAT


def _tube(
    labels: Labels,
    axes: tuple[Axis, Axis, Axis],
    ends: tuple[tuple[float, float, float], tuple[float, float, float]],
    radii: tuple[float, float],
    tissue: Tissue,
    only_in: Tissue | None = None,
) -> None:
    """Draw a cone between two points, looking only at the box that holds it."""
    start, end = (np.array(point, np.float32) for point in ends)
    widest = max(radii)
    cut = []
    for positions, low, high in zip(
        axes, np.minimum(start, end), np.maximum(start, end), strict=True
    ):
        cut.append(
            slice(
                int(np.searchsorted(positions, low - widest)),
                int(np.searchsorted(positions, high + widest)),
            )
        )
    x, y, z = (positions[part] for positions, part in zip(axes, cut, strict=True))
    relative = (
        x[None, None, :] - start[0],
        y[None, :, None] - start[1],
        z[:, None, None] - start[2],
    )
    run = end - start
    share = np.clip(sum(r * d for r, d in zip(relative, run, strict=True)) / (run @ run), 0, 1)
    distance = sum((r - share * d) ** 2 for r, d in zip(relative, run, strict=True))
    hit = distance < (radii[0] + (radii[1] - radii[0]) * share) ** 2
    box = labels[cut[2], cut[1], cut[0]]
    box[hit if only_in is None else hit & (box == only_in)] = tissue


def _vessels(labels: Labels, x: Axis, y: Axis, z: Axis) -> None:
    axes = (x, y, z)
    rng = np.random.default_rng(7)
    for side in (-1, 1):
        hilum = (side * 30.0, 8.0, -8.0)
        for turn in np.linspace(-1.35, 1.35, 9):
            reach = rng.uniform(62, 84)
            middle = (
                hilum[0] + side * 30.0,
                hilum[1] + rng.uniform(-18, 18),
                hilum[2] + reach * 0.55 * float(np.sin(turn)),
            )
            _tube(labels, axes, (hilum, middle), (4.2, 2.4), Tissue.BLOOD, Tissue.LUNG)
            for _ in range(3):
                tip = (
                    middle[0] + side * rng.uniform(8, 42),
                    middle[1] + rng.uniform(-48, 48),
                    middle[2] + rng.uniform(-34, 34),
                )
                _tube(labels, axes, (middle, tip), (2.2, 1.0), Tissue.BLOOD, Tissue.LUNG)
    aorta = [(-14, -14, -30), (-14, -14, 48), (4, 16, 66), (26, 44, 48), (26, 48, -150)]
    for ends in pairwise(aorta):
        _tube(labels, axes, ends, (15, 13), Tissue.BLOOD)
    _tube(labels, axes, ((4, -20, -30), (14, -2, 22)), (15, 12), Tissue.BLOOD)
    _tube(labels, axes, ((-34, -10, -20), (-30, -10, 110)), (9, 9), Tissue.BLOOD)
    _tube(labels, axes, ((0, 18, 16), (0, 4, 150)), (9, 9), Tissue.AIR)
    for side in (-1, 1):
        _tube(labels, axes, ((0, 18, 18), (side * 44, 14, -18)), (8, 5), Tissue.AIR)


def _skeleton(labels: Labels, column: Axis, row: Axis, level: Axis) -> None:
    body = (column / 20) ** 2 + ((row - 74) / 16) ** 2
    gap = np.abs((level / 27) % 1 - 0.5) > 0.42
    labels[np.broadcast_to(body < 1, labels.shape)] = Tissue.CORTEX
    labels[np.broadcast_to(body < 0.78, labels.shape)] = Tissue.MARROW
    labels[(body < 1) & gap] = Tissue.DISC
    arch = (column / 17) ** 2 + ((row - 93) / 13) ** 2
    spinous = (np.abs(column) < 4) & (row > 93) & (row < 104)
    labels[((arch < 1) | spinous) & ~gap] = Tissue.CORTEX
    labels[np.broadcast_to(arch < 0.42, labels.shape)] = Tissue.NERVE
    size = _cage(level)
    ring = np.sqrt((column / (134 * size + 4)) ** 2 + ((row - 2) / (92 * size + 2)) ** 2)
    turn = np.abs(((level - 0.5 * row) / 26) % 1 - 0.5)
    sides = (np.abs(column) > 18) & (level < 135)
    labels[(ring > 0.95) & (ring < 1.03) & (turn < 0.2) & sides] = Tissue.CORTEX
    labels[(ring > 0.97) & (ring < 1.01) & (turn < 0.13) & sides] = Tissue.MARROW
    front = row + 92 * size
    breast_bone = (np.abs(column) < 17) & (np.abs(front) < 6) & (np.abs(level - 10) < 90)
    labels[breast_bone] = Tissue.CORTEX
    labels[breast_bone & (np.abs(front) < 3)] = Tissue.MARROW
    for side in (-1, 1):
        blade = _ball(column - side * (104 + 0.2 * level), row - 66, level - 70, (34, 6, 78))
        labels[blade & (ring > 1.03)] = Tissue.CORTEX
        away = side * column
        collar = (row + 62 - 0.32 * away) ** 2 + (level - 112 - 0.16 * away) ** 2 < 40
        labels[collar & (away > 14) & (away < 138)] = Tissue.CORTEX


def head(x: Axis, y: Axis, z: Axis, lesion: tuple[float, float, float]) -> Labels:
    """Label a head, z from -70 to 80, with a lesion of 12 mm radius at a point."""
    column, row, level = x[None, None, :], y[None, :, None], z[:, None, None]
    labels = np.zeros((len(z), len(y), len(x)), np.uint8)
    radius = np.sqrt((column / 76) ** 2 + (row / 94) ** 2 + (level / 96) ** 2)
    angle = np.arctan2(row, column)
    folds = 0.045 * np.sin(17 * angle + level / 5) * np.sin(level / 7 + 5 * angle)
    for limit, tissue in (
        (1.0, Tissue.FAT),
        (0.94, Tissue.CORTEX),
        (0.925, Tissue.MARROW),
        (0.895, Tissue.CORTEX),
        (0.87, Tissue.FLUID),
    ):
        labels[radius < limit] = tissue
    labels[radius < 0.845 + folds] = Tissue.GREY
    labels[radius < 0.76 + 1.5 * folds] = Tissue.WHITE
    labels[(np.abs(column) < 1.6) & (radius < 0.85) & (np.abs(row) > 30)] = Tissue.FLUID
    for side in (-1, 1):
        for depth, high, size in ((-22, 14, (7, 24, 16)), (24, 10, (8, 20, 14))):
            bend = column - side * (9 + 0.012 * (row - depth) ** 2 * (depth > 0))
            labels[_ball(bend, row - depth, level - high, size)] = Tissue.FLUID
        labels[_ball(column - side * 17, row - 4, level + 2, (10, 17, 13))] = Tissue.GREY
        labels[_ball(column - side * 27, row + 14, level - 4, (6, 17, 15))] = Tissue.GREY
        labels[_ball(column - side * 32, row + 74, level + 50, (14, 14, 14))] = Tissue.FLUID
    shape = (12 + 3 * np.sin(5 * angle)).astype(np.float32)
    away = (column - lesion[0]) ** 2 + (row - lesion[1]) ** 2 + (level - lesion[2]) ** 2
    labels[(away < shape**2) & (radius < 0.84)] = Tissue.LESION
    return labels


def lumbar_spine(y: Axis, z: Axis, x: float) -> Labels:
    """Label one sagittal slice at x; shape (rows, columns) = (z downwards, y)."""
    row, column = -z[:, None], y[None, :]
    middle = 14 * np.cos(row / 70)
    labels = np.full((len(z), len(y)), Tissue.MUSCLE, np.uint8)
    labels[(column > 62 + 0.1 * row) | (column < -70)] = Tissue.FAT
    labels[:, ((column > 92) | (column < -98))[0]] = Tissue.AIR
    width = np.sqrt(max(1 - (x / 26) ** 2, 0.05))
    front = column + middle
    vertebrae = np.abs(front) < 18 * width
    height = (row / 36) % 1 - 0.5
    labels[vertebrae] = Tissue.CORTEX
    labels[vertebrae & (np.abs(front) < 16 * width) & (np.abs(height) < 0.36)] = Tissue.MARROW
    bulge = 4.5 * np.exp(-(((row - 54) / 6) ** 2))
    disc = (np.abs(height) > 0.4) & (front < 18 * width + bulge) & (front > -18 * width)
    labels[disc] = Tissue.DISC
    canal = (front > 20 * width + bulge) & (front < 35) & (abs(x) < 11)
    labels[canal] = Tissue.FLUID
    labels[canal & (np.abs(front - 28) < 4) & (row < -30)] = Tissue.NERVE
    roots = np.abs(np.sin(front * 1.4)) < 0.3
    labels[canal & (row >= -30) & (front > 24) & roots] = Tissue.NERVE
    spinous = (front > 38) & (front < 62) & (np.abs(height + 0.12) < 0.27) & (abs(x) < 8)
    labels[spinous] = Tissue.MARROW
    return labels
