r"""Gradient descent with step eta has converged on real images: how sharp can the minimum be?

Claim: its largest eigenvalue is at most 2/eta, whatever the start; where that binds it is nearly attained.   [derived]

    F(theta) = (1/2n) sum_i (f(x_i; theta) - y_i)^2,   f a network with tanh, x_i digits, y_i = -1 (even), +1 (odd)
    near a minimum:  theta_{k+1} - theta* = (I - eta H)(theta_k - theta*),   H = F''(theta*),   a = lambda_max(H)
    what is off along the top vector grows by |1 - eta a| a step, by 1.1 where a = 1.05 times 2/eta        [derived]
    s^2 = lambda_max((1/n) sum_i H_i^2 - H^2): how far the data disagree about H

2/eta bounds runs that *converged* and is no equality: short steps find minima less sharp than they could bear. a and s
by Lanczos with exact products; a warm-up where a large step alone does not converge.   Slides: Table 1.
"""

from functools import lru_cache

import numpy as np

from solvers.perceptron import FullBatch, converged
from wflow import picture
from wflow.activation import tanh
from wflow.images import images, parity
from wflow.perceptron import EmpiricalRisk, Perceptron, nonuniformity, sharpness

# Problem
STEPS, STARTS, WARMUP = (0.1, 0.2, 0.5, 1.0), (0, 1), 500
NETWORK = Perceptron((64, 20, 1), tanh())


@lru_cache
def risk() -> EmpiricalRisk:
    digits = images("digits").split(100, seed=0)[0]
    return EmpiricalRisk(NETWORK, digits.scaled(digits).inputs, parity(digits.labels))


# Solve
@lru_cache
def minimum(eta: float, start: int) -> tuple[float, float]:
    """a and s."""
    method = FullBatch(eta, warmup=WARMUP if eta > 0.3 else 0)
    at = risk().at(converged(method, risk(), NETWORK.start(start), tolerance=1e-4).theta)
    return sharpness(at).value, nonuniformity(at)


# Check
def table() -> dict[float, list[float]]:
    return {eta: [minimum(eta, start)[0] for start in STARTS] for eta in STEPS}


# Picture: sharpness of each minimum over eta, beside 2/eta and the sharpness of the starts


# What would refute this
def refutation(scale: float = 1.0) -> tuple[bool, float, float]:
    """A converged run sharper than 1.05 times 2/eta. scale 2: the Hessian of R = 2F, with steps along grad F."""
    value, limit = max(scale * a * eta / 2.0 for eta, found in table().items() for a in found), 1.05
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.4f}, {limit})")
    return value > limit, value, limit


# Exercise: short steps find a near 10. How sharp is what eta = 0.4 finds?   it binds: nearly 2/eta
def exercise() -> tuple[float, float]:
    return 2.0 / 0.4, minimum(0.4, 0)[0]


if __name__ == "__main__":
    for eta in STEPS:
        a, s = np.transpose([minimum(eta, start) for start in STARTS])
        print(f"eta {eta:4}: 2/eta {2 / eta:5.1f}, a {a.mean():6.3f} +- {a.std():.3f}, s {s.mean():5.1f}")
    first = float(np.mean([sharpness(risk().at(NETWORK.start(start))).value for start in STARTS]))
    figure = picture.sharpness_by_step({"100 digits, even against odd": (table(), first)})
    print(picture.save(figure, "results/demos/sharpness_table.png"))
    refutation()
    print("exercise: predicted {:.3f}, measured {:.3f}".format(*exercise()))

# References: [1] Wu, Ma & E 2018, NeurIPS 31. [2] Cohen, Kaur, Li, Kolter & Talwalkar 2021, ICLR, arXiv:2103.00065.
# [3] Pearlmutter 1994, Neural Comput. 6, 147-160 (exact products).    Next lesson: random_labels.py
