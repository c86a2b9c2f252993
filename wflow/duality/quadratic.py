"""This file owns the gap at a temperature T > 0 on boxes and R^d where V is at most quadratic: log Z in closed form.

F = sum_i omega_i l(f_i, y_i) + int r dpi + T int rho log rho, f_i = x_i . int w dpi (linear neurons), r quadratic:
then for any dual vector q (wflow.duality.observed) V = sum_i omega_i q_i x_i . w + r(w) and

    F(nu) >= -T log Z - sum_i omega_i l*(q_i, y_i) + constants,     Z = int e^{-V/T} dw        (proved)

with equality for nu = e^{-V/T}/Z if q = l'(f, y) there: with q = l'(f_pi, y) the gap is T KL(pi | Gibbs(V[pi])). On
each axis V is s w^2/2 + c w with s >= 0, over an interval, a half line (s > 0) or the line (s > 0):

    s > 0    log (2 pi T/s)^(1/2) + c^2/(2 s T) + log(Phi((b + c/s)/sd) - Phi((a + c/s)/sd)), sd^2 = T/s
    s = 0    log of (T/c)(e^{-c a/T} - e^{-c b/T}), the length for c = 0

`value` is F of the density that pi stands for: constant on cells, or between quantiles. Its int |w|^2 is larger than
that of masses at centres by h^2/12 an axis, smaller than that of masses at the edges by gap^2/6 in the mean.
Rounding: _OPERATIONS u of the sum of sizes, above what log_ndtr, products and sums of m entries lose.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from wflow.arrays import Array
from wflow.domain import Box, Domain
from wflow.duality.bracket import Bracket
from wflow.duality.conjugates import conjugate, paid
from wflow.duality.field import UNIT
from wflow.energy import Energy
from wflow.forceless import Constant
from wflow.measure import Density, Measure, Quantiles
from wflow.neuron import RidgeNeuron
from wflow.terms import Potential, Risk

_OPERATIONS = 64.0


@dataclass(frozen=True, eq=False)
class Parts:
    """An energy whose V is at most quadratic: its risks, r = strength |w|^2/2 + slope . w, slope (d,), constants."""

    risks: tuple[Risk, ...]
    strength: float
    slope: Array
    constant: float

    @classmethod
    def of(cls, energy: Energy, dim: int) -> "Parts | None":
        """None where another term is among them."""
        risks, strength, slope, constant = [], 0.0, np.zeros(dim), 0.0
        for term in energy.terms:
            if isinstance(term, Constant):
                constant += term.number
            elif isinstance(term, Risk) and _is_linear(term):
                risks.append(term)
            elif isinstance(term, Potential) and (form := term.form) is not None:
                strength += form.strength
                slope = slope + form.slope - form.strength * form.centre
                constant += 0.5 * form.strength * float(np.sum(np.broadcast_to(form.centre, (dim,)) ** 2))
            else:
                return None
        return cls(tuple(risks), strength, slope, constant)


def _is_linear(risk: Risk) -> bool:
    neuron = risk.neuron
    plain = isinstance(neuron, RidgeNeuron) and not (neuron.outer or neuron.bias)
    known = conjugate(risk.loss, np.zeros(len(risk.data)), risk.data.targets) is not None
    return plain and neuron.activation.name == "linear" and known


def quadratic_bracket(energy: Energy, pi: Measure, domain: Domain) -> Bracket | None:
    """inf F over probability measures on a box or R^d at T > 0; None where V may be more than quadratic.

    None as well for measures other than densities on cells and quantiles, and where Z is infinite.
    """
    temperature = energy.temperature
    if not temperature or len(energy.internal) != 1 or energy.limits or not energy.convex:
        return None
    if not isinstance(domain, Box) or any(domain.frozen) or not isinstance(pi, Density | Quantiles):
        return None
    parts = Parts.of(energy, domain.dim)
    if parts is None:
        return None
    slope, conjugates, sizes = parts.slope, 0.0, [abs(parts.constant)]
    for risk in parts.risks:
        q = np.asarray(risk.loss.slope(risk.predict(pi), risk.data.targets))
        slope = slope + risk.data.weights * q @ risk.data.inputs
        conjugates += paid(risk.loss, q, risk.data.targets, risk.data.weights)
        sizes.append(abs(conjugates))
    log_z = [
        log_axis(low, high, turns, parts.strength, float(c), temperature)
        for low, high, turns, c in zip(domain.lower, domain.upper, domain.periodic, slope, strict=True)
    ]
    if any(found is None for found in log_z):
        return None
    axes = [found for found in log_z if found is not None]
    # V at its sizes: c^2/(2 s T) may cancel against r
    sizes += [temperature * abs(z) for z, _ in axes] + [temperature * size for _, size in axes]
    lower = parts.constant - conjugates - temperature * sum(z for z, _ in axes) - _OPERATIONS * UNIT * sum(sizes)
    value = energy.value(pi) + 0.5 * parts.strength * _spread(pi)
    return Bracket(value, lower, _rounding(energy, pi, value), "probability", "V is quadratic, log Z in closed form")


def log_axis(
    low: float, high: float, periodic: bool, strength: float, slope: float, temperature: float
) -> tuple[float, float] | None:
    """log int e^{-(strength w^2/2 + slope w)/T} dw over an axis and the size of its largest part; None: infinite."""
    if periodic:
        return (math.log(high - low), abs(math.log(high - low))) if strength == 0.0 == slope else None
    if strength > 0.0:
        sd, middle = math.sqrt(temperature / strength), -slope / strength
        a, b = (low - middle) / sd, (high - middle) / sd
        if a > 0.0:  # the tail where differences keep their digits
            a, b = -b, -a
        share, lost = _between(a, b)
        square = 0.5 * slope**2 / (strength * temperature)
        level = math.log(sd * math.sqrt(2.0 * math.pi))
        return level + square + share, max(abs(level), square, abs(share), lost)
    if strength < 0.0 or not (math.isfinite(low) and math.isfinite(high)):
        return None
    if slope == 0.0:
        return math.log(high - low), abs(math.log(high - low))
    rate = abs(slope) / temperature
    top = -slope * (low if slope > 0.0 else high) / temperature
    tail = math.log(-math.expm1(-rate * (high - low)) / rate)
    return top + tail, max(abs(top), abs(tail))


def _between(a: float, b: float) -> tuple[float, float]:
    """log(Phi(b) - Phi(a)), a <= 0, and the size of what is rounded: the logarithms over 1 - Phi(a)/Phi(b)."""
    low, high = float(log_ndtr(a)), float(log_ndtr(b))
    if low == -math.inf:
        return high, abs(high)
    kept = -math.expm1(low - high)
    return high + math.log(kept), (abs(low) + abs(high)) / kept


def _spread(pi: Density | Quantiles) -> float:
    """int |w|^2 of the density less the same of the masses by which `energy` sees it."""
    if isinstance(pi, Density):
        return float(np.sum(pi.grid.widths**2)) / 12.0 * pi.mass
    return -float(np.mean(pi.gaps**2)) / 6.0


def _rounding(energy: Energy, pi: Density | Quantiles, value: float) -> float:
    """(m + _OPERATIONS) u of the sum of sizes of F."""
    size = abs(value) + abs(energy.temperature * pi.internal())
    size += sum(abs(term.value(pi)) for term in energy.terms)
    # rho log rho changes sign: both parts, the negative one by the volume that is seen
    seen = pi.grid.size * pi.grid.cell_volume if isinstance(pi, Density) else float(np.sum(pi.gaps))
    size += 2.0 * energy.temperature * seen / math.e
    return UNIT * (len(pi.weights) + _OPERATIONS) * size
