"""This file owns the catalogue of multilayer problems: starts on data, each with what it shows and its source."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wflow.activation import activation
from wflow.arrays import count, nearest
from wflow.data import Data
from wflow.deep.embedding import Independent, Latent
from wflow.deep.flow import DeepFlow
from wflow.deep.losses import Cauchy, TanhSquare
from wflow.deep.marginals import Interval, Marginal, Normal, Point
from wflow.deep.rates import Rate
from wflow.deep.staircase import Staircase
from wflow.loss import HalfSquare, Loss

TANH = activation("tanh")
NGUYEN_PHAM = "Nguyen & Pham 2020, arXiv:2001.11443"
LOSSES: dict[str, Loss] = {"half_square": HalfSquare(), "tanh_square": TanhSquare(), "cauchy": Cauchy()}


@dataclass(frozen=True, eq=False)
class DeepProblem:
    """A flow, what it shows, and where that is from."""

    flow: DeepFlow
    note: str
    source: str


def sine_data(rows: int = 16) -> Data:
    """Inputs (x, 1), x equispaced on [-1, 1], y = sin pi x."""
    x = np.linspace(-1.0, 1.0, rows)
    return Data(np.stack([x, np.ones(rows)], axis=1), np.sin(np.pi * x))


def _middle(depth: int) -> int:
    """How many layers lie between the ends."""
    return count("depth", depth, least=2) - 2


def _loss(problem: str, name: str) -> Loss:
    """The loss of that name; ValueError lists the known ones."""
    if name not in LOSSES:
        raise ValueError(f"{problem} loss: unknown name {name!r}; {nearest(str(name), list(LOSSES))}")
    return LOSSES[name]


def sine_independent(horizon: float = 10.0, loss: str = "half_square") -> DeepProblem:
    """Three layers, independent weights, y = sin pi x: not degenerate, w_2 moves by a function of both labels."""
    start = Independent([Interval(-2.0, 2.0)] * 2, [Interval(-0.5, 1.5)], Interval(-2.0, 2.0), TANH)
    flow = DeepFlow(sine_data(), start, horizon, _loss("sine_independent", loss))
    return DeepProblem(flow, "the limit has labels (w_1, w_3) and moves w_2 by g(t, w_1, w_3)", NGUYEN_PHAM)


def sine_collapse(depth: int = 4, mean: float = 0.7, horizon: float = 4.0) -> DeepProblem:
    """Four layers or more, independent weights without symmetry: layers 2 .. L - 2 collapse to one node each.

    mean: of the middle layers; 0 is the trap, where the limit does not move.
    """
    laws = [Interval(0.0, 2.0), Interval(-1.0, 1.0)]
    middle = [Interval(mean - 1.0, mean + 1.0)] * _middle(depth)
    flow = DeepFlow(sine_data(), Independent(laws, middle, Interval(0.0, 2.0), TANH), horizon)
    return DeepProblem(
        flow,
        "each middle layer is translated as a whole",
        f"{NGUYEN_PHAM}; Araujo, Oliveira & Yukimura 2019, arXiv:1906.00193",
    )


def sine_latent(depth: int = 4, horizon: float = 4.0) -> DeepProblem:
    """The same target from correlated weights of two labels a neuron: no layer collapses."""
    into, out = np.array([[1.5, 0.5], [-0.5, 1.5]]), np.array([1.0, -1.0])
    start = Latent(into, np.array([1.0, 0.0]), [0.7] * _middle(depth), 1.5, out, 1.0, TANH)
    return DeepProblem(DeepFlow(sine_data(), start, horizon), "labels enter every layer", "derived")


def sine_staircase(depth: int = 4, horizon: float = 4.0) -> DeepProblem:
    """The same target from a start with bidirectional diversity, in twelve dyadic blocks a layer."""
    flow = DeepFlow(sine_data(), Staircase(2, _middle(depth) + 1, 12, TANH), horizon)
    return DeepProblem(flow, "full support in L2 at any depth, as blocks grow", f"derived; the condition {NGUYEN_PHAM}")


def lecture_chain(depth: int = 5, frozen_ends: bool = False, horizon: float = 4.0) -> DeepProblem:
    """The lecture's (0.10), 1/m in front of every layer's sum, ends trained or frozen: a chain of width one inside."""
    laws = [Interval(0.0, 2.0), Interval(-1.0, 1.0)]
    start = Independent(laws, [Interval(0.2, 2.2)] * _middle(depth), Interval(0.0, 2.0), TANH)
    ends: Rate = 0.0 if frozen_ends else 1.0
    flow = DeepFlow(sine_data(), start, horizon, rates=(ends, *(1.0,) * (depth - 2), ends))
    return DeepProblem(flow, "the limit is a chain of width one through layers 2 .. L - 2", "Lei Wu, slides, (0.10)")


def circle_in_plane(horizon: float = 10.0) -> DeepProblem:
    """Is |x| < 1? Labels +-1 on a grid of 64 points in the plane, three layers, independent weights."""
    side = np.linspace(-1.5, 1.5, 8)
    points = np.stack([g.ravel() for g in np.meshgrid(side, side)], axis=1)
    labels = np.where(np.sum(points**2, axis=1) < 1.0, 1.0, -1.0)
    data = Data(np.column_stack([points, np.ones(len(points))]), labels)
    start = Independent([Interval(-2.0, 2.0)] * 3, [Interval(-0.5, 1.5)], Interval(-2.0, 2.0), TANH)
    return DeepProblem(DeepFlow(data, start, horizon), "a region of the plane by a limit of three layers", NGUYEN_PHAM)


def sine_full_support(depth: int = 3, horizon: float = 300.0, loss: str = "half_square") -> DeepProblem:
    """Two or three layers, independent weights, w_1 ~ N(0, 4) in all of R^2: what the theorem supposes of the start."""
    if depth not in (2, 3):
        raise ValueError(f"sine_full_support depth: {depth}; give 2 or 3, independent weights collapse from 4 on")
    start = _normal([Normal(0.0, 2.0)] * 2, depth)
    flow = DeepFlow(sine_data(), start, horizon, _loss("sine_full_support", loss))
    return DeepProblem(flow, "F tends to 0 if weights converge in the theorem's mode", NGUYEN_PHAM)


def plane_data(side: int = 8) -> Data:
    """Inputs (x_1, x_2, 1) on the middles of side^2 squares of [-1, 1]^2, y = (sin pi x_1 + cos pi x_2)/2.

    Exactly symmetric under x_2 -> -x_2; E[y | x_1] = (sin pi x_1)/2, so that E Var(y | x_1)/2 = 1/16.
    """
    x = (2.0 * np.arange(side) + 1.0 - side) / side
    points = np.stack([g.ravel() for g in np.meshgrid(x, x, indexing="ij")], axis=1)
    y = 0.5 * np.sin(np.pi * points[:, 0]) + 0.5 * np.cos(np.pi * np.abs(points[:, 1]))
    return Data(np.column_stack([points, np.ones(len(points))]), y)


def plane_full_support(depth: int = 3, horizon: float = 300.0, loss: str = "half_square") -> DeepProblem:
    """A wave in each coordinate, w_1 ~ N(0, 4) in all of R^3: the counterpart of `plane_one_axis`."""
    start = _normal([Normal(0.0, 2.0)] * 3, depth)
    flow = DeepFlow(plane_data(), start, horizon, _loss("plane_full_support", loss))
    return DeepProblem(flow, "F tends to 0 if weights converge in the theorem's mode", NGUYEN_PHAM)


def plane_one_axis(depth: int = 3, horizon: float = 300.0, loss: str = "half_square") -> DeepProblem:
    """The same, but no neuron listens to x_2: by symmetry none ever does, and F >= inf over functions of x_1.

    For the half square that is 1/16 (wflow.deep.universal.unseen has the proof and the number for any loss).
    """
    start = _normal([Normal(0.0, 2.0), Point(0.0), Normal(0.0, 2.0)], depth)
    flow = DeepFlow(plane_data(), start, horizon, _loss("plane_one_axis", loss))
    return DeepProblem(flow, "F stays above inf E l(f(x_1), y): w_1 lies in a plane that the flow keeps", "derived")


def _normal(first: list[Marginal], depth: int) -> Independent:
    """Middle weights of mean 1/2."""
    return Independent(first, [Normal(0.5, 1.0)] * _middle(depth), Normal(0.0, 1.0), TANH)


CATALOGUE: dict[str, Callable[..., DeepProblem]] = {
    made.__name__: made
    for made in (
        sine_independent, sine_collapse, sine_latent, sine_staircase, lecture_chain, circle_in_plane,
        sine_full_support, plane_full_support, plane_one_axis,
    )
}  # fmt: skip


def deep_problem(name: str, **parameters: Any) -> DeepProblem:
    """The problem of that name with these parameters; ValueError lists the known names."""
    if name not in CATALOGUE:
        raise ValueError(f"deep problem: unknown name {name!r}; {nearest(str(name), list(CATALOGUE))}")
    return CATALOGUE[name](**parameters)
