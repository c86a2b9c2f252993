"""This file owns what a method is: a frozen value with `init` and `step`, a declared order, promises and refusals.

A solver never loops over time, prints, plots or saves. `wflow.solve` is the one time loop.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import contiguous
from wflow.domain import Box
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.measure import Density, Measure, Particles
from wflow.mesh_density import MeshDensity
from wflow.part import Part
from wflow.plans import gathered

Promise = Literal["mass", "positivity", "energy"]
EVERY_PROMISE: frozenset[Promise] = frozenset({"mass", "positivity", "energy"})


_PROBES = 400
_FINE = 64
RK4_REAL = 2.7
"""A little inside the stability interval of classical Runge-Kutta: 2.785 on the negative axis, 2.828 on the other."""


@dataclass(frozen=True)
class Order:
    """Orders of the W2 error in the step and in the resolution. space = inf: spectral, no space row.

    identity: of |F_0 - F - dissipated| in the step where it is less than `time`, as from starts with infinite
    dissipation; 0: none is claimed.
    """

    time: float
    space: float = math.inf
    identity: float | None = None


class Recomputable:
    """Base of what a solver carries only to save time: without it the next step has the same bits.

    It is not stored in checkpoints. Example: the factors of a matrix that depends on the flow, the grid and dt alone.
    """


Remembered = float | NDArray[Any] | Recomputable


@dataclass(frozen=True, eq=False)
class State:
    """Where a solver stands: the time, the measure, the number of steps taken, and what it carries along.

    The next step depends on nothing else (a random one draws from default_rng([seed, count])), so that a run which was
    stored and is continued ends with the bits of one that was not. Hence the rule: an entry of `memory` is
      - an array of numbers (one axis at least) or a number: it is stored, and comes back with its bits; or
      - a Recomputable: it is not stored, and the step must give the same bits without it.
    Anything else raises TypeError here. For a pair keep two entries, for a measure its arrays.
    Numbers become Python's and arrays contiguous, as they would be after storage.
    """

    time: float
    measure: Measure
    count: int = 0
    memory: Mapping[str, Remembered] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", float(self.time))
        object.__setattr__(self, "memory", {name: _remembered(name, entry) for name, entry in self.memory.items()})

    def after(self, dt: float, measure: Measure, **memory: Remembered) -> "State":
        """The state one step later."""
        return State(self.time + dt, measure, self.count + 1, memory or self.memory)


def _remembered(name: str, entry: Remembered) -> Remembered:
    """An entry of `memory` as it comes back from storage, or TypeError."""
    if isinstance(entry, Recomputable):
        return entry
    if isinstance(entry, np.ndarray) and entry.ndim and entry.dtype.kind in "biufc":
        return contiguous(entry)
    if isinstance(entry, bool | int | float | np.bool | np.integer | np.floating):
        return entry.item() if isinstance(entry, np.generic) else entry
    raise TypeError(
        f"State memory {name}: {type(entry).__name__} cannot be stored; keep arrays or numbers, "
        "or a Recomputable without which the step has the same bits"
    )


@dataclass(frozen=True, eq=False)
class Step:
    """What one step returns.

    dissipated: int |grad V|^2 dpi dt by the method's own quadrature (JKO: W2^2/(2 dt)), None if it has none.
    residual: where an inner iteration stopped (0 for explicit methods).   error: an embedded estimate or None.
    dual: the maximum of a dual of the step's minimisation, nan without one.   fallback: the step was taken by a method
    of lower order, for a reason that the solver states.   coarse: it was taken at the coarser of two resolutions
    between which the method chooses.
    """

    state: State
    dissipated: float | None = None
    residual: float = 0.0
    error: float | None = None
    dual: float = math.nan
    fallback: bool = False
    coarse: bool = False


class Solver(ABC):
    """Base of every method. Subclasses are frozen dataclasses of resolution and knobs."""

    resolution: ClassVar[str]
    """Name of the field that refines space."""
    random: ClassVar[bool] = False
    needs: ClassVar[Literal["density", "quantile", "sample"]]
    """What the initial law must offer."""
    variational: ClassVar[bool] = False
    """The step is a minimising movement: F_{k+1} + dissipated <= F_k, an inequality, not an identity."""
    most: ClassVar[float] = math.inf
    """Most cells in all that a study on several axes gives a method, for one whose work grows faster than its grid."""
    costly: ClassVar[bool] = False
    """A step factors several sparse matrices: quick studies leave it out."""
    optimality: ClassVar[bool] = False
    """Step.residual is a KKT residual, a share of what is gained: at most the method's `tolerance`."""
    limited: ClassVar[bool] = False
    """The method sees limits of the density: Congestion and Obstacle."""
    shaped: ClassVar[bool] = False
    """The method takes domains that are no boxes (wflow.shapes)."""
    charged: ClassVar[bool] = False
    """The method changes masses: it takes starts of any mass and sign (Charged)."""
    distributed: ClassVar[bool] = False
    """The method shares a flow between ranks (wflow.ranks.on_ranks)."""
    judged: ClassVar[bool] = False
    """F judges its steps, which it shortens where F would rise: any dt serves, and a study asks for no order."""
    multistep: ClassVar[bool] = False
    """A step needs the measures before the last: they are in State.memory, which then does more than save work."""

    recalled: ClassVar[frozenset[str]] = frozenset()
    """Names of memory that only save work and belong to the flow of the step before: dropped where a flow changes."""

    remapping: ClassVar[bool] = False
    """Steps move mass over whole cells: at fixed cells its error, h^q/dt, grows as dt falls, and orders in time are
    studied with cells refined along."""

    embedded: ClassVar[float | None] = None
    """Order p of the estimate `Step.error` ~ dt^(p+1), by which `solve(tolerance=)` then paces; None: step doubling."""

    def room(self, flow: Flow) -> float:
        """Most cells in all that a study of this flow on several axes gives the method."""
        return self.most

    def resolved(self, flow: Flow) -> float:
        """W2 distances of two answers below it are left by an inner iteration, and show no order."""
        return 0.0

    def waves(self, flow: Flow) -> float:
        """What answers differ by besides, unless all their steps were taken on the coarser of two resolutions."""
        return 0.0

    @property
    def equation(self) -> tuple[object, ...]:
        """What is solved, () the W2 gradient flow of F: where methods are at a time is compared where these are equal.

        Only () is compared with exact solutions and predicted limits of the catalogue.
        """
        return ()

    def decay(self, flow: Flow) -> float | None:
        """A rate r at which F - inf F <= e^{-r t} (F_0 - inf F) along the equation that is solved (proved), or None."""
        return None

    def resolves(self, flow: Flow) -> bool:
        """Whether cells are narrow enough for the declared order in time to be seen; a study asks."""
        return True

    @abstractmethod
    def order(self, flow: Flow) -> Order:
        """Declared orders on this flow."""

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """What every step keeps."""
        return frozenset({"mass", "positivity"})

    def refusal(self, flow: Flow) -> str | None:
        """One sentence why this flow cannot be taken, or None."""
        if not isinstance(flow.domain, Box) and not self.shaped:
            return f"the domain {flow.domain} is no box, and this method needs one; use particles or solvers.fem"
        if flow.charged and not self.charged:
            return "the start has any mass and sign (Charged), and this method keeps mass; use conic.ConicParticles"
        if flow.energy.limits and not self.limited:
            return (
                "the energy limits the density (Congestion, Obstacle), which this method does not see; use jko.Spline"
            )
        return self._refusal(flow)

    @abstractmethod
    def _refusal(self, flow: Flow) -> str | None:
        """The same for a flow whose limits, if any, the method sees."""

    def energy(self, flow: Flow, state: State) -> float:
        """What the run's energies are and `dissipated` accounts for: F, nan where it is undefined."""
        pi = state.measure
        return math.nan if pi.atomic and flow.energy.internal else flow.energy.value(pi)

    @abstractmethod
    def init(self, flow: Flow) -> State:
        """The start from the law."""

    @abstractmethod
    def step(self, flow: Flow, state: State, dt: float) -> Step:
        """One step of length dt."""

    def largest_step(self, flow: Flow, state: State) -> float:
        """A stability bound on dt; inf for implicit methods."""
        return math.inf

    def smallest_step(self, flow: Flow) -> float:
        """A resolution bound on dt at the start: in less the method cannot tell motion from rest; 0: there is none.

        The loop's own choice of dt respects it; a shorter step is taken where it is asked for. A method with such a
        bound is not refined in time (dt -> 0 at fixed resolution stands still) but studied by a few long steps.
        """
        return 0.0

    def refined(self, factor: float) -> Self:
        """The same method with `factor` times the resolution."""
        now = getattr(self, self.resolution)
        return replace(self, **{self.resolution: max(4, round(now * factor))})  # type: ignore[type-var]

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.resolution}={getattr(self, self.resolution)})"


def _coarsened(cells: int) -> int:
    """Halved while they stay at least 64 an axis: more than enough to place 400 barycentres."""
    while cells % 2 == 0 and cells >= 2 * _FINE:
        cells //= 2
    return cells


def _thinned(pi: MeshDensity) -> Measure:
    """Every k-th cell of the whole mesh, some 400; pi itself where those are empty."""
    mesh, every = pi.mesh, -(-pi.mesh.whole.size // _PROBES)
    if every == 1:
        return pi.whole()
    numbers = mesh.own if isinstance(mesh, Part) else np.arange(mesh.size)
    kept = numbers % every == 0
    masses = pi.ranks.stacked((pi.averages * mesh.volumes)[kept])
    points = pi.ranks.stacked(mesh.centres[kept])
    order = np.argsort(pi.ranks.stacked(numbers[kept]))
    if not masses.sum() > 0.0:
        return pi.whole()
    return Particles(pi.domain, points[order], masses[order] / masses.sum())


def explicit_bound(energy: Energy, pi: Measure) -> float:
    """1/(max|V''| + |K|) at the points of pi: the stability bound common to explicit methods; inf where both vanish.

    The velocities' Jacobian is -(diag V''(w_i) + (d_i d_j k) weights_j); |K| is the largest eigenvalue of its second
    part, the coupling of V[pi] to the moving points. V'' in the Frobenius norm; where the neuron has no Hessian
    (ReLU on data) only |K| counts and the loop's energy check guards. With data a density on several axes is asked at
    400 barycentres of its blocks; |K| of many points is that of a sample and three standard errors (wflow.coupling).
    """
    probe: Measure = pi
    if isinstance(pi, MeshDensity) and (pi.mesh.whole.size > _PROBES or pi.ranks.size > 1):
        probe = _thinned(pi)
    if isinstance(pi, Density) and pi.domain.dim > 1 and energy.risk is not None:
        atoms = gathered(pi.merged(tuple(map(_coarsened, pi.grid.shape))), _PROBES)
        probe = Particles(pi.domain, atoms.points, atoms.weights)
    worst = energy.coupling_norm(probe)
    if energy.curved:
        hessian = energy.curvature(pi, probe.points)
        worst += math.sqrt(float(np.max(np.sum(hessian * hessian, axis=(1, 2)))))
    return 1.0 / worst if worst > 0.0 else math.inf
