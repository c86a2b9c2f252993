r"""How does a crowd fill up the place to which everybody walks, and what does a column in the way change?

Claim: hard congestion rho <= M has a front that moves against the stream, at a speed the density decides.  [derived]

    F = int |w| drho + {rho <= M},   from an even disc of density share M;   everybody walks with speed 1
    full for r < s(t); outside rho = share M (r + t)/r. Mass within s: M s^2 = share M (s + t)^2, so         [derived]
    s(t) = c t/(1 - c),  c = share^(1/2);      counting arrivals alone, without those met on the way:  s = c t
    with a column in the way people go round it, no faster in the mean: F(t) >= F(0) - t                     [derived]
    (dF/dt = -int |v|^2 drho, v the projection of -grad V, |grad V| = 1)

Each minimising movement knows the pressure as the multiplier of rho <= M; no step has a velocity to project.
Slides: (0.2)-(0.3).
"""

import math
from functools import lru_cache

import numpy as np

from solvers.jko import Spline
from wflow import Density, Trajectory, picture, problems, solve

# Problem
SHARE, TIME = 0.4, 0.3
DISC = problems.congestion(share=SHARE, dim=2, horizon=TIME).flow
ROOM = problems.crowd().flow


# Solve
@lru_cache
def filling() -> Trajectory:
    return solve(DISC, Spline(cells=64), steps=8)


@lru_cache
def walking() -> Trajectory:
    return solve(ROOM, Spline(cells=48), steps=48)


def full(pi: Density) -> float:
    """The area where rho is the largest that it can be."""
    return float(np.sum(pi.values > 0.999 * DISC.energy.bound(pi.grid))) * pi.grid.cell_volume


# Check
def front(met: bool = True) -> tuple[float, float]:
    """The radius of the full disc as measured and as derived; met: with those whom the front meets."""
    c, measured = math.sqrt(SHARE), math.sqrt(full(filling().final) / math.pi)
    return measured, c * TIME / (1.0 - c) if met else c * TIME


# Picture: the crowd before the column and round it


# What would refute this
def refutation(met: bool = True) -> tuple[bool, float, float]:
    """A front more than two cells from where it is derived to be."""
    measured, derived = front(met)
    value, limit = abs(measured - derived), 2.0 * float(filling().final.grid.widths[0])
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.4f}, {limit:.4f})")
    return value > limit, value, limit


# Exercise: how much does F fall until somebody stands in another's way? (All walk straight: by t, until all is full.)
def exercise() -> tuple[float, float]:
    run = walking()
    return float(run.times[4]), float(run.energies[0] - run.energies[4])


if __name__ == "__main__":
    print("front: measured {:.3f}, derived {:.3f}, counting arrivals alone {:.3f}".format(*front(), front(False)[1]))
    print(picture.save(picture.maps(walking(), times=walking().times[[0, 28, 48]]), "results/demos/crowd_motion.png"))
    refutation()
    print("exercise: predicted {:.4f}, measured {:.4f}".format(*exercise()))

# References: [1] Maury, Roudneff-Chupin & Santambrogio 2010, Math. Models Methods Appl. Sci. 20(10). [2] Meszaros &
# Santambrogio 2016, Anal. PDE 9(3). [3] Jacobs, Lee & Leger 2021, ESAIM COCV 27, 28.
# Next lesson: finite_width_is_exact.py
