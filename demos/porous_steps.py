r"""What does a minimising movement do to a blob that spreads at finite speed, and what do two stages a step gain?

Claim: JKO keeps Barenblatt's family exactly: a step of the porous medium is implicit Euler for one radius.   [derived]

    F = gamma int rho^2,    rho_R = (2 / (pi R^2)) (1 - |x|^2 / R^2)_+    in the plane,    kappa = 8 gamma / pi
    inside, U'(rho_R) is a parabola and the step's map linear, y - x = -tau grad U'(rho_R')(y) = tau kappa y / R'^4
    flow:                  R^4 = R_0^4 + 4 kappa t                                               [cited: Barenblatt]
    one step:              R' - R = tau kappa / R'^3,    implicit Euler of R^3 dR/dt = kappa                [derived]
    two stages (SDIRK2):   the same method for R, of order 2                                                [derived]

U'(rho) = 2 gamma rho.  int |x|^2 drho_R = R^2 / 3, from which R is read off the cells.  Slides: (0.2)-(0.3).
"""

import math
from collections.abc import Callable

from scipy.optimize import brentq

from solvers.jko import Spline, SplineSdirk2
from wflow import Trajectory, picture, problems, solve

# Problem
GAMMA, AGE, END, KAPPA, STEPS = 0.1, 0.01, 0.016, 0.8 / math.pi, (1, 2, 4)
START, LAST = (4 * KAPPA * AGE) ** 0.25, (4 * KAPPA * (AGE + END)) ** 0.25
FIRST, SECOND = Spline(cells=96, tolerance=4e-3), SplineSdirk2(cells=96, tolerance=4e-3)


def implicit(tau: float, radius: float = START) -> float:
    return float(brentq(lambda r: r - radius - tau * KAPPA / r**3, radius, radius + tau * KAPPA / radius**3))


def two_stages(steps: int, share: float = 1 - math.sqrt(0.5)) -> float:
    r, tau = START, share * END / steps
    for _ in range(steps):
        r = implicit(tau, r + (1 / share - 1) * (implicit(tau, r) - r))
    return r


# Solve
def run(solver: Spline, steps: int, end: float = END) -> Trajectory:
    return solve(problems.barenblatt(2.0, GAMMA, 2, AGE, end).flow, solver, steps=steps)


# Check
def radius(solver: Spline, steps: int, end: float = END) -> float:
    pi = run(solver, steps, end).final
    return math.sqrt(3 * (pi.weights @ (pi.points**2).sum(axis=1)))


# Picture: four steps beside Barenblatt's profile; errors of R against tau, by cells and by the method for R alone


# What would refute this
def refutation(predicted: Callable[[float], float] = implicit) -> tuple[bool, float, float]:
    """One step over the whole time whose radius is off by more than a thousandth."""
    error, limit = abs(radius(FIRST, 1) / predicted(END) - 1), 1e-3
    print(f"refuted: {'yes' if error > limit else 'no'} ({error:.1e}, {limit})")
    return error > limit, error, limit


# Exercise: what is the radius after two steps of 0.008? (The flow's is 0.4034.)
def exercise(tau: float = 0.008) -> tuple[float, float]:
    return implicit(tau, implicit(tau)), radius(FIRST, 2, 2 * tau)


if __name__ == "__main__":
    print(f"radius {START:.4f} at first; at the end, flow {LAST:.4f}, one implicit step {implicit(END):.4f}")
    stages = {"one stage": FIRST, "two stages": SECOND}
    found = {name: [abs(radius(solver, n) - LAST) for n in STEPS] for name, solver in stages.items()}
    found["two stages for R alone"] = [abs(two_stages(n) - LAST) for n in STEPS]
    taus, slopes = [END / n for n in STEPS], dict(zip(found, (1.0, 2.0, 2.0), strict=True))
    orders = picture.order_plot(taus, found, slopes, across="step (time)", error="error of R (length)")
    exact = problems.barenblatt(2.0, GAMMA, 2, AGE, END).exact
    spread = picture.spreading(run(FIRST, 4), [0.0, END / 4, END / 2, END], exact)
    print(picture.save([spread, orders], "results/demos/porous_steps.png"))
    refutation()
    print("exercise: predicted {:.5f}, measured {:.5f}".format(*exercise()))

# References: [1] Otto 2001, Comm. PDE 26. [2] Jacobs, Lee & Leger 2021, ESAIM COCV 27, 28. [3] Alexander 1977, SIAM J.
# Numer. Anal. 14(6).    Next lesson: step_movie.py
