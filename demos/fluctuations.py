r"""How far is a network of m neurons from its limit, and does training bring it nearer?   Slides: (0.3)-(0.4).

Claim: E|f_m - f|^2 is 1/m times a sum that falls to 0: fluctuations of the start are trained away.            [derived]

    neurons on the circle, k = sum_n a_n cos n theta, teacher and start uniform, c_n = (1/m) sum_j e^{-i n theta_j}
    E_x |f_m - f|^2 = sum_{n>=1} a_n |c_n|^2,    E|c_n|^2 = 1/m at the start                                   [proved]
    c_n' = -lambda_n c_n + products of modes,    lambda_n = n^2 a_n / 2                                        [derived]
    m E|f_m(t) - f|^2 -> sum_{n>=1} a_n e^{-2 lambda_n t} as m grows                                           [derived]
    ReLU, Gaussian inputs: it falls like (pi^(3/2)/16) t^(-3/2), others exponentially at first                 [derived]

n = 0 has no part, since mass is kept: with it the sum would begin at k(0) in place of k(0) - a_0.
"""

from functools import cache

import numpy as np

from solvers.ensemble import Ensemble, ensemble
from solvers.particles import GradientFlow, Sampled
from wflow import activation, picture, problems
from wflow.fluctuations import observed, predicted
from wflow.many import Many
from wflow.spectrum import kernel_coefficients

# Problem
B, TIMES, SIZES, RUNS = 1.0, (1.0, 2.0, 5.0, 10.0), (25, 100, 400), 400
FLOW = problems.circle_teacher("cos_minus_sin", b=B, modes={}, horizon=10.0).flow
A = kernel_coefficients(activation("cos_minus_sin", B), "gaussian", 40)


# Solve
@cache
def run(m: int) -> Ensemble:
    """m |f_m - f|^2 of 400 independent networks at each time."""
    many = Many(FLOW.energy, FLOW.domain, np.full(m, 1 / m))
    start = {"runs": RUNS, "seed": m, "steps": 40, "times": TIMES}
    return ensemble(FLOW, GradientFlow(m, Sampled(0)), **start, observe=lambda w: m * observed(many.modes(w, 40), A))


# Check
def off(m: int, first: int = 1) -> float:
    """The largest deviation from the sum over n >= first at all times, in standard errors."""
    a_0 = A[0] if first == 0 else 0.0  # lambda_0 = 0
    return float(np.max(np.abs(run(m).mean - predicted(A, run(m).times) - a_0) / run(m).error))


# Picture: m E|f_m - f|^2 for three sizes on one curve; E|f_m - f|^2 against m at the first and the last time


# What would refute this
def refutation(first: int = 1) -> tuple[bool, float, float]:
    """The largest networks are off the sum by more than 3.5 standard errors at one of five times."""
    value, limit = off(SIZES[-1], first), 3.5
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.2f}, {limit})")
    return value > limit, value, limit


# Exercise: with four times the neurons, by what is E|f_m - f|^2 divided at t = 5?
def exercise(t: int = 3) -> tuple[float, float]:
    return 4.0, float(4 * run(100).mean[t] / run(400).mean[t])


if __name__ == "__main__":
    for m in SIZES:
        print(f"m = {m:3}: off the sum by at most {off(m):.2f} standard errors of {RUNS} runs")
    print("slopes in log m:", np.polyfit(np.log(SIZES), [np.log(run(m).mean / m) for m in SIZES], 1)[0].round(3))
    t = np.linspace(0.0, TIMES[-1], 60)
    curves = {f"m = {m}": (run(m).times, run(m).mean) for m in SIZES}
    scaled = picture.numbers({**curves, "sum": (t, predicted(A, t))}, known=["sum"], value="m E|f_m - f|^2")
    errors = {f"t = {run(25).times[k]:g}": [run(m).mean[k] / m for m in SIZES] for k in (0, 4)}
    orders = picture.order_plot(SIZES, errors, -1.0, across="neurons m", error="E|f_m - f|^2")
    print(picture.save([scaled, orders], "results/demos/fluctuations.png"))
    refutation()
    print("exercise: predicted {}, measured {:.2f}".format(*exercise()))

# References: [1] Rotskoff & Vanden-Eijnden 2018, arXiv:1805.00915. [2] Sirignano & Spiliopoulos 2020, Stochastic
# Process. Appl. 130(3). [3] Chen, Rotskoff, Bruna & Vanden-Eijnden 2020, arXiv:2008.09623.
# Next lesson: chaos.py
