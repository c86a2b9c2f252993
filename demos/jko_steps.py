r"""What does one minimising movement do, and how fast do many of them become the flow?   Slides: (0.2)-(0.3).

Claim: pi_{k+1} = argmin F(rho) + W2^2(rho, pi_k) / (2 tau) is implicit Euler in W2; the flow as tau -> 0. [cited]

    k(theta) = sum_n cos(n theta) / (pi n^2),    F = (1/2) int int k d(pi - U) d(pi - U),    U uniform,    nu = 1 / 2 pi
    -k'' = delta - nu:   the quantiles X(s) obey  X' = -nu (X(s) - 2 pi s - mean)                             [derived]
    flow:       X_t(s) - 2 pi s ~ e^{-nu t},           W2(pi_t, U) = e^{-nu t} W2(pi_0, U)                    [derived]
    one step:   contracts X(s) - 2 pi s by exactly  1 / (1 + tau nu),   and W2 with it                        [derived]
    so after T = n tau the error is  |(1 + tau nu)^{-n} - e^{-nu T}| W2(pi_0, U) = O(tau)                     [derived]

In the quantiles W2^2 is int |X - Y|^2 ds, so a step is implicit Euler for X. Whatever tau, it never raises F, since to
stay at pi_k costs F(pi_k)  [proved].  (Here pi_0 is even, so the mean of X(s) - 2 pi s stays put.)
"""

import math
from collections.abc import Callable

import numpy as np

from solvers.jko import Quantile
from wflow import Trajectory, picture, problems, solve, w2

# Problem
NU, END, STEPS = 1 / (2 * math.pi), 4.0, (5, 10, 20, 40)
SOLVER, LONG = Quantile(points=400), (2, 10, 100)


# Solve
def step(tau: float) -> Trajectory:
    return solve(problems.sawtooth(horizon=tau).flow, SOLVER, steps=1)


def contraction(tau: float) -> float:
    before, after = (w2(pi, problems.sawtooth().minimiser) for pi in step(tau).measures)
    return after / before  # W2 to uniform


# Check
def errors() -> list[float]:
    """W2 to the exact law at T = 4, for each number of steps."""
    problem = problems.sawtooth(horizon=END)
    return [w2(solve(problem.flow, SOLVER, steps=n, times=[END]).final, problem.exact(END)) for n in STEPS]


def implicit(tau: float) -> float:
    return 1 / (1 + tau * NU)


# Picture: one step of three lengths, the mass and how far it goes; the W2 error at T = 4 against tau, with slope 1


# What would refute this
def refutation(predicted: Callable[[float], float] = implicit) -> tuple[bool, float, float]:
    """A contraction of one step with tau = 2 that is off by more than 1e-6."""
    error, limit = abs(contraction(2.0) - predicted(2.0)), 1e-6
    print(f"refuted: {'yes' if error > limit else 'no'} ({error:.1e}, {limit})")
    return error > limit, error, limit


# Exercise: by what factor does W2 fall in one step of tau = 0.8? (Not e^{-0.8 nu} = 0.880: that is the flow.)
def exercise(tau: float = 0.8) -> tuple[float, float]:
    return implicit(tau), contraction(tau)


if __name__ == "__main__":
    for tau in (0.8, 2.0, 10.0, 100.0):
        print(f"tau = {tau:5}: one step {contraction(tau):.9f}, 1/(1 + tau nu) {implicit(tau):.9f}")
    found = errors()
    print("W2 errors " + ", ".join(f"{e:.2e}" for e in found), f"order {math.log2(found[-2] / found[-1]):.3f}")
    taus = [END / n for n in STEPS]
    orders = picture.order_plot(taus, {"Quantile": found}, 1.0, across="step tau (time)", error="W2 error (radian)")
    away = step(1).measures[0].edges - 2 * math.pi * np.arange(400) / 400  # X(s) - 2 pi s
    derived = {f"tau = {tau}": (implicit(tau) - 1) * away for tau in LONG}
    moved = picture.moves({f"tau = {tau}": step(tau) for tau in LONG}, derived)
    print(picture.save([moved, orders], "results/demos/jko_steps.png"))
    refutation()
    print("exercise: predicted {:.6f}, measured {:.6f}".format(*exercise()))

# References: [1] Jordan, Kinderlehrer & Otto 1998, SIAM J. Math. Anal. 29(1). [2] Ambrosio, Gigli & Savare 2008,
# Gradient Flows, Birkhauser. [3] Santambrogio 2017, Bull. Math. Sci. 7(1).    Next lesson: porous_steps.py
