"""Semi-discrete transport in the plane: times by number of atoms and cells, one thread.

    i.i.d. Gaussian atoms against a Gaussian density on [-6, 6]^2: the same law, a shifted one, another covariance
    uniform atoms, at most 1e4, against two separate rectangles: half of the atoms begin where there is no mass

What to expect: for 1e5 atoms a hull to sort out which cells are neighbours (Qhull) takes 1 s, to find them again from
the cells before .2 s, the integrals over the cells .1 s, a factorisation of Newton's matrix (SuperLU) .7 s.

Usage: python benchmarks/semidiscrete.py [--quick]        --quick: at most 1000 atoms
"""

import resource
import sys
import time

import numpy as np

from wflow import Density, Grid, Particles, box, plane
from wflow.arrays import Array
from wflow.semidiscrete import semidiscrete

TILTED = np.array([[1.5, 0.4], [0.4, 0.3]])


def gaussian(cells: int, covariance: Array) -> Density:
    """N(0, covariance) by its values at the centres."""
    grid = Grid(box((-6.0, -6.0), (6.0, 6.0)), (cells, cells))
    form = np.sum(grid.centres @ np.linalg.inv(covariance) * grid.centres, axis=1)
    values = np.exp(-0.5 * form)
    return Density(grid, values / (values.sum() * grid.cell_volume))


def bumps(cells: int) -> Density:
    """Two rectangles .2 x .4 in the unit square, .5 apart."""
    grid = Grid(box((0.0, 0.0), (1.0, 1.0)), (cells, cells))
    u, v = np.abs(grid.centres - 0.5).T
    values = ((np.abs(u - 0.35) < 0.1) & (v < 0.2)).astype(float)
    return Density(grid, values / (values.sum() * grid.cell_volume))


def row(name: str, points: Array, pi: Density) -> None:
    """One line of the table; processor time."""
    began = time.process_time()
    found = semidiscrete(Particles(plane(), points), pi)
    spent = time.process_time() - began
    print(
        f"| {name} | {len(points)} | {pi.grid.shape[0]}^2 | {found.squared:.9g} | {found.residual:.1e} "
        f"| {found.newton} | {spent:.2f} |",
        flush=True,
    )


def main() -> None:
    """The table."""
    rng = np.random.default_rng(0)
    semidiscrete(Particles(plane(), rng.random((5, 2))), bumps(8))  # compiles
    print("| density | atoms | cells | W2^2 | residual | steps | seconds |\n|---|---|---|---|---|---|---|")
    for m, cells in ((1000, 128), (10_000, 256), (100_000, 512)):
        if "--quick" in sys.argv and m > 1000:
            break
        x = rng.normal(size=(m, 2))
        row("same law", x, gaussian(cells, np.eye(2)))
        row("shifted", x + np.array([1.5, -1.0]), gaussian(cells, np.eye(2)))
        row("other covariance", x, gaussian(cells, TILTED))
        if m < 100_000:
            row("two rectangles", rng.random((m, 2)), bumps(cells))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
