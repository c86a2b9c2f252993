"""This file owns constants of log-Sobolev inequalities along flows, and the exponential bound that they give.

Where every Gibbs law nu = e^{-V[pi]/T}/Z, pi on the flow's way, has KL(mu|nu) <= (1/2 rho) int |grad log mu/nu|^2 dmu,

    F(t) - inf F <= e^{-2 rho T t} (F(0) - inf F)                                    (cited)

for F convex along mixtures: dF/dt = -T^2 int |grad log pi/nu|^2 dpi <= -2 rho T (T KL(pi|nu)) <= -2 rho T (F - inf F)
(Nitanda, Wu & Suzuki 2022, arXiv:2201.10469; Chizat 2022, arXiv:2202.01009).

V = s|w|^2/2 + linear on a convex box    rho = s/T      (Bakry & Emery 1985)
V a sum of cosines on the circle         rho = e^{-osc V/T}: the uniform law has rho = 1 (Emery & Yukich 1987), and a
                                         bounded change of V costs e^{-osc} (Holley & Stroock 1987). True, and small

osc V <= 2 sum_{n >= 1} a_n |c_n - y_n|, and |c_n - y_n| <= 1 + |y_n|. Besides, F falls and the entropy is at least
-log 2 pi, so sum_{n >= 1} a_n |c_n - y_n|^2/2 <= F(0) - offset + T log 2 pi, by Cauchy and Schwarz (derived).
"""

import math
from dataclasses import dataclass

import numpy as np

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
    swing = 2.0 * _swing(view, flow)
    return LogSobolev(math.exp(-swing / temperature), temperature, f"osc V <= {swing:.3g} (Holley and Stroock)")


def _swing(view: OfModes, flow: Flow) -> float:
    """A bound of sum_{n >= 1} a_n |c_n - y_n| along the flow."""
    a, count = view.modes[1:], len(view.modes)
    sizes = np.hypot(view.target[1:count], view.target[count:])
    swing = float(a @ (1.0 + sizes))
    if isinstance(flow.initial, Measure):
        energy = flow.energy
        room = energy.value(flow.initial) - view.offset - strength(energy) + energy.temperature * math.log(TURN)
        swing = min(swing, math.sqrt(2.0 * float(np.sum(a)) * max(room, 0.0)))
    return swing
