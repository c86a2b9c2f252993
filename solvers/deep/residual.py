"""This file owns methods for residual networks: Runge-Kutta, gradient descent, and the JKO step in conditional W2."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import ot
from numpy.typing import NDArray

from solvers.deep.newton import minimum
from wflow.arrays import Array, count, positive
from wflow.deep.residual.flow import ResidualFlow
from wflow.deep.residual.gradient import ResidualGradient, moved
from wflow.deep.residual.net import ResidualNet, changed
from wflow.deep.residual.solver import ResidualSolver, ResidualState, ResidualStep
from wflow.errors import NotConverged


@dataclass(frozen=True)
class GradientFlow(ResidualSolver):
    """w_lj' = -grad V_l(w_lj) by the classical Runge-Kutta method of order 4; dissipated as one more component."""

    order: ClassVar[float] = 4.0

    def step(self, flow: ResidualFlow, state: ResidualState, dt: float) -> ResidualStep:
        net, rate = state.network, flow.rate
        k1 = state.known(flow)
        k2 = flow.gradient(moved(net, [(0.5 * dt, k1)], rate))
        k3 = flow.gradient(moved(net, [(0.5 * dt, k2)], rate))
        k4 = flow.gradient(moved(net, [(dt, k3)], rate))
        shares = [(dt / 6.0 * b, k) for b, k in ((1.0, k1), (2.0, k2), (2.0, k3), (1.0, k4))]
        end = moved(net, shares, rate)
        spent = sum(b * flow.square(k) for b, k in shares)
        return ResidualStep(ResidualState(state.time + dt, end, state.count + 1, flow.gradient(end)), spent)


@dataclass(frozen=True)
class GradientDescent(ResidualSolver):
    """w_lj <- w_lj - dt (L/p_j) dF/dw_lj: descent as it is run, at the rate dt L m of raw derivatives. Order 1.

    dissipated: the trapezoidal rule.
    """

    order: ClassVar[float] = 1.0

    def step(self, flow: ResidualFlow, state: ResidualState, dt: float) -> ResidualStep:
        first = state.known(flow)
        end = moved(state.network, [(dt, first)], flow.rate)
        last = flow.gradient(end)
        spent = 0.5 * dt * (flow.square(first) + flow.square(last))
        return ResidualStep(ResidualState(state.time + dt, end, state.count + 1, last), spent)


@dataclass(frozen=True)
class Jko(ResidualSolver):
    """pi_{k+1} = argmin F(pi) + COT_2^2(pi, pi_k)/(2 dt) over measures of m equal atoms a layer. Order 1.

    COT_2^2 = (1/L) sum_l W2^2(pi_l, pi_{k, l}): couplings keep the layer. By turns: atoms move to a stationary point
    of F + |w - w_k|^2/(2 dt) for partners held, in coordinates (m L)^(-1/2) w; partners are chosen anew by optimal
    transport, layer by layer. Both lower the objective, and the step ends where no layer wants other partners: the
    identity there is the optimal coupling, and `crossed` counts the atoms that took another partner before. A trained
    readout adds |g - g_k|^2/(2 dt rate). The point found is stationary and below the start, not known to be the least.
    residual: |w - w_k + dt grad V(w)| in L2(pi).   Raises NotConverged above `tolerance`, or after `limit` turns.
    Source: Jordan, Kinderlehrer & Otto 1998, SIAM J. Math. Anal. 29(1), 1-17, in the conditional distance.
    """

    tolerance: float = 1e-10
    limit: int = 60
    order: ClassVar[float] = 1.0
    variational: ClassVar[bool] = True

    def __post_init__(self) -> None:
        positive("Jko tolerance", self.tolerance)
        count("Jko limit", self.limit)

    def refusal(self, flow: ResidualFlow) -> str | None:
        """Atoms of other masses than 1/m, which have no partners one by one."""
        if np.ptp(flow.start.masses) > 1e-12 / flow.start.width:
            return "masses differ, so that optimal couplings part atoms; give equal ones, or take GradientFlow"
        return None

    def step(self, flow: ResidualFlow, state: ResidualState, dt: float) -> ResidualStep:
        before, net, crossed = state.network, state.network, 0
        for _ in range(self.limit):
            net, residual = self._lowest(flow, before, net, dt)
            partners = optimal_partners(before.atoms, net.atoms)
            others = int(np.sum(partners != np.arange(net.width)))
            if not others:
                spent = _movement(flow, before, net) / (2.0 * dt)
                end = ResidualState(state.time + dt, net, state.count + 1, flow.gradient(net), state.crossed + crossed)
                return ResidualStep(end, spent, residual)
            crossed += others
            atoms = np.take_along_axis(net.atoms, partners[:, :, None], axis=1)
            net = replace(net, atoms=atoms)
        raise NotConverged(f"Jko: partners still change after {self.limit} turns; use a shorter step", float(others))

    def _lowest(
        self, flow: ResidualFlow, before: ResidualNet, first: ResidualNet, dt: float
    ) -> tuple[ResidualNet, float]:
        """A stationary point for partners held, below `first`, and the residual there."""
        start = _flat(flow, before)

        def objective(z: Array) -> float:
            return dt * flow.value(_net(flow, z)) + 0.5 * float(np.sum((z - start) ** 2))

        def slope(z: Array) -> Array:
            return dt * _slope(flow, flow.gradient(_net(flow, z))) + z - start

        z, residual = minimum(
            "Jko", objective, slope, _flat(flow, first), tolerance=self.tolerance, limit=self.limit
        )  # fmt: skip
        return _net(flow, z), residual


def optimal_partners(before: Array, after: Array) -> NDArray[np.int64]:
    """Which atom of `after` (L, m, k) each atom of `before` goes to by the optimal plan of its layer: (L, m).

    The identity where it is optimal to rounding, whichever plan was found.
    """
    found = np.tile(np.arange(before.shape[1], dtype=np.int64), (len(before), 1))
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        costs = ot.dist(a, b)
        best = np.argmax(ot.emd([], [], costs), axis=1)
        held, other = float(np.trace(costs)), float(costs[found[i], best].sum())
        if other < held - 1e-12 * max(1e-300, float(costs.max())) * len(a):
            found[i] = best
    return found


def _movement(flow: ResidualFlow, before: ResidualNet, after: ResidualNet) -> float:
    """COT_2^2 by the identity, and what the readout adds."""
    return float(np.sum((_flat(flow, after) - _flat(flow, before)) ** 2))


def _scale(flow: ResidualFlow) -> float:
    return float((flow.start.depth * flow.start.width) ** -0.5)


def _flat(flow: ResidualFlow, net: ResidualNet) -> Array:
    """Coordinates in which the metric is Euclidean."""
    atoms = _scale(flow) * net.atoms.ravel()
    if not flow.rate:
        return atoms
    return np.concatenate([atoms, np.append(net.readout, net.offset) / flow.rate**0.5])


def _slope(flow: ResidualFlow, g: ResidualGradient) -> Array:
    """dF in these coordinates."""
    atoms = _scale(flow) * g.atoms.ravel()
    if not flow.rate:
        return atoms
    return np.concatenate([atoms, np.append(g.readout, g.offset) * flow.rate**0.5])


def _net(flow: ResidualFlow, z: Array) -> ResidualNet:
    start = flow.start
    atoms = (z[: start.atoms.size] / _scale(flow)).reshape(start.atoms.shape)
    if not flow.rate:
        return changed(start, atoms, start.readout, start.offset)
    ends = z[start.atoms.size :] * flow.rate**0.5
    return changed(start, atoms, ends[:-1], float(ends[-1]))
