"""A method on meshes for tests of what surrounds methods: every density mixes with the uniform one.

d_t rho = u - rho has the solution u + (rho_0 - u) e^-t. By explicit steps: first order in time; the entropy falls,
since it is convex along mixtures and least at u.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tests.meshes import uniform
from wflow import Domain, Energy, Entropy, Flow, Law, Mesh, MeshDensity, Order, Solver, State, Step
from wflow.arrays import Array
from wflow.problems.problem import Problem
from wflow.solver import EVERY_PROMISE, Promise


@dataclass(frozen=True, eq=False)
class Tilted(Law):
    """(1 + tilt g(w))/size for a g of mean 0 on a domain of that area."""

    home: Domain
    size: float
    tilt: float
    g: Callable[[Array], Array] = lambda w: w[:, 0]

    @property
    def domain(self) -> Domain:
        return self.home

    def density(self, w: Array) -> Array:
        return np.asarray((1.0 + self.tilt * self.g(w)) / self.size)


@dataclass(frozen=True)
class Mixing(Solver):
    """rho + dt (u - rho), on a mesh made at the resolution, cells constant or linear."""

    rings: int
    made: Callable[[int], Mesh]
    linear: bool = False
    fault: float = 0.0
    resolution: ClassVar[str] = "rings"
    shaped: ClassVar[bool] = True

    @property
    def needs(self) -> str:  # type: ignore[override]
        return "density"

    def order(self, flow: Flow) -> Order:
        return Order(1.0, 2.0)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        return EVERY_PROMISE

    def _refusal(self, flow: Flow) -> str | None:
        return None

    def init(self, flow: Flow) -> State:
        make = MeshDensity.linear_of if self.linear else MeshDensity.averages_of
        return State(0.0, make(flow.initial, self.made(self.rings)))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, MeshDensity)
        values = pi.values + (1.0 + self.fault) * dt * (uniform(pi.mesh).values - pi.values)
        return Step(state.after(dt, MeshDensity(pi.mesh, values)))


def mixing(domain: Domain, size: float, tilt: float = 0.5, g: Callable[[Array], Array] | None = None) -> Problem:
    """From 1 + tilt g, over a unit of time."""
    start = Tilted(domain, size, tilt) if g is None else Tilted(domain, size, tilt, g)

    def exact(t: float) -> Law:
        return Tilted(domain, size, tilt * math.exp(-t), start.g)

    flow = Flow(Energy(Entropy(1.0)), domain, start, 1.0)
    return Problem(flow, "derived", "every density mixes with the uniform one", exact, name="mixing")
