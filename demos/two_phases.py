r"""Why does the loss of wide students first fall anyhow, and then along a line on a log axis?   Slides: Theorem 5.

Claim: students of two ReLU teachers explore until J is near J*; then J - J* is geometric, at a rate known beforehand.

    J(nu) = E (f_nu - f*)^2/2 + lam |nu|,   f_nu = int relu(u . x) dnu(u),   u in S^{d-1},  x ~ N(0, I_d),  d = 10
    J* is that of the teachers' plane, in every d                                                               [proved]
    h(u) = -V/a|b| has its maximum lam where nu* has its charges; students beside one come to it at |h''|      [derived]
    so log(J - J*) falls by 2 |h''| dt a step in the end, |h''| = .214 lam at lam = .02                        [derived]
    "J falls" tells no phase: negative students, whose signs small steps by norms keep, fall and never learn    [proved]
Steps by norms scale those of a and b by |a|/|b| and |b|/|a|: neurons then turn alike. The rule is ours; [1] has one.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from solvers.particles import GradientDescent, NormDescent
from wflow import Atoms, Trajectory, picture, problems, solve
from wflow.duality import teacher_bracket
from wflow.students import imbalance, recovered

# Problem
TEACHERS, LAM, DIM, DT, STEPS = ((1.0, 0.0), (0.0, 1.0)), 0.02, 10, 0.75, 2000
SAVED = np.arange(12, STEPS + 1, 12)
RATE, FIGURE = 2 * 0.2138 * LAM * DT, "results/demos/two_phases.png"


# Solve
@cache
def run(method: type[GradientDescent] = GradientDescent, negative: bool = False) -> Trajectory:
    flow = problems.relu_teacher_space(TEACHERS, LAM, DIM, horizon=DT * STEPS).flow
    start = flow.initial.quantised(100)
    start[:, 0] *= -np.sign(start[:, 0]) if negative else 1.0
    return solve(replace(flow, initial=Atoms(flow.domain, start)), method(100), dt=DT, times=SAVED * DT)


# Check
def excess(of: Trajectory) -> np.ndarray:
    """(J - J*)/J* at the saved steps but the first, J* a proved lower bound."""
    lower = teacher_bracket(of.flow.energy, problems.planar_optimum(TEACHERS, LAM, DIM)).lower
    return (of.energies - [LAM / 2 * imbalance(pi) for pi in of.measures] - lower)[1:] / lower


def late(of: Trajectory) -> tuple[float, float]:
    """Slope of log(J - J*) in the last half of the steps, and 1 - R^2 of the line."""
    k, y = SAVED[len(SAVED) // 2 :], np.log(excess(of)[len(SAVED) // 2 :])
    return np.polyfit(k, y, 1)[0], 1 - np.corrcoef(k, y)[0, 1] ** 2


# Picture: J - J* and what directions still lack, by step, for both methods, beside the derived rate
# What would refute this
def refutation(method: type[GradientDescent] = GradientDescent, negative: bool = False) -> tuple[bool, float, float]:
    """J stays above 1.1 J*, or its last half is no line on the log axis: 1 - R^2 > .01."""
    done, limit = run(method, negative), 0.01
    value = late(done)[1] if excess(done)[-1] < 0.1 else np.inf
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.4f}, {limit})")
    return value > limit, value, limit


# Exercise: by how much does the recovered direction of a teacher lean towards the other? (See the optimum, not 0.)
def exercise() -> tuple[float, float]:
    return 0.01378983, recovered(run().final, np.eye(DIM)[:2])[1].mean()


if __name__ == "__main__":
    curves = {"derived rate": (SAVED, np.exp(-RATE * SAVED))}
    for name, method in (("plain descent", GradientDescent), ("steps by norms", NormDescent)):
        left = excess(run(method))
        angles = [recovered(pi, np.eye(DIM)[:2])[1].max() for pi in run(method).measures[1:]]
        curves[f"{name}: (J - J*)/J*"] = SAVED, left
        curves[f"{name}: |angle/optimum - 1|"] = SAVED, np.abs(np.divide(angles, exercise()[0]) - 1)
        print(f"{name}: k0 <= {SAVED[left < 0.1][0]}, slope {late(run(method))[0]:.5f}, derived {-RATE:.5f}")
    print(picture.save(picture.numbers(curves, known=["derived rate"], across="step k", value="excess"), FIGURE))
    refutation()
    print("exercise: predicted {:.5f}, measured {:.5f}".format(*exercise()))

# References: [1] Akiyama & Suzuki 2021, ICML, arXiv:2106.06251 (abstract). [2] Chizat 2022, Math. Program. 194.
# [3] Cho & Saul 2009, NeurIPS 22 (the kernel).    Next lesson: max_margin.py
