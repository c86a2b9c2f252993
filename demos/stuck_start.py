r"""Can one scale of the start decide whether a network learns?   Slides: the landscape, and where it is not convex.

Claim: two clouds as in two_clouds.py, D = .5, d = 40, and a sigma that first falls: straight between the knots
(0, s_1), (.5, -4), (1.5, 7.5), s_1 = -2.5. Start N(0, (kappa^2/d) I_d); rho is the law of r = |w| >= 0.

    at delta_0: f = s_1,  V(r) = [(s_1 - 1) phi((1 + D) r) + (s_1 + 1) phi((1 - D) r)]/2 (d = infinity)  [derived]
    phi falls from s_1 on and both factors are below 0: V rises from r = 0 on, so delta_0 draws in r     [derived]
    kappa = .1 ends there, R = [(1 - s_1)^2 + (1 + s_1)^2]/2 = 7.25; kappa = .8 is at R = .07 by t = 2   [measured]
    F is convex along mixtures, so int V drho > min V proves that delta_0 is no minimiser                [proved]

The knots are those of an example that Mei, Montanari and Nguyen give for failure; no number here is theirs. Descent by
batches on 400 neurons in R^40 is in the same two places at t = 2: until then its noise is no help.
"""

import numpy as np

from solvers.particles import GradientFlow
from solvers.stochastic import Fresh, Sampled, StochasticGradient
from wflow import Trajectory, picture, problems, solve
from wflow.problems.isotropic import in_full_space

# Problem
D, GAP, END, LEAST = 40, 0.5, 2.0, -2.5
STUCK, GOOD = 0.1, 0.8


def knots(least: float = LEAST) -> tuple[tuple[float, float], ...]:
    return (0.0, least), (0.5, -4.0), (1.5, 7.5)


# Solve
def radial(kappa: float, least: float = LEAST) -> Trajectory:
    flow = problems.isotropic_gaussians(D, GAP, knots(least), kappa, nodes=10, horizon=END).flow
    return solve(flow, GradientFlow(particles=50), dt=0.01, times=np.linspace(0.0, END, 21))


def descent(kappa: float) -> Trajectory:
    method = StochasticGradient(particles=400, batch=20, seed=0, start=Sampled(0), rows=Fresh())
    flow = in_full_space(D, GAP, 2000, 0, knots(), kappa)
    return solve(flow, method, dt=0.0025, times=[0.1, 0.3, 0.6, 1.0, 1.5, END])


# Check
def gap(run: Trajectory) -> float:
    """int V drho - min V, the minimum over radii up to 6: at least by that much F is above inf F along mixtures."""
    energy, pi = run.flow.energy, run.final
    V = energy.potential(pi, np.linspace(0.0, 6.0, 601)[:, None])
    return float(pi.weights @ energy.potential(pi, pi.points) - V.min())


# Picture: R and |w| of the flow from two scales (lines) and of networks in R^40 (dots, bars).


# What would refute this
def refutation(kappa: float = STUCK) -> tuple[bool, float, float]:
    """R at the end off [(1 - s_1)^2 + (1 + s_1)^2]/2 by more than 1e-6, or a proof missing that this is no minimum."""
    run, limit = radial(kappa), 1e-6
    error = abs(2 * run.energies[-1] - ((1 - LEAST) ** 2 + (1 + LEAST) ** 2) / 2)
    refuted = bool(error > limit or gap(run) < 1.0)
    print(f"refuted: {'yes' if refuted else 'no'} ({error:.1e}, {limit})")
    return refuted, error, limit


# Exercise: let s_1 = -1.5. At which R is the network stuck now?
def exercise(least: float = -1.5) -> tuple[float, float]:
    return ((1 - least) ** 2 + (1 + least) ** 2) / 2, 2 * float(radial(STUCK, least).energies[-1])


if __name__ == "__main__":
    flows, dots = {f"kappa = {k}": radial(k) for k in (STUCK, GOOD)}, {}
    for k, (name, run) in zip((STUCK, GOOD), flows.items(), strict=True):
        net = descent(k)
        dots[name] = (net.times, 2 * net.energies, net.measures)
        print(f"{name}: R = {2 * run.energies[-1]:.4f}, network {2 * net.energies[-1]:.2f}; gap {gap(run):.3f}")
    print(picture.save(picture.clouds(flows, dots), "results/demos/stuck_start.png"))
    refutation()
    print("exercise: predicted {:.6f}, found {:.6f}".format(*exercise()))

# References: [1] Mei, Montanari & Nguyen 2018, PNAS 115. [2] Chizat & Bach 2018, NeurIPS, on starts that separate.
# [3] Robbins & Monro 1951, Ann. Math. Statist. 22.  Next lesson: two_blocks.py
