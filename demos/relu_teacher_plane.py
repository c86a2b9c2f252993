r"""When does a wide ReLU network find its teacher, and which hypotheses of the theorem hold?   Slides: Theorem 3.

Claim: students a relu(b . x) find their teachers from directions spread over the circle, not from a clump or a > 0.

    V(a, b) = a |b| K(angle of b),   K = k * (charges of students - teachers),   V(c w) = c^2 V(w)             [derived]
    a a' = b . b' = -a |b| K:  a^2 - |b|^2 stays.  If |a| = |b| = r:  r' = -s r K, angle' = -s K', s = +-1     [proved]
    so r > 0 and s stay: with a > 0 alone F stays above its least on positive charges                          [proved]
    theorem [1]: psi 2-homogeneous, smooth; start separating; pi_t converges in W2  =>  limit minimises F      [cited]
    min V is 0 or -infinity, so its gap bounds nothing;  for |nu| <= B:  F - min F <= int K dnu + B max |K|    [proved]

What ReLU does not satisfy (smoothness) and what is only supposed (convergence) is printed as such: that F falls at
m = 100 is consistent with the theorem; it neither follows from it nor proves it.
"""

from functools import cache

import numpy as np
from scipy.optimize import nnls

from solvers.particles import GradientFlow
from wflow import Particles, Trajectory, picture, problems, solve
from wflow.hypotheses import bounded_gap, chizat_bach
from wflow.kernel import relu_kernel

# Problem
TEACHERS, END = ((1.0, 0.3), (1.0, 2.2), (-1.0, 4.0)), 40.0
STARTS = ("spread", "clumped", "positive")


# Solve
@cache
def run(start: str, end: float = END) -> Trajectory:
    return solve(problems.relu_teacher_plane(TEACHERS, start, horizon=end).flow, GradientFlow(100), dt=0.4)


# Check
def least_positive(directions: int = 360) -> float:
    """min F over positive charges q at equispaced directions: |A q - b|^2 / 2 with A^T A = k, A^T b = k * teachers."""
    t, k = 2 * np.pi * np.arange(directions) / directions, relu_kernel(0.0, "gaussian")
    size, modes = np.linalg.eigh(k.value((t[:, None] - t).ravel()).reshape(directions, directions))
    root = np.sqrt(np.maximum(size, 1e-14))
    c, angles = np.array(TEACHERS).T
    target = k.value((t[:, None] - angles).ravel()).reshape(directions, -1) @ c
    norm = c @ k.value((angles[:, None] - angles).ravel()).reshape(len(c), -1) @ c
    right = (target @ modes) / root
    return float((nnls((modes * root).T, right)[1] ** 2 - right @ right + norm) / 2)


# Picture: the paths of b for the three starts, with the directions of the teachers


# What would refute this
def refutation(start: str = "spread") -> tuple[bool, float, float]:
    """More than 1 % of F is left at t = 40 from a spread start."""
    share, limit = run(start).energies[-1] / run(start).energies[0], 0.01
    print(f"refuted: {'yes' if share > limit else 'no'} ({share:.4f}, {limit})")
    return share > limit, share, limit


# Exercise: from a > 0 alone, to which F does the flow come? (Not 0: compute the least F of positive charges.)
def exercise() -> tuple[float, float]:
    return least_positive(), run("positive", 100.0).energies[-1]


if __name__ == "__main__":
    for start in STARTS:
        print(f"{start}: F = {run(start).energies[0]:.3f} -> {run(start).energies[-1]:.5f}")
        for hypothesis in chizat_bach(problems.relu_teacher_plane(TEACHERS, start), run(start)):
            print("   ", hypothesis)
        print(f"    among networks of charge 3 or less: F - min F <= {bounded_gap(run(start), 3.0):.2g}")
    teachers = problems.relu_teacher_plane(TEACHERS).minimiser
    figure = picture.paths({s: run(s) for s in STARTS}, Particles(teachers.domain, teachers.points))
    print(picture.save(figure, "results/demos/relu_teacher_plane.png"))
    refutation()
    print("exercise: predicted {:.5f}, measured {:.5f}".format(*exercise()))

# References: [1] Chizat & Bach 2018, NeurIPS, arXiv:1805.09545, Theorem 3.3. [2] Cho & Saul 2009, NeurIPS (the kernel).
# [3] Akiyama & Suzuki 2021, ICML, arXiv:2106.06251 (teachers are identified).    Next lesson: hypothesis_report.py
