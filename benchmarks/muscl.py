"""One MUSCL stage on a torus of 1024^2 cells with V given: numpy with np.roll, tuned twice, and wflow; one process.

    rho_new = rho - dt div J,   J = v+ (rho_left + slope/2) - v- (rho_right - slope/2),   v = -jump(V)/h

with the monotonised central slope. A torus spares np.roll the walls. Times are processor time, the best of several
warm runs, rounds interleaved. What was tuned for numpy: minmod by four minima and maxima without a sign or a mask; in
the second row every operation but np.roll writes into arrays that are kept; in the third np.roll itself is replaced by
two copies of slices into a kept array, which numpy has no name for. All three return the new averages alone. wflow's
stage returns a new array and, from the same pass, what its step needs besides: the dissipation sum J v, the largest
outflow of a cell (the CFL bound) and the least average.

The triad a = b + s c (24 bytes a cell) is the yardstick of what the memory would allow.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from solvers.finite_volume.explicit import limited_slopes
from solvers.finite_volume.faces import axes_of
from wflow import Grid
from wflow.arrays import Array
from wflow.compiled import available, kernel
from wflow.domain import torus

CELLS, ROUNDS, REPEATS = 1024, 15, 3
GRID = Grid(torus(2), (CELLS, CELLS))
H = float(GRID.widths[0])
DT = 0.1 * H
ASKED = 10.0
"""How many times as fast as numpy with np.roll wflow's stage must be: below, the script ends with status 1."""
Run = Callable[[], Array]


def fields() -> tuple[Array, Array]:
    """A rough density and a smooth V (CELLS, CELLS)."""
    rng = np.random.default_rng(1)
    x, y = GRID.centres.T
    rho = (1.0 + 0.5 * np.sin(x) * np.cos(3.0 * y)) * rng.uniform(0.9, 1.1, GRID.size)
    rho /= rho.sum() * GRID.cell_volume
    return rho.reshape(GRID.shape), (np.cos(x) + np.sin(x + 2.0 * y)).reshape(GRID.shape)


RHO, V = fields()


def rolled() -> Array:
    """As one writes it."""
    new = RHO.copy()
    for axis in (0, 1):
        v = (V - np.roll(V, -1, axis)) / H
        back = RHO - np.roll(RHO, 1, axis)
        ahead = np.roll(back, -1, axis)
        centre = 0.25 * (back + ahead)
        low = np.minimum(np.minimum(back, ahead), centre)
        high = np.maximum(np.maximum(back, ahead), centre)
        half = np.maximum(low, 0.0) + np.minimum(high, 0.0)
        flux = np.maximum(v, 0.0) * (RHO + half) + np.minimum(v, 0.0) * np.roll(RHO - half, -1, axis)
        new -= DT / H * (flux - np.roll(flux, 1, axis))
    return new


Shift = Callable[[Array, int, int, Array], Array]


def by_numpy(values: Array, by: int, axis: int, out: Array) -> Array:
    """np.roll, which makes its own array."""
    return np.roll(values, by, axis)


def by_slices(values: Array, by: int, axis: int, out: Array) -> Array:
    """The same into a kept array, one cell to either side."""
    a, b = (values, out) if axis == 0 else (values.T, out.T)
    if by < 0:
        b[:-1], b[-1] = a[1:], a[0]
    else:
        b[1:], b[0] = a[:-1], a[-1]
    return out


class Kept:
    """The stage in arrays that are kept; `shift` moves cells along an axis."""

    def __init__(self, shift: Shift) -> None:
        self.shift = shift
        self.room = [np.empty(GRID.shape) for _ in range(8)]

    def __call__(self) -> Array:
        new = RHO.copy()
        for axis in (0, 1):
            self.move(axis, new)
        return new

    def move(self, axis: int, new: Array) -> None:
        """Fluxes along one axis."""
        v, half, flux, a, b, c, d, e = self.room
        np.subtract(V, self.shift(V, -1, axis, a), out=v)
        v *= DT / H**2
        back = np.subtract(RHO, self.shift(RHO, 1, axis, a), out=b)
        ahead = self.shift(back, -1, axis, c)
        np.add(back, ahead, out=d)
        d *= 0.25
        np.minimum(back, ahead, out=half)
        np.minimum(half, d, out=half)
        np.maximum(half, 0.0, out=half)
        np.maximum(back, ahead, out=e)
        np.maximum(e, d, out=e)
        np.minimum(e, 0.0, out=e)
        half += e
        np.maximum(v, 0.0, out=flux)
        np.add(RHO, half, out=d)
        flux *= d
        np.minimum(v, 0.0, out=v)
        np.subtract(RHO, half, out=d)
        v *= self.shift(d, -1, axis, a)
        flux += v
        np.subtract(flux, self.shift(flux, 1, axis, a), out=d)
        new -= d


def plain_wflow() -> Array:
    """wflow's own fluxes in numpy, without its checks."""
    new = RHO.ravel()
    for axis in axes_of(GRID):
        cells = axis.lined(RHO.ravel())
        v = -axis.difference(axis.lined(V.ravel())) / axis.width
        half = 0.5 * limited_slopes(cells, axis)
        left, right = axis.sides(cells + half)[0], axis.sides(cells - half)[1]
        new = new - DT * axis.divergence(np.maximum(v, 0.0) * left - np.maximum(-v, 0.0) * right)
    return new.reshape(GRID.shape)


def fused(reconstructed: bool) -> Run:
    """The compiled stage, of Muscl or of Upwind."""
    from solvers.finite_volume.fused import stage

    rho, xi = RHO.ravel(), V.ravel()
    return lambda: stage(GRID, rho, xi, rho, 0.0, reconstructed, DT).new.reshape(GRID.shape)


def triad() -> Run:
    """a = b + s c, compiled."""

    @kernel
    def add(a: Array, b: Array, c: Array) -> None:
        for k in range(len(a)):
            a[k] = b[k] + 3.0 * c[k]

    out, b, c = np.empty(GRID.size), RHO.ravel(), V.ravel()

    def run() -> Array:
        add(out, b, c)
        return out

    return run


@dataclass(frozen=True)
class Row:
    """A method, its best processor seconds and its answer."""

    method: str
    seconds: float
    answer: Array


def timed(runs: dict[str, Run]) -> dict[str, Row]:
    """The best of ROUNDS times REPEATS, warm, the rounds interleaved."""
    answers = {method: run() for method, run in runs.items()}
    best = dict.fromkeys(runs, np.inf)
    for _ in range(ROUNDS):
        for method, run in runs.items():
            for _ in range(REPEATS):
                began = time.process_time()
                run()
                best[method] = min(best[method], time.process_time() - began)
    return {method: Row(method, best[method], answers[method]) for method in runs}


def main() -> int:
    """Print the table; 1 if the answers differ or the ratio is below ASKED."""
    if not available():
        print("benchmarks/muscl.py times compiled kernels, and numba is not installed: pip install -e '.[fast]'")
        return 2
    stages: dict[str, Run] = {
        "np.roll": rolled,
        "np.roll, other arrays kept": Kept(by_numpy),
        "slices in place of np.roll, all arrays kept": Kept(by_slices),
        "wflow in numpy": plain_wflow,
        "wflow compiled": fused(True),
    }
    yardsticks = {"wflow compiled, Upwind": fused(False), "triad": triad()}
    rows = timed({**stages, **yardsticks})
    reference = min(rows["np.roll"].seconds, rows["np.roll, other arrays kept"].seconds)
    print(f"A MUSCL stage on {CELLS}^2 cells, V given, numpy {np.__version__}")
    print(f"{'method':46s} {'ms':>8s} {'faster':>8s} {'of triad':>9s} {'differs by':>11s}")
    apart = 0.0
    for method, row in rows.items():
        difference = float(np.max(np.abs(row.answer - rows["np.roll"].answer)) / RHO.max()) if method in stages else 0.0
        apart = max(apart, difference)
        share = rows["triad"].seconds / row.seconds
        print(f"{method:46s} {1e3 * row.seconds:8.2f} {reference / row.seconds:8.1f} {share:9.2f} {difference:11.1e}")
    return int(apart > 1e-14 or reference / rows["wflow compiled"].seconds < ASKED)


if __name__ == "__main__":
    sys.exit(main())
