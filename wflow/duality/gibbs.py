"""This file owns the gap at a temperature T > 0: F = E + T int rho log rho, E convex along mixtures, compact domain.

With V the first variation of E at pi and Z = int e^{-V/T} dw, convexity of E and the variational principle
min over nu of int V dnu + T int nu log nu = -T log Z give

    F(nu) >= E(pi) - int V dpi - T log Z,      F(pi) - inf F <= T KL(pi | e^{-V/T}/Z)        (proved)

A computed log Z is not a bound. On the circle and the torus V is a trigonometric polynomial, V <= lower bound + ..; the
trapezoidal rule Q with n nodes an axis for g = e^{-(V - L)/T}, periodic and analytic, errs on one axis by at most

    2 pi . 2 M/(e^{a n} - 1),    M = sup |g| for |Im w| <= a        (cited: Trefethen and Weideman 2014, Thm 3.2)

Re V(x + i a e) differs from V(x) by at most sum_k |C_k| (cosh(k a) - 1), so with L <= min V, M <= e^{that/T} (proved).
On d axes, rule by rule, the errors add: d (2 pi)^d 2 M/(e^{a n} - 1). a is the best of forty tried.
"""

import math

import numpy as np

from wflow.arrays import ComplexArray
from wflow.domain import TURN, Box, Domain
from wflow.duality.bracket import Bracket
from wflow.duality.conjugates import paid
from wflow.duality.field import UNIT
from wflow.duality.mixtures import ROUNDED, dual_vector
from wflow.duality.observed import OfModes, observed, rows, strength
from wflow.duality.series import Series
from wflow.energy import Energy
from wflow.forceless import Constant
from wflow.measure import Measure, Quantiles

_NODES = {1: 1 << 14, 2: 1 << 9}
_SHARE = 1e-14
_WIDEST = 36.0


def gibbs_bracket(energy: Energy, pi: Measure, domain: Domain | None = None) -> Bracket | None:
    """inf F over probability measures at T > 0 on a domain, that of pi unless given; None where nothing is known.

    None for other internal energies than one entropy, with limits, for atoms (F is infinite), and where V is not a
    trigonometric polynomial on the circle or the torus. A volume alone (no explicit terms) is bounded too.
    """
    temperature, domain = energy.temperature, domain or pi.domain
    if not temperature or len(energy.internal) != 1 or energy.limits or pi.atomic or not domain.bounded:
        return None
    if all(isinstance(term, Constant) for term in energy.terms) and isinstance(domain, Box):
        volume = temperature * float(np.sum(np.log(domain.lengths)))
        own = sum(term.number for term in energy.terms if isinstance(term, Constant))
        lower = own - volume - 4.0 * ROUNDED * (abs(own) + abs(volume))
        return Bracket(energy.value(pi), lower, _rounding(energy, pi), "probability", "V = 0, the volume")
    view = observed(energy, domain) if _toral(domain) else None
    if view is None:
        return None
    if isinstance(pi, Quantiles):
        if not isinstance(view, OfModes):
            return None
        seen = rows(modes_between(pi, len(view.modes) - 1))
        value = float(view.weights @ view.loss.value(seen, view.targets)) + view.offset + strength(energy)
        value += temperature * pi.internal()
        q = np.asarray(view.loss.slope(seen, view.targets))
    else:
        q, value = dual_vector(view, pi), energy.value(pi)
    field = view.against(q)
    if not isinstance(field, Series):
        return None
    lowest = field.lowest()
    log_z = log_partition(field, temperature, lowest.lower)
    own = view.offset + strength(energy)
    parts = paid(view.loss, q, view.targets, view.weights), temperature * log_z, own
    lower = own - parts[0] - parts[1] - ROUNDED * sum(map(abs, parts))
    rounding = view.rounding(pi) + _rounding(energy, pi)
    return Bracket(value, lower, rounding, "probability", f"{lowest.method}; log Z by the trapezoidal rule")


def modes_between(pi: Quantiles, count: int) -> ComplexArray:
    """c_0 .. c_count of the density that is constant between quantiles: F of masses at the edges is not its own."""
    middle = pi.edges[: len(pi.gaps)] + 0.5 * pi.gaps
    n = np.arange(count + 1)[:, None]
    # int e^{-i n w} over a gap g about its middle, over g: sin(n g/2)/(n g/2)
    return np.asarray(np.mean(np.exp(-1j * n * middle) * np.sinc(n * pi.gaps / TURN), axis=1))


def _toral(domain: Domain) -> bool:
    """The circle or the torus of two angles from 0, nothing frozen."""
    lengths = np.array(domain.upper) - np.array(domain.lower)
    return all(domain.periodic) and domain.dim in _NODES and bool(np.all(lengths == TURN)) and not any(domain.lower)


def _rounding(energy: Energy, pi: Measure) -> float:
    """Of T sum weights log rho: (m + 8) u of the sum of sizes, |rho log rho| <= 1/e + (rho log rho)^+."""
    size = abs(pi.internal()) + 2.0 * float(np.prod(pi.domain.lengths)) / math.e
    return energy.temperature * UNIT * (len(pi.weights) + 8.0) * size


def log_partition(v: Series, temperature: float, least: float) -> float:
    """An upper bound of log int e^{-V/T} dw, from least <= min V; infinite where the nodes do not suffice.

    Rounding: the exponent is off by (error of V)/T and the sum by (nodes + 8) u of itself.
    """
    d = v.dim
    n = 64
    while n < 4 * max(v.coefficients.shape):
        n *= 2
    while True:
        remainder = rule_error(v, temperature, n)
        values = v.on_grid(n)[0]
        mean = float(np.mean(np.exp((least - values) / temperature)))
        if remainder <= _SHARE * mean or 2 * n > _NODES[d]:
            break
        n *= 2
    away = (v.rounding(0) + v.slack) / temperature + UNIT * (values.size + 16.0)
    return d * math.log(TURN) + math.log(mean * math.exp(away) + remainder) - least / temperature


def rule_error(v: Series, temperature: float, n: int) -> float:
    """d 2 M/(e^{a n} - 1) of the mean, the smallest over a."""
    size = np.abs(v.coefficients)
    best = math.inf
    for a in np.geomspace(1e-3, _WIDEST, 40) / max(1, max(v.coefficients.shape) // 2):
        rise = 0.0
        for axis, k in enumerate(v.waves):
            shape = [-1 if j == axis else 1 for j in range(v.dim)]
            rise = max(rise, float(np.sum(size * (np.cosh(k * a) - 1.0).reshape(shape))))
        exponent = rise / temperature - a * n
        if exponent < 0.0 and a * n > 1.0:
            best = min(best, 2.0 * v.dim * math.exp(exponent) / (1.0 - math.exp(-a * n)))
    return best
