r"""Where does the test error peak, as a network grows past the number of its data?   Slides: Fig. 4 and 6.

Claim: frozen inner weights peak at m = n, by orders; trained ones rise to a level; scaled by 1/m they hardly change.

    F = (1/2n) sum_i (f - f*)^2 to 1e-7 by gradient descent,  f = m^-s sum_j a_j relu(b_j . x),  f* = relu(x_1)
    error E (f - f*)^2 over all x ~ N(0, I_d) by pairs of neurons in closed form                            [derived]
    random features: least squares of least norm; at m = n features are square and nearly singular           [proved]
    s = 0: with few neurons the teacher is found; from about n/2 on the error is that of the widest        [measured]
    s = 1: the start is small, so that b moves at once, and the error is small whatever m                  [measured]
Medians over seeds: at m = n single errors spread over decades.
"""

from functools import cache

import numpy as np

from solvers.small import train
from wflow import Particles, picture
from wflow.implicit.features import RandomFeatures
from wflow.implicit.scaling import Scaling
from wflow.implicit.targets import drawn, population, teacher

# Problem
D, DATA, SIZES, SEEDS = 10, (20, 40, 60), (4, 10, 20, 30, 40, 60, 80, 120), 15
TARGET, FIGURE = teacher("single", D), "results/demos/double_descent.png"


# Solve
@cache
def errors(n: int, scaling: float | None) -> np.ndarray:
    """Test errors by width; of networks of a scaling by one run, of random features (None) medians over seeds."""
    found = [[trained(n, m, scaling, seed) for seed in range(SEEDS if scaling is None else 1)] for m in SIZES]
    return np.median(found, axis=1)


def trained(n: int, m: int, scaling: float | None, seed: int) -> float:
    law, data = Scaling(m, scaling or 0.0).start(D), drawn(TARGET, n, np.random.default_rng([seed, 5]))
    start = Particles(law.domain, law.sample(m, np.random.default_rng([seed, 4])))
    if scaling is None:
        return 2 * population(TARGET).value(RandomFeatures.on_data(start, data).at(np.inf))
    return 2 * population(TARGET).value(train(start, data, enough=1e-7, horizon=1e5, limit=6000).measure)


# Check: the width of the largest error
def ridge(n: int) -> int:
    return SIZES[np.argmax(errors(n, None))]


# Picture: maps of the error over n and m
# What would refute this
def refutation(scaling: float | None = None) -> tuple[bool, float, float]:
    """At m = n/2 or 2n the error is more than .2 of that at n = 60, or scaled by 1/m it varies tenfold from n/2 on."""
    by_width, wide, limit = dict(zip(SIZES, errors(60, scaling), strict=True)), errors(60, 1.0)[3:], 0.2
    value = max(by_width[30], by_width[120]) / by_width[60] if wide.max() < 10 * wide.min() else np.inf
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.3f}, {limit})")
    return value > limit, value, limit


# Exercise: with n = 40 data, at which of the widths do random features err most?
def exercise() -> tuple[int, int]:
    return 40, ridge(40)


if __name__ == "__main__":
    models = {"network": 0.0, "random features": None, "mean-field": 1.0}
    maps = {name: np.array([errors(n, scaling) for n in DATA]) for name, scaling in models.items()}
    for name, rows in maps.items():
        print(f"{name}, n = 60: " + ", ".join(f"m {m}: {e:.2g}" for m, e in zip(SIZES, rows[-1], strict=True)))
    print(picture.save(picture.heat_maps(DATA, SIZES, maps, D), FIGURE))
    refutation()
    print("exercise: predicted {}, measured {}".format(*exercise()))

# References: [1] Belkin, Hsu, Ma & Mandal 2019, PNAS 116, 15849-15854 (double descent). [2] E, Ma & Wu 2019,
# arXiv:1904.04326 (abstract). [3] Cho & Saul 2009, NeurIPS 22 (the kernel).    Next lesson: mup_features.py
