"""This file owns networks that learn columns of a CSV file."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from wflow.activation import activation as activation_named
from wflow.arrays import count, finite, positive
from wflow.data import Columns, Scaling, read_csv
from wflow.domain import interval
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.joint import Product
from wflow.law import Atoms, Gaussian
from wflow.loss import LossName, loss_named
from wflow.neuron import RidgeNeuron
from wflow.problems.problem import Problem
from wflow.terms import Risk


def regression(
    csv: str,
    inputs: Sequence[str],
    target: str,
    activation: str = "tanh",
    b: float | None = None,
    scaling: Literal["standard", "unit", "none"] = "standard",
    held_out: float = 0.25,
    split: int = 0,
    sheets: float = 0.0,
    spread: float = 1.5,
    reach: float = 0.0,
    horizon: float = 200.0,
    loss: LossName = "half_square",
) -> Problem:
    """Neurons a sigma(v . x + c) learn columns of a CSV file: F = mean loss(f_pi, y) on the training rows.

    csv: the file (relative to the config); inputs: names of input columns; target: name of the target column;
    activation, b: sigma and its parameter; scaling of inputs: "standard" (mean 0, variance 1), "unit" ([-1, 1]) or
    "none", by the training rows; the target is standardised. held_out: share of rows kept for testing, drawn with the
    seed `split`. sheets: 0, all of (a, v, c) is trained; A > 0, the outer weights stay at a = +-A and only (v, c)
    moves, which grids can take for one input: two sheets. spread: standard deviation of the Gaussian start;
    reach: grids stand on |v|, |c| <= reach (0: 7 spread). loss: "half_square" (f - y)^2/2, "huber" (width 1/2), or
    "logistic" log(1 + e^{-y f}) for a target column of -1 and +1, which is then left as it is.
    """
    names = [inputs] if isinstance(inputs, str) else list(inputs)
    if not names:
        raise ValueError("inputs: no column is named; give at least one column of the CSV")
    rows, fit = read_csv(csv, names, target), loss_named(loss)
    fit.check(rows.targets)
    train, test = rows.split(held_out, count("split", split, least=0))
    scale = Scaling.of(train, scaling, labels=loss == "logistic")
    data = scale.applied(train)
    neuron = RidgeNeuron(activation_named(activation, b), inputs=len(names), bias=True, outer=True)
    energy, side = Energy(Risk(neuron, data, fit)), positive("spread", spread)
    size = float(finite("sheets", sheets))
    if size < 0.0:
        raise ValueError(f"sheets: {sheets!r} is not allowed; give A > 0 for a = +-A, or 0 to train the outer weights")
    if size:
        start = _sheets(size, side, neuron.dim)
        far = float(finite("reach", reach)) or 7.0 * side
        window = (None, *((-far, far) for _ in range(neuron.dim - 1)))
        flow = Flow(energy, start.domain, start, horizon, window)
    else:
        flow = Flow(energy, neuron.domain, Gaussian(0.0, side, dim=neuron.dim), horizon)
    trained = f"a = +-{size:g} fixed" if size else "a trained"
    note = f"{len(data)} rows to learn, {len(test) if test else 0} held out; neurons a {activation}(v.x + c), {trained}"
    columns = Columns(tuple(names), target, scale)
    return Problem(flow, f"data: {csv}", note, held_out=None if test is None else scale.applied(test), columns=columns)


def _sheets(size: float, spread: float, dim: int) -> Product:
    """a = +-size with equal mass, the other coordinates N(0, spread^2); nothing moves in a."""
    across = interval(-2.0 * size, 2.0 * size)
    signs = Atoms(across, np.array([[-size], [size]]))
    frozen = (True, *(False,) * (dim - 1))
    return Product(signs, *(Gaussian(0.0, spread) for _ in range(dim - 1)), frozen=frozen)
