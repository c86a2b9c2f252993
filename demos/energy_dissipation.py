r"""Where does the energy go, and how exactly does each method keep the books?   Slides: (0.1) and its dissipation.

Claim: along d_t pi = div(pi grad V) mass is constant and F falls exactly by what the motion dissipates.

    dF/dt = int V d_t pi = -int |grad V|^2 dpi,   so   F(0) - F(t) = int_0^t int |grad V[pi_s]|^2 dpi_s ds      [proved]
    particles, RK4:   the two ledgers differ by O(dt^4)  (V recomputed at each stage; Simpson in time)        [measured]
    Muscl:            by O(dt^2) or better: its discrete V is the gradient of the discrete F                  [measured]
    JKO:              F(pi_k) - F(pi_{k+1}) >= W2^2(pi_k, pi_{k+1}) / (2 tau):  compare pi_{k+1} with pi_k     [proved]
    tau -> 0:         sum of W2^2 / (2 tau) -> (1/2) int int |grad V|^2 dpi ds:  half of what F loses          [cited]

The other half of JKO's ledger is the slope of F at the new point: the energy identity of De Giorgi splits evenly.
F = R/2 here. Whoever keeps the books with R, as some slides do, finds them wrong by a factor of 2.
"""

import math
from functools import cache

import numpy as np

from solvers.finite_volume import Muscl
from solvers.jko import Quantile
from solvers.particles import GradientFlow
from wflow import Trajectory, picture, problems, solve
from wflow.solver import Solver

# Problem
FLOW = problems.circle_teacher("cos_minus_sin", b=1.0, horizon=10.0).flow
METHODS = (GradientFlow(particles=200), Muscl(cells=64), Quantile(points=100))
PARTICLES, CELLS, JKO = METHODS


# Solve
@cache
def run(solver: Solver, steps: int) -> Trajectory:
    return solve(FLOW, solver, steps=steps)


# Check
def gap(trajectory: Trajectory, scale: float = 1.0) -> float:
    """(scale (F(0) - F(T)) - dissipated) / (F(0) - F(T)); scale = 2 stands for R in place of F."""
    lost = trajectory.energies[0] - trajectory.energies[-1]
    return float(scale - trajectory.dissipated[-1] / lost)


def order(solver: Solver, steps: int = 80) -> float:
    return math.log2(abs(gap(run(solver, steps)) / gap(run(solver, 2 * steps))))


# Picture: both ledgers in time, and their difference


# What would refute this
def refutation(scale: float = 1.0) -> tuple[bool, float, float]:
    """The ledgers of particles differ by more than 1e-7 of the lost energy, or a JKO step gains on its own."""
    limit, jko = 1e-7, run(JKO, 40)
    gains = np.diff(jko.dissipated) - scale * -np.diff(jko.energies)
    value = max(abs(gap(run(PARTICLES, 80), scale)), float(np.max(gains)))
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.1e}, {limit})")
    return value > limit, value, limit


# Exercise: raise JKO's steps from 40 to 160. Which share of the lost energy is then the sum of W2^2 / (2 tau)?
def exercise(steps: int = 160) -> tuple[float, float]:
    return 0.5, 1.0 - gap(run(JKO, steps))


if __name__ == "__main__":
    runs = {str(solver): run(solver, 80) for solver in METHODS}
    for solver, (name, trajectory) in zip(METHODS, runs.items(), strict=True):
        drift = np.ptp(trajectory.diagnostics["mass"])
        note = "an inequality" if solver is JKO else f"order {order(solver):.2f}"
        print(f"{name:28} gap {gap(trajectory):9.1e}, {note}, mass drift {drift:.0e}")
    print(picture.save(picture.ledger(runs), "results/demos/energy_dissipation.png"))
    refutation()
    print("exercise: predicted {}, measured {:.4f}".format(*exercise()))

# References: [1] Ambrosio, Gigli & Savare 2008, Gradient Flows, Birkhauser. [2] Carrillo, Chertock & Huang 2015,
# Commun. Comput. Phys. 17(1). [3] Otto 2001, Comm. Partial Differential Equations 26.    Next lesson: methods_agree.py
