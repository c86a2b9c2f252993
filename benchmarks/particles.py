"""The velocity of a network of 10^5 neurons with 256 data, by tuned numpy in blocks and by wflow, in one process.

    f_i = (1/m) sum_j a_j sigma(x_i . v_j),    velocity_j = -grad_w (1/n) sum_i (f_i - y_i) a sigma(x_i . v)  at w_j

with w = (a, v) in the plane of v, without outer weights (a = 1) and with them, for relu and tanh in float64. Times are
processor time, the best of several rounds, in which the rows take turns; BLAS on one thread.

What was tuned for numpy: matrix products for every sum, all arrays of a block preallocated and used in place, particles
along the rows or the columns of a block, blocks of 32 to 2048 particles, and of tanh' no second tanh. Its best layout
and block is the row. wflow's rows: the compiled dense loops alone, and Energy.velocity as GradientFlow calls it, which
takes arcs where it can, and makes the velocity of a Particles measure with all checks of the data at the door.

OPENBLAS_CORETYPE or OPENBLAS_L2_SIZE in the environment change numpy's speed: leave both unset to see it at its best.
"""

import ctypes
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wflow import Particles, RidgeNeuron, Risk, activation, compiled
from wflow.arrays import Array
from wflow.data import Data
from wflow.energy import Energy

DATA, PARTICLES = 256, 100_000
BLOCKS = (32, 64, 128, 256, 512, 1024, 2048)
ROUNDS = 7
# asked of wflow beside the best of numpy
BARS = {"relu": 3.0, "tanh": 1.8}
Run = Callable[[], Array]


@dataclass(frozen=True, eq=False)
class Case:
    """A network: x (n, 2), y (n,), v (m, 2), and a (m,) or None where it is 1."""

    name: str
    x: Array
    y: Array
    v: Array
    a: Array | None

    @classmethod
    def drawn(cls, name: str, outer: bool) -> "Case":
        """At random, seeded."""
        rng = np.random.default_rng(0)
        x, v, a = rng.normal(size=(DATA, 2)), rng.normal(size=(PARTICLES, 2)), rng.normal(size=PARTICLES)
        return cls(name, x, np.sin(x[:, 0]) * x[:, 1], v, a if outer else None)

    @property
    def points(self) -> Array:
        """(a, v) or v (m, d)."""
        return self.v if self.a is None else np.column_stack([self.a, self.v])


class Blocked:
    """numpy in blocks of `size` particles, along the rows of a block or along its columns."""

    def __init__(self, case: Case, size: int, rows: bool) -> None:
        self.case, self.size, self.rows = case, size, rows
        shape = (size, DATA) if rows else (DATA, size)
        self.z, self.s = np.empty(shape), np.empty(shape)
        self.share = np.ones(PARTICLES) if case.a is None else case.a
        self.across = np.ascontiguousarray(case.x.T)
        self.velocity = np.empty((PARTICLES, 2 if case.a is None else 3))

    def __call__(self) -> Array:
        """The velocity (m, d)."""
        f, a = np.zeros(DATA), self.case.a
        for part, z in self.blocks():
            self.value(z, z)
            f += self.share[part] @ z if self.rows else z @ self.share[part]
        slope = (f / PARTICLES - self.case.y) / -DATA
        against, out = slope[:, None] * self.case.x, self.velocity[:, -2:]
        for part, z in self.blocks():
            if a is not None:
                s = self.s[: len(z)] if self.rows else self.s[:, : z.shape[1]]
                self.value(z, s)
                self.velocity[part, 0] = s @ slope if self.rows else slope @ s
                self.slope_of(z, s)
            else:
                self.value(z, z)
                self.slope_of(z, z)
            out[part] = z @ against if self.rows else z.T @ against
        if a is not None:
            np.multiply(out, a[:, None], out=out)
        return self.velocity

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """z = x . v, block by block."""
        for start in range(0, PARTICLES, self.size):
            part = slice(start, min(start + self.size, PARTICLES))
            yield part, self.product(part)

    def product(self, part: slice) -> Array:
        """x . v in place."""
        v = self.case.v[part]
        if self.rows:
            return np.matmul(v, self.across, out=self.z[: len(v)])
        return np.matmul(self.case.x, v.T, out=self.z[:, : len(v)])

    def value(self, z: Array, out: Array) -> None:
        """sigma(z)."""
        np.tanh(z, out=out) if self.case.name == "tanh" else np.maximum(z, 0.0, out=out)

    def slope_of(self, z: Array, s: Array) -> None:
        """sigma' into z from s = sigma(z)."""
        if self.case.name == "tanh":
            np.multiply(s, s, out=z)
            np.subtract(1.0, z, out=z)
        else:
            np.greater(s, 0.0, out=z, casting="unsafe")


def by_energy(case: Case) -> Run:
    """As GradientFlow calls it."""
    neuron = RidgeNeuron(activation(case.name), inputs=2, outer=case.a is not None)
    energy = Energy(Risk(neuron, Data(case.x, case.y)))
    start = Particles(neuron.domain, case.points)

    def run() -> Array:
        pi = start.moved(start.points)
        return energy.velocity(pi, pi.points)

    return run


def by_loops(case: Case) -> Run:
    """The compiled dense loops alone."""
    from wflow import formulas, fused
    from wflow.ridge import Affine

    formula = formulas.formula_of(activation(case.name))
    assert formula is not None
    table, ridge = fused.Fused(formula, case.x), Affine(case.a is not None, False)
    share = np.full(PARTICLES, 1.0 / PARTICLES)

    def run() -> Array:
        a, v = ridge.split(case.points)
        here = table.at(v)
        slope = (here.forward(share if a is None else share * a) - case.y) / -DATA
        return ridge.assembled(1, a, v, here.backward(slope, ridge.orders(1)))

    return run


def timed(runs: dict[str, Run]) -> dict[str, float]:
    """The best processor time of each, in milliseconds, warm."""
    best = dict.fromkeys(runs, np.inf)
    for _ in range(ROUNDS):
        for name, run in runs.items():
            began = time.process_time()
            run()
            best[name] = min(best[name], 1e3 * (time.process_time() - began))
    return best


def peak(run: Run) -> float:
    """The most memory that a run holds beyond what was there, in megabytes."""
    tracemalloc.start()
    run()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e6


def blas_kernel() -> str:
    """The name of the processor that numpy's OpenBLAS has chosen its loops for."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for library in folder.glob("*openblas*"):
        for name in ("scipy_openblas_get_corename64_", "openblas_get_corename"):
            function = getattr(ctypes.CDLL(str(library)), name, None)
            if function is not None:
                function.restype = ctypes.c_char_p
                return str(function().decode())
    return "unknown"


def table(case: Case) -> list[str]:
    """The lines of one network."""
    tuned = {
        f"{size} {'rows' if rows else 'columns'}": Blocked(case, size, rows)
        for size in BLOCKS
        for rows in (True, False)
    }
    runs: dict[str, Run] = {"wflow, compiled loops": by_loops(case), "wflow, Energy.velocity": by_energy(case)}
    expected = next(iter(tuned.values()))().copy()
    times = timed({**tuned, **runs})
    block = min(tuned, key=lambda name: times[name])
    lines = [f"{'numpy, blocks of ' + block:34s} {times[block]:9.2f} {peak(tuned[block]):9.1f}"]
    for name, run in runs.items():
        off = np.max(np.abs(run() - expected)) / np.max(np.abs(expected))
        lines.append(f"{name:34s} {times[name]:9.2f} {peak(run):9.1f} {times[block] / times[name]:8.1f} {off:9.1e}")
    return lines


def main() -> int:
    """Print the tables."""
    if not compiled.available():
        print("benchmarks/particles.py needs numba, the extra `fast`: pip install -e '.[fast]'")
        return 2
    if os.environ.get("OMP_NUM_THREADS") != "1":  # read when numpy is imported: once more with it
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "1"})
    chosen = {name: os.environ[name] for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if name in os.environ}
    print(f"{DATA} data, {PARTICLES} particles in the plane")
    print(f"numpy {np.__version__}, OpenBLAS for {blas_kernel()}, chosen by the environment: {chosen or 'nothing'}")
    print(f"an array of all pairs would be {8e-6 * DATA * PARTICLES:.0f} MB")
    for name, bar in BARS.items():
        for outer in (False, True):
            print(f"\n{name}, {'a sigma(x . v)' if outer else 'sigma(x . v)'}; asked: {bar:g} times numpy")
            print(f"{'':34s} {'ms':>9s} {'peak MB':>9s} {'faster':>8s} {'apart':>9s}")
            print("\n".join(table(Case.drawn(name, outer))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
