r"""Where does a density come to rest that is blown against an obstacle, and what does the obstacle change?

Claim: at e^{wind w_1/T}/Z outside it, whatever the way; the obstacle changes Z alone.                       [proved]

    F = T int rho log rho - wind int w_1 drho  in the rectangle [-2, 2] x [-1, 1] without a disk of radius r
    F - inf F = T KL(rho | Gibbs) >= 0,   inf F = -T log Z:  the Gibbs law is the only minimiser             [proved]
    Z = 4 s sinh(2/s) - 2 pi r s I_1(r/s),   s = T/wind, the disk about w_1 = 0                             [derived]
    two-point fluxes vanish where V + T log rho is constant: their rest is the Gibbs law on the mesh         [proved]

A domain with a hole has no grid. It has triangles, and the same flow, trajectory and certificates stand on them.
Slides: (0.2)-(0.3).
"""

import math
from functools import lru_cache

from scipy.special import iv

from solvers.fem import TwoPoint
from wflow import Trajectory, picture, problems, solve

# Problem
T, RADIUS = 0.5, 0.4
BLOWN = problems.around_obstacle(temperature=0.1, radius=RADIUS, horizon=2.4)
RESTING = problems.around_obstacle(temperature=T, radius=RADIUS, horizon=20.0)


# Solve
@lru_cache
def way() -> Trajectory:
    return solve(BLOWN.flow, TwoPoint(cells=64), steps=96)


@lru_cache
def rest() -> Trajectory:
    return solve(RESTING.flow, TwoPoint(cells=96), steps=40)


# Check
def least_energy(hole: bool = True, temperature: float = T) -> float:
    """inf F by the closed form of Z."""
    s = temperature
    inside = 2.0 * math.pi * RADIUS * s * float(iv(1, RADIUS / s)) if hole else 0.0
    return -temperature * math.log(4.0 * s * math.sinh(2.0 / s) - inside)


# Picture: before the obstacle, round it, behind it


# What would refute this
def refutation(hole: bool = True) -> tuple[bool, float, float]:
    """An energy at rest further from inf F than a quarter of what the hole changes."""
    value, limit = (
        abs(float(rest().energies[-1]) - least_energy(hole)),
        0.25 * abs(least_energy() - least_energy(False)),
    )
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.5f}, {limit:.5f})")
    return value > limit, value, limit


# Exercise: what is the energy at rest at T = 1? (inf F = -T log Z.)
def exercise() -> tuple[float, float]:
    warm = problems.around_obstacle(temperature=1.0, radius=RADIUS, horizon=20.0)
    return least_energy(temperature=1.0), float(solve(warm.flow, TwoPoint(cells=64), steps=20).energies[-1])


if __name__ == "__main__":
    print(
        f"F at rest {rest().energies[-1]:.5f}, inf F {least_energy():.5f}, without the hole {least_energy(False):.5f}"
    )
    print(picture.save(picture.regions(way(), times=way().times[[0, 24, 48]]), "results/demos/round_obstacle.png"))
    refutation()
    print("exercise: predicted {:.4f}, measured {:.4f}".format(*exercise()))

# References: [1] Jordan, Kinderlehrer & Otto 1998, SIAM J. Math. Anal. 29(1), 1-17. [2] Eymard, Gallouet & Herbin 2000,
# Handbook of Numerical Analysis VII. [3] Bessemoulin-Chatard 2012, Numer. Math. 121, 637-670.
# Next lesson: two_ranks.py
