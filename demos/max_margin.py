r"""Of all networks that separate two classes, which one does gradient descent on the logistic loss find?

Claim: with both layers trained that of the largest margin in variation norm, with one layer that of a kernel. [cited]

    F = E log(1 + e^{-y f(x)}),   f(x) = int a relu(b . (x, 1)) dpi(a, b):   inf F = 0 is not attained, |f| -> oo
    gamma_1 = max min_i y_i f_nu(x_i), |nu| <= 1, = min over p of max_b |sum_i p_i y_i relu(b . (x_i, 1))|  [derived]
    gamma_2 = max min_i y_i f(x_i), |f|_H <= 1, = min over p of (p . Q p)^(1/2),  Q = y y' K                [derived]
    mean |a| |b| >= log(1/(e^{n F} - 1))/gamma_1: the mass of pi runs away as F -> 0, like log t            [proved]

Both margins are known between bounds: any measure proves one, any weights p of the data the other.   Slides: (0.8).
"""

from functools import lru_cache

import numpy as np

from solvers.particles import GradientFlow
from wflow import Particles, margins, picture
from wflow.data import Data
from wflow.margins import NEURON, arc_cosine, kernel_margin, variation_margin

# Problem
RED, BLUE = [[0, 0], [0.2, 0.5], [-0.4, 0.2]], [[0.9, 0.3], [-0.3, -0.9], [-1, 0.4], [0.6, -0.8], [0.2, 1.1]]
DATA = Data(np.array(RED + BLUE), np.array([1.0] * 3 + [-1.0] * 5))
KERNEL, DOUBLINGS = arc_cosine(DATA.inputs, DATA.inputs), 40
TIMES = 2.0 ** np.arange(DOUBLINGS + 1)


# Solve
@lru_cache
def both(directions: int = 60) -> list[Particles]:
    flow = margins.both_layers(DATA, directions)
    return [pi for _, pi in margins.trained(flow, GradientFlow(2 * directions), doublings=DOUBLINGS, steps=40)]


# Check
def first(pi: Particles) -> float:
    """Its margin over the largest one."""
    return margins.normalised_margins(DATA, pi)[0] / variation_margin(DATA.inputs, DATA.targets).lower


def second() -> np.ndarray:
    found = margins.kernel_margins(DATA, KERNEL, margins.output_layer(DATA, KERNEL, list(TIMES)))
    return found / kernel_margin(DATA.inputs, DATA.targets).lower


# Picture: the boundaries of both and of the classifiers of largest margin; margins over time, below their bounds


# What would refute this
def refutation(directions: int = 60) -> tuple[bool, float, float]:
    """A margin above the largest one, or more than 5 % below it at t = 2^40; directions of b at the start."""
    ends = np.array([first(both(directions)[-1]), second()[-1]])
    value, limit = float(np.max(np.where(ends > 1.0 + 1e-8, np.inf, 1.0 - ends))), 0.05
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.4f}, {limit})")
    return value > limit, value, limit


# Exercise: keep one point of each class, (1, 0) and (0, 1). What is gamma_1?   |X x X'|/(|X| + |X'|), X = (x, 1)
def exercise() -> tuple[float, float]:
    return float(np.sqrt(3.0) / (2.0 * np.sqrt(2.0))), variation_margin([[1, 0], [0, 1]], [1, -1]).lower


if __name__ == "__main__":
    runs, one, best = both(), second(), variation_margin(DATA.inputs, DATA.targets)
    for k in range(8, DOUBLINGS + 1, 8):
        mass = float(np.mean(np.prod([np.abs(runs[k].points[:, 0]), np.linalg.norm(runs[k].points[:, 1:], axis=1)], 0)))
        print(f"t = 2^{k:2}: margin/gamma_1 {first(runs[k]):.4f}, margin/gamma_2 {one[k]:.4f}, mean |a| |b| {mass:.1f}")
    alpha = margins.output_layer(DATA, KERNEL, [TIMES[-1]])[0] * DATA.targets
    found = {"both layers": lambda x: NEURON.value(x, runs[-1].points).mean(1), "largest in variation": best.classifier}
    found["output layer"] = lambda x: arc_cosine(x, DATA.inputs) @ alpha
    sides = {"both layers": np.array([first(pi) for pi in runs]), "output layer": one, "largest": np.ones(len(TIMES))}
    over = {name: (np.log2(TIMES[8:]), values[8:]) for name, values in sides.items()}
    lines = picture.numbers(over, known=["largest"], across="log2 t", value="margin over the largest")
    print(picture.save([picture.boundaries(DATA, found), lines], "results/demos/max_margin.png"))
    refutation()
    print("exercise: predicted {:.6f}, measured {:.6f}".format(*exercise()))

# References: [1] Chizat & Bach 2020, COLT, arXiv:2002.04486. [2] Soudry et al. 2018, JMLR 19(70) (linear models).
# [3] Cho & Saul 2009, NIPS 22 (the kernel).    Next lesson: quenching.py
