r"""Does gradient descent drive the neurons of a wide network to those of its teacher?   Slides: Theorem 4 (circle).

Claim: the teacher is f* = int sigma(x . w) dU, U uniform on the circle. From any smooth density W2(pi_t, U) -> 0.

    f_pi(x) = int sigma(x . w) dpi(w),      F = E (f_pi - f*)^2 / 2 = R / 2,      d_t pi = div(pi grad V)
    V = k * (pi - U),     k(theta) = E sigma(x . w) sigma(x . w') = sum_n a_n cos(n theta),  a_n >= 0          [derived]
    near U:  h_n' = -(n^2 a_n / 2) h_n  for  pi = (1 + sum_n h_n cos n theta) / 2 pi                           [derived]
    R = sum_{n >= 1} a_n |c_n|^2:  where a_n = 0 (a null mode) the risk says nothing of c_n                    [derived]

The slide states neither sigma nor the law of x: hypotheses not stated, tested under H = (sigma, law of x) of each row.
Chizat & Bach's theorem [2] does not speak about fixed-mass circle flows: its neurons carry an outer weight, so that a
direction gains and loses mass, and it concludes on F. Here the mass is fixed and the claim is on W2(pi_t, U).  [cited]
All W2 are measured. cos - sin falls to 1 % and then slows down, since its a_n vanish faster than e^-n: a run shows what
is consistent with W2 -> 0 at its resolution, and no more. relu(z) stalls for ever; the next lesson proves why.
"""

import math

from solvers.spectral import Fourier
from wflow import Trajectory, activation, circle_kernel, picture, problems, solve, w2

# Problem
START = {1: 0.5, 3: 0.3}  # the modes h_n of the start
ROWS = {
    "cos - sin, b = 2, Gaussian x": ("cos_minus_sin", 2.0, "gaussian"),
    "relu(z - 1/2), x on the unit circle": ("relu", 0.5, "circle"),
    "relu(z), Gaussian x": ("relu", None, "gaussian"),
}
TIMES = [1, 2, 5, 10, 20, 40, 70, 100, 150, 200, 250, 300, 350, 400]


# Solve
def run(sigma: str, b: float | None, inputs: str, end: float = 400.0, start: dict[int, float] = START) -> Trajectory:
    problem = problems.circle_teacher(sigma, b, inputs, start, end)
    return solve(problem.flow, Fourier(modes=64), times=[t for t in TIMES if t <= end])


# Check
def to_uniform(trajectory: Trajectory, t: float) -> float:
    return w2(trajectory.at(t), problems.circle.UNIFORM)


def verdict(trajectory: Trajectory) -> str:
    falls = to_uniform(trajectory, 400) < 0.1 * to_uniform(trajectory, 0)
    stalls = to_uniform(trajectory, 400) > 0.99 * to_uniform(trajectory, 200)
    consistent = f"consistent at a stated resolution ({trajectory.solver}, t = 400)"
    return consistent if falls else "stalls (measured): R -> 0, W2 does not" if stalls else "undecided"


# Picture: W2 to uniform in time, one curve a row of the table (drawn at the end of this file)


# What would refute this
def refutation(sigma: str = "cos_minus_sin", b: float | None = 2.0) -> tuple[bool, float, float]:
    """W2 must fall below 10 % of its start by t = 20."""
    trajectory, limit = run(sigma, b, "gaussian", end=20.0), 0.1
    share = to_uniform(trajectory, 20) / to_uniform(trajectory, 0)
    print(f"refuted: {'yes' if share > limit else 'no'} ({share:.4f}, {limit})")
    return share > limit, share, limit


# Exercise: start relu(z) from START = {2: 0.5}, which it sees. By what factor has W2 fallen at t = 20? Use the rate.
def exercise() -> tuple[float, float]:
    rate = 2**2 * circle_kernel(activation("relu"), "gaussian").coefficients(2)[2] / 2
    trajectory = run("relu", None, "gaussian", end=20.0, start={2: 0.5})
    return math.exp(-20 * rate), to_uniform(trajectory, 20) / to_uniform(trajectory, 0)


if __name__ == "__main__":
    print("Theorem 4: hypotheses not stated, tested under H = (activation, law of x):")
    runs = {name: run(*row) for name, row in ROWS.items()}
    for name, trajectory in runs.items():
        w2s = "  ".join(f"W2({t}) = {to_uniform(trajectory, t):.4f}" for t in (0, 20, 40, 100, 400))
        print(f"{name:36}{w2s}  R(400) = {2 * trajectory.energies[-1]:.0e}  {verdict(trajectory)}")
    print(picture.save(picture.w2_curves(runs, problems.circle.UNIFORM), "results/demos/circle_theorem.png"))
    refutation()
    print("exercise: predicted {:.3f} (linear rate), measured {:.3f}".format(*exercise()))

# References: [1] E, Ma & Wu 2020, arXiv:1912.12777, most probably the slide's source. [2] Chizat & Bach 2018, NeurIPS,
# arXiv:1805.09545. [3] Chizat, Colombo, Colombo & Fernandez-Real, arXiv:2603.01977.    Next lesson: null_mode.py
