"""This file owns flows of attraction and repulsion with exact answers, on the line and in the plane."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wflow.arrays import Array, finite, positive
from wflow.barenblatt import Barenblatt, barenblatt_law
from wflow.domain import line, space
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.joint import Radial
from wflow.law import Atoms, Law, Transported
from wflow.pair_kernel import LogKernel, NewtonianKernel, PairKernel, QuadraticKernel
from wflow.problems.problem import Problem
from wflow.terms import Interaction

AggregationKind = Literal["quadratic", "newtonian", "log_line", "log_plane"]
_MARGIN = 1.4  # windows are that much wider than the largest support
_PLANE_CELLS = 48  # fewer show the edge too coarsely for upwind fluxes to have their order
_NEWTON, _ROUNDING = 60, 1e-15
_POWER = 2.0  # of the starts (1 - z^2)^q: at q = 1 an edge costs upwind fluxes a logarithm


def aggregation(
    kind: AggregationKind = "newtonian", mean: float = 0.3, reach: float = 1.5, horizon: float = 0.5
) -> Problem:
    """F = (1/2) int int W(x - y) drho drho: all points attract by |x|^2/2, and repel each other by the kind's W.

    kind: "quadratic" W = |x|^2/2 alone on the line; "newtonian" W = |x|^2/2 - |x| on the line; "log_line" and
    "log_plane" W = |x|^2/2 - log|x|. The mean stays (in the plane it is (mean, 0)). reach: radius of the start, of the
    profile (1 - |x - mean|^2/reach^2)_+^2, but for log_line the semicircle. Limits and exact answers:

    quadratic: a point at the mean; X_t(s) - mean = (X_0(s) - mean) e^{-t}.
    newtonian: 1/2 on [-1, 1] about the mean; X_t(s) - mean = (2s - 1)(1 - e^{-t}) + (X_0(s) - mean) e^{-t}.
    log_line: sqrt(2 - x^2)/pi; a semicircle stays one, R^2 = 2 + (reach^2 - 2) e^{-2t}.
    log_plane: 1/pi on the unit disc; r_t^2 = M (1 - e^{-2t}) + r_0^2 e^{-2t} round the mass M within r.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind: unknown name {kind!r}; known: {', '.join(_KINDS)}")
    chosen, middle, radius = _KINDS[kind], float(finite("mean", mean)), positive("reach", reach)
    rest = chosen.limit(middle)
    far = _MARGIN * max(radius, chosen.extent)
    window = ((middle - far, middle + far), (-far, far))[: chosen.dim]
    terms = [Interaction(kernel) for kernel in chosen.kernels]
    return Problem(
        Flow(Energy(*terms), space(chosen.dim), chosen.exact(middle, radius, 0.0), horizon, window),
        chosen.source,
        f"{chosen.formula}; F is convex along mixtures of one mean where it repels, and the mean is kept",
        exact=lambda t: chosen.exact(middle, radius, t),
        minimiser=rest,
        limit=rest,
        limit_reason="exact solution",
        coarsest=_PLANE_CELLS,
    )


def _contracted(mean: float, reach: float, t: float) -> Law:
    return Barenblatt(_POWER, reach * math.exp(-t), mean)


def _spread(mean: float, reach: float, t: float) -> Law:
    """Each point relaxes to 2s - 1, since the masses to its sides stay; 1/rho to 2."""
    start, fade = Barenblatt(_POWER, reach, mean), math.exp(-t)

    def quantile(s: Array) -> Array:
        return np.asarray(start.quantile(s) * fade + (mean + 2.0 * s - 1.0) * (1.0 - fade))

    def density(s: Array) -> Array:
        first = start.density(start.quantile(s)[:, None])
        return np.asarray(first / (fade + 2.0 * (1.0 - fade) * first))

    return _OnItsSupport(line(), quantile, density) if t > 0.0 else start


class _OnItsSupport(Transported):
    """A transported law of compact support on the line."""

    @property
    def edge(self) -> float:
        """As the start's."""
        return _POWER

    @property
    def support(self) -> tuple[float, float]:
        low, high = self.quantile_at(np.array([0.0, 1.0]))
        return float(low), float(high)

    def density(self, w: Array) -> Array:
        low, high = self.support
        return np.where((w[:, 0] >= low) & (w[:, 0] <= high), super().density(w), 0.0)


def _semicircle(mean: float, reach: float, t: float) -> Law:
    return Barenblatt(0.5, math.sqrt(2.0 + (reach**2 - 2.0) * math.exp(-2.0 * t)), mean)


def _swollen(mean: float, reach: float, t: float) -> Law:
    """r_t^2 = M(r_0) (1 - e) + r_0^2 e with e = e^{-2t}; 1/rho relaxes to pi."""
    start, fade = barenblatt_law(_POWER, reach, (mean, 0.0), dim=2), math.exp(-2.0 * t)
    assert isinstance(start, Radial)
    if t == 0.0:
        return start
    edge = math.sqrt(1.0 - fade + reach**2 * fade)

    def origin(r: Array) -> Array:
        """The radius from which r came, by Newton's method in y = r_0^2/reach^2.

        M = 1 - (1 - y)^(q+1) is increasing and concave, so that from y = 0 it rises to the root.
        """
        square, y = np.minimum(r, edge) ** 2, np.zeros_like(r)
        for _ in range(_NEWTON):
            ahead = 1.0 - y
            value = (1.0 - ahead ** (_POWER + 1.0)) * (1.0 - fade) + reach**2 * fade * y
            slope = (_POWER + 1.0) * ahead**_POWER * (1.0 - fade) + reach**2 * fade
            last, y = y, np.clip(y + (square - value) / slope, 0.0, 1.0)
            if np.max(y - last, initial=0.0) <= _ROUNDING:
                break
        return reach * np.sqrt(y)

    def density(r: Array) -> Array:
        first = start.radial(origin(r))
        return np.where(r <= edge, first / (fade + math.pi * (1.0 - fade) * first), 0.0)

    return Radial(density, lambda r: start.within(origin(r)), edge, (mean, 0.0), edge=_POWER)


@dataclass(frozen=True)
class _Kind:
    """The kernels of a kind, its exact law (mean, reach, t), its limit about a mean and the limit's radius."""

    formula: str
    source: str
    dim: int
    kernels: tuple[PairKernel, ...]
    exact: Callable[[float, float, float], Law]
    limit: Callable[[float], Law]
    extent: float


_KINDS: dict[str, _Kind] = {
    "quadratic": _Kind(
        "W = |x|^2/2",
        "textbook; every solution contracts about its mean",
        1,
        (QuadraticKernel(),),
        _contracted,
        lambda mean: Atoms(line(), np.array([[mean]])),
        0.0,
    ),
    "newtonian": _Kind(
        "W = |x|^2/2 - |x|",
        "Bonaschi, Carrillo, Di Francesco & Peletier 2015, ESAIM Control Optim. Calc. Var. 21(2), 414-441; solved here",
        1,
        (QuadraticKernel(), NewtonianKernel()),
        _spread,
        lambda mean: Barenblatt(0.0, 1.0, mean),
        1.0,
    ),
    "log_line": _Kind(
        "W = |x|^2/2 - log|x| on the line",
        "Wigner's semicircle; Rogers & Shi 1993, Probab. Theory Relat. Fields 95, 555-570",
        1,
        (QuadraticKernel(), LogKernel()),
        _semicircle,
        lambda mean: Barenblatt(0.5, math.sqrt(2.0), mean),
        math.sqrt(2.0),
    ),
    "log_plane": _Kind(
        "W = |x|^2/2 - log|x| in the plane",
        "Bertozzi, Laurent & Leger 2012, Math. Models Methods Appl. Sci. 22(suppl. 1), 1140005; solved here",
        2,
        (QuadraticKernel(2), LogKernel(2)),
        _swollen,
        lambda mean: barenblatt_law(0.0, 1.0, (mean, 0.0), dim=2),
        1.0,
    ),
}
