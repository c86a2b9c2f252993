r"""Which neurons carry a wide network that learns a single one, and why do random features stop?   Slides: Fig. 1, 2.

Claim: inner weights sleep at first; then a few neurons turn to the teacher and the others fade. Frozen ones cannot.

    f(x) = m^-s sum_j a_j relu(b_j . x),  f* = relu(x_1),  x ~ N(0, I_d),  a = 0,  b ~ N(0, I/d),  w' = -grad F
    F = E (f - f*)^2/2 by pairs of neurons in closed form: no data, no sampling error, F(0) = 1/4            [derived]
    with w~ = m^((1-s)/2) w it is the mean-field flow in the time m^-s t: a scaling is a size of the start   [derived]
    s = 0: F'(0) = -int k1(b, e_1)^2 dpi ~ -m (c^2 + (1/16 + c^2)/d), c = 1/2 pi: a rate of order m          [derived]
    b moves only as a has grown, at a rate of order 1; then network and random features part                [measured]
    s = 1, mean-field: a and b move together, and most neurons stay in use                                  [measured]
Random features (b frozen) are a linear equation, solved exactly at every time.
"""

from functools import cache

import numpy as np

from solvers.particles import GradientDescent, Sampled
from wflow import Particles, picture, problems, solve
from wflow.implicit.diagnostics import active, carriers, magnitudes
from wflow.implicit.features import RandomFeatures
from wflow.implicit.targets import teacher

# Problem
M, D, HORIZON, FIGURE = 50, 50, 100.0, "results/demos/quenching.png"
TIMES = np.geomspace(0.05, HORIZON, 24)


# Solve
@cache
def network(scaling: float = 0.0) -> list[Particles]:
    flow = problems.quenching("single", D, M, scaling, horizon=HORIZON).flow
    return solve(flow, GradientDescent(M, Sampled(0)), dt=0.05 if scaling < 1.0 else 0.2, times=TIMES).measures


def features() -> list[Particles]:
    exact = RandomFeatures.of_population(network()[0], teacher("single", D))
    return [network()[0], *(exact.at(t) for t in TIMES)]


# Check: (sum |c|)^2/sum c^2 neurons carry a network, c_j = m^-s a_j |b_j|
def energy(pi: Particles) -> float:
    return problems.quenching("single", D, M).flow.energy.value(pi)


# Picture: magnitudes of every neuron in time, by three models, and F of all
# What would refute this
def refutation(scaling: float = 0.0) -> tuple[bool, float, float]:
    """As many neurons carry the network at t = 100 as a quarter of those that carry random features."""
    value, limit = carriers(network(scaling)[-1]) / carriers(features()[-1]), 0.25
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.3f}, {limit})")
    return value > limit, value, limit


# Exercise: at which rate does F fall at first, for m = d = 50? (And so: how long until a has grown, if m doubles?)
def exercise() -> tuple[float, float]:
    c, flow, rng = 0.5 / np.pi, problems.quenching("single", D, M).flow, np.random.default_rng(0)
    starts = (Particles(flow.domain, flow.initial.sample(M, rng)) for _ in range(400))
    return M * (c**2 + (1 / 16 + c**2) / D), np.mean(
        [np.sum(flow.energy.velocity(p, p.points) ** 2) / M for p in starts]
    )


if __name__ == "__main__":
    models = {"network": network(), "random features": features(), "mean-field": network(1.0)}
    for name, run in models.items():
        end, share = run[-1], active(run[-1], share=0.1)
        print(f"{name}: F {energy(end):.2e}, {share} of {M} above a tenth, carried by {carriers(end):.1f}")
    rows = {n: (TIMES, [magnitudes(p) for p in r[1:]], [energy(p) for p in r[1:]]) for n, r in models.items()}
    print(picture.save(picture.magnitudes_in_time({"one neuron": rows}), FIGURE))
    refutation()
    print("exercise: predicted {:.4f}, measured {:.4f}".format(*exercise()))

# References: [1] E, Ma & Wu 2019, arXiv:1904.04326 (abstract). [2] Chizat, Oyallon & Bach 2019, NeurIPS 32 (lazy
# training). [3] Cho & Saul 2009, NeurIPS 22 (the kernel).    Next lesson: double_descent.py
