r"""Does stochastic descent in forty dimensions follow an equation of one?   Slides: the mean-field limit.

Claim: y = +-1 alike, x | y ~ N(0, (1 + y D)^2 I_d), neurons sigma(w . x), sigma clipped between two knots. A start
N(0, s^2 I_d) makes pi rotation-invariant for all t, so that the law rho of r = |w| tells everything:

    f(x) = int phi(r |x|/sqrt d) drho(r),  phi(z) = E sigma(sqrt d z Theta), Theta on the sphere         [derived]
    d_t rho = d_r(rho V'),  V(r) = E (f - y) phi(r |x|/sqrt d): one axis, whatever d                     [derived]
    800 neurons in R^40, batches of 20 fresh data: R within 3 % of that flow's, t = .1 to 2              [measured]
    at d = infinity |w| ends at r* for D < .4742, there delta_{r*} is optimal; above, two radii do better [derived]

F = R/2: time runs at half the speed of a paper that follows R, and reading one clock for the other is refuted here.
R of the network is that of the flow plus the mean difference of their losses on the same 2000 data.
"""

import numpy as np

from solvers.particles import GradientFlow
from solvers.stochastic import Fresh, Sampled, StochasticGradient
from wflow import Trajectory, picture, problems, solve
from wflow.problems.isotropic import CLIPPED, in_full_space
from wflow.problems.single_radius import SingleRadius, threshold

# Problem
D, GAP, END = 40, 0.8, 2.0
TIMES = (0.1, 0.2, 0.5, 1.0, 1.5, END)
ROWS = 2000


# Solve
def radial(clock: float = 1.0) -> Trajectory:
    flow = problems.isotropic_gaussians(d=D, delta=GAP, nodes=16, horizon=clock * END).flow
    return solve(flow, GradientFlow(particles=200), times=[clock * t for t in TIMES], dt=0.02)


def descent() -> Trajectory:
    method = StochasticGradient(particles=800, batch=20, seed=0, start=Sampled(0), rows=Fresh())
    return solve(in_full_space(D, GAP, ROWS, seed=0), method, steps=400, times=TIMES)


# Check
def risks(network: Trajectory, limit: Trajectory) -> list[float]:
    full, thin = network.flow.energy.risk, limit.flow.energy.risk
    x, y = full.data.inputs, full.data.targets
    s = np.linalg.norm(x, axis=1)[:, None] / np.sqrt(D)
    pairs = zip(network.measures, limit.measures, limit.energies, strict=True)
    return [2 * F + np.mean((full.predict(a) - y) ** 2 - (thin.predict_at(s, b) - y) ** 2) for a, b, F in pairs]


# Picture: R and |w| of the flow (lines, band) and of the network (dots, bars).


# What would refute this
def refutation(clock: float = 1.0) -> tuple[bool, float, float]:
    """R off by more than 3 % of the flow's at some t from .1 on."""
    network, known, limit = descent(), 2 * radial(clock).energies, 0.03
    off = float(np.max(np.abs(np.array(risks(network, radial())) / known - 1)[1:]))
    print(f"refuted: {'yes' if off > limit else 'no'} ({off:.4f}, {limit})")
    return off > limit, off, limit


# Exercise: let d = infinity and D = .4, below the threshold. At which |w| does the flow from one atom end?
def exercise(gap: float = 0.4) -> tuple[float, float]:
    flow = problems.isotropic_gaussians(d="infinity", delta=gap, horizon=20.0).flow
    return SingleRadius(gap, CLIPPED).best, float(solve(flow, GradientFlow(1), steps=400).final.points[0, 0])


if __name__ == "__main__":
    network, limit = descent(), radial()
    found = risks(network, limit)
    for t, R, F in zip((0.0, *TIMES), found, limit.energies, strict=True):
        print(f"t = {t:.1f}  R of the network {R:.4f}, of the flow {2 * F:.4f}")
    print(f"threshold at d = infinity: D = {threshold(CLIPPED)[2]:.10f}")
    dots = {f"d = {D}": (network.times, found, network.measures)}
    print(picture.save(picture.clouds({f"d = {D}": limit}, dots), "results/demos/two_clouds.png"))
    refutation()
    print("exercise: predicted {:.8f}, found {:.8f}".format(*exercise()))

# References: [1] Mei, Montanari & Nguyen 2018, PNAS 115. [2] Li, Tai & E 2017, arXiv:1511.06251, on the noise of
# batches. [3] Robbins & Monro 1951, Ann. Math. Statist. 22.  Next lesson: stuck_start.py
