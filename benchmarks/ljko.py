"""LJKO on DOLFINx meshes: the published test from t = 0, then orders on squares and triangles. Under two minutes.

    python benchmarks/ljko.py

Published (Cances, Gallouet & Todeschi 2020, drift_diffusion, g = 1, T = 1/4, as many steps as cells an axis): max over
time of L1 is 2.38e-2 for 1600 squares and 1.43e-2 for 6400; their program took 4.2 and 31.5 s in Octave.
Seconds are of the process, after two steps in which the forms are compiled and bound.
"""

import math
import time

import numpy as np

from solvers.fem import Ljko, Ljko2
from solvers.jko import Linearised
from wflow import Density, MeshDensity, State, problems, solve
from wflow.solver import Solver

MASS = 2.0 * math.pi * math.sinh(0.5)


def law(x: np.ndarray, t: float) -> np.ndarray:
    """The solution, of mass MASS."""
    wave = math.pi * np.cos(math.pi * x) + 0.5 * np.sin(math.pi * x)
    return np.asarray(np.exp(-(math.pi**2 + 0.25) * t + 0.5 * x) * wave + math.pi * np.exp(x - 0.5))


def published(solver: Solver, steps: int) -> tuple[float, float]:
    """max over time of L1 at the centres, in units of the law; seconds."""
    flow = problems.drift_diffusion(g=(1.0, 0.0), start=0.0, horizon=0.25).flow
    pi, tau, worst = solver.init(flow).measure, 0.25 / steps, 0.0
    x, volumes = pi.points[:, 0], volumes_of(pi)
    rho = law(x, 0.0)
    mass = float(rho @ volumes)
    state = State(
        0.0, Density(pi.grid, rho / mass) if isinstance(pi, Density) else MeshDensity(pi.mesh, rho[:, None] / mass)
    )
    solver.step(flow, solver.step(flow, state, tau).state, tau)
    begun = time.process_time()
    for k in range(steps):
        state = solver.step(flow, state, tau).state
        error = float(np.abs(mass * state.measure.values.ravel() - law(x, (k + 1) * tau)) @ volumes)
        worst = max(worst, error)
    return worst, time.process_time() - begun


def volumes_of(pi: Density | MeshDensity) -> np.ndarray:
    """Of the cells."""
    return np.full(pi.grid.size, pi.grid.cell_volume) if isinstance(pi, Density) else pi.mesh.volumes


def smooth(solver: Solver, steps: int) -> float:
    """L1 at t = 0.15 from t = 0.05 on the square, against the law at the centres, in units of the law."""
    flow = problems.drift_diffusion(g=(1.0, 0.0), start=0.05, horizon=0.1).flow
    end = solve(flow, solver, steps=steps, times=[0.1]).final
    return float(np.abs(MASS * end.values.ravel() - law(end.points[:, 0], 0.15)) @ volumes_of(end))


def main() -> None:
    """Both tables."""
    print(f"{'':28} {'max L1':>9} {'seconds':>8}")
    for cells in (10, 20, 40, 80):
        methods = [Linearised(cells), Ljko(cells), Ljko2(cells)]
        if cells < 80:
            methods += [Ljko(cells, triangles=True), Ljko2(cells, triangles=True)]
        for solver in methods:
            kind = "triangles" if getattr(solver, "triangles", False) else "squares"
            worst, seconds = published(solver, cells)
            print(f"{solver!s:18} {kind:9} {worst:9.3e} {seconds:8.2f}", flush=True)
    print("\nL1 at the end from t = 0.05, half as many steps as cells an axis; observed orders")
    for method in (Ljko, Ljko2):
        for triangles in (False, True):
            errors = [smooth(method(cells, triangles=triangles), cells // 2) for cells in (8, 16, 32, 64)]
            orders = np.log2(np.array(errors[:-1]) / errors[1:])
            kind = "triangles" if triangles else "squares"
            print(method.__name__, kind, *(f"{e:.2e}" for e in errors), *(f"{p:.2f}" for p in orders), flush=True)
    print("\nsteps alone: [0, 1], 400 cells, Ljko2, L1 at the end from t = 0.05 against 1280 steps")
    flow = problems.drift_diffusion(start=0.05, horizon=0.2).flow
    ends = {n: solve(flow, Ljko2(400), steps=n, times=[0.2]).final.values for n in (5, 10, 20, 40, 80, 1280)}
    errors = [float(np.abs(ends[n] - ends[1280]).mean()) for n in (5, 10, 20, 40, 80)]
    print(*(f"{e:.2e}" for e in errors), *(f"{p:.2f}" for p in np.log2(np.array(errors[:-1]) / errors[1:])))


if __name__ == "__main__":
    main()
