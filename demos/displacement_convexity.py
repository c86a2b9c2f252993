r"""For which networks is the risk convex along geodesics after all, and what does that buy?   Slides: (0.2)-(0.4).

Claim: bumps that learn a concave function, in the limit of width 0: F - min F <= e^{-2 alpha t}(F_0 - min F).   [cited]

    F_delta = (1/2) int (f - K_delta * rho)^2,  f'' = -alpha;   delta -> 0:  F = (1/2) int (f - rho)^2         [cited]
    along a geodesic of the limit  F'' >= alpha W2^2,  so that W2 of two solutions <= e^{-alpha t} W2_0        [proved]
    bumps that have a width bend F down along some geodesic                                                  [measured]
    f = (alpha/2)(L^2 - w^2): parabolas stay so, half-width^3 = L^3 + (width^3 - L^3) e^{-3 alpha t}           [derived]
"""

import math
from functools import cache

import numpy as np

from solvers.finite_volume import Muscl
from wflow import Density, Grid, Quantiles, Trajectory, picture, problems, solve, w2

# Problem
ALPHA, STARTS = 1.0, ((0.4, 0.8), (1.0, 0.3))  # half-width and mean of two starts
WIDTHS, SHARES = {"bumps of width 0.8": 0.8, "bumps of width 0.3": 0.3, "the limit": 0.0}, np.linspace(0, 1, 21)


# Solve
@cache
def run(start: int, alpha: float = ALPHA) -> Trajectory:
    return solve(problems.displacement_convex(alpha, *STARTS[start]).flow, Muscl(cells=64), times=SHARES)


# Check
def along(bump: float) -> dict[str, np.ndarray]:
    """F on the geodesic that parts a narrow law in two, by 0.9 to each side, and on the mixture of its ends."""
    flow, s = problems.displacement_convex(ALPHA, bump=bump).flow, np.linspace(-0.5, 0.5, 402)
    F, grid = flow.energy.value, Grid(flow.domain, (80,))
    x = np.abs(grid.centres[:, 0])
    narrow, parted = np.where(x < 0.15, 1 / 0.3, 0), np.where((x > 0.9) & (x < 1.05), 1 / 0.3, 0)
    moved = np.array([F(Quantiles(flow.domain, 0.3 * s + share * 0.9 * np.sign(s))) for share in SHARES])
    return {"geodesic": moved, "mixture": np.array([F(Density(grid, narrow + u * (parted - narrow))) for u in SHARES])}


def bend(bump: float) -> float:
    return float(np.min(np.diff(along(bump)["geodesic"], 2)) / (SHARES[1] * 0.9) ** 2)  # least F''/W2^2, W2 = .9


def apart(alpha: float = ALPHA) -> np.ndarray:
    return np.array([w2(a, b) for a, b in zip(run(0, alpha).measures, run(1, alpha).measures, strict=True)])


# Picture: F along one geodesic as bumps narrow; W2 of two solutions and F - min F under their bounds


# What would refute this
def refutation(alpha: float = ALPHA) -> tuple[bool, float, float]:
    """F bends less than alpha on the geodesic, or two solutions come together more slowly than e^{-alpha t}."""
    slower = apart()[1:] / apart()[0] * np.exp(alpha * SHARES[1:]) - 1
    value, limit = max(1 - bend(0.0) / alpha, float(np.max(slower))), 1e-3
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.1e}, {limit})")
    return value > limit, value, limit


# Exercise: raise alpha to 1.5. How far apart are the two solutions at t = 1?
def exercise(alpha: float = 1.5) -> tuple[float, float]:
    one, two = ((1.5 / alpha + (width**3 - 1.5 / alpha) * math.exp(-3 * alpha)) ** (1 / 3) for width, _ in STARTS)
    return math.hypot(0.5 * math.exp(-alpha), (one - two) / math.sqrt(5)), float(apart(alpha)[-1])


if __name__ == "__main__":
    print("least F''/W2^2:", {name: round(bend(bump), 2) for name, bump in WIDTHS.items()})
    rest = solve(problems.displacement_convex(ALPHA, horizon=8.0).flow, Muscl(cells=64))
    lines = {"W2 of two solutions": apart(), "F - min F": run(0).energies - rest.energies[-1]}
    known = {f"bound of {n}": v[0] * np.exp(-k * ALPHA * SHARES) for k, (n, v) in enumerate(lines.items(), 1)}
    curves = {n: (SHARES, v) for n, v in (lines | known).items()}
    both = picture.numbers(curves, known=[*known], value="W2, energy")
    paths = picture.profiles({name: along(bump) for name, bump in WIDTHS.items()})
    print(picture.save([paths, both], "results/demos/displacement_convexity.png"))
    refutation()
    print("exercise: predicted {:.4f}, measured {:.4f}".format(*exercise()))

# References: [1] Javanmard, Mondelli & Montanari 2020, Ann. Statist. 48(6), arXiv:1901.01375. [2] McCann 1997, Adv.
# Math. 128(1). [3] Carrillo & Toscani 2000, Indiana Univ. Math. J. 49(1).    Next lesson: singular_start.py
