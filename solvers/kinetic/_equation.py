"""This file owns what both methods say of the kinetic equation: its knobs, its name, and when they refuse it.

    w' = v,   v' = -friction v - grad V[pi](w)  (+ sqrt(2 friction T) noise),      pi the law of w

The law mu of (w, v) solves d_t mu + v . grad_w mu - grad V . grad_v mu = friction div_v(v mu + T grad_v mu), and

    H(mu) = F(pi) + T KL(mu | pi x N(0, T))     at T = 0: F(pi) + int |v|^2/2 dmu
    dH/dt = -friction int |v + T grad_v log mu|^2 dmu        (derived: docs/momentum.md)

One step is half a kick by V[pi], half a drift, friction exactly, half a drift, and half a kick by the new V (BAOAB):
order 2 in time, weakly with noise. Source: Leimkuhler & Matthews 2013, Appl. Math. Res. Express 2013(1), 34-56.
Heavy ball w_{k+1} = w_k - eta grad V + beta (w_k - w_{k-1}) is it to first order: eta = dt^2, beta = e^(-friction dt).
"""

import math

from wflow.arrays import positive
from wflow.domain import Box
from wflow.flow import Flow
from wflow.solver import State, explicit_bound

STABLE = 1.9
"""A little inside dt < 2/omega, where a kick, a drift and a kick turn a spring of the rate omega without growth."""


def check(name: str, friction: float, speed: float | None) -> None:
    """ValueError for a friction that is not positive, or a negative speed."""
    positive(f"{name} friction", friction)
    if speed is not None and not (math.isfinite(speed) and speed >= 0.0):
        raise ValueError(f"{name} speed: {speed!r} is no standard deviation; give a number >= 0, or None for sqrt(T)")


def equation(friction: float, speed: float | None) -> tuple[object, ...]:
    """What two methods must share to be where the other is."""
    return ("heavy ball", float(friction), speed)


def speed_of(flow: Flow, speed: float | None) -> float:
    """The standard deviation of each velocity at the start: sqrt(T) unless given."""
    return math.sqrt(flow.energy.temperature) if speed is None else float(speed)


def refusal(flow: Flow) -> str | None:
    """Other internal energies than entropy, and boxes with axes that are frozen."""
    if isinstance(flow.domain, Box) and any(flow.domain.frozen):
        return "an axis is frozen, and a velocity along it has nowhere to go; leave every axis free"
    if flow.energy.power is not None:
        return "a power of the density has no kinetic form here; leave Power out"
    return None


def largest_step(flow: Flow, state: State) -> float:
    """STABLE/omega, omega^2 = max|V''| + the coupling."""
    return STABLE * math.sqrt(explicit_bound(flow.energy, state.measure))
