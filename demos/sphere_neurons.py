r"""Which shapes of a cloud of neurons on the sphere does a ReLU network of three inputs smooth out, and how fast?

Claim: near uniform degree l fades at the rate l (l + 1) 3 mu_l^2; odd degrees from 3 on do not move at all. [derived]

    F = (1/2) E (f_pi - f_uniform)^2,  x ~ N(0, I_3),  f_pi(x) = int relu(x . w) dpi(w),  |w| = 1
    k(w, w') = sum_l 3 (2l + 1) mu_l^2 P_l(w . w'),   mu_l = (1/2) int relu(t) P_l(t) dt           [Funk and Hecke]
    rho = (1 + h P_l)/4 pi:  h' = -l (l + 1) 3 mu_l^2 h to first order: 1/6, .0703, 0, .0065, 0, ...      [derived]

The density lives on triangles of the sphere, linear in each, and moves by fluxes across their sides (DOLFINx).
Slides: Theorem 4, on the circle.
"""

import math
from functools import lru_cache

import numpy as np

from solvers.fem import DG1
from wflow import MeshDensity, Trajectory, activation, picture, problems, solve
from wflow.problems.sphere import decay_rates

# Problem
RATES = decay_rates(activation("relu"), "gaussian", 4)
START = {2: 0.8, 3: 0.9}


# Solve
@lru_cache
def fading(degree: int) -> Trajectory:
    flow = problems.sphere_teacher(activation="relu", modes={degree: 1e-3}, horizon=1.0).flow
    return solve(flow, DG1(cells=32), steps=4, times=[1.0])


@lru_cache
def shape() -> Trajectory:
    flow = problems.sphere_teacher(activation="relu", modes=START, horizon=60.0).flow
    return solve(flow, DG1(cells=16), steps=120, times=[60.0])


# Check
def amplitude(pi: MeshDensity, degree: int) -> float:
    points, weights = pi.quadrature(4)
    return (2 * degree + 1) * float(weights @ np.polynomial.legendre.legval(points[:, 2], np.eye(degree + 1)[degree]))


def rate(degree: int) -> float:
    start, end = fading(degree).measures[0], fading(degree).final
    return -math.log(amplitude(end, degree) / amplitude(start, degree))


# Picture: a start of degrees 2 and 3, half of what relu sees of it gone


# What would refute this
def refutation(inputs: float = 3.0) -> tuple[bool, float, float]:
    """A rate of degree 1 or 2 more than 2 % off; inputs: E |x|^2."""
    value, limit = max(abs(rate(n) / (RATES[n] * inputs / 3.0) - 1.0) for n in (1, 2)), 0.02
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.4f}, {limit:.4f})")
    return value > limit, value, limit


# Exercise: what is left of an amplitude of degree 3 after unit time? (Its rate is 0.)
def exercise() -> tuple[float, float]:
    return 1.0, math.exp(-rate(3))


if __name__ == "__main__":
    print("degree  measured  derived")
    print("\n".join(f"{n}  {rate(n):.5f}  {RATES[n]:.5f}" for n in (1, 2, 3, 4)))
    print(picture.save(picture.regions(shape(), axis=0), "results/demos/sphere_neurons.png"))
    refutation()
    print("exercise: predicted {:.6f}, measured {:.6f}".format(*exercise()))

# References: [1] Funk 1913, Math. Ann. 74; Hecke 1917, Math. Ann. 78. [2] Dedner, Madhavan & Stinner 2013, IMA J.
# Numer. Anal. 33, 952-973. [3] Mei, Montanari & Nguyen 2018, PNAS 115(33).
# Next lesson: sphere_movie.py
