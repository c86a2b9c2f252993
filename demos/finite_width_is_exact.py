r"""Is the Wasserstein gradient flow only a limit of wide networks?   Slides: (0.5)-(0.7) and the proof that follows.

Claim: no limit is needed. The PDE started at m atoms *is* the m-particle ODE, for m = 1, 3, 50 alike.          [proved]

    pi_t = (1/m) sum_j delta_{w_j(t)},       w_j' = -V'[pi_t](w_j) = -(m/2) dR/dw_j,       R = E (f_pi - f*)^2
    weak form, for every smooth phi:      d/dt int phi dpi_t = -int phi' V'[pi_t] dpi_t
    residual(dt) = | int phi dpi_T - int phi dpi_0 + int_0^T int phi' V' dpi_t dt |   with pi_t from steps of length dt

Proof: d/dt (1/m) sum_j phi(w_j) = (1/m) sum_j phi'(w_j) w_j' by the chain rule; that is the weak form, word for word.
So the residual is the tolerance of the ODE method: order 4 in dt at any m, Runge-Kutta and Simpson's rule for the time
integral being of order 4 (measured). The factor m/2 matters: w_j' = -dR/dw_j, without it, runs slower by m/2, solves
another equation, and does not pass at any dt.
"""

import math
from functools import cache

import numpy as np
from scipy.integrate import simpson

from solvers.particles import GradientFlow
from wflow import Atoms, Energy, Flow, activation, circle, circle_kernel, picture, population_risk, solve

# Problem
HORIZON, STEPS = 8.0, (16, 32, 64, 128)
TEACHER = Atoms(circle(), np.array([[1.0], [2.5]]))
ENERGY = Energy(*population_risk(circle_kernel(activation("cos_minus_sin", 1.0), "gaussian"), TEACHER))


# Solve
@cache
def sides(m: int, steps: int) -> tuple[float, float]:
    """int phi dpi_T - int phi dpi_0  and  -int_0^T int phi' V' dpi_t dt  for phi = sin."""
    start = Atoms(circle(), np.random.default_rng(1).uniform(0.0, 2.0 * math.pi, (m, 1)))
    times = np.linspace(0.0, HORIZON, steps + 1)
    run = solve(Flow(ENERGY, circle(), start, HORIZON), GradientFlow(m), steps=steps, times=times)
    pushed = [np.mean(np.cos(pi.points) * ENERGY.velocity(pi, pi.points)) for pi in run.measures]
    moved = np.mean(np.sin(run.final.points)) - np.mean(np.sin(run.measures[0].points))
    return float(moved), float(simpson(pushed, x=times))


# Check
def residual(m: int, steps: int = STEPS[-1], clock: float = 1.0) -> float:
    """Of the weak form; `clock` is the time that passes in the PDE while one unit passes in the ODE."""
    moved, pushed = sides(m, steps)
    return abs(moved - clock * pushed)


# Picture: the residual against dt, for three widths and for the wrong clock


# What would refute this
def refutation(wrong_clock: bool = False) -> tuple[bool, float, float]:
    """At the shortest step the weak form must hold to 1e-8 for each m."""
    limit = 1e-8
    worst = max(residual(m, clock=m / 2 if wrong_clock else 1.0) for m in (1, 3, 50))
    print(f"refuted: {'yes' if worst > limit else 'no'} ({worst:.1e}, {limit})")
    return worst > limit, worst, limit


# Exercise: replace m/2 by 1, that is clock = m/2. For which of m = 1, 2, 3, 4, 5 does the check still pass?
def exercise() -> tuple[list[int], list[int]]:
    return [2], [m for m in range(1, 6) if residual(m, clock=m / 2) < 1e-8]


if __name__ == "__main__":
    errors = {f"m = {m}": [residual(m, n) for n in STEPS] for m in (1, 3, 50)}
    for name, row in errors.items():
        print(f"{name:6}: residuals {row[0]:.1e} ... {row[-1]:.1e}, order {math.log2(row[-2] / row[-1]):.2f} (of 4)")
    errors["m = 50 without the factor m/2"] = [residual(50, n, clock=25.0) for n in STEPS]
    slopes = {name: 0.0 if "without" in name else 4.0 for name in errors}
    steps = [HORIZON / n for n in STEPS]
    figure = picture.order_plot(steps, errors, slopes, across="step dt (time)", error="residual of the weak form")
    print(picture.save(figure, "results/demos/finite_width_is_exact.png"))
    refutation()
    print("exercise: predicted {}, passed {}".format(*exercise()))

# References: [1] Mei, Montanari & Nguyen 2018, PNAS 115(33). [2] Rotskoff & Vanden-Eijnden 2018, arXiv:1805.00915.
# [3] Sirignano & Spiliopoulos 2020, SIAM J. Appl. Math. 80(2).    Next lesson: infinite_width.py
