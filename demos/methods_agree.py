r"""Do four methods that share nothing but the equation find the same flow?   Slides: the flow (0.1), solved.

Claim: particles, finite volumes, modes and minimising movements agree in W2 as closely as each agrees with itself.

    particles    w_j' = -V'[pi](w_j)                                  order 4 in dt, 1 in 1/m
    cells        rho_i' = -(J_{i+1/2} - J_{i-1/2}) / h                order 2 in dt, 2 in h
    modes        c_n' = -i n (rho v)_n,  v = -V'                      order 4 in dt, faster than any power in 1/N
    JKO          argmin F(rho) + W2^2(rho, pi) / (2 tau)              order 1 in tau, 2 in 1/m
    d_i = W2(method i, method i refined by 2 in space and time) at the end: the error of the refined run, or more
    W2(i, j) <= d_i + d_j + floor_ij,   floor_ij = W2 of their initial measures    [derived, to leading order]

m atoms stay pi / (sqrt 3 m) or more away from the uniform law [proved]: a floor is stated, it is not tuned away.
"""

import math
from functools import cache

from solvers.finite_volume import Muscl
from solvers.jko import Quantile
from solvers.particles import GradientFlow
from solvers.spectral import Fourier
from wflow import Trajectory, picture, problems, solve, w2
from wflow.solver import Solver

# Problem
TIMES = [1.0, 4.0, 10.0]
METHODS = {GradientFlow(particles=200): 50, Muscl(cells=64): 100, Quantile(points=100): 40, Fourier(modes=24): 100}


# Solve
@cache
def run(solver: Solver, steps: int, b: float = 2.0) -> Trajectory:
    problem = problems.circle_teacher("cos_minus_sin", b=b, horizon=TIMES[-1])
    return solve(problem.flow, solver, steps=steps, times=TIMES)


def refined(b_of_particles: float = 2.0) -> tuple[list[Trajectory], list[float]]:
    """The refined runs, and how far refinement has moved each of them."""
    jobs = [(s, n, b_of_particles if isinstance(s, GradientFlow) else 2.0) for s, n in METHODS.items()]
    fine = [run(solver.refined(2), 2 * n, b) for solver, n, b in jobs]
    return fine, [w2(run(*job).final, finer.final) for job, finer in zip(jobs, fine, strict=True)]


# Check
def table(b_of_particles: float = 2.0) -> list[tuple[str, float, float]]:
    """Two methods, their W2 at the end, and what is allowed: d_i + d_j + floor."""
    fine, d = refined(b_of_particles)
    pairs = [(i, j) for j in range(len(fine)) for i in range(j)]
    floors = [w2(fine[i].measures[0], fine[j].measures[0]) for i, j in pairs]
    names = [f"{fine[i].solver} and {fine[j].solver}" for i, j in pairs]
    found = [w2(fine[i].final, fine[j].final) for i, j in pairs]
    return [(n, v, d[i] + d[j] + f) for n, v, f, (i, j) in zip(names, found, floors, pairs, strict=True)]


# Picture: all four on one axis at three times


# What would refute this
def refutation(b_of_particles: float = 2.0) -> tuple[bool, float, float]:
    """A pair further apart than it is allowed: W2 over allowed above 1."""
    worst = max(found / allowed for _, found, allowed in table(b_of_particles))
    print(f"refuted: {'yes' if worst > 1 else 'no'} ({worst:.2f}, 1)")
    return worst > 1, worst, 1.0


# Exercise: solve with 800 particles. How far from the modes are they at t = 10, where the density is nearly uniform?
def exercise(m: int = 800) -> tuple[float, float]:
    return math.pi / (math.sqrt(3) * m), w2(run(GradientFlow(m), 50).final, run(Fourier(48), 200).final)


if __name__ == "__main__":
    for name, found, allowed in table():
        print(f"{name:48} W2 {found:.5f}, allowed {allowed:.5f}")
    runs = {str(trajectory.solver): trajectory for trajectory in refined()[0]}
    print(picture.save(picture.densities(runs, [0.0, 4.0, 10.0]), "results/demos/methods_agree.png"))
    refutation()
    print("exercise: predicted {:.6f}, measured {:.6f}".format(*exercise()))

# References: [1] Carrillo, Chertock & Huang 2015, Commun. Comput. Phys. 17(1). [2] Jordan, Kinderlehrer & Otto 1998,
# SIAM J. Math. Anal. 29(1). [3] Mei, Montanari & Nguyen 2018, PNAS 115(33).    Next lesson: grid_and_elements.py
