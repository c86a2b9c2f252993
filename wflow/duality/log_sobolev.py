"""This file owns constants of log-Sobolev inequalities along flows, and the exponential bound that they give.

Where every Gibbs law nu = e^{-V[pi]/T}/Z, pi on the flow's way, has KL(mu|nu) <= (1/2 rho) int |grad log mu/nu|^2 dmu,

    F(t) - inf F <= e^{-2 rho T t} (F(0) - inf F)                                    (cited)

for F convex along mixtures: dF/dt = -T^2 int |grad log pi/nu|^2 dpi <= -2 rho T (T KL(pi|nu)) <= -2 rho T (F - inf F)
(Nitanda, Wu & Suzuki 2022, arXiv:2201.10469; Chizat 2022, arXiv:2202.01009).

V = s|w|^2/2 + linear on a convex box    rho = s/T                       (Bakry & Emery 1985)
V a sum of cosines on the circle         rho = e^{-osc V/T}: the uniform law has rho = 1 (Emery & Yukich 1987), and a
                                         bounded change of V costs e^{-osc} (Holley & Stroock 1987)
the same with a first mode s cos         rho = e^{-osc(V - first mode)/T}/(1 + log(pi I_0(s/T))), if that is larger

since 1/(1 + log(pi I_0(kappa))) is a constant of the von Mises law e^{kappa cos w} (proved: docs/certificates.md). It
falls like 1/kappa, where e^{-osc} falls like e^{-2 kappa}.

Of any set of modes osc <= 2 sum a_n |c_n - y_n|, and |c_n - y_n| <= 1 + |y_n|. Besides, F falls and the entropy is at
least -log 2 pi, so sum a_n |c_n - y_n|^2/2 <= F(0) - offset + T log 2 pi, by Cauchy and Schwarz (derived).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ive

from wflow.arrays import Array
from wflow.domain import TURN, Box
from wflow.duality.observed import OfModes, observed, strength
from wflow.duality.quadratic import Parts
from wflow.flow import Flow
from wflow.measure import Measure


@dataclass(frozen=True)
class LogSobolev:
    """rho, T and why."""

    constant: float
    temperature: float
    reason: str

    def bound(self, times: Array, gap: float) -> Array:
        """e^{-2 rho T t} gap: F - inf F at times (k,) is at most this if it was `gap` at time 0."""
        return np.asarray(gap * np.exp(-2.0 * self.constant * self.temperature * np.asarray(times)))


def log_sobolev(flow: Flow) -> LogSobolev | None:
    """A constant that holds for every Gibbs law along the flow; None where none is known."""
    energy, domain = flow.energy, flow.domain
    temperature = energy.temperature
    if not temperature or len(energy.internal) != 1 or energy.limits or not energy.convex or flow.charged:
        return None
    if not isinstance(domain, Box) or any(domain.frozen):
        return None
    parts = Parts.of(energy, domain.dim)
    if parts is not None and parts.strength > 0.0 and not any(domain.periodic):
        return LogSobolev(parts.strength / temperature, temperature, "V'' is constant (Bakry and Emery)")
    view = observed(energy, domain) if domain.is_circle else None
    if not isinstance(view, OfModes):
        return None
    return max(_perturbed(view, flow), _split(view, flow), key=lambda found: found.constant)


def von_mises(kappa: float) -> float:
    """rho = 1/(1 + log(pi I_0(kappa))), a log-Sobolev constant of e^{kappa cos w} on the circle."""
    return 1.0 / (1.0 + math.log(math.pi * float(ive(0, kappa))) + abs(kappa))


def _perturbed(view: OfModes, flow: Flow) -> LogSobolev:
    """All of V as a change of the uniform law."""
    temperature = flow.energy.temperature
    swing = 2.0 * _swing(view, flow, slice(1, None))
    return LogSobolev(math.exp(-swing / temperature), temperature, f"osc V <= {swing:.3g} (Holley and Stroock)")


def _split(view: OfModes, flow: Flow) -> LogSobolev:
    """The first mode's von Mises law, and the rest as a change of it."""
    temperature = flow.energy.temperature
    kappa, rest = _swing(view, flow, slice(1, 2)) / temperature, 2.0 * _swing(view, flow, slice(2, None))
    reason = f"von Mises, kappa <= {kappa:.3g}" + (f", and a rest of osc <= {rest:.3g}" if rest else "")
    return LogSobolev(von_mises(kappa) * math.exp(-rest / temperature), temperature, reason)


def _swing(view: OfModes, flow: Flow, some: slice) -> float:
    """A bound of the sum of a_n |c_n - y_n| over some modes n, along the flow."""
    a, count = view.modes[some], len(view.modes)
    sizes = np.hypot(view.target[:count], np.append(0.0, view.target[count:]))[some]
    swing = float(a @ (1.0 + sizes))
    if isinstance(flow.initial, Measure):
        energy = flow.energy
        room = energy.value(flow.initial) - view.offset - strength(energy) + energy.temperature * math.log(TURN)
        swing = min(swing, math.sqrt(2.0 * float(np.sum(a)) * max(room, 0.0)))
    return swing
