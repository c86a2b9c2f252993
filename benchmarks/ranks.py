"""Finite elements on one rank and on two: seconds a step, bytes that cross, and the model of docs/finite_elements.md.

    python benchmarks/ranks.py            about six minutes on two idle cores

Each figure is the median over three jobs of the wall time of a step after two warm ones, one and two ranks in turn,
one thread each.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from solvers.fem import DG1, Ljko, TwoPoint
from wflow import Flow, problems
from wflow.app.ranked import mpiexec
from wflow.part import Part
from wflow.ranks import on_ranks
from wflow.solver import Solver

JOBS, STEPS = 3, 6

Posed = Callable[[], tuple[Flow, Solver, float]]
CASES: dict[str, Posed] = {
    "network in (a, w), DG1": lambda: (problems.two_layer_1d().flow, DG1(270), 1e-4),
    "sphere teacher, DG1": lambda: (problems.sphere_teacher().flow, DG1(185), 1e-3),
    "around the obstacle, TwoPoint": lambda: (problems.around_obstacle().flow, TwoPoint(500), 0.01),
    "around the obstacle, Ljko": lambda: (problems.around_obstacle().flow, Ljko(120), 0.01),
}


def job(name: str) -> None:
    """Of a rank: the seconds of a step, unknowns, bytes of ghosts a step; rank 0 prints."""
    flow, solver, dt = CASES[name]()
    with on_ranks() as ranks:
        state = solver.init(flow)
        for _ in range(2):
            state = solver.step(flow, state, dt).state
            flow.energy.value(state.measure)
        ranks.wait()
        began = time.perf_counter()
        for _ in range(STEPS):
            state = solver.step(flow, state, dt).state
            flow.energy.value(state.measure)
        ranks.wait()
        seconds = (time.perf_counter() - began) / STEPS
        mesh = state.measure.mesh
        ghosts = len(mesh.around) - mesh.size if isinstance(mesh, Part) else 0
        unknowns = round(ranks.total(float(state.measure.values.size)))
        if ranks.number == 0:
            print(json.dumps([seconds, unknowns, 8 * ghosts * state.measure.values.shape[1]]))


def measured(name: str, ranks: int) -> tuple[float, int, int]:
    """A job of so many."""
    command = [mpiexec(), "-n", str(ranks), sys.executable, __file__, name]
    # sums over neurons would take both cores on one rank too
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=alone)
    seconds, unknowns, crossing = json.loads(done.stdout.splitlines()[-1])
    return seconds, unknowns, crossing


def latency() -> float:
    """Seconds of a sum of one number over two ranks."""
    code = (
        "import time, wflow\nwith wflow.on_ranks() as ranks:\n ranks.total(1.0)\n began = time.perf_counter()\n"
        " for _ in range(2000): ranks.total(1.0)\n if ranks.number == 0: print((time.perf_counter() - began)/2000)"
    )
    done = subprocess.run(
        [mpiexec(), "-n", "2", sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """The table."""
    print(f"a sum over two ranks: {1e6 * latency():.0f} microseconds")
    print(f"{'':32} {'unknowns':>9} {'1 rank':>9} {'2 ranks':>9} {'ratio':>6} {'bytes/exchange':>15}")
    for name in CASES:
        runs = [[measured(name, ranks) for ranks in (1, 2)] for _ in range(JOBS)]
        one, two = (statistics.median(run[k][0] for run in runs) for k in range(2))
        _, unknowns, crossing = runs[0][1]
        print(f"{name:32} {unknowns:9d} {one:9.4f} {two:9.4f} {one / two:6.2f} {crossing:15d}", flush=True)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    job(sys.argv[1]) if len(sys.argv) > 1 else main()
