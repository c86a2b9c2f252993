"""Time of a JKO step on 2000 quantiles: entropy, a power, and a risk with 32 data on the circle.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/quantile.py

Processor time a step, mean of 40 steps after a first one.
"""

import math
import time

import numpy as np

from solvers.jko import Bdf2, Midpoint, Quantile, Sdirk2
from wflow import CircleNeuron, Data, Energy, Entropy, Flow, Risk, activation, circle, problems
from wflow.solver import Solver

POINTS, STEPS = 2000, 40


def network(temperature: float) -> Flow:
    """tanh(x . w) at 32 unit inputs, target sin."""
    angle = np.linspace(0.0, 2.0 * math.pi, 32, endpoint=False)
    data = Data(np.stack([np.cos(angle), np.sin(angle)], axis=1), np.sin(angle))
    risk, start = Risk(CircleNeuron(activation("tanh")), data), problems.circle_teacher(modes={1: 0.5}).flow.initial
    energy = Energy(risk, Entropy(temperature)) if temperature else Energy(risk)
    return Flow(energy, circle(), start, 10.0)


def milliseconds(flow: Flow, solver: Solver, dt: float) -> float:
    """A step's processor time."""
    state = solver.step(flow, solver.init(flow), dt).state
    began = time.process_time()
    for _ in range(STEPS):
        state = solver.step(flow, state, dt).state
    return 1e3 * (time.process_time() - began) / STEPS


def main() -> None:
    cases = {
        "entropy, quadratic well": (problems.ornstein_uhlenbeck().flow, 0.01),
        "power, quadratic well": (problems.porous_well().flow, 0.01),
        "risk, 32 data": (network(0.0), 0.05),
        "risk, 32 data, T = .02": (network(0.02), 0.05),
    }
    for name, (flow, dt) in cases.items():
        for method in (Quantile, Sdirk2, Midpoint, Bdf2):
            print(f"{name:24} {method.__name__:9} {milliseconds(flow, method(POINTS), dt):6.2f} ms")


if __name__ == "__main__":
    main()
