r"""If all on a sphere walk towards their mean, do two unequal crowds at opposite poles agree, and on what?

Claim: yes, on the pole of the larger one: one number s(t) says where everybody is, by a conformal map.   [derived]

    F = -|m|^2 / 2,   m = int w drho,   V[rho] = -w . m,   w' = m - (m . w) w,   |w| = 1
    z = w . axis:  z' = |m| (1 - z^2),  so  z_t = tanh(artanh z_0 + s),   s' = |m|                           [derived]
    |m|(s) = int tanh(artanh z + s) p(z) dz,   p the density of z at the start:   s' = |m|(s), a number      [derived]
    near the uniform law   |m|' = (2/3) |m|,  and  F falls at the rate int |v|^2 drho = int |m|^2 (1 - z^2)  [derived]

With the kernel e^{beta w . w'} in place of w . w' this is a model of attention, time the layers (cited: [2]).
The density lives on triangles (DOLFINx), the dots are particles: two methods, one film.  Slides: (0.1), on the sphere.
"""

from functools import cache

import numpy as np
from numpy.polynomial.legendre import leggauss, legval
from scipy.integrate import solve_ivp

from solvers.fem import DG1
from solvers.particles import GradientFlow
from wflow import Energy, Flow, Interaction, LegendreKernel, Trajectory, ZonalDensity, picture, solve, sphere
from wflow.solver import Solver

# Problem
MODES, AXIS, TIMES = {1: 0.4, 2: 1.4}, (0.6, 0.48, 0.64), np.linspace(0.075, 3.0, 40)
ELEMENTS, PARTICLES = DG1(cells=32), GradientFlow(particles=400)
ATTRACTION = Energy(Interaction(LegendreKernel(np.array([0.0, -1.0]))))


# Solve
@cache
def run(solver: Solver, excess: float = MODES[1]) -> Trajectory:
    start = ZonalDensity({**MODES, 1: excess}, AXIS)
    return solve(Flow(ATTRACTION, sphere(), start, TIMES[-1]), solver, steps=160, times=list(TIMES))


# Check
def length_of_mean(t: float, excess: float = MODES[1]) -> float:
    """|m| at a time, by the equation of s."""
    z, weights = leggauss(200)
    p = 0.5 * legval(z, [1.0, excess, MODES[2]]) * weights
    s = solve_ivp(lambda _, s: np.tanh(np.arctanh(z) + s) @ p, (0.0, t), [0.0], rtol=1e-9, atol=1e-12).y[0, -1]
    return float(np.tanh(np.arctanh(z) + s) @ p)


def measured(solver: Solver, t: float, excess: float = MODES[1]) -> float:
    pi = run(solver, excess).at(t)
    return float(np.linalg.norm(pi.weights @ pi.points))


# Picture: the film, density and particles; and its first, middle and last frame


# What would refute this
def refutation(excess: float = MODES[1]) -> tuple[bool, float, float]:
    """A mean at t = 3 whose length is off by more than 1 %."""
    value, limit = abs(measured(ELEMENTS, 3.0) / length_of_mean(3.0, excess) - 1.0), 0.01
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.4f}, {limit})")
    return value > limit, value, limit


# Exercise: how long is the mean at t = 3 from an excess of .6 in place of .4?
def exercise() -> tuple[float, float]:
    return length_of_mean(3.0, 0.6), measured(PARTICLES, 3.0, 0.6)


if __name__ == "__main__":
    for t in (0.0, 1.5, 3.0):
        print(f"t = {t}: |m| {length_of_mean(t):.4f}, elements {measured(ELEMENTS, t):.4f}")
    shown = picture.regions(run(ELEMENTS), run(PARTICLES), [0.0, 1.5, 3.0], axis=1, one_scale=True, root=2)
    print(picture.save(shown, "results/demos/sphere_movie.png"))
    print(picture.film(run(ELEMENTS), "results/demos/sphere_movie.gif", run(PARTICLES), axis=1, root=2))
    refutation()
    print("exercise: predicted {:.4f}, measured {:.4f}".format(*exercise()))

# References: [1] Lipton, Mirollo & Strogatz 2021, Chaos 31, 093113. [2] Geshkovski, Letrouit, Polyanskiy & Rigollet
# 2025, Bull. AMS 62(3), 427-479. [3] Dedner, Madhavan & Stinner 2013, IMA J. Numer. Anal. 33, 952-973.
# Next lesson: round_obstacle.py
