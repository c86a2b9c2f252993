r"""Can a network fit its teacher perfectly while its neurons never move?   Slides: Theorem 4, failing for ReLU.

Claim: for relu(x . w), any rotation-invariant x and pi_0 = (1 + eps cos k theta) / 2 pi with k = 3, 5, 7, ...

    relu(z) = z/2 + |z|/2:  the odd part is linear, so odd modes n >= 3 do not enter f_pi                      [proved]
    sigma(x . w) = sum_n c_n(|x|) cos n(phi - theta),   a_n = E c_n^2 / 2 = 0   for odd n >= 3                 [proved]
    f_{pi_0} = f*,   R(pi_0) = 0,   V[pi_0] is constant,   hence  pi_t = pi_0  for all t                       [proved]
    W2(pi_t, U) = eps / (sqrt 2 k)  for all t                                                                  [proved]

The last line: X(s) = 2 pi s - (eps/k) sin k X(s) is the quantile function, and W2^2 = Var_s(X(s) - 2 pi s), where
int sin^2(k theta) (1 + eps cos k theta) dtheta / 2 pi = 1/2 exactly.
So W2(pi_t, U) -> 0 is false for plain ReLU: only R -> 0 may be hoped for. The same parity argument tells, of every
activation, which modes it does not see (wflow.spectrum.null_modes).
"""

import math

from solvers.finite_volume import Muscl
from solvers.particles import GradientFlow
from solvers.spectral import Fourier
from wflow import Trajectory, activation, picture, problems, solve, w2
from wflow.solver import Solver
from wflow.spectrum import null_modes

# Problem
EPS, MODE, END = 0.5, 3, 100.0
EXACT = EPS / (math.sqrt(2) * MODE)
NAMES = ["relu", "leaky_relu", "softplus", "gelu", "relu_squared", "elu", "tanh", "erf", "sigmoid", "cos_minus_sin"]


# Solve
def run(sigma: str, b: float | None = None, solver: Solver = Fourier(modes=32)) -> Trajectory:  # noqa: B008
    problem = problems.circle_teacher(sigma, b, "circle", {MODE: EPS}, END)
    return solve(problem.flow, solver, steps=100, times=[2, 5, 10, 20, 30, 40, 60, 80, END])


# Check
def to_uniform(trajectory: Trajectory) -> float:
    return w2(trajectory.final, problems.circle.UNIFORM)


def blind(mode: int) -> list[str]:
    return [name for name in NAMES if mode in null_modes(activation(name), "circle")]


# Picture: W2 to uniform in time. relu and gelu are blind to mode 3; tanh and cos - sin see it, and their W2 falls until
# mode 6, which the flow excites, remains: tanh does not see it, cos - sin with b = 2 hardly (measured).


# What would refute this
def refutation(sigma: str = "relu", b: float | None = None) -> tuple[bool, float, float]:
    """At t = 100: W2 off by more than 1e-3, or a risk above 1e-10."""
    trajectory, limit = run(sigma, b), 1e-3
    error, risk = abs(to_uniform(trajectory) - EXACT), 2 * trajectory.energies[-1]
    refuted = bool(error > limit or risk > 1e-10)
    print(f"refuted: {'yes' if refuted else 'no'} ({error:.1e}, {limit})")
    return refuted, error, limit


# Exercise: change MODE to 4. How many of the ten activations in NAMES are blind now? (They are 4 for MODE = 3.)
def exercise(mode: int = 4) -> tuple[int, int]:
    odd, even_from_4 = ["tanh", "erf", "sigmoid"], ["relu_squared"]  # odd up to a constant; z^2/2 + odd
    return len(odd + even_from_4), len(blind(mode))


if __name__ == "__main__":
    for solver in (Fourier(modes=32), GradientFlow(particles=200), Muscl(cells=128)):
        found = run("relu", solver=solver)
        print(f"relu, {found.solver!s:28} W2 = {to_uniform(found):.6f}  R = {2 * found.energies[-1]:8.1e}")
    print(f"exactly {EXACT:.6f}; blind to mode {MODE}: {', '.join(blind(MODE))}")
    runs = {"relu": run("relu"), "gelu": run("gelu"), "tanh 3z": run("tanh", 3.0)}
    runs["cos - sin, b = 2"] = run("cos_minus_sin", 2.0)
    level = {f"eps / (sqrt 2 k) = {EXACT:.4f}": EXACT}
    print(picture.save(picture.w2_curves(runs, problems.circle.UNIFORM, levels=level), "results/demos/null_mode.png"))
    refutation()
    print("exercise: predicted {}, found {}".format(*exercise()))

# References: [1] E, Ma & Wu 2020, arXiv:1912.12777. [2] Bach 2017, J. Mach. Learn. Res. 18(19), on the spectrum of ReLU
# on spheres. [3] Delon, Salomon & Sobolevski 2010, SIAM J. Appl. Math. 70(7): W2 on circles.  Next lesson: jko_steps.py
