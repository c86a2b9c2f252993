"""This file owns networks that learn data."""

from collections.abc import Sequence

from wflow.activation import activation as activation_named
from wflow.data import read_csv
from wflow.energy import Energy, Risk
from wflow.flow import Flow
from wflow.law import Gaussian
from wflow.neuron import RidgeNeuron
from wflow.problems.problem import Problem


def regression(
    csv: str,
    inputs: Sequence[str],
    target: str,
    activation: str = "tanh",
    b: float | None = None,
    spread: float = 1.5,
    horizon: float = 200.0,
) -> Problem:
    """Neurons a sigma(v . x + c) learn columns of a CSV file, standardised; F = mean (f_pi - y)^2 / 2.

    csv: the file (relative to the config); inputs: names of input columns; target: name of the target column;
    activation, b: sigma and its parameter; spread: standard deviation of the Gaussian start of (a, v, c).
    """
    names = [inputs] if isinstance(inputs, str) else list(inputs)
    if not names:
        raise ValueError("inputs: no column is named; give at least one column of the CSV")
    data = read_csv(csv, names, target).standardised()
    neuron = RidgeNeuron(activation_named(activation, b), inputs=len(names), bias=True, outer=True)
    flow = Flow(Energy(Risk(neuron, data)), neuron.domain, Gaussian(0.0, spread, dim=neuron.dim), horizon)
    return Problem(flow, f"data: {csv}", f"{len(data)} rows, neurons a {activation}(v.x + c)")
