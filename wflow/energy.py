"""This file owns energies F and their first variations V[pi]: sums of terms.

F(pi) = sum of terms;   V[pi] = dF/dpi (a function of w);   velocity = -grad V. Internal terms (at most one Entropy and
one Power) are what atoms cannot have; `potential`, `velocity` and `curvature` speak of the explicit part alone. Limits
(at most one Congestion, any Obstacles) make F infinite where the density is above them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Protocol, runtime_checkable

import numpy as np

from wflow.arrays import Array, finite
from wflow.blocks import NeuronSums
from wflow.coupling import Probe, norm
from wflow.data import Data
from wflow.domain import Box
from wflow.errors import Refused
from wflow.features import Features
from wflow.grid import Grid
from wflow.internal import Entropy, Internal, Power
from wflow.kernel import COUPLED_MODES, Kernel
from wflow.law import Law
from wflow.limits import WITHIN, Congestion, Limit, joint_bound
from wflow.loss import HalfSquare, Loss
from wflow.measure import Density, Measure, Quantiles
from wflow.neuron import Neuron
from wflow.pair_kernel import PairKernel
from wflow.sums import PointSums, Sums

_TERMS = "Risk, Potential, Interaction, Constant, Entropy, Power, Congestion, Obstacle"


@runtime_checkable
class Term(Protocol):
    """One summand of F with its first variation."""

    @property
    def convex(self) -> bool:
        """F((1-s) a + s b) <= (1-s) F(a) + s F(b) along mixtures."""

    def value(self, pi: Measure) -> float:
        """F(pi)."""

    def potential(self, pi: Measure, w: Array, derivative: int) -> Array:
        """V[pi] (m,), its gradient (m, d) or Hessian (m, d, d) at w (m, d)."""

    def coupling(self, pi: Measure, w: Array) -> tuple[Array, Array] | None:
        """factor (m d, q), core (q,) with d_w d_w' (second variation) = factor diag(core) factor^T; None: zero."""


@dataclass(frozen=True, eq=False)
class Risk:
    """E_x loss(f_pi(x), y(x)) with f_pi(x) = int psi(x; w) dpi(w), x by quadrature or sample."""

    neuron: Neuron
    data: Data
    loss: Loss = field(default_factory=HalfSquare)

    def __post_init__(self) -> None:
        if self.data.inputs.shape[1] != self.neuron.inputs:
            raise ValueError(
                f"Risk: the data have {self.data.inputs.shape[1]} input columns, the neuron takes {self.neuron.inputs}"
            )
        self.loss.check(self.data.targets)

    @property
    def convex(self) -> bool:
        """As the loss is: f_pi is linear in pi."""
        return self.loss.convex

    def predict(self, pi: Measure) -> Array:
        """f_pi (n,) at the data."""
        if isinstance(pi, Density):
            return _prediction(self, pi)
        if isinstance(pi, Quantiles):
            return _predicted(self, pi)
        return self._sums.at(pi.points).predict(pi.weights)

    def predict_at(self, x: Array, pi: Measure) -> Array:
        """f_pi (n,) at inputs x (n, p)."""
        return Sums(self.neuron, x).at(pi.points).predict(pi.weights)

    def value(self, pi: Measure) -> float:
        """F(pi)."""
        return float(self.data.weights @ self.loss.value(self.predict(pi), self.data.targets))

    def potential(self, pi: Measure, w: Array, derivative: int) -> Array:
        """E loss'(f_pi, y) d^j psi(x; w)."""
        if isinstance(pi, Density) and derivative == 0 and w is pi.grid.centres:
            return _features(self, pi.grid).against(self._slope(self.predict(pi)))
        here = _sums_at(self, pi) if isinstance(pi, Quantiles) and w is pi.points else self._sums.at(w)
        # particles are looked up once for both passes
        own = w is pi.points and not isinstance(pi, Density | Quantiles)
        return here.against(self._slope(here.predict(pi.weights) if own else self.predict(pi)), derivative)

    def coupling(self, pi: Measure, w: Array) -> tuple[Array, Array]:
        """Columns d_w psi(x_i; w) (m d, n), core weights_i loss''_i: exact."""
        here = _sums_at(self, pi) if isinstance(pi, Quantiles) and w is pi.points else None
        gradient = here.gradient() if isinstance(here, NeuronSums) else self.neuron.gradient(self.data.inputs, w)
        factor = gradient.reshape(len(self.data), -1).T
        return factor, self.data.weights * self.loss.curvature(self.predict(pi), self.data.targets)

    @cached_property
    def _sums(self) -> Sums:
        return Sums(self.neuron, self.data.inputs)

    def _slope(self, f: Array) -> Array:
        """weights_i loss'(f_i, y_i) (n,)."""
        return np.asarray(self.data.weights * self.loss.slope(f, self.data.targets))


@lru_cache(maxsize=2)
def _prediction(risk: Risk, pi: Density) -> Array:
    """f_pi (n,) at the data: F of one step's end is followed by V of the next one's start; read-only."""
    # scaled at the end: weights would be one more array of the size of the grid
    predicted = _features(risk, pi.grid).predict(pi.values) * pi.grid.cell_volume
    predicted.flags.writeable = False
    return predicted


@lru_cache(maxsize=2)
def _sums_at(risk: Risk, pi: Quantiles) -> PointSums:
    """At the edges: a step of Newton's method asks there for f, V', V'' and the coupling."""
    return risk._sums.at(pi.points)


@lru_cache(maxsize=2)
def _predicted(risk: Risk, pi: Quantiles) -> Array:
    """f_pi (n,) at the data; read-only."""
    predicted = _sums_at(risk, pi).predict(pi.weights)
    predicted.flags.writeable = False
    return predicted


@lru_cache(maxsize=4)
def _features(risk: Risk, grid: Grid) -> Features:
    """psi at the data and the cells of a grid, shared."""
    return Features.on(risk.neuron, risk.data.inputs, grid)


@dataclass(frozen=True, eq=False)
class Potential:
    """int r dpi for a function with its derivatives: field(w (m, d), j) -> (m,), (m, d) or (m, d, d).

    On the cells of a grid, which stay where they are, the field is asked once: it must be a function of w and j alone.
    """

    field: Callable[[Array, int], Array]
    name: str = "potential"
    convex: bool = True

    @classmethod
    def quadratic(cls, strength: float, centre: float | Sequence[float] = 0.0) -> "Potential":
        """strength |w - centre|^2 / 2; centre: a number for all axes or one entry an axis, else ValueError."""
        if finite("Potential strength", strength).ndim:
            raise ValueError(f"Potential strength: {strength!r} is not a number; give one for all axes")
        middle = np.atleast_1d(finite("Potential centre", centre))

        def field(w: Array, derivative: int) -> Array:
            if middle.shape not in ((1,), w.shape[1:]):
                raise _other_axes("Potential centre", middle, w, "a number or one entry an axis")
            shift = w - middle
            if derivative == 0:
                return np.asarray(0.5 * strength * np.sum(shift**2, axis=1))
            if derivative == 1:
                return strength * shift
            return np.broadcast_to(strength * np.eye(w.shape[1]), (len(w), w.shape[1], w.shape[1])).copy()

        return cls(field, f"{strength:g} |w|^2/2")

    @classmethod
    def linear(cls, slope: float | Sequence[float]) -> "Potential":
        """slope . w; ValueError where slope has not one entry an axis."""
        direction = np.atleast_1d(finite("Potential slope", slope))

        def field(w: Array, derivative: int) -> Array:
            if direction.shape != w.shape[1:]:
                raise _other_axes("Potential slope", direction, w, "one entry an axis")
            if derivative == 0:
                return np.asarray(w @ direction)
            shape = (len(w),) + w.shape[1:] * derivative
            return np.broadcast_to(direction if derivative == 1 else 0.0, shape).copy()

        return cls(field, f"{slope} . w")

    @classmethod
    def of_target(cls, kernel: Kernel, target: Law) -> "Potential":
        """-int k(w, .) dtarget."""
        return cls(lambda w, derivative: -kernel.against(target, w, derivative), "-k * target")

    def value(self, pi: Measure) -> float:
        """int r dpi."""
        return float(pi.weights.dot(self.potential(pi, pi.points, 0)))

    def potential(self, pi: Measure, w: Array, derivative: int) -> Array:
        """r and its derivatives, whatever pi."""
        if isinstance(pi, Density) and w is pi.grid.centres:
            return _at_centres(self, pi.grid, derivative)
        return _asked(self, w, derivative)

    def coupling(self, pi: Measure, w: Array) -> None:
        """None: r does not depend on pi."""
        return None


def _asked(potential: Potential, w: Array, derivative: int) -> Array:
    """The field's answer, ValueError if it has another shape: sums over points would broadcast it to a wrong F."""
    values = potential.field(w, derivative)
    if np.shape(values) != (wanted := (len(w),) + w.shape[1:] * derivative):
        raise ValueError(
            f"Potential field ({potential.name}): derivative {derivative} at w of shape {w.shape} has the shape "
            f"{np.shape(values)}; return {wanted}, for instance f(w[:, 0]) of shape (m,) for derivative 0"
        )
    return values


def _other_axes(name: str, value: Array, w: Array, wanted: str) -> ValueError:
    return ValueError(f"{name}: {value.tolist()} on {w.shape[1]} axes; give {wanted}")


@lru_cache(maxsize=16)
def _at_centres(potential: Potential, grid: Grid, derivative: int) -> Array:
    """The field at the cells of a grid; shared, hence read-only."""
    values = np.array(_asked(potential, grid.centres, derivative))
    values.flags.writeable = False
    return values


@dataclass(frozen=True, eq=False)
class Interaction:
    """(1/2) int int k dpi dpi for a symmetric kernel; V = int k(w, .) dpi."""

    kernel: Kernel

    @property
    def convex(self) -> bool:
        """As the kernel is positive semidefinite, at least on measures of mass 0."""
        return self.kernel.convex

    @property
    def singular(self) -> bool:
        """The kernel is infinite where two points meet."""
        return isinstance(self.kernel, PairKernel) and self.kernel.singular

    def value(self, pi: Measure) -> float:
        """Half the double integral."""
        return 0.5 * self.kernel.double(pi)

    def potential(self, pi: Measure, w: Array, derivative: int) -> Array:
        """k * pi and its derivatives."""
        return self.kernel.against(pi, w, derivative)

    def coupling(self, pi: Measure, w: Array) -> tuple[Array, Array]:
        """The kernel's own."""
        if isinstance(pi, Density) and w is pi.grid.centres:
            return _coupling_at_centres(self, pi.grid)
        return self.kernel.coupling(w)


@lru_cache(maxsize=4)
def _coupling_at_centres(term: Interaction, grid: Grid) -> tuple[Array, Array]:
    """The kernel's coupling at the cells of a grid; shared, hence read-only."""
    factor, core = term.kernel.coupling(grid.centres)
    factor.flags.writeable = core.flags.writeable = False
    return factor, core


@dataclass(frozen=True)
class Constant:
    """A number, so that F of a population risk vanishes at its minimum."""

    number: float
    convex: bool = True

    def __post_init__(self) -> None:
        finite("Constant number", self.number)

    def value(self, pi: Measure) -> float:
        """The number times the mass."""
        return self.number

    def potential(self, pi: Measure, w: Array, derivative: int) -> Array:
        """Zero: a constant does not move mass."""
        return np.zeros((len(w),) + w.shape[1:] * derivative)

    def coupling(self, pi: Measure, w: Array) -> None:
        """None."""
        return None


@dataclass(frozen=True)
class TotalVariation:
    """strength |pi|(domain): the norm of a signed measure; constant, hence no force, on probability measures."""

    strength: float
    convex: bool = True

    def value(self, pi: Measure) -> float:
        """strength sum |weights|."""
        return self.strength * float(np.sum(np.abs(pi.weights)))

    def potential(self, pi: Measure, w: Array, derivative: int) -> Array:
        """strength on nonnegative measures (its gradient vanishes)."""
        return np.full((len(w),) + w.shape[1:] * derivative, self.strength if derivative == 0 else 0.0)

    def coupling(self, pi: Measure, w: Array) -> None:
        """None."""
        return None


@lru_cache(maxsize=8)
def _bound(limits: tuple[Limit, ...], grid: Grid) -> Array:
    """The joint bound of limits on a grid; shared, hence read-only."""
    bound = joint_bound(limits, grid)
    bound.flags.writeable = False
    return bound


@dataclass(frozen=True, init=False)
class Energy:
    """A sum of terms. Raises ValueError for two internal terms of one kind or for things that are not terms."""

    terms: tuple[Term, ...]
    internal: tuple[Internal, ...]
    limits: tuple[Limit, ...]

    def __init__(self, *terms: Term | Internal | Limit) -> None:
        internal = tuple(t for t in terms if isinstance(t, Internal))
        limits = tuple(t for t in terms if isinstance(t, Limit))
        explicit = tuple(t for t in terms if not isinstance(t, Internal | Limit))
        if not terms:
            raise ValueError(f"Energy: no terms; pass at least one of {_TERMS}")
        for kind in (Entropy, Power):
            if (many := sum(isinstance(t, kind) for t in internal)) > 1:
                raise ValueError(
                    f"Energy: {many} internal terms of the kind {kind.__name__}; at most one, add their strengths"
                )
        if (many := sum(isinstance(t, Congestion) for t in limits)) > 1:
            raise ValueError(f"Energy: {many} terms Congestion; at most one, the smallest `most` says it all")
        for term in explicit:
            if not isinstance(term, Term):
                raise TypeError(f"Energy: {term!r} is not a term; pass {_TERMS}")
        object.__setattr__(self, "terms", explicit)
        object.__setattr__(self, "internal", internal)
        object.__setattr__(self, "limits", limits)

    @property
    def temperature(self) -> float:
        """1/beta, 0 without an Entropy term."""
        return next((t.temperature for t in self.internal if isinstance(t, Entropy)), 0.0)

    @property
    def power(self) -> Power | None:
        """The Power term, if any."""
        return next((t for t in self.internal if isinstance(t, Power)), None)

    @property
    def convex(self) -> bool:
        """Convex along mixtures: then V certifies distance to the minimum."""
        return all(term.convex for term in self.terms)

    @cached_property
    def interacting(self) -> bool:
        """V may depend on pi."""
        return not all(isinstance(term, Potential | Constant | TotalVariation) for term in self.terms)

    @property
    def singular(self) -> bool:
        """Points repel or attract each other without bound as they meet."""
        return any(term.singular for term in self.terms if isinstance(term, Interaction))

    @property
    def homes(self) -> list[Box]:
        """The domains on which neurons and kernels live."""
        risks = [term.neuron.domain for term in self._risks]
        return risks + [term.kernel.domain for term in self.terms if isinstance(term, Interaction)]

    @property
    def curved(self) -> bool:
        """V has a Hessian in w: no Risk term with a kinked activation."""
        return all(term.neuron.activation.curvature is not None for term in self._risks)

    def names(self, dim: int) -> tuple[str, ...]:
        """What the d parameters w are called, by a neuron or a kernel; else w_1, .., w_d."""
        kernels = [term.kernel.names for term in self.terms if isinstance(term, Interaction)]
        plain = tuple(f"parameter w_{k}" for k in range(1, dim + 1)) if dim > 1 else ("parameter w",)
        return next(iter([risk.neuron.names for risk in self._risks] + kernels), plain)

    @property
    def jumps(self) -> float:
        """The lowest derivative of V that jumps along the way of a neuron; inf: none. It caps the order in time.

        A step of order p over a jump of V^(j) errs by O(dt^j), once for each crossing: order min(p, j) (derived).
        On data V' jumps where sigma' does, V'' where sigma'' does.
        """
        kinked = [
            1.0 if t.neuron.activation.curvature is None else 2.0 for t in self._risks if t.neuron.activation.kinks
        ]
        return min([*kinked, *(t.kernel.jumps for t in self.terms if isinstance(t, Interaction))], default=math.inf)

    @property
    def _risks(self) -> list[Risk]:
        return [term for term in self.terms if isinstance(term, Risk)]

    @property
    def quadratic(self) -> bool:
        """F without its internal terms is quadratic in pi: V at the mean of two measures is F's slope between them."""
        return all(isinstance(term.loss, HalfSquare) for term in self.terms if isinstance(term, Risk))

    @property
    def kinked(self) -> bool:
        """V[pi] bends where pi moves on: a loss with a jump in its second derivative."""
        return any(term.loss.kinked for term in self.terms if isinstance(term, Risk))

    @property
    def risk(self) -> Risk | None:
        """The first Risk term, if any."""
        return next(iter(self._risks), None)

    def explicit(self, pi: Measure) -> float:
        """All of F but the internal term, for any measure."""
        return sum(term.value(pi) for term in self.terms)

    def value(self, pi: Measure) -> float:
        """F(pi), infinite above a limit. Raises Refused for atoms with an internal term, and for limits off cells."""
        if self.limits and not self.within(pi):
            return math.inf
        return self.smooth(pi)

    def smooth(self, pi: Measure) -> float:
        """F(pi) without its limits."""
        return self.explicit(pi) + sum(term.value(pi) for term in self.internal)

    def bound(self, grid: Grid) -> Array:
        """(m,) the largest density that the limits allow each cell, infinity without any; read-only."""
        return _bound(self.limits, grid)

    def within(self, pi: Measure) -> bool:
        """Whether the cells of a density keep the limits, to a share of 1e-8. Refused for other measures."""
        if not isinstance(pi, Density):
            raise Refused(f"limits of a density: {type(pi).__name__} has no cells to compare with; take a Density")
        return bool(np.all(pi.values <= (1.0 + WITHIN) * self.bound(pi.grid)))

    def predict(self, pi: Measure) -> Array:
        """f_pi (n,) at the data of the Risk term; raises Refused without one."""
        if self.risk is None:
            raise Refused("predict: the energy has no Risk term with data; build it with Risk(neuron, data)")
        return self.risk.predict(pi)

    def potential(self, pi: Measure, w: Array) -> Array:
        """V[pi] (m,) at w (m, d), explicit part; read-only where it is one field shared on a grid."""
        return self._sum(pi, w, 0)

    def velocity(self, pi: Measure, w: Array) -> Array:
        """-grad V[pi] (m, d)."""
        return -self._sum(pi, w, 1)

    def curvature(self, pi: Measure, w: Array) -> Array:
        """Hessian of V[pi] in w at fixed pi (m, d, d); raises Refused where the neuron has none."""
        return self._sum(pi, w, 2).copy()

    def coupling(self, pi: Measure, w: Array) -> tuple[Array, Array]:
        """factor (m d, q), core (q,): the terms' couplings side by side; q = 0 without interaction."""
        found = [c for c in (term.coupling(pi, w) for term in self.terms) if c is not None]
        if not found:
            return np.zeros((w.size, 0)), np.zeros(0)
        return np.concatenate([f for f, _ in found], axis=1), np.concatenate([c for _, c in found])

    def coupling_norm(self, pi: Measure) -> float:
        """Largest |eigenvalue| of (d_i d_j k) weights_j at the points of pi, as wflow.coupling says of it.

        Kernels of pairs state a bound of their own, which is added.
        """
        kernels = [term.kernel for term in self.terms if isinstance(term, Interaction)]
        pairs = sum(kernel.stiffness(pi) for kernel in kernels if isinstance(kernel, PairKernel))
        rest = [t for t in self.terms if not (isinstance(t, Interaction) and isinstance(t.kernel, PairKernel))]
        columns = [len(term.data) for term in rest if isinstance(term, Risk)]
        columns += [2 * COUPLED_MODES + 1 for term in rest if isinstance(term, Interaction)]
        if not columns:
            return pairs
        probe = Probe.of(pi, sum(columns))
        return pairs + norm(*Energy(*rest).coupling(pi, probe.points), probe)

    def _sum(self, pi: Measure, w: Array, derivative: int) -> Array:
        if not self.terms:
            return np.zeros((len(w),) + w.shape[1:] * derivative)
        total = self.terms[0].potential(pi, w, derivative)
        for k, term in enumerate(self.terms[1:]):
            # the first sum is a new array: a term's own may be shared
            total = np.add(total, term.potential(pi, w, derivative), out=total if k else None)
        return total


def population_risk(kernel: Kernel, target: Law) -> tuple[Interaction, Potential, Constant]:
    """The terms of F = (1/2) E (f_pi - f_target)^2 = (1/2) int int k d(pi - target)^2: zero at the target."""
    return Interaction(kernel), Potential.of_target(kernel, target), Constant(0.5 * kernel.double(target))
