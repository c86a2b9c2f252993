r"""Neurons with momentum: what falls if not F, and when are they faster?   Slides: (0.4), with a second derivative.

Claim: H = F + int |v|^2/2 falls by friction alone; a mode that relaxes at lambda swings, and fades at sqrt(lambda).

    w' = v,  v' = -friction v - grad V[pi](w):   d_t mu + v d_w mu - V' d_v mu = friction d_v(v mu)               [1]
    dH/dt = -friction int |v|^2 dmu:             F itself may rise                                          [derived]
    about the uniform teacher h_n'' + friction h_n' + lambda_n h_n = 0; the flow: h_n' = -lambda_n h_n      [derived]
    friction = 2 sqrt(lambda): h = (1 + sqrt(lambda) t) e^(-sqrt(lambda) t), the fastest without a swing      [textbook]
    F ~ h^2: lambda = .0161 for the mode 4, so F falls like e^(-.032 t) in the flow, like e^(-.25 t) here    [measured]
"""

import math
from functools import cache

import numpy as np

from solvers.kinetic import HeavyBall, KineticLangevin, PhaseSpace, phase_of
from solvers.particles import GradientFlow, Sampled
from wflow import Measure, Trajectory, picture, problems, solve
from wflow.solver import Solver

# Problem
FLOW = problems.circle_teacher("cos_minus_sin", b=1.0, modes={4: 0.05}, horizon=60.0).flow
WARM = problems.circle_teacher("cos_minus_sin", b=1.0, temperature=0.02, horizon=5.0).flow
LAMBDA, KNOWN, TITLE, FIGURE = 0.01611088, "h^2, derived", "friction 1, T = .02, t = 5", "results/demos/momentum.png"
CRITICAL = 2.002 * math.sqrt(LAMBDA)  # beside it, where the formula below has no 0/0


# Solve
@cache
def run(solver: Solver) -> Trajectory:
    return solve(FLOW, solver, steps=400, times=np.linspace(0.0, FLOW.horizon, 41))


def phase(solver: Solver, seen: list[Measure]) -> Measure:  # the law of (w, v) at the end of a run with noise
    solve(WARM, solver, steps=50, until=lambda state: bool(seen.append(phase_of(state))))
    return seen[-1]


# Check
def risks(of: Trajectory) -> np.ndarray:  # energies are H
    return np.array([FLOW.energy.value(pi) for pi in of.measures])


def swing(friction: float, t: np.ndarray) -> np.ndarray:
    """h(t)/h(0) of h'' + friction h' + lambda h = 0 from rest."""
    root, half = np.emath.sqrt(0.25 * friction**2 - LAMBDA), 0.5 * friction
    return np.real(np.exp(-half * t) * (np.cosh(root * t) + half / root * np.sinh(root * t)))


# Picture: F and H in time for flow and momentum, and (w, v) of the density with particles on top
# What would refute this
def refutation(friction: float = CRITICAL) -> tuple[bool, float, float]:
    """F over its start differs from h^2 by more than 3e-3 at some time, or H rises by more than 1e-3 of it."""
    ball, limit = run(HeavyBall(400, friction=friction)), 3e-3
    apart = np.abs(risks(ball) / risks(ball)[0] - swing(CRITICAL, ball.times) ** 2).max()
    value = float(max(apart, 3.0 * np.diff(ball.energies).max() / ball.energies[0]))
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.1e}, {limit})")
    return value > limit, value, limit


# Exercise: set friction to 1. At which rate does h fade in the end, by the roots of r^2 + r + lambda = 0?
def exercise() -> tuple[float, float]:
    late = np.log(risks(run(HeavyBall(400, friction=1.0))))
    return 0.5 - math.sqrt(0.25 - LAMBDA), (late[-21] - late[-1]) / FLOW.horizon


if __name__ == "__main__":
    flow, ball, light = (run(method) for method in (GradientFlow(400), HeavyBall(400, CRITICAL), HeavyBall(400, 0.05)))
    curves = {"flow: F": flow.energies, "critical friction: F": risks(ball), "friction .05: F": risks(light)}
    curves |= {"friction .05: H": light.energies, KNOWN: risks(ball)[0] * swing(CRITICAL, ball.times) ** 2}
    cells, cloud = {TITLE: phase(PhaseSpace(128), [])}, {TITLE: phase(KineticLangevin(400, start=Sampled(1)), [])}
    lines = {name: (flow.times, values) for name, values in curves.items()}
    print(picture.save(picture.phase_space(lines, cells, cloud, known=[KNOWN], value="F and H"), FIGURE))
    refutation()
    print("exercise: predicted {:.5f}, measured {:.5f}".format(*exercise()))

# References: [1] Wu, Kungurtsev & Mondelli 2022, arXiv:2210.06819 (abstract). [2] Polyak 1964, USSR Comput. Math.
# Math. Phys. 4(5). [3] Leimkuhler & Matthews 2013, Appl. Math. Res. Express 2013(1).    Next lesson: annealing.py
