"""This file owns networks a sigma(w x) of one input that learn a function: densities in the plane of (a, w)."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from wflow.activation import activation as activation_named
from wflow.arrays import Array, count, finite, positive
from wflow.data import Data, gaussian_inputs, uniform_inputs
from wflow.domain import box
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.internal import Entropy
from wflow.joint import Product
from wflow.law import Gaussian, Law, Regularity, Uniform
from wflow.loss import LossName, loss_named
from wflow.neuron import RidgeNeuron
from wflow.problems.problem import Problem
from wflow.terms import Potential, Risk

_COARSEST, _COARSEST_FROM_JUMPS = 32, 64
"""Cells an axis of the coarsest grid: a square must be several of them wide before its fronts show an order."""
Target = Literal["sine", "tanh", "bump", "step"]
TARGETS: dict[str, tuple[Callable[[Array], Array], str]] = {
    "sine": (lambda x: np.sin(2.0 * x), "sin 2x"),
    "tanh": (lambda x: np.tanh(3.0 * x), "tanh 3x"),
    "bump": (lambda x: np.exp(-2.0 * x * x), "e^(-2 x^2)"),
    "step": (np.sign, "sign x"),
}


def inputs_named(inputs: Literal["uniform", "gaussian"], nodes: int) -> Data:
    """x uniform on [-2, 2] or N(0, 1), by a Gauss rule of `nodes` points."""
    if inputs == "uniform":
        return uniform_inputs([-2.0], [2.0], nodes)
    if inputs == "gaussian":
        return gaussian_inputs(1, nodes)
    raise ValueError(f"inputs: unknown law {inputs!r}; known: uniform (on [-2, 2]), gaussian (N(0, 1))")


def two_layer_1d(
    activation: str = "tanh",
    b: float | None = None,
    target: Target = "sine",
    inputs: Literal["uniform", "gaussian"] = "uniform",
    initial: Literal["gaussian", "uniform"] = "gaussian",
    spread: float = 0.5,
    ridge: float = 0.0,
    temperature: float = 0.0,
    nodes: int = 32,
    reach: float = 7.0,
    horizon: float = 2.0,
    loss: LossName = "half_square",
) -> Problem:
    """Neurons a sigma(w x) learn y(x): F = E loss(f_pi, y) + ridge int |(a, w)|^2/2 dpi + temperature Ent(pi).

    activation, b: sigma and its parameter; target: "sine" sin 2x, "tanh" tanh 3x, "bump" e^(-2 x^2), "step" sign x;
    inputs: "uniform" on [-2, 2] or "gaussian" N(0, 1), by `nodes` Gauss points; initial: "gaussian" N(0, spread^2 I)
    in the plane or "uniform" on the square |a|, |w| <= spread; reach: grids stand on |a|, |w| <= reach;
    loss: "half_square" (f - y)^2/2, "huber" (width 1/2), or "logistic" log(1 + e^{-y f}), for the target "step" alone.
    """
    if target not in TARGETS:
        raise ValueError(f"target: unknown name {target!r}; known: {', '.join(TARGETS)}")
    function, formula = TARGETS[target]
    data = inputs_named(inputs, count("nodes", nodes)).with_targets(lambda x: function(x[:, 0]))
    neuron = RidgeNeuron(activation_named(activation, b), inputs=1, outer=True)
    side, size = positive("spread", spread), positive("reach", reach)
    start: Law
    if initial == "gaussian":
        start = Gaussian(0.0, side, dim=2)
    elif initial == "uniform":
        start = _on_plane(side)
    else:
        raise ValueError(f"initial: unknown law {initial!r}; known: gaussian, uniform")
    terms = [Risk(neuron, data, loss_named(loss))]
    decay = [Potential.quadratic(ridge)] if _at_least_zero("ridge", ridge) else []
    heat = [Entropy(temperature)] if _at_least_zero("temperature", temperature) else []
    flow = Flow(Energy(*terms, *decay, *heat), neuron.domain, start, horizon, ((-size, size), (-size, size)))
    return Problem(
        flow,
        "the two-layer network of one input, after Mei, Montanari & Nguyen 2018 and Chizat & Bach 2018",
        f"neurons a {neuron.activation}(w x) learn {formula} for {inputs} x",
        coarsest=_COARSEST_FROM_JUMPS if initial == "uniform" else _COARSEST,
    )


def _on_plane(side: float) -> Law:
    """Uniform on a square, as a law on the plane."""
    return _Square(Uniform(box([-side], [side])), Uniform(box([-side], [side])))


class _Square(Product):
    """A product of bounded laws that lives on the whole plane."""

    def __init__(self, *laws: Law) -> None:
        super().__init__(*laws)
        object.__setattr__(self, "domain", Gaussian(dim=len(laws)).domain)

    @property
    def regularity(self) -> Regularity:
        """It jumps at its walls, which are none of the plane's."""
        return "jump"


def _at_least_zero(name: str, value: float) -> bool:
    """Whether a number is above 0; ValueError below."""
    number = float(finite(name, value))
    if number < 0.0:
        raise ValueError(f"{name}: {value!r} is not allowed; give a number >= 0 (0: none)")
    return number > 0.0
