"""Particle dual averaging beside Langevin at equal gradient count: errors of means over seeds, and processor seconds.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/dual_averaging.py

Both take one gradient of V a particle and step; dual averaging asks for f at the data once in `inner` steps, Langevin
in each. Observed: c_1 = E cos (von_mises_langevin), E w (gaussian_langevin), at the last step and as a mean over steps
with weights 1, 2, .., K. The last problem is a network on 2000 data: the root mean square of f - f_exact over them.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from solvers.dual_averaging import ParticleDualAveraging, dual_averaging
from solvers.langevin import Langevin
from solvers.particles import Sampled
from wflow import (
    Data,
    Energy,
    Entropy,
    Flow,
    Gaussian,
    Potential,
    RidgeNeuron,
    Risk,
    State,
    activation,
    line,
    problems,
    solve,
)
from wflow.arrays import Array
from wflow.solver import Solver

PARTICLES, SEEDS = 100, 24
INNER = (1, 5, 20)
Observe = Callable[[Array], Array]


def methods(seed: int) -> Iterator[tuple[str, Solver]]:
    yield "Langevin", Langevin(PARTICLES, seed, Sampled(seed))
    for inner in INNER:
        yield f"inner = {inner}", ParticleDualAveraging(PARTICLES, inner, seed=seed, start=Sampled(seed))


def observed(flow: Flow, method: Solver, steps: int, observe: Observe, exact: Array) -> tuple[float, float]:
    """Squared errors of the last step and of the weighted mean."""
    total = np.zeros_like(exact)

    def see(state: State) -> bool:
        nonlocal total
        total = total + state.count * observe(state.measure.points)
        return False

    end = solve(flow, method, steps=steps, times=[flow.horizon], until=see).final
    mean = total / (0.5 * steps * (steps + 1))
    return float(np.mean((observe(end.points) - exact) ** 2)), float(np.mean((mean - exact) ** 2))


def compare(name: str, flow: Flow, dt: float, observe: Observe, exact: Array, sizes: tuple[int, ...]) -> None:
    for steps in sizes:
        longer = replace(flow, horizon=dt * steps)
        for k, (label, _) in enumerate(methods(0)):
            began, squares = time.process_time(), []
            for seed in range(SEEDS):
                squares.append(observed(longer, list(methods(seed))[k][1], steps, observe, exact))
            spent, means = (time.process_time() - began) / SEEDS, np.mean(squares, axis=0)
            # of the root of a mean of squares, by its derivative
            errors = np.std(squares, axis=0, ddof=1) / math.sqrt(SEEDS) / (2.0 * np.sqrt(means))
            shown = " ".join(f"{root:.4f}+-{error:.4f}" for root, error in zip(np.sqrt(means), errors, strict=True))
            print(f"{name:8} {steps:5} steps  {label:11} last, mean: {shown}   {1e3 * spent:.0f} ms a run")


def network() -> Flow:
    """tanh neurons on 2000 data, ridge .5, T = .1."""
    x = np.linspace(-3.0, 3.0, 2000)[:, None]
    risk = Risk(RidgeNeuron(activation("tanh")), Data(x, np.tanh(1.5 * x[:, 0])))
    return Flow(Energy(risk, Potential.quadratic(0.5), Entropy(0.1)), line(), Gaussian(-1.0, 0.5), 1.0, (-6.0, 6.0))


if __name__ == "__main__":
    compare("modes", problems.von_mises_langevin().flow, 0.25, lambda w: np.cos(w).mean(axis=0),
            np.array([0.5410917681]), (100, 400))  # fmt: skip
    compare("gaussian", problems.gaussian_langevin().flow, 0.1, lambda w: w.mean(axis=0), np.array([2.0 / 3.0]),
            (100, 400))  # fmt: skip
    flow = network()
    best, risk = dual_averaging(flow, cells=600, iterations=400).last, flow.energy.risk
    assert risk is not None
    neuron, data = risk.neuron, risk.data
    compare("data", flow, 0.1, lambda w: neuron.value(data.inputs, w).mean(axis=1), flow.energy.predict(best), (100,))
