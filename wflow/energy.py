"""This file owns energies F and their first variations V[pi]: sums of terms.

F(pi) = sum of terms;   V[pi] = dF/dpi (a function of w);   velocity = -grad V. Internal terms (at most one Entropy and
one Power) are what atoms cannot have; `potential`, `velocity` and `curvature` speak of the explicit part alone. Limits
(at most one Congestion, any Obstacles) make F infinite where the density is above them.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from wflow.arrays import Array
from wflow.coupling import Probe, norm
from wflow.domain import Domain
from wflow.errors import Refused
from wflow.forceless import Constant, TotalVariation
from wflow.grid import Grid
from wflow.internal import Entropy, Internal, Power
from wflow.kernel import COUPLED_MODES, Kernel
from wflow.law import Law
from wflow.limits import WITHIN, Congestion, Limit, joint_bound
from wflow.loss import HalfSquare
from wflow.measure import Density, Measure
from wflow.pair_kernel import PairKernel
from wflow.terms import Interaction, Potential, Risk, Term

_TERMS = "Risk, Potential, Interaction, Constant, Entropy, Power, Congestion, Obstacle"


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

    @cached_property
    def variation(self) -> float:
        """lambda, the strengths of the TotalVariation terms added up: F = unpenalised + lambda |pi|."""
        return sum(term.strength for term in self.terms if isinstance(term, TotalVariation))

    @cached_property
    def unpenalised(self) -> "Energy":
        """The explicit terms without total variation: what signed measures have a first variation of."""
        return Energy(*(t for t in self.terms if not isinstance(t, TotalVariation)), *self.internal, Constant(0.0))

    @property
    def singular(self) -> bool:
        """Points repel or attract each other without bound as they meet."""
        return any(term.singular for term in self.terms if isinstance(term, Interaction))

    @property
    def paired(self) -> bool:
        """V at m points that form no grid takes sums over m^2 pairs."""
        return any(isinstance(t, Interaction) and isinstance(t.kernel, PairKernel) for t in self.terms)

    @property
    def homes(self) -> list[Domain]:
        """The domains on which neurons and kernels live."""
        risks: list[Domain] = [term.neuron.domain for term in self._risks]
        return risks + [term.kernel.domain for term in self.terms if isinstance(term, Interaction)]

    @property
    def curved(self) -> bool:
        """V has a bounded Hessian in w: no Risk term with an activation whose slope jumps or is like a root."""
        return self.continuous and all(term.neuron.activation.breaks >= 2.0 for term in self._risks)

    def names(self, dim: int) -> tuple[str, ...]:
        """What the d parameters w are called, by a neuron or a kernel; else w_1, .., w_d."""
        kernels = [term.kernel.names for term in self.terms if isinstance(term, Interaction)]
        plain = tuple(f"parameter w_{k}" for k in range(1, dim + 1)) if dim > 1 else ("parameter w",)
        return next(iter([risk.neuron.names for risk in self._risks] + kernels), plain)

    @property
    def jumps(self) -> float:
        """What bends of V along the way of a neuron leave of the order in time; inf: all.

        Where V is a smooth function and something like x_+^j a step of order p errs by O(dt^j), once for each crossing:
        order min(p, j) (derived). On data j is the power of the kinks of sigma: 1 where V' jumps, 2 where V'' does.
        Between them V'' has no bound, points that the knot repels without a push set off like (sqrt(x) + a t/2)^2, and
        a step that is long beside that is late by its length: 1.
        """
        powers = [p if (p := t.neuron.activation.breaks) >= 2.0 else 1.0 for t in self._risks]
        return min([*powers, *(t.kernel.jumps for t in self.terms if isinstance(t, Interaction))], default=math.inf)

    @property
    def continuous(self) -> bool:
        """V' is, on data, and V'' is known but for kinks, where it may have no bound."""
        return all(term.neuron.activation.curvature is not None for term in self._risks)

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


def population_risk(kernel: Kernel, target: Law | Measure) -> tuple[Interaction, Potential, Constant]:
    """The terms of F = (1/2) E (f_pi - f_target)^2 = (1/2) int int k d(pi - target)^2: zero at the target."""
    return Interaction(kernel), Potential.of_target(kernel, target), Constant(0.5 * kernel.double(target))
