r"""Can a flow of many charges find the few spikes behind a blurred signal, though J is not convex in their positions?

Claim: charges of both signs spread over the circle gather at the minimiser; one sign, or too few, end elsewhere.

    J(nu) = |Phi nu - y|^2/2 + lam |nu|,     Phi nu = int D(x - theta) dnu,     D the Dirichlet kernel of degree 8
    nu = sum_j s_j m_j delta_{theta_j}:   m' = -4 alpha m (s V + lam),   theta' = -beta s V'      [derived: cone metric]
    nu minimises J if and only if V = -lam s at its charges and |V| <= lam everywhere                       [proved]
    signs never change: where no minimiser has one sign, charges of one sign keep an excess over J*         [proved]
    40 charges of alternating sign reach J* from all ten seeds tried, 40 of one sign from none            [measured]

What the flow leaves open `finish` ends: merge, prune, Newton's method on masses and positions, births where |V| > lam.
Slides: (0.2)-(0.6), here with masses of both signs.
"""

from dataclasses import replace

import numpy as np

from solvers.conic import ConicDescent
from wflow import Charged, Flow, Law, Uniform, circle, picture, problems, solve
from wflow.finish import Finished, finish
from wflow.trajectory import Trajectory

# Problem
PARTICLES, END, SEED = 40, 20.0, 0
TIMES, SPREAD = np.geomspace(1e-3, END, 60), Uniform(circle())
BOTH, ONE_SIGN = Charged(SPREAD, SPREAD, (0.125, 0.125)), Charged(SPREAD, None, (0.25, 0.0))


def flow(start: Law = BOTH, seed: int = SEED) -> Flow:
    return replace(problems.deconvolution_1d(seed=seed, horizon=END).flow, initial=start)


# Solve
def run(posed: Flow, particles: int = PARTICLES) -> Trajectory:
    return solve(posed, ConicDescent(particles), dt=0.5, times=TIMES)


def minimiser(of: Trajectory) -> Finished:
    return finish(of.flow, of.final)


# Check
def excess(start: Law = BOTH, seed: int = SEED) -> float:
    """(J at the end - J*)/J*: below 1e-6 from both signs."""
    best = minimiser(run(flow(BOTH, seed))).value
    return float(run(flow(start, seed)).energies[-1] - best) / best


# Picture: paths of the charges in the plane of position and +-sqrt(mass), beside the minimiser


# What would refute this
def refutation(start: Law = BOTH) -> tuple[bool, float, float]:
    """Spread charges that do not get to J*."""
    value, limit = excess(start), 1e-6
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.2e}, {limit})")
    return value > limit, value, limit


# Exercise: one spike of mass 1 through a filter of degree n: how much mass does the penalty lam leave it?
def exercise(filters: int = 3, lam: float = 0.7) -> tuple[float, float]:
    posed = problems.one_spike(filters=filters, lam=lam)
    return 1.0 - lam / (2 * filters + 1), finish(posed.flow, solve(posed.flow, ConicDescent(20)).final).measure.mass


if __name__ == "__main__":
    done = {"alternating signs": run(flow()), "one sign": run(flow(ONE_SIGN))}
    best = minimiser(done["alternating signs"])
    for name, ended in done.items():
        print(f"{name:17}: J - J* = {ended.energies[-1] - best.value:.2e}, charges {len(ended.final.points)}")
    print(f"J* = {best.value:.15g}: {len(best.measure.points)} charges, forces {best.residual:.0e}")
    print(picture.save(picture.charges(done, best.measure), "results/demos/sparse_deconvolution.png"))
    refutation()
    print("exercise: predicted {:.6f}, measured {:.12f}".format(*exercise()))

# References: [1] Chizat 2022, Math. Program. 194. [2] Chizat & Bach 2018, arXiv:1805.09545.
# [3] Liero, Mielke & Savare 2018, Invent. Math. 211.    Next lesson: two_phases.py
