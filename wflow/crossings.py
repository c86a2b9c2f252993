"""This file owns what an energy identity of particles owes to the places on their way where V'' jumps.

Where sigma'' jumps, V'' does across a surface for each datum. A step dt of a Runge-Kutta method with weights b and
nodes c, whose stages also give what it counts as dissipated, sum_i b_i int |grad V|^2 dpi dt, sees of a particle of
mass m that crosses at the share theta of the step

    F_k - F_{k+1} - dissipated = dt^2 q K(theta) + O(dt^3),     K(theta) = (1 - theta)^2/2 - sum_i b_i (c_i - theta)_+,

q = -m v.[V'']v, [V''] what it has after less what it had before. Proof: at stage i the velocity is v + (c_i - theta)_+
dt u + smooth, u = -[V'']v, up to O(dt^2); the way of the step is dt v + dt^2 u sum_i b_i (c_i - theta)_+, and F falls
along it by m (v.(way) + dt^2 v.u (1 - theta)^2/2); the dissipation is m (dt v.v + 2 dt^2 v.u sum_i b_i (c_i -
theta)_+). What is smooth in both has the method's own order. K is Peano's kernel of the quadrature for one jump of
slope; for Simpson's rule |K| <= 1/24. So the residual of a run is of the order dt^2, but with signs that depend on
where in their steps particles cross: no two numbers of steps show its order. The sum over crossings tells it.

What is left then: theta and v are read off the ends of a step. A chord misses the crossing by at most L dt/8 of the
step and the speed there by L dt/2 of it, L = max|V''| + coupling, and |K'| <= 1/3 = 8 max|K|: each leaves L dt max|K|
dt^2 |q| at most, to first order in L dt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wflow.arrays import Array
from wflow.energy import Energy
from wflow.measure import Measure, Particles
from wflow.neuron import CircleNeuron, RidgeNeuron
from wflow.solver import explicit_bound
from wflow.terms import Risk
from wflow.trajectory import Trajectory

_EDGE = 1e-9
"""How far from a kink sigma'' is asked on either side."""
_ASKED = 9
"""Measures of a run, evenly spread, whose rate is asked."""
_FINE = 1001
_LEFT = 2.0


@dataclass(frozen=True)
class Owed:
    """share: sum dt^2 q K(theta).   bound: max|K| sum dt^2 |q|, of its modulus.   count: of crossings.

    left: |F_0 - F - dissipated - share|.   allowed: 2 L dt bound, what crossings may leave of it.
    """

    share: float
    bound: float
    count: int
    left: float
    allowed: float


def traced(energy: Energy) -> bool:
    """Whether crossings can be found: V'' jumps, by neurons that say where."""
    risks = [term for term in energy.terms if isinstance(term, Risk)]
    return energy.jumps == 2.0 and all(isinstance(risk.neuron, RidgeNeuron | CircleNeuron) for risk in risks)


def owed(run: Trajectory, weights: Sequence[float], nodes: Sequence[float]) -> Owed:
    """What F_0 - F - dissipated owes to crossings, of a run of particles with every step saved.

    weights, nodes: of the quadrature of its steps. Raises ValueError where steps are missing.
    """
    if run.steps != len(run.measures) - 1:
        raise ValueError(f"owed: {run.steps} steps, {len(run.measures)} measures; save every step, by times=")
    terms = [term for term in run.flow.energy.terms if isinstance(term, Risk) and term.neuron.activation.kinks]
    sums = np.zeros(2)
    count = 0
    for (a, b), dt in zip(pairwise(run.measures), np.diff(run.times), strict=True):
        for risk in terms:
            for theta, q in _crossed(risk, a, b, float(dt)):
                sums += dt**2 * np.array([q @ peano(theta, weights, nodes), np.sum(np.abs(q))])
                count += len(q)
    most = float(np.max(np.abs(peano(np.linspace(0.0, 1.0, _FINE), weights, nodes))))
    asked = [run.measures[k] for k in np.linspace(0, run.steps, _ASKED).astype(int)]
    rate = max(1.0 / explicit_bound(run.flow.energy, pi) for pi in asked)
    residual = float(run.energies[0] - run.energies[-1] - run.dissipated[-1])
    share, bound = float(sums[0]), most * float(sums[1])
    return Owed(share, bound, count, abs(residual - share), _LEFT * rate * float(np.max(np.diff(run.times))) * bound)


def peano(theta: Array, weights: Sequence[float], nodes: Sequence[float]) -> Array:
    """K at shares theta (k,) of a step."""
    b, late = np.asarray(weights), np.maximum(np.subtract.outer(np.asarray(nodes), theta), 0.0)
    return np.asarray(0.5 * (1.0 - theta) ** 2 - b @ late)


def _crossed(risk: Risk, a: Measure, b: Measure, dt: float) -> Iterator[tuple[Array, Array]]:
    """theta (k,) and q (k,) of the crossings of each kink between two measures, both to O(dt)."""
    assert isinstance(a, Particles)
    assert isinstance(b, Particles)
    data, sigma = risk.data, risk.neuron.activation
    assert sigma.curvature is not None
    (outer, first), (_, last) = (_bent(risk, pi.points) for pi in (a, b))
    f, g = risk.predict(a), risk.predict(b)
    for kink in sigma.kinks:
        edge = _EDGE * max(1.0, abs(kink))
        below, above = sigma.curvature(np.array([kink - edge, kink + edge]))
        i, j = np.nonzero((first > kink) != (last > kink))
        speed = (last[i, j] - first[i, j]) / dt
        theta = (kink - first[i, j]) / (last[i, j] - first[i, j])
        slope = data.weights[i] * risk.loss.slope((1.0 - theta) * f[i] + theta * g[i], data.targets[i])
        yield theta, -a.weights[j] * outer[j] * slope * (above - below) * np.sign(speed) * speed**2


def _bent(risk: Risk, w: Array) -> tuple[Array, Array]:
    """a (m,) and z (n, m), psi = a sigma(z)."""
    neuron, x = risk.neuron, risk.data.inputs
    assert isinstance(neuron, RidgeNeuron | CircleNeuron)
    return neuron.bends(x, w)
