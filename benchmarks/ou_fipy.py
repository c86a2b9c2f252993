"""The Ornstein-Uhlenbeck flow by FiPy, by plain scipy and by wflow: same cells, same implicit steps, one process.

    rho_t = rho_xx + (x rho)_x on [-8, 8], no flux, from N(2, 1/4) to t = 1;   400 cells, 200 steps of backward Euler

Every row starts from the exact cell averages and is compared in L1 with the exact ones at the end. Times are processor
time, the best of several warm runs. What was tuned for FiPy: the equation is built before the clock starts, its
velocity is a constant FaceVariable, the mesh is uniform, sparse LU against a Krylov solver, and all convection schemes
of second order. FiPy assembles its matrix at every step and offers no way to keep the factors; the row "FiPy's matrix"
takes the matrix from it once and keeps the factors outside. wflow's time includes the start from the law, the
factorisation and the checks of mass, sign and energy at each step.

FIPY_SOLVERS=petsc takes PETSc's solvers where petsc4py is installed; the default here is scipy's.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csc_array, dia_array
from scipy.sparse.linalg import splu

from solvers.finite_volume import ScharfetterGummel, bernoulli
from wflow import Density, Grid, interval, problems, solve
from wflow.arrays import Array

os.environ.setdefault("FIPY_SOLVERS", "scipy")
CELLS, STEPS, HALF_WIDTH, HORIZON = 400, 200, 8.0, 1.0
FINER = 214
"""The fewest steps with which wflow is closer than FiPy's central differences, its most accurate row, in 200."""
ROUNDS, QUICK = 3, 20
"""The best of three runs, or of three times twenty where a run takes milliseconds; the rounds are interleaved."""

PROBLEM = problems.ornstein_uhlenbeck(lam=1.0, mean=2.0, std=0.5, horizon=HORIZON)
GRID = Grid(interval(-HALF_WIDTH, HALF_WIDTH), (CELLS,))
H, DT = GRID.cell_volume, HORIZON / STEPS
START = PROBLEM.flow.initial.averages(GRID)
Run = Callable[[], Array]


@dataclass(frozen=True)
class Row:
    """A method, the processor seconds of its best run, and its answer (m,)."""

    method: str
    seconds: float
    answer: Array

    def line(self, reference: float) -> str:
        """One line of the table; reference: the seconds of the fastest FiPy row."""
        error = H * float(np.sum(np.abs(self.answer - exact_averages())))
        mass = H * abs(float(self.answer.sum() - START.sum()))
        return f"{self.method:44s} {1e3 * self.seconds:10.2f} {error:10.3e} {mass:9.1e} {reference / self.seconds:8.1f}"


def exact_averages() -> Array:
    """The exact cell averages at the end."""
    assert PROBLEM.exact is not None
    law = PROBLEM.exact(HORIZON)
    assert law is not None
    return law.averages(GRID)


def timed(runs: dict[str, Run]) -> list[Row]:
    """The best time of each, warm."""
    answers = {method: run() for method, run in runs.items()}
    best = dict.fromkeys(runs, np.inf)
    for _ in range(ROUNDS):
        for method, run in runs.items():
            for _ in range(1 if method.startswith("FiPy ") else QUICK):
                began = time.process_time()
                run()
                best[method] = min(best[method], time.process_time() - began)
    return [Row(method, best[method], answers[method]) for method in runs]


def by_wflow(steps: int) -> Run:
    """`solve` as a user calls it."""
    solver = ScharfetterGummel(cells=CELLS, window=(-HALF_WIDTH, HALF_WIDTH))

    def run() -> Array:
        final = solve(PROBLEM.flow, solver, steps=steps).final
        assert isinstance(final, Density)
        return final.values

    return run


def by_scipy() -> Array:
    """The same fluxes, assembled and factored once, in a bare loop without a check."""
    jump = H * GRID.edges()[1:-1]  # of V = x^2/2 at the inner faces
    out, back = DT / H**2 * bernoulli(jump), DT / H**2 * bernoulli(-jump)
    bands = np.ones((3, CELLS))
    bands[0, :-1], bands[2, 1:] = -out, -back
    bands[1, :-1] += out
    bands[1, 1:] += back
    matrix: Any = dia_array((bands, [-1, 0, 1]), shape=(CELLS, CELLS))
    return repeated(matrix.tocsc())


def repeated(matrix: csc_array) -> Array:
    """STEPS solutions of matrix new = old with one factorisation."""
    factors, rho = splu(matrix), START
    for _ in range(STEPS):
        rho = factors.solve(rho)
    return rho


class Fipy:
    """The flow in FiPy's words."""

    def __init__(self, fipy: Any, convection: str) -> None:
        left_end = ((-HALF_WIDTH,),)
        mesh = fipy.Grid1D(nx=CELLS, dx=H) + left_end
        drift = fipy.FaceVariable(mesh=mesh, rank=1, value=mesh.faceCenters.value)
        self.rho = fipy.CellVariable(mesh=mesh, value=START)
        transport = getattr(fipy, convection)(coeff=drift)
        self.equation = fipy.TransientTerm() == fipy.DiffusionTerm(coeff=1.0) + transport

    def by(self, solver: Any) -> Run:
        """STEPS steps by one of FiPy's solvers."""

        def run() -> Array:
            self.rho.setValue(START)
            for _ in range(STEPS):
                self.equation.solve(var=self.rho, dt=DT, solver=solver)
            return np.array(self.rho.value)

        return run

    def matrix(self, solver: Any) -> csc_array:
        """What FiPy assembles for one step, per unit h/dt."""
        self.equation.cacheMatrix()
        self.equation.solve(var=self.rho, dt=DT, solver=solver)
        return csc_array(self.equation.matrix.numpyArray * (DT / H))


def fipy_runs(fipy: Any) -> dict[str, Run]:
    """Schemes and solvers that were tried; upwind convection is left out (its L1 error is 1.4e-2)."""
    lu = fipy.LinearLUSolver()
    krylov = getattr(fipy, "LinearBicgstabSolver", fipy.LinearGMRESSolver)(tolerance=1e-10, iterations=1000)
    schemes = ("Exponential", "PowerLaw", "CentralDifference")
    runs = {f"FiPy {scheme}, LU": Fipy(fipy, f"{scheme}ConvectionTerm").by(lu) for scheme in schemes}
    exponential = Fipy(fipy, "ExponentialConvectionTerm")
    return {**runs, f"FiPy Exponential, {type(krylov).__name__}": exponential.by(krylov)}


def main() -> int:
    """Print the table."""
    try:
        import fipy
    except ImportError:
        print("benchmarks/ou_fipy.py compares with FiPy, which is not installed: pip install -e '.[bench]'")
        return 2
    matrix = Fipy(fipy, "ExponentialConvectionTerm").matrix(fipy.LinearLUSolver())
    runs = fipy_runs(fipy)
    others = {
        "FiPy's matrix, factors kept outside FiPy": lambda: repeated(matrix),
        "scipy alone, factors kept, no checks": by_scipy,
        f"wflow ScharfetterGummel, {STEPS} steps": by_wflow(STEPS),
        f"wflow ScharfetterGummel, {FINER} steps": by_wflow(FINER),
    }
    rows = timed({**runs, **others})
    print(f"Ornstein-Uhlenbeck, {CELLS} cells, dt = {DT:g}, FiPy {fipy.__version__} on {os.environ['FIPY_SOLVERS']}")
    print(f"{'method':44s} {'ms':>10s} {'L1 error':>10s} {'mass off':>9s} {'faster':>8s}")
    reference = min(row.seconds for row in rows[: len(runs)])
    for row in rows:
        print(row.line(reference))
    return 0


if __name__ == "__main__":
    sys.exit(main())
