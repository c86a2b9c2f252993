"""This file owns the summands of an energy that any measure has, each with its first variation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Protocol, runtime_checkable

import numpy as np

from wflow.arrays import Array, finite
from wflow.blocks import NeuronSums
from wflow.data import Data
from wflow.features import Features
from wflow.grid import Grid
from wflow.interaction import Interaction
from wflow.kernel import Kernel
from wflow.law import Law
from wflow.loss import HalfSquare, Loss, check_loss
from wflow.measure import Density, Measure, Quantiles, SignedParticles
from wflow.mesh_density import MeshDensity
from wflow.neuron import Neuron
from wflow.signed_density import SignedDensity
from wflow.standing import standing
from wflow.sums import PointSums, Sums

__all__ = ["Interaction", "Potential", "Quadratic", "Risk", "Term"]

_ASKED_OFTEN = (Quantiles, MeshDensity, SignedParticles)
"""Measures at whose points a method asks for f, V and V' in turn: their sums are kept."""
_ON_CELLS = (Density, SignedDensity)
"""Measures on a grid, by the averages `values`: features at the cells are made once."""


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
        check_loss("Risk", self.loss, self.data.targets)

    @property
    def convex(self) -> bool:
        """As the loss is: f_pi is linear in pi."""
        return self.loss.convex

    def predict(self, pi: Measure) -> Array:
        """f_pi (n,) at the data."""
        if isinstance(pi, _ON_CELLS):
            return _prediction(self, pi)
        if isinstance(pi, _ASKED_OFTEN):
            return _predicted(self, pi)
        return self._sums.at(pi.points).predict(pi.weights)

    def predict_at(self, x: Array, pi: Measure) -> Array:
        """f_pi (n,) at inputs x (n, p)."""
        return pi.ranks.total(Sums(self.neuron, x).at(pi.points).predict(pi.weights))

    def value(self, pi: Measure) -> float:
        """F(pi)."""
        return float(self.data.weights @ self.loss.value(self.predict(pi), self.data.targets))

    def potential(self, pi: Measure, w: Array, derivative: int) -> Array:
        """E loss'(f_pi, y) d^j psi(x; w)."""
        if isinstance(pi, _ON_CELLS) and derivative == 0 and w is pi.grid.centres:
            return _features(self, pi.grid).against(self._slope(self.predict(pi)))
        if isinstance(pi, MeshDensity) and derivative < 2:  # of which tables are kept; Hessians are made in blocks
            here = standing(self._sums, w)
        else:
            kept = isinstance(pi, Quantiles | SignedParticles) and w is pi.points
            here = _sums_at(self, pi) if kept else self._sums.at(w)
        # particles are looked up once for both passes
        own = w is pi.points and not isinstance(pi, (*_ON_CELLS, *_ASKED_OFTEN))
        return here.against(self._slope(here.predict(pi.weights) if own else self.predict(pi)), derivative)

    def coupling(self, pi: Measure, w: Array) -> tuple[Array, Array]:
        """Columns d_w psi(x_i; w) (m d, n), core weights_i loss''_i: exact."""
        here = _sums_at(self, pi) if isinstance(pi, Quantiles | SignedParticles) and w is pi.points else None
        gradient = here.gradient() if isinstance(here, NeuronSums) else self.neuron.gradient(self.data.inputs, w)
        factor = gradient.reshape(len(self.data), -1).T
        return factor, self.data.weights * self.loss.curvature(self.predict(pi), self.data.targets)

    def features(self, pi: Measure) -> Array:
        """psi (n, m) at the data and the points of pi."""
        here = _sums_at(self, pi) if isinstance(pi, SignedParticles) else None
        return here.value() if isinstance(here, NeuronSums) else self.neuron.value(self.data.inputs, pi.points)

    @cached_property
    def _sums(self) -> Sums:
        return Sums(self.neuron, self.data.inputs)

    def _slope(self, f: Array) -> Array:
        """weights_i loss'(f_i, y_i) (n,)."""
        return np.asarray(self.data.weights * self.loss.slope(f, self.data.targets))


@lru_cache(maxsize=2)
def _prediction(risk: Risk, pi: Density | SignedDensity) -> Array:
    """f_pi (n,) at the data: F of one step's end is followed by V of the next one's start; read-only."""
    # scaled at the end: weights would be one more array of the size of the grid
    predicted = _features(risk, pi.grid).predict(pi.values) * pi.grid.cell_volume
    predicted.flags.writeable = False
    return predicted


@lru_cache(maxsize=2)
def _sums_at(risk: Risk, pi: Quantiles | MeshDensity | SignedParticles) -> PointSums:
    """At the edges of quantiles: a step of Newton's method asks there for f, V', V'' and the coupling. Of a mesh.

    At signed particles the conic flow asks for F, V and V'.
    """
    return standing(risk._sums, pi.points) if isinstance(pi, MeshDensity) else risk._sums.at(pi.points)


@lru_cache(maxsize=2)
def _predicted(risk: Risk, pi: Quantiles | MeshDensity | SignedParticles) -> Array:
    """f_pi (n,) at the data; read-only."""
    predicted = pi.ranks.total(_sums_at(risk, pi).predict(pi.weights))
    predicted.flags.writeable = False
    return predicted


@lru_cache(maxsize=4)
def _features(risk: Risk, grid: Grid) -> Features:
    """psi at the data and the cells of a grid, shared."""
    return Features.on(risk.neuron, risk.data.inputs, grid)


@dataclass(frozen=True, eq=False)
class Quadratic:
    """strength |w - centre|^2/2 + slope . w: what is known of some potentials; centre and slope (1,) or (d,)."""

    strength: float
    centre: Array
    slope: Array


@dataclass(frozen=True, eq=False)
class Potential:
    """int r dpi for a function with its derivatives: field(w (m, d), j) -> (m,), (m, d) or (m, d, d).

    On the cells of a grid, which stay where they are, the field is asked once: it must be a function of w and j alone.
    For those who know more of such fields: convolved is (kernel, target) where the field is -int k(w, .) dtarget, ridge
    a number where it is ridge |w|^2/2, form where it is quadratic.
    """

    field: Callable[[Array, int], Array]
    name: str = "potential"
    convex: bool = True
    convolved: tuple[Kernel, Law | Measure] | None = None
    ridge: float | None = None
    form: Quadratic | None = None

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

        ridge = None if np.any(middle) else float(strength)
        return cls(field, f"{strength:g} |w|^2/2", ridge=ridge, form=Quadratic(float(strength), middle, np.zeros(1)))

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

        return cls(field, f"{slope} . w", form=Quadratic(0.0, np.zeros(1), direction))

    @classmethod
    def of_target(cls, kernel: Kernel, target: Law | Measure) -> "Potential":
        """-int k(w, .) dtarget."""
        field = partial(_against_target, kernel, target)
        return cls(field, "-k * target", convolved=(kernel, target))

    def value(self, pi: Measure) -> float:
        """int r dpi."""
        return pi.ranks.total(float(pi.weights.dot(self.potential(pi, pi.points, 0))))

    def potential(self, pi: Measure, w: Array, derivative: int) -> Array:
        """r and its derivatives, whatever pi."""
        if isinstance(pi, _ON_CELLS) and w is pi.grid.centres:
            return _at_centres(self, pi.grid, derivative)
        return _asked(self, w, derivative)

    def coupling(self, pi: Measure, w: Array) -> None:
        """None: r does not depend on pi."""
        return None


def _against_target(kernel: Kernel, target: Law | Measure, w: Array, derivative: int) -> Array:
    return -kernel.against(target, w, derivative)


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
