r"""Can a network be trained in five steps, over valleys in which the flow stays, and can each step be certified?

Claim: a JKO step of the risk is a concave maximisation over one number per datum, whatever tau and neuron.    [derived]

    F = |f_pi - y|^2/2,    step: argmin F(pi) + W2^2(pi, pi_k)/(2 tau),    pi_k atoms w_j of mass mu_j,    omega = 1/n
    D(p) = -<p, y> - |p|^2/2 + sum_j mu_j min_w [ sum_i omega_i p_i psi(x_i; w) + |w - w_j|^2/(2 tau) ]       [derived]
    max D = min of the step; where atoms tie between two places they split;  gap = F + cost - D >= 0          [derived]
    one step, any tau:   F(pi_1) <= F(nu) + W2^2(pi_0, nu)/(2 tau)   for every nu, above all for the teacher  [proved]

The flow at time tau keeps no such bound: a neuron has no force where its bump meets no data it could serve. The gap is
computed with minima from a dense search of the features, which shares no start with the step.  Slides: (0.2)-(0.6).
"""

import numpy as np

from solvers.jko import RiskDual
from solvers.particles import GradientFlow
from wflow import Atoms, Data, Energy, Flow, Particles, Risk, Solver, interval, picture, solve, w2
from wflow.bump import BumpNeuron
from wflow.trajectory import Trajectory

# Problem
LINE, TAU, STEPS = interval(0.0, 1.0), 50.0, 5
NEURON, X = BumpNeuron(0.06, LINE), np.linspace(0.0, 1.0, 25)[:, None]
TEACHER = Particles(LINE, np.array([[0.15], [0.7], [0.9]]), np.array([0.5, 0.2, 0.3]))
CLUMP = np.linspace(0.65, 0.75, 40)[:, None]


def flow(atoms: np.ndarray = CLUMP, teacher: Particles = TEACHER, horizon: float = STEPS * TAU) -> Flow:
    energy = Energy(Risk(NEURON, Data(X, NEURON.value(X, teacher.points) @ teacher.weights)))
    return Flow(energy, LINE, Atoms(LINE, atoms), horizon)


# Solve
def run(solver: Solver, steps: int, posed: Flow | None = None) -> Trajectory:
    return solve(posed or flow(), solver, steps=steps)


# Check
def over_bound(solver: Solver, steps: int) -> float:
    """F after the time tau over W2^2(pi_0, teacher)/(2 tau): at most 1 for one JKO step."""
    after = run(solver, steps, flow(horizon=TAU))
    return float(after.energies[-1]) / (w2(after.measures[0], TEACHER) ** 2 / (2 * TAU))


# Picture: F against time, five steps beside the flow


# What would refute this
def refutation(solver: Solver | None = None, steps: int = 1) -> tuple[bool, float, float]:
    """A step that ends above its bound."""
    value, limit = over_bound(solver or RiskDual(particles=40), steps), 1.0
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.3f}, {limit})")
    return value > limit, value, limit


# Exercise: one student half-way between two equal teachers, one step of tau = 50: which share of it goes to the right?
def exercise(middle: float = 0.5) -> tuple[float, float]:
    pair = Particles(LINE, np.array([[middle - 0.3], [middle + 0.3]]))
    end = run(RiskDual(particles=1), 1, flow(np.array([[middle]]), pair, TAU)).final
    return 0.5, float(end.weights[end.points[:, 0] > middle].sum())


if __name__ == "__main__":
    runs = {"five steps": run(RiskDual(particles=40), STEPS), "the flow": run(GradientFlow(particles=40), 2500)}
    for name, done in runs.items():
        print(f"{name:10}: F {done.energies[0]:.2e} ... {done.energies[-1]:.2e}, atoms {len(done.final.points)}")
    print("certified gaps, shares of what each step gains:", runs["five steps"].diagnostics["residual"][1:])
    print(picture.save(picture.energies(runs), "results/demos/giant_steps.png"))
    refutation()
    print("exercise: predicted {}, measured {:.6f}".format(*exercise()))

# References: [1] Jordan, Kinderlehrer & Otto 1998, SIAM J. Math. Anal. 29(1). [2] Chizat & Bach 2018, arXiv:1805.09545.
# [3] Ambrosio, Gigli & Savare 2008, Gradient Flows, Birkhauser.    Next lesson: crowd_motion.py
