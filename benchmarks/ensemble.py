"""Ten thousand independent Langevin runs of the linear neuron: wflow against plain numpy, in one process.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/ensemble.py [RUNS]

k = cos/2 on the circle, T = .1, 100 particles, 1000 steps. numpy: the best of five block sizes, preallocated, in
place, cosine and sine once a step, the same generator; it is given a fifth of the runs (at most 500 for the choice of
the block) and its time is scaled. |c_1|^2 of both must agree within 4 standard errors. Ends with status 1 where wflow
takes more than 30 s of wall time on two processors that are free, or 60 s of processor time.
"""

import math
import sys
import time
from collections.abc import Callable

import numpy as np

from solvers.ensemble import ensemble
from solvers.langevin import Langevin, Langevin2
from solvers.particles import GradientFlow, Sampled
from wflow import Energy, Entropy, Flow, compiled, problems
from wflow.arrays import Array
from wflow.law import Law

A, T, M, STEPS, HORIZON, SECONDS = 0.5, 0.1, 100, 1000, 4.0, 60.0


def plain(start: Law, runs: int, block: int) -> Array:
    """|c_1|^2 at the end (runs,), by numpy alone."""
    rng, dt, found = np.random.default_rng(0), HORIZON / STEPS, []
    scale = math.sqrt(2.0 * T * dt)
    for first in range(0, runs, block):
        rows = min(block, runs - first)
        w = start.sample(rows * M, rng).reshape(rows, M)
        c, s, noise = np.empty_like(w), np.empty_like(w), np.empty_like(w)
        for _ in range(STEPS):
            np.cos(w, out=c)
            np.sin(w, out=s)
            x, y = dt * A * c.mean(axis=1, keepdims=True), dt * A * s.mean(axis=1, keepdims=True)
            s *= x
            c *= y
            w += s
            w -= c
            rng.standard_normal(out=noise)
            noise *= scale
            w += noise
        found.append(np.cos(w).mean(axis=1) ** 2 + np.sin(w).mean(axis=1) ** 2)
    return np.concatenate(found)


def timed[R](what: Callable[[], R]) -> tuple[R, float, float]:
    """The result, processor and wall time."""
    wall, own = time.perf_counter(), time.process_time()
    result = what()
    return result, time.process_time() - own, time.perf_counter() - wall


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    cold = problems.linear_neuron(a=A, horizon=HORIZON).flow
    flow = Flow(Energy(*cold.energy.terms, Entropy(T)), cold.domain, cold.initial, HORIZON)

    def square(w: Array) -> Array:
        return np.asarray(np.cos(w[:, :, 0]).mean(axis=1) ** 2 + np.sin(w[:, :, 0]).mean(axis=1) ** 2)

    few = max(100, runs // 5)
    tried = {b: timed(lambda b=b: plain(cold.initial, min(few, 500), b))[1] for b in (10, 25, 50, 100, 500)}
    best = min(tried, key=lambda b: tried[b])
    theirs, own, _ = timed(lambda: plain(cold.initial, few, best))
    scaled = own * runs / few
    print("method, seconds of processor time, wall time, as fast as numpy, E |c_1|^2")
    print(f"numpy, blocks of {best} runs   {scaled:7.1f}          1.0  {theirs.mean():.6f}")
    mine, worst = None, 0.0
    for name, method, posed in (
        ("Langevin", Langevin(M, start=Sampled(0)), flow),
        ("Langevin2", Langevin2(M, start=Sampled(0)), flow),
        ("GradientFlow", GradientFlow(M, Sampled(0)), cold),
    ):
        ensemble(posed, method, runs=1, steps=2)  # compiled
        found, spent, wall = timed(lambda m=method, f=posed: ensemble(f, m, runs=runs, steps=STEPS, observe=square))
        print(
            f"{name:24} {spent:10.1f} {wall:7.1f} {scaled / spent:5.1f}  {found.mean[-1]:.6f} +- {found.error[-1]:.6f}"
        )
        if mine is None:
            mine, worst = found, spent
    assert mine is not None
    apart = abs(float(theirs.mean() - mine.mean[-1]))
    allowed = 4.0 * math.hypot(float(theirs.std()) / math.sqrt(few), float(mine.error[-1]))
    print(
        f"apart {apart:.1e}, 4 standard errors {allowed:.1e}; numba {'at hand' if compiled.available() else 'missing'}"
    )
    return int(worst > SECONDS or apart > allowed)


if __name__ == "__main__":
    sys.exit(main())
