r"""When all neurons begin at one place, does noise that fades find the best network?

Claim: without noise they stay together for ever, constant noise ends at a bias, noise that fades slowly below both.

    d_t pi = div(pi grad V[pi]) + T(t) Laplace pi,   F(pi) = int int k d(pi - pi*) d(pi - pi*)/2,   inf F = 0   [1]
    dF_{T(t)}/dt = -int |grad(V + T log pi)|^2 dpi + T'(t) int pi log pi:  F_T may rise as it cools         [derived]
    T = 0: equal neurons have equal velocities, so F >= min over theta of F(delta_theta) = .1439             [proved]
    F - inf F at t = 200: 1.2e-2 at T = .03, 1.9e-3 at T = .003, 1.3e-4 for T = .1 e^(-.04 t)              [measured]

Cooled in a few units of time (T = .1 e^-t) mass stays in the wrong valley: 6.2e-4. T = c/log(2 + t), for which F tends
to inf F [1, abstract: cited], is at t = 200 still too hot: 2.1e-3. Slides: (0.4) with an entropy that fades.
"""

from functools import cache

import numpy as np

from solvers.annealed import Annealed
from solvers.finite_volume import ScharfetterGummel
from solvers.jko import Sdirk2
from solvers.langevin import Langevin
from solvers.particles import GradientFlow
from wflow import Atoms, Energy, Flow, Trajectory, activation, circle, circle_kernel, picture, problems, solve
from wflow.duality import bounds
from wflow.energy import population_risk
from wflow.schedules import Exponential, Logarithmic, Piecewise
from wflow.solver import Solver

# Problem
END, CELLS = 200.0, ScharfetterGummel(128, tolerance=1e-9, limit=300)
TEACHER = Atoms(circle(), np.array([[1.0], [3.0]]), np.array([0.62, 0.38]))
KERNEL = circle_kernel(activation("cos_minus_sin", 2.0), "gaussian")
FLOW = Flow(Energy(*population_risk(KERNEL, TEACHER)), circle(), Atoms(circle(), np.full((400, 1), 1.8)), END)


# Solve
@cache
def run(solver: Solver, steps: int = 400) -> Trajectory:
    return solve(FLOW, solver, steps=steps, times=np.linspace(0.0, END, 41))


# Check
def gaps(of: Trajectory) -> np.ndarray:
    return bounds(of).gaps  # F (without entropy) - inf F is at most this, proved


# Picture: the proved gap over time, without noise, with constant noise, and with noise that fades
# What would refute this
def refutation(rate: float = 0.04) -> tuple[bool, float, float]:
    value, limit = float(gaps(run(Annealed(CELLS, Exponential(0.1, rate))))[-1]), 3e-4
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.1e}, {limit})")
    return value > limit, value, limit


# Exercise: in the well w^2/4, with T = e^-t/4 and variance 1 at first: how wide is a Gaussian at t = 2?
def exercise() -> tuple[float, float]:
    flow = problems.gaussian_langevin(a=0.0, lam=0.5, var=1.0, horizon=2.0).flow
    pi = solve(flow, Annealed(Sdirk2(1600), Exponential(0.25, 1.0)), steps=40).final
    return np.sqrt(2.0) / np.e, np.sqrt(pi.weights @ (pi.points[:, 0] - pi.weights @ pi.points[:, 0]) ** 2)


if __name__ == "__main__":
    constant = {f"T = {hot:g}": run(Annealed(CELLS, Piecewise((), (hot,)))) for hot in (0.03, 0.003)}
    fading = {"T = .03/log(2 + t)": run(Annealed(CELLS, Logarithmic(0.03)))}
    fading |= {f"T = .1 exp(-{rate:g} t)": run(Annealed(CELLS, Exponential(0.1, rate))) for rate in (1.0, 0.04)}
    fading["the same, 400 particles"] = run(Annealed(Langevin(400), Exponential(0.1, 0.04)), 2000)
    runs = {"T = 0, 400 particles": run(GradientFlow(400), 800)} | constant | fading
    curves = {name: (ended.times[1:], gaps(ended)[1:]) for name, ended in runs.items()}
    print(*(f"{name:24}: F - inf F <= {gap[-1]:.2e}" for name, (_, gap) in curves.items()), sep="\n")
    print(picture.save(picture.numbers(curves, value="F - inf F is at most"), "results/demos/annealing.png"))
    refutation()
    print("exercise: predicted {:.4f}, measured {:.4f}".format(*exercise()))

# References: [1] Chizat 2022, arXiv:2202.01009 (abstract). [2] Hu, Ren, Siska & Szpruch 2021, arXiv:1905.07769.
# [3] Nitanda, Wu & Suzuki 2022, arXiv:2201.10469.    Next lesson: measured_data.py
