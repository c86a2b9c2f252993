r"""How does mass move in one minimising movement, and which velocity does it obey: that of the start or of the end?

Claim: along straight lines, for a time tau, with the velocity at its END: implicit Euler, atom by atom.    [derived]

    step:    rho' = argmin F + W2^2(rho, .)/(2 tau),    F = int rho log rho + int V drho,    V = |x|^2/2
    the optimal map sends x to y with   (y - x)/tau = -grad (V + log rho')(y)                               [derived]
    an explicit step would use          (y - x)/tau = -grad (V + log rho)(x)
    on the way mass is at (1 - s) x + s y: a geodesic of W2 (McCann), which the animation shows               [cited]

The map is found from the two densities alone, by optimal transport; the step knows nothing of it.  Slides: (0.2)-(0.3).
"""

import math
from functools import lru_cache

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from solvers.jko import Spline
from wflow import Density, Geodesic, Trajectory, geodesic, picture, problems, solve

# Problem
TAU, MEAN = 0.5, (3.0, -2.0)
FLOW = problems.ornstein_uhlenbeck(mean=MEAN, std=(0.3, 1.0), horizon=TAU).flow


# Solve
@lru_cache
def step() -> tuple[Trajectory, Geodesic]:
    run = solve(FLOW, Spline(cells=128), steps=1)
    return run, geodesic(*run.measures)


def velocity(pi: Density, w: np.ndarray) -> np.ndarray:
    """-grad (V + log rho) by differences on the cells, at points."""
    u = 0.5 * np.sum(pi.points**2, axis=1) + np.log(np.maximum(pi.values, 1e-300))
    axes = [0.5 * (e[1:] + e[:-1]) for e in (pi.grid.edges(0), pi.grid.edges(1))]
    slopes = np.stack(np.gradient(u.reshape(pi.grid.shape), *axes), axis=-1)
    return -RegularGridInterpolator(axes, slopes, bounds_error=False, fill_value=None)(w)


# Check
def mismatch(late: bool = True) -> float:
    """Root mean square of y - x - tau velocity, as a share of that of y - x; atoms of a thousandth are left out."""
    (start, end), path = step()[0].measures, step()[1]
    moved = TAU * (velocity(end, path.end) if late else velocity(start, path.start))
    dense = path.weights >= 1e-3 * path.weights.max()
    squares = [path.weights[dense] @ np.sum(v[dense] ** 2, axis=1) for v in (path.shift - moved, path.shift)]
    return math.sqrt(squares[0] / squares[1])


# Picture: the two densities, and an animation of the way between them


# What would refute this
def refutation(late: bool = True) -> tuple[bool, float, float]:
    """A displacement that differs by more than 3 % from tau times the velocity at the end."""
    value, limit = mismatch(late), 0.03
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.4f}, {limit})")
    return value > limit, value, limit


# Exercise: where is the mean after the step? (The flow's would be at MEAN e^(-tau).)
def exercise() -> tuple[float, float]:
    end = step()[0].final
    return MEAN[0] / (1.0 + TAU), float(end.weights @ end.points[:, 0])


if __name__ == "__main__":
    print(f"off by {mismatch():.1%} with the end's velocity, by {mismatch(False):.0%} with the start's")
    print(picture.save(picture.maps(step()[0]), "results/demos/step_movie.png"))
    print(picture.journey(step()[1], step()[0].final.grid, "results/demos/step_movie.gif"))
    refutation()
    print("exercise: predicted {:.5f}, measured {:.5f}".format(*exercise()))

# References: [1] Jordan, Kinderlehrer & Otto 1998, SIAM J. Math. Anal. 29(1). [2] McCann 1997, Adv. Math. 128.
# [3] Brenier 1991, Comm. Pure Appl. Math. 44(4).    Next lesson: giant_steps.py
