r"""Noisy particles: how far are m of them from their limit, and does it grow with time?         Slides: (0.9), noise.

Claim: m interacting particles fluctuate about the equation by O(1/m) in mean square, at all times alike. [derived]

    F = (a/2)(E w - b)^2 + (lam/2) E w^2 + T int rho log rho:   linear neurons w x learn the number b, with decay, noise
    dw_j = -(a (wbar - b) + lam w_j) dt + (2T)^(1/2) dB_j,   wbar = (1/m) sum_j w_j                      [the particles]
    E wbar:   w* + (m_0 - w*) e^{-kappa t},   w* = a b/kappa,   kappa = a + lam:   as the equation says, for every m
    Var wbar: (1/m) (v_0 e^{-2 kappa t} + (T/kappa)(1 - e^{-2 kappa t})),   so the risk is too large by a/2 of it, and
    at rest:  E R_m - R = a T/(2 m kappa)   and   Var w_j = T/lam - (T/m) a/(lam kappa)                        [derived]

The particles repel each other's mean: its variance T/(m kappa) is below T/(m lam), what independent ones would have.
"""

import numpy as np

from solvers.ensemble import ensemble
from solvers.langevin import Langevin2
from solvers.particles import Sampled
from wflow import picture, problems
from wflow.arrays import Array

# Problem
A, B, LAM, T, V0, MEAN = 1.0, 1.0, 0.5, 0.2, 0.25, -1.0
KAPPA, SIZES, RUNS, END = A + LAM, (5, 20, 80), 4000, 12.0
TIMES = END * np.arange(25) / 24


# Solve
def excess(m: int, temperature: float = T) -> tuple[Array, Array]:
    """E R_m - R = (a/2) E (wbar - E wbar)^2 and its standard error at TIMES (k,), over RUNS independent networks."""
    flow = problems.gaussian_langevin(A, B, LAM, temperature, MEAN, V0, END).flow
    found = ensemble(
        flow, Langevin2(m, start=Sampled(0)), runs=RUNS, seed=1, steps=240, times=TIMES[1:].tolist(),
        observe=lambda w: w[:, :, 0].mean(axis=1),
    )  # fmt: skip
    limit = A * B / KAPPA + (MEAN - A * B / KAPPA) * np.exp(-KAPPA * TIMES)
    above = 0.5 * A * (found.values - limit[:, None]) ** 2
    return above.mean(axis=1), above.std(axis=1) / RUNS**0.5


# Check
def derived(m: int, kappa: float = KAPPA) -> Array:
    fade = np.exp(-2 * kappa * TIMES)
    return np.asarray(0.5 * A * (V0 * fade + T / kappa * (1 - fade)) / m)


# Picture: m (E R_m - R) over time for three m, and the closed form


# What would refute this
def refutation(kappa: float = KAPPA) -> tuple[bool, float, float]:
    """A mean risk of five particles that is off its closed form by more than four standard errors, at some time."""
    found, error = excess(5)
    worst = float(np.max(np.abs(found - derived(5, kappa)) / error))
    print(f"refuted: {'yes' if worst > 4.0 else 'no'} ({worst:.2f}, 4 standard errors)")
    return worst > 4.0, worst, 4.0


# Exercise: twice the noise, ten particles. How far above its limit is the risk at rest? (a T/(2 m kappa), T = 0.4)
def exercise(m: int = 10, temperature: float = 2 * T) -> tuple[float, float]:
    return A * temperature / (2 * m * KAPPA), float(excess(m, temperature)[0][-6:].mean())


if __name__ == "__main__":
    lines = {}
    for m in SIZES:
        found, error = excess(m)
        lines[f"m = {m}"] = (TIMES, m * found)
        worst = np.max(np.abs(found - derived(m)) / error)
        print(f"m = {m:3}: at rest {found[-1]:.6f}, derived {derived(m)[-1]:.6f}; largest error {worst:.2f} s.e.")
    lines["closed form"] = (TIMES, derived(1))
    print(picture.save(picture.numbers(lines, known=["closed form"], value="m (E R_m - R)"), "results/demos/chaos.png"))
    refutation()
    print("exercise: predicted {:.5f}, measured {:.5f}".format(*exercise()))

# References: [1] Sznitman 1991, Springer LNM 1464. [2] Chen, Ren & Wang 2022, uniform-in-time propagation of chaos.
# [3] Hu, Ren, Siska & Szpruch 2021, arXiv:1905.07769.    Next lesson: energy_dissipation.py
