"""W2 of two densities in the plane by the spline dual, against POT on merged cells: error and time.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/w2.py

Closed forms (Gaussians, discs), a product whose map jumps, far bumps; 256^2 and 1024^2 cells. POT is the network
simplex on the cells merged to 32^2 and 40^2, which is what it can take.
"""

import math
import time
from collections.abc import Iterator

import numpy as np
from scipy.linalg import sqrtm

from wflow import Density, Grid, box, interval, w2
from wflow.arrays import Array
from wflow.clusters import AtomsOf
from wflow.plans import w2_of_atoms

SQUARE = box([-0.5, -0.5], [0.5, 0.5])


def density(values: Array) -> Density:
    grid = Grid(SQUARE, values.shape)
    return Density(grid, values.ravel() / (values.sum() * grid.cell_volume))


def bell(n: int, mean: tuple[float, float], covariance: Array) -> Density:
    away = Grid(SQUARE, (n, n)).centres - np.asarray(mean)
    return density(np.exp(-0.5 * np.sum((away @ np.linalg.inv(covariance)) * away, axis=1)).reshape(n, n))


def turned(angle: float, s: float, t: float) -> Array:
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.asarray(turn @ np.diag([s * s, t * t]) @ turn.T)


def disc(n: int, radius: float, fine: int = 16) -> Density:
    x = -0.5 + (np.arange(n * fine) + 0.5) / (n * fine)
    rows = [(row[:, None] ** 2 + x[None, :] ** 2 <= radius**2) for row in x.reshape(n, fine)]
    return density(np.array([row.reshape(fine, n, fine).mean(axis=(0, 2)) for row in rows]))


def bump(n: int, mean: tuple[float, float], radius: float) -> Array:
    away = Grid(SQUARE, (n, n)).centres - np.asarray(mean)
    return np.asarray(np.maximum(1.0 - np.sum(away**2, axis=1) / radius**2, 0.0) ** 2).reshape(n, n)


def cases(n: int) -> Iterator[tuple[str, Density, Density, float]]:
    """Name, the pair, W2^2."""
    a, b = turned(0.3, 0.05, 0.09), turned(1.2, 0.06, 0.1)
    root, round_ = sqrtm(a), 0.06**2 * np.eye(2)
    bures = float(np.trace(a + b - 2.0 * np.real(sqrtm(root @ b @ root))))
    yield "translation", bell(n, (-0.1, -0.05), round_), bell(n, (0.1, 0.05), round_), 0.05
    yield "two Gaussians", bell(n, (-0.06, 0.0), a), bell(n, (0.06, 0.03), b), bures + 0.12**2 + 0.03**2
    small, large = bell(n, (0.0, 0.0), 0.04**2 * np.eye(2)), bell(n, (0.0, 0.0), 0.08**2 * np.eye(2))
    yield "dilation", small, large, 2 * 0.04**2
    yield "dilation, reversed", large, small, 2 * 0.04**2
    yield "two discs", disc(n, 0.15), disc(n, 0.3), 0.15**2 / 2.0
    yield "far bumps", density(bump(n, (-0.3, -0.3), 0.06)), density(bump(n, (0.3, 0.3), 0.06)), 0.72
    x = -0.5 + (np.arange(n) + 0.5) / n
    one, wide = np.exp(-0.5 * (x / 0.06) ** 2), np.exp(-0.5 * (x / 0.1) ** 2)
    two = np.exp(-0.5 * ((x - 0.2) / 0.05) ** 2) + np.exp(-0.5 * ((x + 0.2) / 0.05) ** 2)
    grid = Grid(interval(-0.5, 0.5), (n,))
    line = w2(*(Density(grid, f / (f.sum() * grid.cell_volume)) for f in (one, two)))
    yield "split", density(np.outer(one, wide)), density(np.outer(two, wide)), line**2


def timed(a: Density, b: Density) -> tuple[float, float]:
    start = time.perf_counter()
    return w2(a, b) ** 2, time.perf_counter() - start


def by_pot(a: Density, b: Density) -> tuple[float, float]:
    start = time.perf_counter()
    found = w2_of_atoms(AtomsOf(a.points, a.weights), AtomsOf(b.points, b.weights), SQUARE)
    return found**2, time.perf_counter() - start


def main() -> None:
    timed(*next(cases(64))[1:3])  # compiles
    print("pair, cells an axis, relative error of W2^2, seconds")
    for n in (256, 1024):
        for name, a, b, exact in cases(n):
            found, seconds = timed(a, b)
            print(f"{name:20} {n:5} {found / exact - 1.0:10.1e} {seconds:8.2f}")
    for n in (32, 40):
        for name, a, b, exact in cases(n):
            found, seconds = by_pot(a, b)
            print(f"{name:20} {n:5} {found / exact - 1.0:10.1e} {seconds:8.2f}  POT")


if __name__ == "__main__":
    main()
