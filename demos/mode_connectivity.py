r"""Two wide networks are trained independently: is there a way from one to the other over which the loss stays low?

Claim: with neurons matched by optimal transport the straight one rises above its chord by O(W2^2) at most.   [derived]

    f = (1/m) sum_j a_j tanh(b_j . x),   F = mean |f - y|^2/2,   any permutation of the neurons leaves f
    best permutation: sum_j |w_j - w'_{p(j)}|^2 = m W2^2 of the two measures of neurons w = (a, b)            [proved]
    barrier = max over alpha of F((1 - alpha) w + alpha w') - chord <= sqrt(2 F_max) e + e^2/2                [proved]
    e <= (1/8m) sum_j (2 |da_j db_j . x| + A_j K (db_j . x)^2) = O(A W2^2),   K = max |tanh''|, A_j = max |a_j|

F is convex in f, so the mean of both networks' f is as good as they are; e is how far the network between is from that
mean. As m -> infinity W2 -> 0 if both are samples of one law (here only measured).   Slides: between solutions.
"""

from functools import lru_cache

import numpy as np

from solvers.perceptron import FullBatch, trained
from wflow import picture
from wflow.activation import tanh
from wflow.perceptron import EmpiricalRisk, Perceptron, along, barrier_bound, matched, w2_of_neurons

# Problem
NEURONS, PAIRS, ROUNDS = (16, 64, 256), 3, 200
X = np.random.default_rng(7).standard_normal((100, 2))
Y = 2.0 * np.tanh(2.0 * X[:, :1]) - np.tanh(3.0 * X[:, 1:])


def risk(m: int) -> EmpiricalRisk:  # its steps m/2 are steps 1/2 in mean-field time; starts N(0, I)
    return EmpiricalRisk(Perceptron((2, m, 1), tanh(), biases=False, scales=(1.0, 1.0 / m)), X, Y)


# Solve
@lru_cache
def ends(m: int, pair: int) -> tuple[np.ndarray, ...]:
    starts = [risk(m).network.start(10 * m + 2 * pair + k, (1.0, 1.0)) for k in (0, 1)]
    return tuple(trained(FullBatch(0.5 * m), risk(m), start, rounds=ROUNDS).theta for start in starts)


# Check
def row(m: int, pair: int) -> tuple[float, float, float, float]:
    """Barriers as they are and matched, the bound of the latter, W2."""
    one, two = ends(m, pair)
    near = matched(risk(m).network, one, two).theta
    high = [along(risk(m), one, other).barrier for other in (two, near)]
    return high[0], high[1], barrier_bound(risk(m), one, near), w2_of_neurons(risk(m).network, one, two)


# Picture: barriers as they are and matched, with the bound, and W2, by m


# What would refute this
def refutation(column: int = 1) -> tuple[bool, float, float]:
    """At the largest m a barrier above the bound of matched networks. column 0: networks as they are."""
    value, limit = max(found[column] / found[2] for found in (row(NEURONS[-1], k) for k in range(PAIRS))), 1.0
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.4f}, {limit})")
    return value > limit, value, limit


# Exercise: draw m neurons of N(0, I) in R^3 twice. By which power of m does W2 fall?   -1/3, slowly reached
def exercise() -> tuple[float, float]:
    def apart(m: int, k: int) -> float:
        return w2_of_neurons(net := risk(m).network, net.start(2 * k, (1.0, 1.0)), net.start(2 * k + 1, (1.0, 1.0)))

    few, many = (np.mean([apart(m, k) for k in range(6)]) for m in (128, 1024))
    return -1.0 / 3.0, float(np.log(many / few) / np.log(8.0))


if __name__ == "__main__":
    table = np.array([[[m, *row(m, pair)] for pair in range(PAIRS)] for m in NEURONS])
    for m, (raw, near, bound, w2) in zip(NEURONS, table[:, :, 1:].mean(axis=1), strict=True):
        print(f"m = {m:3}: barrier {raw:.3f} as they are, {near:.5f} matched, at most {bound:.3f} proved; W2 {w2:.3f}")
    names = enumerate(("as they are", "matched", "proved bound", "W2 of neurons"), 1)
    columns = {name: table.reshape(-1, 5)[:, [0, k]] for k, name in names}
    print(picture.save(picture.barriers({"2 inputs": columns}, split=3), "results/demos/mode_connectivity.png"))
    refutation()
    print("exercise: predicted {:.3f}, measured {:.3f}".format(*exercise()))

# References: [1] Ferbach, Goujaud, Gidel & Dieuleveut 2023, arXiv:2310.19103. [2] Peyre & Cuturi 2019, Comput. OT.
# [3] Ledoux & Zhu 2021, Probab. Math. Statist. 41(2): W2 of samples.    Next lesson: knots.py
