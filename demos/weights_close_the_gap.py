r"""Why does gradient descent on positions stall short of the best network, where masses that move do not?

Claim: with equal masses that stay the proved gap F - inf F stops falling; with masses that move it goes on to fall.

    teacher pi* = .62 delta_1 + .38 delta_3,   F(pi) = int int k d(pi - pi*) d(pi - pi*)/2,   V = k * (pi - pi*)
    W2:  theta' = -V'(theta) at fixed masses:   it rests where V' = 0 on the support
    WFR: besides m' = -4 m (V - int V dpi):     it rests where V = int V dpi on the support as well   [derived]
    pi is a minimiser if and only if V = min V on its support:  int V dpi - min V >= F - inf F         [proved]

Transport sends to each teacher what its basin held, 11 and 8 of 20 neurons, and one stays on the ridge: V' = 0 at both,
V lower by .08 at one, where mass is wanted that cannot get there. On cells transport creeps.     [measured]
Slides: (0.4)-(0.6) are W2; the second equation is Chizat and Bach's, who let a direction gain and lose mass.
"""

import math

import numpy as np

from solvers.conic import ConicDescent, ConicParticles
from solvers.finite_volume import ConicUpwind
from wflow import Charged, Energy, Flow, Trajectory, Uniform, activation, circle, circle_kernel, picture, solve
from wflow.duality import bounds
from wflow.energy import population_risk
from wflow.law import Atoms, Law
from wflow.solver import Solver

# Problem
END, PLACES, SHARES = 200.0, np.array([[1.0], [3.0]]), np.array([0.62, 0.38])
TIMES, KERNEL = np.geomspace(0.1, END, 40), circle_kernel(activation("cos_minus_sin", 2.0), "gaussian")


def flow(start: Law) -> Flow:
    energy = Energy(*population_risk(KERNEL, Atoms(circle(), PLACES, SHARES)))
    return Flow(energy, circle(), Charged(start, conserved=True), END)


# Solve
def run(alpha: float, solver: type[Solver] = ConicDescent, size: int = 20) -> Trajectory:
    return solve(flow(Uniform(circle())), solver(size, alpha=alpha), times=TIMES)


# Check
def gaps(of: Trajectory) -> np.ndarray:
    return bounds(of).gaps  # F - inf F is at most this, proved


def on_support(of: Trajectory) -> float:
    return float(np.ptp(of.flow.energy.potential(of.final, of.final.points)[of.final.weights > 1e-3]))


# Picture: the proved gap over time, by transport alone and with masses that move, of particles and on cells


# What would refute this
def refutation(alpha: float = 1.0) -> tuple[bool, float, float]:
    value, limit = float(gaps(run(alpha))[-1]), 1e-5
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.2e}, {limit})")
    return value > limit, value, limit


# Exercise: hold two neurons at the teachers (beta = 0), masses 1/2 each. At what rate do masses reach .62 and .38?
def exercise() -> tuple[float, float]:
    rate = 8 * SHARES.prod() * float(KERNEL.coefficients(31) @ (1 - np.cos(2 * np.arange(32))))  # x' = -rate (x - x*)
    ended = solve(flow(Atoms(circle(), PLACES)), ConicParticles(2, beta=0.0), dt=0.001, until=6.0, times=[3.0, 6.0])
    return rate, math.log((ended.at(3.0).weights[0] - 0.62) / (ended.final.weights[0] - 0.62)) / 3.0


if __name__ == "__main__":
    kinds = {"W2": 0.0, "WFR": 1.0}
    runs = {f"{name}, 20 particles": run(alpha) for name, alpha in kinds.items()}
    runs |= {f"{name}, 64 cells": run(alpha, ConicUpwind, 64) for name, alpha in kinds.items()}
    for name, ended in runs.items():
        print(f"{name:18}: gap {gaps(ended)[-1]:.1e}, V on the support differs by {on_support(ended):.1e}")
    drawn = picture.numbers({n: (r.times[1:], gaps(r)[1:]) for n, r in runs.items()}, value="F - inf F is at most")
    print(picture.save(drawn, "results/demos/weights_close_the_gap.png"))
    refutation()
    print("exercise: predicted {:.4f}, measured {:.4f}".format(*exercise()))

# References: [1] Chizat & Bach 2018, arXiv:1805.09545. [2] Chizat 2022, Math. Program. 194, 487-532.
# [3] Liero, Mielke & Savare 2018, Invent. Math. 211.    Next lesson: two_clouds.py
