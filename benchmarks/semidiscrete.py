"""Semi-discrete transport in the plane: times by number of atoms and cells, one thread.

    smooth: i.i.d. Gaussian atoms against a Gaussian density on [-6, 6]^2: the same law, shifted, another covariance
    parted, in the unit square: two rectangles .5 apart (uniform atoms, seven draws; atoms far away; two Gaussian clouds
    of atoms against other shares), 16 discs, a ring, a checkerboard (uniform and Gaussian atoms), a bump cut in two
    scales: i.i.d. Cauchy atoms, six clouds of widths .1 to 1e-6 at once, against the uniform law and two rectangles,
        clouds 1e9 apart (three of them in nine draws) and Cauchy atoms squared

What to expect: for 1e5 atoms a hull to sort out which cells are neighbours (Qhull) takes .9 s, to find them again from
the cells before .1 s, the integrals over the cells .05 s, Newton's matrix, dissected and eliminated, .15 to .2 s.

Usage: python benchmarks/semidiscrete.py [--quick | --many]        --quick: 1000 atoms alone   --many: 1e5 atoms alone
"""

import resource
import sys
import time
from collections.abc import Callable

import numpy as np

from wflow import Density, Grid, Particles, box, plane
from wflow.arrays import Array
from wflow.errors import NotConverged
from wflow.semidiscrete import semidiscrete

TILTED = np.array([[1.5, 0.4], [0.4, 0.3]])


def gaussian(cells: int, covariance: Array) -> Density:
    """N(0, covariance) by its values at the centres."""
    grid = Grid(box((-6.0, -6.0), (6.0, 6.0)), (cells, cells))
    form = np.sum(grid.centres @ np.linalg.inv(covariance) * grid.centres, axis=1)
    values = np.exp(-0.5 * form)
    return Density(grid, values / (values.sum() * grid.cell_volume))


def on_square(cells: int, formula: Callable[[Array, Array], Array]) -> Density:
    """Proportional to a formula at the centres of cells of the unit square."""
    grid = Grid(box((0.0, 0.0), (1.0, 1.0)), (cells, cells))
    values = formula(*grid.centres.T).astype(float)
    return Density(grid, values / (values.sum() * grid.cell_volume))


def rectangles(cells: int, left: float = 0.5) -> Density:
    """Two rectangles .2 x .4, .5 apart, and the share of the left one."""
    return on_square(
        cells,
        lambda u, v: (
            (np.abs(v - 0.5) < 0.2) * (left * (np.abs(u - 0.15) < 0.1) + (1.0 - left) * (np.abs(u - 0.85) < 0.1))
        ),
    )


def discs(cells: int) -> Density:
    """Sixteen of radius .06."""
    return on_square(cells, lambda u, v: np.hypot((4.0 * u) % 1.0 - 0.5, (4.0 * v) % 1.0 - 0.5) < 0.24)


def ring(cells: int) -> Density:
    """Between the radii .3 and .4."""
    return on_square(cells, lambda u, v: np.abs(np.hypot(u - 0.5, v - 0.5) - 0.35) < 0.05)


def checkerboard(cells: int) -> Density:
    """Of 8 x 8 squares, every other one empty."""
    return on_square(cells, lambda u, v: (np.floor(8.0 * u) + np.floor(8.0 * v)) % 2.0 == 0.0)


def parabola(u: Array, v: Array) -> Array:
    """A bump of radius .2 about the middle."""
    return np.maximum(0.04 - (u - 0.5) ** 2 - (v - 0.5) ** 2, 0.0)


def halves(cells: int) -> Density:
    """The bump's two halves, .25 to the left and to the right."""
    return on_square(
        cells,
        lambda u, v: np.where(u < 0.25, parabola(u + 0.25, v), 0.0) + np.where(u > 0.75, parabola(u - 0.25, v), 0.0),
    )


def bump(m: int, rng: np.random.Generator) -> Array:
    """Atoms of the bump's law, by rejection."""
    x = 0.3 + 0.4 * rng.random((6 * m, 2))
    return x[0.04 * rng.random(6 * m) < parabola(*x.T)][:m]


def clouds(m: int, rng: np.random.Generator) -> Array:
    """Three tenths of the atoms about (.3, .3), the others in a cloud twice as wide."""
    some, z = rng.random((m, 1)) < 0.3, rng.normal(size=(m, 2))
    return np.where(some, 0.3 + 0.05 * z, np.array([0.6, 0.7]) + 0.1 * z)


def far_clouds(m: int, rng: np.random.Generator) -> Array:
    """Unit squares 1e9 apart: a fifth of the atoms, three tenths and a half."""
    x = rng.random((m, 2))
    x[m // 2 :, 0] += 1e9
    x[: m // 5, 1] += 1e9
    return x


def many_widths(m: int, rng: np.random.Generator) -> Array:
    """Six clouds of widths .1, .01, ... 1e-6 about random places."""
    middles, of = rng.random((6, 2)), rng.integers(0, 6, size=m)
    return middles[of] + 10.0 ** -(of[:, None] + 1.0) * rng.normal(size=(m, 2))


def row(name: str, points: Array, pi: Density) -> None:
    """One line of the table; processor time."""
    began = time.process_time()
    try:
        found = semidiscrete(Particles(plane(), points), pi)
    except NotConverged as error:
        spent = time.process_time() - began
        print(
            f"| {name} | {len(points)} | {pi.grid.shape[0]}^2 | not converged | {error.residual:.1e} | | {spent:.2f} |"
        )
        return
    spent = time.process_time() - began
    print(
        f"| {name} | {len(points)} | {pi.grid.shape[0]}^2 | {found.squared:.9g} | {found.residual:.1e} "
        f"| {found.newton} | {spent:.2f} |",
        flush=True,
    )


def smooth(m: int, cells: int) -> None:
    """The rows of the smooth densities."""
    x = np.random.default_rng(0).normal(size=(m, 2))
    row("same law", x, gaussian(cells, np.eye(2)))
    row("shifted", x + np.array([1.5, -1.0]), gaussian(cells, np.eye(2)))
    row("other covariance", x, gaussian(cells, TILTED))


def parted(m: int, cells: int) -> None:
    """The rows of the densities that emptiness parts."""
    uniform = [np.random.default_rng(seed).random((m, 2)) for seed in range(7)]
    normal = 0.5 + 0.15 * np.random.default_rng(0).normal(size=(m, 2))
    for seed, x in enumerate(uniform):
        row(f"two rectangles, draw {seed}", x, rectangles(cells))
    row("two rectangles, far", uniform[0] + np.array([10.0, -7.0]), rectangles(cells))
    row("two clouds, rectangles .8 : .2", clouds(m, np.random.default_rng(0)), rectangles(cells, 0.8))
    row("16 discs", uniform[0], discs(cells))
    row("16 discs, Gaussian atoms", normal, discs(cells))
    row("ring", uniform[0], ring(cells))
    row("ring, Gaussian atoms", normal, ring(cells))
    row("checkerboard", uniform[0], checkerboard(cells))
    row("checkerboard, Gaussian atoms", normal, checkerboard(cells))
    row("split bump", bump(m, np.random.default_rng(0)), halves(cells))


def scales(m: int, cells: int) -> None:
    """The rows of atoms near to and far from each other."""
    uniform = on_square(cells, lambda u, _: np.ones_like(u))
    tails = np.random.default_rng(0).standard_cauchy((m, 2))
    row("Cauchy atoms, uniform", tails, uniform)
    row("Cauchy atoms, two rectangles", tails, rectangles(cells))
    widths = many_widths(m, np.random.default_rng(0))
    row("widths .1 to 1e-6, uniform", widths, uniform)
    row("widths .1 to 1e-6, two rectangles", widths, rectangles(cells))
    x = np.random.default_rng(0).random((m, 2))
    x[m // 2 :, 0] += 1e9
    row("two clouds 1e9 apart, uniform", x, uniform)
    for seed in range(9):
        three = far_clouds(m, np.random.default_rng(seed))
        row(f"three clouds 1e9 apart, two rectangles, draw {seed}", three, rectangles(cells))
    row("Cauchy atoms squared, uniform", tails * np.abs(tails), uniform)


def main() -> None:
    """The table."""
    semidiscrete(Particles(plane(), np.random.default_rng(0).random((3000, 2))), rectangles(32))  # compiles
    print("| density | atoms | cells | W2^2 | residual | steps | seconds |\n|---|---|---|---|---|---|---|")
    for m, cells in ((1000, 128), (2000, 128), (10_000, 256), (100_000, 512)):
        if ("--quick" in sys.argv and m > 1000) or ("--many" in sys.argv and m < 100_000):
            continue
        smooth(m, cells)
        parted(m, cells)
        scales(m, cells)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
