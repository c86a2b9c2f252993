"""This file owns transport on the circle from rough starts: what a scheme loses to atoms and to jumps alone.

V(theta) = 1 - cos theta does not depend on pi, and theta' = -sin theta is solved by tan(theta/2) ~ e^{-t}.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from wflow.arrays import Array, finite
from wflow.domain import TURN, circle
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.law import Atoms, ClosedForm, Law
from wflow.problems.problem import Problem
from wflow.steps import Steps
from wflow.terms import Potential

_STARTS = {
    "steps": ([0.0, 1.0, 2.5, TURN], [0.15, 0.6, 0.25]),
    "arc": ([1.0, 2.5], [1.0]),
}


def moved(theta: Array | float, t: float) -> Array:
    """Where theta' = -sin theta leads in a time t of either sign; lifted angles stay in their turn about 0."""
    turns = TURN * np.round(np.asarray(theta) / TURN)
    half = 0.5 * (theta - turns)
    return np.asarray(turns + 2.0 * np.arctan2(math.exp(-t) * np.sin(half), np.cos(half)))


def _stretch(theta: Array, t: float) -> Array:
    """d moved / d theta."""
    half = 0.5 * theta
    return np.asarray(math.exp(-t) / (np.cos(half) ** 2 + math.exp(-2.0 * t) * np.sin(half) ** 2))


def _hill(w: Array, derivative: int) -> Array:
    if derivative == 0:
        return 1.0 - np.cos(w[:, 0])
    return np.sin(w) if derivative == 1 else np.cos(w)[:, :, None]


def atom_start(angles: Sequence[float] = (2.0, 4.0), horizon: float = 1.0) -> Problem:
    """F = int (1 - cos theta) dpi from atoms of equal mass, each on theta' = -sin theta: cells smear them.

    angles: where the atoms start, not pi.
    """
    places = finite("angles", angles)
    if places.ndim != 1 or not len(places) or np.any(np.abs(np.cos(places / 2)) < 1e-6):
        raise ValueError(f"angles: {angles!r} must be a list of angles other than pi, where V has its top")
    start = Atoms(circle(), np.mod(places, TURN)[:, None])
    return _transport(start, lambda t: Atoms(circle(), np.mod(moved(start.points, t), TURN)), horizon)


def jump_start(shape: Literal["steps", "arc"] = "steps", horizon: float = 1.0) -> Problem:
    """F = int (1 - cos theta) dpi from a density that jumps, between steps or at the ends of an arc.

    shape: "steps", masses .15, .6, .25 on [0, 1], [1, 5/2], [5/2, 2 pi]; "arc", uniform on [1, 5/2].
    """
    if shape not in _STARTS:
        raise ValueError(f"shape: unknown name {shape!r}; known: {', '.join(_STARTS)}")
    edges, masses = _STARTS[shape]
    start = Steps(circle(), np.array(edges), np.array(masses))

    def exact(t: float) -> Law:
        def density(theta: Array) -> Array:
            return np.asarray(start.density(moved(theta, -t)[:, None]) * _stretch(theta, -t))

        return ClosedForm(circle(), density, lambda theta: start.cdf(moved(theta, -t))) if t > 0.0 else start

    return _transport(start, exact, horizon)


def _transport(start: Law, exact: Callable[[float], Law], horizon: float) -> Problem:
    bottom = Atoms(circle(), np.zeros((1, 1)))
    return Problem(
        Flow(Energy(Potential(_hill, "1 - cos theta")), circle(), start, horizon),
        "derived for this project by characteristics",
        "transport by a fixed field: the order in space is that of the start's regularity",
        exact=exact,
        minimiser=bottom,
        limit=bottom,
        limit_reason="all mass slides to the bottom of V (exact solution)",
    )
