r"""What is left of a flow in R^d when a symmetry is divided out?   Slides: targets of few directions.

Claim: an odd target makes a relu network a linear predictor, and a target of one axis leaves one of d + 1 numbers.

    (a, b) -> (-a, -b), f* odd:  f = w . x,  V = a b . q/2,  q = S w - c,  A = int a^2 dpi, B = int b b^T dpi [derived]
        w' = -(A I + B) q/4,   A' = -2 w . q,   B' = -(q w^T + w q^T);  F least where q = 0                   [derived]
    f* = |x_1|, all directions b at the start:  nu = int a |b| delta_{angle of b to the axis} dpi is a conic
        flow on [0, pi], alpha = 1/2, beta = 1, from sin(phi)^(d-2)                                           [derived]
    m neurons of R^21 are a sample of it: their F is off by less than F_0/m^(1/2)                             [measured]
"""

from functools import cache

import numpy as np

from solvers.conic import ConicHeun
from solvers.particles import GradientFlow
from solvers.starts import Sampled
from wflow import Atoms, Energy, Flow, Particles, Trajectory, picture, population_risk, problems, solve, space
from wflow.isotropic import Isotropic
from wflow.odd_dynamics import OddDynamics
from wflow.space_kernel import ReluSpaceKernel

# Problem
DIM, NEURONS, END = 20, 200, 24.0
ODD = problems.odd_target()
CLOSED = OddDynamics.of(ODD.flow.energy.risk.data, Particles(ODD.flow.domain, ODD.flow.initial.points))


# Solve
@cache
def one_angle() -> Trajectory:
    return solve(problems.axis_target(DIM, horizon=END).flow, ConicHeun(200, alpha=0.5), steps=480, times=range(1, 25))


@cache
def all_inputs(dim: int = DIM) -> Trajectory:
    """|x_1| = relu(x_1) + relu(-x_1): two teachers of charge 1."""
    teachers = np.array([[2.0, sign] + [0.0] * (dim - 1) for sign in (1.0, -1.0)])
    energy = Energy(*population_risk(ReluSpaceKernel(dim), Atoms(space(dim + 1), teachers)))
    flow = Flow(energy, space(dim + 1), Isotropic(dim, (1.0, 1.0), (1.0, 1.0)), END)
    return solve(flow, GradientFlow(NEURONS, start=Sampled(0)), steps=48, times=range(1, 25))


# Check: F of neurons against one angle; the odd target against its closed flow, printed below
# Picture: F of both flows, and of what is left of them (dashed)


# What would refute this
def refutation(dim: int = DIM) -> tuple[bool, float, float]:
    """Neurons of R^(dim + 1) leave the flow of one angle in R^20 by more than F_0/m^(1/2)."""
    off, limit = float(np.max(np.abs(all_inputs(dim).energies - one_angle().energies))), 0.5 / NEURONS**0.5
    print(f"refuted: {'yes' if off > limit else 'no'} ({off:.4f}, {limit:.4f})")
    return off > limit, off, limit


# Exercise: how fast does F - inf F of the odd target fall in the end? (Twice the least eigenvalue of (A I + B) S/4.)
def exercise() -> tuple[float, float]:
    (*_, row), d = CLOSED.at(np.array([0.0, 40.0])), CLOSED.dim
    moments = row[d] * np.eye(d) + row[d + 1 :].reshape(d, d)
    early, late = CLOSED.excess(np.array([40.0, 41.0]))
    return float(np.min(np.linalg.eigvals(moments @ CLOSED.second).real) / 2), float(np.log(early / late))


if __name__ == "__main__":
    run = solve(ODD.flow, GradientFlow(80), steps=80)
    lines = {"odd target, 80 neurons of R^11": (run.times, run.energies - ODD.lowest)}
    lines["odd target, closed flow"] = run.times, CLOSED.excess(run.times)
    lines[f"|x_1|, {NEURONS} neurons of R^{DIM + 1}"] = all_inputs().times, all_inputs().energies
    lines["|x_1|, one angle"] = one_angle().times, one_angle().energies
    figure = picture.numbers(lines, known=list(lines)[1::2], value="F - inf F")
    print(picture.save(figure, "results/demos/symmetries.png"))
    refutation()
    print("exercise: predicted {:.4f}, measured {:.4f}".format(*exercise()))

# References: [1] Hajjar & Chizat 2022, arXiv:2211.08771. [2] Cho & Saul 2009, NeurIPS (the kernel).
# [3] Chizat 2022, Math. Program. 194 (conic flows).    Next lesson: momentum.py
