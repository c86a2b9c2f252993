r"""What does a deep residual network of random weights tend to, and how fast?                   Slides: deep ResNet.

Claim: to z' = int psi(z; w) dpi_s(w), s in [0, 1], with both errors and their constants known beforehand.    [derived]

    z_{l+1} = z_l + (1/L)(1/m) sum_j psi(z_l; w_lj),   psi(z; w) = u tanh(v.z + c),   w_lj ~ pi_{l/L} independent
    z_L - z(1) = E/L + N(0, P/(m L)):   E = -(1/2) int Phi(1, s) z'' ds,   P = int Phi(1, s) Cov_s[psi] Phi(1, s)^T ds
    Phi: the flow linearised along z(s).  The same draws in all layers: N(0, P'/m), which depth does not help

Trained by w' = -grad V_s(w), the Wasserstein flow layer by layer, it learns two moons; the 1/m net without skips, from
a start that is centred like its own, stands still.                                                          [measured]
"""

import numpy as np

from solvers.deep import GradientFlow
from solvers.deep.residual import GradientFlow as ResidualGradientFlow
from wflow import deep, picture
from wflow.deep import Sampled, residual
from wflow.deep.residual.problems import INPUTS, TANH, moons, moons_without_skips, turning_law

# Problem
DEPTHS, WIDTHS, SEEDS, LAW = (4, 8, 16, 32, 64), (8, 32, 128), 48, turning_law()


# Solve
def known() -> residual.Limit:
    return residual.limit(LAW, TANH, INPUTS)


def error(end: np.ndarray, depth: int, m: int, tied: bool) -> float:
    """|z_L - z(1)|, root mean square over inputs and seeds."""
    draw = LAW.tied if tied else LAW.layerwise
    nets = [residual.ResidualNet(draw(depth, m, seed), np.ones(2), TANH) for seed in range(SEEDS)]
    return float(np.sqrt(np.mean([np.sum((net.run(INPUTS).states[-1] - end) ** 2, axis=1) for net in nets])))


# Check
def row(m: int, tied: bool) -> list[tuple[float, float, float]]:
    """Depth, error, and what is expected."""
    k = known()
    return [(L, error(k.end, L, m, tied), k.expected(L, m, tied=tied)) for L in DEPTHS]


# Picture: the errors over the depth for three widths, and what is expected of them, for draws of both kinds


# What would refute this
def refutation(tied: bool = False) -> tuple[bool, float, float]:
    """Draws of their own in each layer: at L = 64, m = 32 an error that is not the expected one to a quarter."""
    k = known()
    off = abs(error(k.end, 64, 32, tied) / k.expected(64, 32, tied=False) - 1.0)
    print(f"refuted: {'yes' if off > 0.25 else 'no'} ({off:.3f}, 0.25)")
    return off > 0.25, off, 0.25


# Exercise: with the same draws in all layers, m = 32, how much does the error fall from L = 32 to 64? (.999)
def exercise(m: int = 32) -> tuple[float, float]:
    k = known()
    ends = [error(k.end, depth, m, True) for depth in (32, 64)]
    return k.expected(64, m, tied=True) / k.expected(32, m, tied=True), ends[1] / ends[0]


if __name__ == "__main__":
    kinds = {"draws of its own in each layer": False, "the same draws in all layers": True}
    curves = {title: {f"m = {m}": row(m, tied) for m in WIDTHS} for title, tied in kinds.items()}
    flow, plain = moons(horizon=200.0), moons_without_skips(mean=0.0, horizon=200.0)
    learnt = residual.solve(flow, ResidualGradientFlow(), dt=0.5, times=[200.0]).energies
    still = deep.solve(plain, GradientFlow(Sampled(16, 1)), dt=1.0, times=[200.0]).energies
    print(f"two moons: F falls from {learnt[0]:.3f} to {learnt[1]:.1e}; without skips by {still[0] - still[1]:.0e}")
    print(picture.save(picture.two_errors(curves), "results/demos/deep_resnet.png"))
    refutation()
    print("exercise: predicted {:.3f}, measured {:.3f}".format(*exercise()))

# References: [1] Ding, Chen, Li & Wright 2021, arXiv:2105.14417. [2] Barboni, Peyre & Vialard 2024, arXiv:2403.12887.
# [3] Lu, Ma, Lu, Lu & Ying 2020, arXiv:2003.05508.    Next lesson: circle_theorem.py
