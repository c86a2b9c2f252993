"""Work against precision: JKO steps of first and second order, LJKO, and implicit finite volumes, error by CPU time.

    drift_diffusion from t = 0 to .25 on [0, 1], T = 1, drift 1          relative L1 of cell averages at the end
    barenblatt, m = 2, strength .1, t = .01 to .026 in the plane         the same

Each method on a list of (cells, steps), everything counted: the start from the law, each step with its checks of mass,
sign and energy, coupling bounds where there are any. Processor time, the better of two warm runs. The competitor of any
JKO code is an implicit finite-volume scheme: here `ScharfetterGummel`, one sweep an axis and step, which is not
variational and of first order in time as well. No ratio is asked for: the table says who wins where.
"""

import resource
import sys
import time
from collections.abc import Sequence

import numpy as np

from solvers.finite_volume import ScharfetterGummel
from solvers.jko import Linearised, Spline, SplineSdirk2
from wflow import Density, problems, solve
from wflow.problems import Problem
from wflow.solver import Solver

LINE = problems.drift_diffusion(start=0.0, horizon=0.25)
PLANE = problems.barenblatt(dim=2)
WINDOW = ((-0.5, 0.5), (-0.5, 0.5))
ON_THE_LINE: Sequence[tuple[Solver, Sequence[int]]] = (
    (Spline(400), (10, 40, 160)),
    (SplineSdirk2(400), (5, 10, 20, 40)),
    (Linearised(400), (10, 40, 160)),
    (ScharfetterGummel(400), (10, 40, 160, 640, 2560)),
)
IN_THE_PLANE: Sequence[tuple[Solver, Sequence[int]]] = (
    (Spline(128, window=WINDOW, tolerance=4e-3), (4, 8, 16)),
    (SplineSdirk2(128, window=WINDOW, tolerance=4e-3), (2, 4, 8)),
    (ScharfetterGummel(128, window=WINDOW), (16, 64, 256, 1024)),
)


def measured(problem: Problem, solver: Solver, steps: int, rounds: int = 2) -> tuple[float, float]:
    """Relative L1 at the end, and processor seconds."""
    assert problem.exact is not None
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        pi = solve(problem.flow, solver, steps=steps).final
        spent.append(time.process_time() - began)
    law = problem.exact(problem.flow.horizon)
    assert isinstance(pi, Density) and law is not None
    error = float(np.abs(pi.values - law.averages(pi.grid)).sum()) * pi.grid.cell_volume
    return error, min(spent)


def table(problem: Problem, rows: Sequence[tuple[Solver, Sequence[int]]]) -> None:
    """One line a run."""
    print(f"\n{problem.name}\n| method | steps | L1 | seconds |\n|---|---|---|---|")
    for solver, counts in rows:
        solve(problem.flow, solver, steps=counts[0])  # compiles
        for steps in counts:
            error, seconds = measured(problem, solver, steps)
            print(f"| {solver} | {steps} | {error:.2e} | {seconds:.3f} |", flush=True)


def large() -> None:
    """16 steps on 512^2 cells, a step on 1024^2, and the most memory that the process ever held (it runs first)."""
    fine = Spline(1024, window=WINDOW, tolerance=4e-3)
    fine.refined(1.0 / 16).step(PLANE.flow, fine.refined(1.0 / 16).init(PLANE.flow), 1e-3)  # compiles
    began = time.process_time()
    fine.step(PLANE.flow, fine.init(PLANE.flow), 1e-3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{fine}: one step {time.process_time() - began:.1f} s, at most {peak:.2f} GB")
    wall = time.perf_counter()
    error, seconds = measured(PLANE, fine.refined(0.5), 16, rounds=1)
    print(
        f"{fine.refined(0.5)}: 16 steps, L1 {error:.3e}, {seconds:.1f} s ({time.perf_counter() - wall:.1f} s of wall)"
    )


def main() -> int:
    """All of it."""
    large()
    table(LINE, ON_THE_LINE)
    table(PLANE, IN_THE_PLANE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
