"""This file owns what the global convergence theorems suppose of a flow, and the words of a verdict on a run.

    F(t) -> inf F as t -> infinity, if the start is diverse enough (L = 2, 3: independent, w_1 of full support in R^p;
    any L: bidirectional diversity), features are universal, phi_i' is nowhere 0 beyond the first layer, the loss is
    convex, or l' = 0 only where l = 0 and y is a function of x, all layers are trained, and weights converge in the
    theorem's mode.

Source: Nguyen & Pham 2020, arXiv:2001.11443; Pham & Nguyen 2021, arXiv:2105.05228 (three layers). In substance: the
bodies of the theorems were not at hand.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wflow.activation import Activation
from wflow.arrays import finite, positive
from wflow.data import Data
from wflow.deep.embedding import Independent, Latent
from wflow.deep.flow import DeepFlow
from wflow.deep.losses import Cauchy, TanhSquare
from wflow.deep.marginals import Marginal, Normal, Point
from wflow.deep.staircase import Staircase
from wflow.deep.universal.unseen import groups

HOLDS, FAILS, SILENT = "holds", "fails", "not tested"
TRAINED, MODE = "all layers are trained", "weights converge in the theorem's mode"
_INCREASING = ("tanh", "sigmoid", "erf", "softplus", "leaky_relu", "elu", "linear")
"""Activations of the house whose derivative is nowhere 0."""
_ASKED = np.linspace(-4.0, 4.0, 201)


@dataclass(frozen=True)
class Hypothesis:
    """What is supposed, whether it holds, fails or is not tested, and why."""

    claim: str
    status: str
    reason: str


def hypotheses(flow: DeepFlow) -> tuple[Hypothesis, ...]:
    """Of the start, the activations, the loss, the layers trained, and the mode of convergence."""
    return (_diverse(flow), *_activations(flow), _loss(flow), _trained(flow), _mode())


def _diverse(flow: DeepFlow) -> Hypothesis:
    start, claim = flow.start, "the start is diverse enough"
    if isinstance(start, Independent):
        return _independent(start, claim)
    if isinstance(start, Staircase):
        why = f"derived for infinitely many blocks; rules take {start.blocks}"
        return Hypothesis(claim, HOLDS, why)
    if isinstance(start, Latent):
        why = f"columns and rows have {start.into.shape[1]} labels: diversity of finite dimension"
        return Hypothesis(claim, FAILS, why)
    return Hypothesis(claim, SILENT, f"{type(start).__name__}: no argument is known to us")


def _independent(start: Independent, claim: str) -> Hypothesis:
    if start.depth >= 4:
        return Hypothesis(
            claim, FAILS, "independent weights at L >= 4: in the limit all columns of w_2 are one function"
        )
    for i, law in enumerate(start.first, 1):
        if not isinstance(law, Normal):
            return Hypothesis(claim, FAILS, f"w_1 has no full support in R^{len(start.first)}: entry {i} ~ {law}")
    if _zero(start.last) and start.depth == 3:
        return Hypothesis(claim, FAILS, "w_3 = 0: nothing moves the layers before it")
    return Hypothesis(claim, HOLDS, f"w_1 has full support in R^{len(start.first)}, L = {start.depth}")


def _zero(law: Marginal) -> bool:
    return isinstance(law, Point) and law.value == 0.0


def _activations(flow: DeepFlow) -> Iterator[Hypothesis]:
    given = getattr(flow.start, "activations", ())
    sigmas = [given] if isinstance(given, Activation) else list(given)
    hidden = flow.start.depth - 1
    sigmas = sigmas * hidden if len(sigmas) == 1 else sigmas
    polynomial = sigmas[0].odd_degree is not None and sigmas[0].even_degree is not None
    status, why = (FAILS, "a polynomial") if polynomial else (HOLDS, "no polynomial, and a bias is among the inputs")
    if not polynomial and not _constant(flow.data):
        status, why = SILENT, "no constant column among the inputs, and no bias of full support in layer 1"
        if isinstance(next(iter(getattr(flow.start, "biases", ())), None), Normal):
            status, why = HOLDS, "no polynomial, and layer 1 has a bias of full support"
    yield Hypothesis("first features are universal", status, f"{sigmas[0]}: {why}")
    later = [s for s in sigmas[1:] if s.name not in _INCREASING]
    zero = [s for s in later if _vanishes(s)]
    names = ", ".join(map(str, zero or later)) or ", ".join(sorted({str(s) for s in sigmas[1:]})) or "none"
    claim = "derivatives beyond the first layer are nowhere 0"
    yield Hypothesis(claim, FAILS if zero else SILENT if later else HOLDS, f"activations there: {names}")


def _vanishes(sigma: Activation) -> bool:
    """Whether sigma' is 0 somewhere: at a place that is asked, or between two where it is continuous."""
    slopes = sigma.slope(_ASKED)
    crosses = sigma.curvature is not None and slopes.min() < 0.0 < slopes.max()
    return bool(crosses or np.any(slopes == 0.0))


def _constant(data: Data) -> bool:
    return any(np.ptp(column) == 0.0 and column[0] != 0.0 for column in data.inputs.T)


def _loss(flow: DeepFlow) -> Hypothesis:
    claim, name = "the loss is convex, or l' = 0 only at l = 0 and y = y(x)", type(flow.loss).__name__
    if flow.loss.convex:
        return Hypothesis(claim, HOLDS, f"{name} is convex")
    if not isinstance(flow.loss, TanhSquare | Cauchy):
        return Hypothesis(claim, SILENT, f"{name}: zeros of l' are not known to us")
    seen = flow.data.weights > 0.0
    targets = flow.data.targets[seen]
    rows = groups(flow.data.inputs[seen], range(flow.data.inputs.shape[1]))
    if any(np.ptp(targets[k]) > 0.0 for k in rows):
        return Hypothesis(claim, FAILS, "y is no function of x: one input has two targets")
    return Hypothesis(claim, HOLDS, f"{name}: l' = 0 only at l = 0, and y is a function of x")


def _trained(flow: DeepFlow) -> Hypothesis:
    """A frozen layer is at rest everywhere, whatever F is."""
    still = [f"w_{i}" for i, rate in enumerate(flow.speeds.layers, 1) if not callable(rate) and rate == 0.0]
    if still:
        return Hypothesis(TRAINED, FAILS, f"{', '.join(still)} frozen")
    if not flow.speeds.constant:
        return Hypothesis(TRAINED, SILENT, "rates depend on time: where they tend to 0 the flow may stop anywhere")
    return Hypothesis(TRAINED, HOLDS, "rates are constant and above 0")


def _mode() -> Hypothesis:
    return Hypothesis(MODE, SILENT, "no finite time shows it")


def verdict(flow: DeepFlow, excess: float, speed: float, *, tolerance: float, rest: float = 1e-9) -> str:
    """On F(T) - inf F and the greatest |d_t w_i(T)| of all layers: does the run contradict the theorem?

    A run refutes, at its resolution, only where all hypotheses but the mode of convergence hold and every layer rests
    above the tolerance: w_L alone may rest while others move (H_{L-1} = 0 where weights have mean 0). A finite time and
    a rule prove no limit: the best word is *consistent*. ValueError for a speed or an excess that is no number.
    """
    finite("verdict", [excess, speed, positive("verdict tolerance", tolerance)])
    missed = [h for h in hypotheses(flow) if h.status != HOLDS and h.claim != MODE]
    if missed:
        first = min(missed, key=lambda h: h.status != FAILS)
        reached = "reaches the tolerance all the same" if excess <= tolerance else "stays above the tolerance"
        return f"theorem silent ({first.claim}: {first.status}); F - inf F = {excess:.2g}, {reached}"
    if excess <= tolerance:
        return f"consistent: F - inf F = {excess:.2g} <= {tolerance:g} at T = {flow.horizon:g}"
    if speed <= rest:
        return f"refuted at this resolution: at rest (speed {speed:.1g}) with F - inf F = {excess:.2g}"
    return f"not decided: F - inf F = {excess:.2g} at T = {flow.horizon:g}, still moving (speed {speed:.1g})"
