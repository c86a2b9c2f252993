r"""Do features of a wide deep network move, or does it keep the kernel it was born with?  Slides: beyond two layers.

Claim: movement ~ n^(-r), r known from three exponents a layer: 0 in muP, 1/4 half way, 1/2 in NTK. [derived, measured]

    h^1 = W^1 x/d^(1/2),   h^l = W^l phi(h^(l-1)),   f = W^(L+1) phi(h^L),   W^l = n^(-a_l) w^l       [network]
    w^l ~ N(0, n^(-2 b_l)),   rate eta n^(-c_l);   (a + s, b - s, c - 2 s) is the same network         [exponents]
    r = min(a_(L+1) + b_(L+1), 2 a_(L+1) + c) - 1 + min_l [2 a_l + c + 1(l = 1)]                       [Yang & Hu, 1]
    |x^l(T) - x^l(0)|/|x^l(0)| ~ n^(-r)                                                         [x = phi(h)]

Both train. A network whose features stand still is linear in its parameters; what it can learn was fixed at its birth.
"""

from functools import cache

import numpy as np

from solvers.deep import trained
from wflow import activation, picture
from wflow.deep.parametrisation import MUP, NTK, Parametrisation, ScaledNetwork, between, journey, verdict

# Problem
INPUTS = np.random.default_rng(0).standard_normal((16, 8))
TARGETS = np.sign(INPUTS[:, :1] * INPUTS[:, 1:2])  # XOR of two of eight coordinates
SIGMA, HIDDEN, WIDTHS, SEEDS = activation("tanh"), 2, (64, 128, 256), 8
STUDIED = {"muP": MUP, "half way": between("1/2"), "NTK": NTK}


# Solve
@cache
def moved(name, width, seed):
    """rms movement of the last features in sixty steps."""
    network = ScaledNetwork(STUDIED[name], SIGMA, 8, width, HIDDEN)
    risk, start = network.risk(INPUTS, TARGETS), network.start(seed)
    return float(journey(risk.at(start), risk.at(trained(risk, start, network.rates, eta=0.3, steps=60))).rms[-1])


# Check
def slope(name):
    """Of log movement, mean over seeds, in log n."""
    mean = [np.mean([np.log(moved(name, n, s)) for s in range(SEEDS)]) for n in WIDTHS]
    return float(np.polyfit(np.log(WIDTHS), mean, 1)[0])


# Picture: movement of every seed against n


# What would refute this
def refutation(name: str = "muP") -> tuple[bool, float, float]:
    """Features that fade with the width in muP: a slope below -.1."""
    off = -slope(name)
    print(f"refuted: {'yes' if off > 0.1 else 'no'} ({off:.3f}, 0.1)")
    return off > 0.1, off, 0.1


# Exercise: the output weights start at n^(-3/4), W^1 moves at a rate n^(1/2), hidden ones at n^(-1/2): what is r?
def exercise() -> tuple[float, float]:
    given = Parametrisation.of("given", (0, "1/2", "1/2"), (0, 0, "1/4"), ("-1/2", "-1/2", 0))
    return float(verdict(given, HIDDEN).r), -slope("half way")


if __name__ == "__main__":
    for name, of in STUDIED.items():
        told = verdict(of, HIDDEN)
        print(f"{name:9s} r = {told.r}, {told.regime}; slope {slope(name):.3f}")
    points = {name: [(n, moved(name, n, s)) for n in WIDTHS for s in range(SEEDS)] for name in STUDIED}
    figure = picture.against_width({"|x(60) - x(0)|/|x(0)|, last features": points})
    print(picture.save(figure, "results/demos/mup_features.png"))
    refutation()
    print("exercise: predicted {:.3f}, measured {:.3f}".format(*exercise()))

# References: [1] Yang & Hu 2021, arXiv:2011.14522. [2] Jacot, Gabriel & Hongler 2018, arXiv:1806.07572 (NTK).
# [3] Chen, Yang, Zhao & Gu 2025, arXiv:2503.09565 (independent features in muP).    Next lesson: deep_resnet.py
