"""This file owns how a flow begins on particles."""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, count
from wflow.flow import Flow
from wflow.law import Atoms
from wflow.measure import Particles
from wflow.solver import State


@dataclass(frozen=True)
class Quantised:
    """Start at `Law.quantised`: deterministic; W2 error O(1/m) on one axis, about m^(-1/d) on d."""

    def points(self, flow: Flow, m: int) -> Array:
        """(m, d)."""
        return flow.initial.quantised(m)


@dataclass(frozen=True)
class Sampled:
    """Start at m independent draws with this seed: E W2^2 = O(1/m) in one dimension."""

    seed: int

    def __post_init__(self) -> None:
        count("Sampled seed", self.seed, least=0)

    def points(self, flow: Flow, m: int) -> Array:
        """(m, d)."""
        return flow.initial.sample(m, np.random.default_rng([self.seed, 0]))


Start = Quantised | Sampled


def check(name: str, start: object) -> None:
    """TypeError for anything that is not a start."""
    if not isinstance(start, Start):
        raise TypeError(f"{name} start: {start!r} is not a start; give Quantised() or Sampled(seed)")


def refusal_of_start(flow: Flow, start: Start) -> str | None:
    """Why a law cannot begin so, or None."""
    if isinstance(start, Quantised) and not (flow.initial.has_quantised or isinstance(flow.initial, Atoms)):
        return "the initial law has no quantised points; pass start=Sampled(seed)"
    return None


def first(flow: Flow, start: Start, m: int) -> State:
    """m particles; from Atoms those atoms with their weights."""
    if isinstance(flow.initial, Atoms):
        return State(0.0, Particles(flow.domain, flow.initial.points, flow.initial.weights))
    return State(0.0, Particles(flow.domain, start.points(flow, m)))


def space_order(flow: Flow, start: Start) -> float:
    """1 from quantiles on one bounded axis; on d axes or from draws 1/max(2, d), d = 2 on the sphere.

    A gap in the support costs 1/2: the particle in whose mass it falls stands for both sides.
    """
    one = isinstance(start, Quantised) and flow.domain.bounded and flow.domain.dim == 1
    whole = one and (flow.initial.connected or isinstance(flow.initial, Atoms))
    return 1.0 if whole else 1.0 / max(2, flow.domain.intrinsic)
