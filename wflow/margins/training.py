"""This file owns training towards the margin: logistic flows of both layers or of one, and the margins along them.

psi(x; w) = a relu(b . (x, 1)), F = sum_i weights_i log(1 + e^{-y_i f(x_i)}). On separable data inf F = 0 is not
attained: |f| grows like log t, F falls like 1/t, and the mass of pi runs away to infinity. What converges is f
divided by its norm, with an error of the order of 1/log t; so runs have to be long, and their steps grow with t.
"""

import math
from collections.abc import Iterator

import numpy as np

from wflow.activation import activation
from wflow.arrays import Array, count, positive
from wflow.data import Data
from wflow.domain import Box
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.flow import Flow
from wflow.law import Atoms
from wflow.loop import solve
from wflow.loss import Logistic
from wflow.measure import Particles
from wflow.neuron import RidgeNeuron
from wflow.solver import Solver
from wflow.terms import Risk

NEURON = RidgeNeuron(activation("relu"), inputs=2, bias=True, outer=True)
_GOLDEN = math.pi * (3.0 - math.sqrt(5.0))


def both_layers(data: Data, directions: int, *, scale: float = 1.0) -> Flow:
    """The flow of (a, b) from a = +-scale on each b = scale times one of the spherical Fibonacci points: f_0 = 0.

    2 directions atoms, balanced: a^2 - |b|^2 is kept by the flow, so that it stays 0 and mean |a| |b| = mean a^2.
    """
    b = positive("both_layers scale", scale) * _spread(count("both_layers directions", directions))
    start = np.column_stack([np.repeat([scale, -scale], len(b)), np.tile(b, (2, 1))])
    return _flow(data, NEURON.domain, start)


def frozen_directions(data: Data, directions: int) -> Flow:
    """The flow of a alone from a = 0, b frozen at spherical Fibonacci points: a convex logistic regression.

    For long runs `output_layer` with `kernel_of`: the steps of `trained` are bounded as if b moved too.
    """
    b = _spread(count("frozen_directions directions", directions))
    walls = (-math.inf,) * 4, (math.inf,) * 4
    domain = Box(*walls, (False,) * 4, (False, True, True, True))
    return _flow(data, domain, np.column_stack([np.zeros(len(b)), b]))


def trained(flow: Flow, solver: Solver, *, doublings: int, steps: int) -> Iterator[tuple[float, Particles]]:
    """(t, pi_t) at t = 1, 2, 4, .., 2^doublings: each stretch by `steps` equal steps, so that dt grows with t.

    The Jacobian of the flow falls like F does, as 1/t: dt/t need not. The loop looks at the energy of each step.
    """
    count("trained doublings", doublings)
    now, before = flow, 0.0
    for k in range(doublings + 1):
        length = 2.0**k - before
        stretch = Flow(now.energy, now.domain, now.initial, length)
        final = solve(stretch, solver, steps=steps, times=[length]).final
        if not isinstance(final, Particles):
            raise Refused(f"trained: {solver} has no particles; give a particle method")
        before = 2.0**k
        yield before, final
        now = Flow(now.energy, now.domain, Atoms(flow.domain, final.points, final.weights), length)


def normalised_margins(data: Data, pi: Particles) -> tuple[float, float]:
    """min_i y_i f(x_i) over mean |a| |b|, at most gamma_1, and over (mean a^2)^(1/2), at most gamma_2 of these b.

    The first is no more than gamma_1 (proved: nu = mean a |b| delta_{b/|b|} has |nu| <= mean |a| |b|), the second no
    more than `hard_margin(kernel_of(data, pi))` (proved: Cauchy and Schwarz). 0 for pi whose a are all 0.
    """
    a, b = pi.points[:, 0], pi.points[:, 1:]
    worst = float(np.min(data.targets * (NEURON.value(data.inputs, pi.points) @ pi.weights)))
    variation = float(pi.weights @ (np.abs(a) * np.linalg.norm(b, axis=1)))
    square = float(pi.weights @ a**2)
    return (worst / variation if variation else 0.0), (worst / math.sqrt(square) if square else 0.0)


def kernel_of(data: Data, pi: Particles) -> Array:
    """mean_j relu(b_j . X_i) relu(b_j . X_k) (n, n): the kernel of the output layer with the b of pi."""
    unit = np.column_stack([np.ones(len(pi.points)), pi.points[:, 1:]])
    psi = NEURON.value(data.inputs, unit)
    return np.asarray((psi * pi.weights) @ psi.T)


def _flow(data: Data, domain: Box, start: Array) -> Flow:
    Logistic().check(data.targets)
    return Flow(Energy(Risk(NEURON, data, Logistic())), domain, Atoms(domain, start), 1.0)


def _spread(n: int) -> Array:
    """Spherical Fibonacci points (n, 3): equal areas, heights in the middle of equal slices."""
    z = 1.0 - (2.0 * np.arange(n) + 1.0) / n
    radius, angle = np.sqrt(1.0 - z * z), _GOLDEN * np.arange(n)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), z])
