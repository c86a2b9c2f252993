"""This file owns what a method is: a frozen value with `init` and `step`, a declared order, promises and refusals.

A solver never loops over time, prints, plots or saves. `wflow.solve` is the one time loop.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

import numpy as np

from wflow.energy import Energy
from wflow.flow import Flow
from wflow.measure import Density, Measure, Particles
from wflow.plans import gathered

Promise = Literal["mass", "positivity", "energy"]
EVERY_PROMISE: frozenset[Promise] = frozenset({"mass", "positivity", "energy"})


_PROBES = 400
RK4_REAL = 2.7
"""A little inside the stability interval of classical Runge-Kutta: 2.785 on the negative axis, 2.828 on the other."""


@dataclass(frozen=True)
class Order:
    """Orders of the W2 error in the step and in the resolution. space = inf: spectral, no space row."""

    time: float
    space: float = math.inf


@dataclass(frozen=True, eq=False)
class State:
    """Where a solver stands: the time, the measure, the number of steps taken, and what it carries along."""

    time: float
    measure: Measure
    count: int = 0
    memory: dict[str, object] = field(default_factory=dict)

    def after(self, dt: float, measure: Measure, **memory: object) -> "State":
        """The state one step later."""
        return State(self.time + dt, measure, self.count + 1, memory or self.memory)


@dataclass(frozen=True, eq=False)
class Step:
    """What one step returns.

    dissipated: int |grad V|^2 dpi dt by the method's own quadrature (JKO: W2^2/(2 dt)), None if it has none.
    residual: where an inner iteration stopped (0 for explicit methods).   error: an embedded estimate or None.
    """

    state: State
    dissipated: float | None = None
    residual: float = 0.0
    error: float | None = None


class Solver(ABC):
    """Base of every method. Subclasses are frozen dataclasses of resolution and knobs."""

    resolution: ClassVar[str]
    """Name of the field that refines space."""
    random: ClassVar[bool] = False
    needs: ClassVar[Literal["density", "quantile", "sample"]]
    """What the initial law must offer."""
    variational: ClassVar[bool] = False
    """The step is a minimising movement: F_{k+1} + dissipated <= F_k, an inequality, not an identity."""

    @abstractmethod
    def order(self, flow: Flow) -> Order:
        """Declared orders on this flow."""

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """What every step keeps."""
        return frozenset({"mass", "positivity"})

    @abstractmethod
    def refusal(self, flow: Flow) -> str | None:
        """One sentence why this flow cannot be taken, or None."""

    @abstractmethod
    def init(self, flow: Flow) -> State:
        """The start from the law."""

    @abstractmethod
    def step(self, flow: Flow, state: State, dt: float) -> Step:
        """One step of length dt."""

    def largest_step(self, flow: Flow, state: State) -> float:
        """A stability bound on dt; inf for implicit methods."""
        return math.inf

    def refined(self, factor: float) -> Self:
        """The same method with `factor` times the resolution."""
        now = getattr(self, self.resolution)
        return replace(self, **{self.resolution: max(4, round(now * factor))})  # type: ignore[type-var]

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.resolution}={getattr(self, self.resolution)})"


def explicit_bound(energy: Energy, pi: Measure) -> float:
    """1/(max|V''| + |K|) at the points of pi: the stability bound common to explicit methods; inf where both vanish.

    The velocities' Jacobian is -(diag V''(w_i) + (d_i d_j k) weights_j); |K| is the largest eigenvalue of its second
    part, the coupling of V[pi] to the moving points. V'' in the Frobenius norm; where the neuron has no Hessian
    (ReLU on data) only |K| counts and the loop's energy check guards. A density on several axes is asked at 400
    barycentres of its blocks; |K| of many points is that of a sample and three standard errors (wflow.coupling).
    """
    probe: Measure = pi
    if isinstance(pi, Density) and pi.domain.dim > 1:
        atoms = gathered(pi, _PROBES)
        probe = Particles(pi.domain, atoms.points, atoms.weights)
    worst = energy.coupling_norm(probe)
    if energy.curved:
        hessian = energy.curvature(pi, probe.points)
        worst += math.sqrt(float(np.max(np.sum(hessian * hessian, axis=(1, 2)))))
    return 1.0 / worst if worst > 0.0 else math.inf
