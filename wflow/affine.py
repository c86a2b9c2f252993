"""This file owns exact moments of noisy particles with an affine drift: what a scheme makes of them, and the equation.

Where the velocity of the whole cloud x (m d,) is A x + c, the equation dx = (A x + c) dt + (2T)^(1/2) dB keeps Gaussian
laws: mean and covariance by matrix exponentials. A step of a scheme is then affine too, x <- J x + K xi + b, and

    mean <- J mean + b        covariance <- J covariance J^T + K K^T

So the weak error of a scheme is a number without sampling noise. J, K and b are read off the scheme itself.
"""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy.linalg import expm

from wflow.arrays import Array
from wflow.domain import Box
from wflow.flow import Flow
from wflow.many import Many, Velocity
from wflow.solver import Order, State

_SHARE = 1e-10


class Moves(Protocol):
    """A noisy particle method (solvers.langevin)."""

    def init(self, flow: Flow) -> State:
        """The start."""

    def order(self, flow: Flow) -> Order:
        """Weak order in time."""

    def moved(self, flow: Flow, velocity: Velocity, w: Array, dt: float, kick: Array) -> Array:
        """Points (R, m, d) a step later."""


def affine(function: Callable[[Array], Array], size: int) -> tuple[Array, Array] | None:
    """The matrix (size, size) and constant (size,) of a map of rows (R, size); None if it is not affine."""
    probe = np.random.default_rng(0).normal(size=(1, size))
    values = function(np.concatenate([np.zeros((1, size)), np.eye(size), probe]))
    matrix, constant = (values[1:-1] - values[0]).T, values[0]
    off = np.max(np.abs(values[-1] - matrix @ probe[0] - constant))
    return (matrix, constant) if off <= _SHARE * max(1.0, float(np.max(np.abs(values)))) else None


def moment_error(flow: Flow, method: Moves, steps: int) -> float | None:
    """Largest error of a mean or a covariance of the method's cloud at the horizon; None where the drift is not affine.

    From the points at which the method begins, in equal steps. On flat domains without walls.
    """
    if not isinstance(flow.domain, Box) or flow.domain.walled:
        return None
    pi = method.init(flow).measure
    many, shape = Many(flow.energy, flow.domain, pi.weights), pi.points.shape
    size, dt = pi.points.size, flow.horizon / steps
    drift = affine(lambda x: many.velocity(x.reshape(-1, *shape)).reshape(len(x), -1), size)
    if drift is None:
        return None
    temperature, start = flow.energy.temperature, pi.points.ravel()
    root = math.sqrt(2.0 * temperature * dt)

    def stepped(both: Array) -> Array:
        x, xi = both[:, :size].reshape(-1, *shape), root * both[:, size:].reshape(-1, *shape)
        end = method.moved(flow, many.velocity, x, dt, xi).reshape(len(both), -1)
        return np.concatenate([end, both[:, size:]], axis=1)

    found = affine(stepped, 2 * size)
    assert found is not None
    j, k, b = found[0][:size, :size], found[0][:size, size:], found[1][:size]
    mean, covariance = start, np.zeros((size, size))
    for _ in range(steps):
        mean, covariance = j @ mean + b, j @ covariance @ j.T + k @ k.T
    exact = exact_moments(*drift, temperature, start, flow.horizon)
    return float(max(np.max(np.abs(mean - exact[0])), np.max(np.abs(covariance - exact[1]))))


def exact_moments(a: Array, c: Array, temperature: float, start: Array, t: float) -> tuple[Array, Array]:
    """Mean and covariance at t of dx = (A x + c) dt + (2T)^(1/2) dB from x = start.

    The covariance int_0^t 2T e^{As} e^{A^T s} ds by one exponential of twice the size (Van Loan 1978, IEEE TAC 23).
    """
    size = len(a)
    lifted = np.zeros((size + 1, size + 1))
    lifted[:size, :size], lifted[:size, size] = a, c
    mean = (expm(lifted * t) @ np.append(start, 1.0))[:size]
    block = np.zeros((2 * size, 2 * size))
    block[:size, :size], block[:size, size:], block[size:, size:] = -a, 2.0 * temperature * np.eye(size), a.T
    whole = expm(block * t)
    return mean, whole[size:, size:].T @ whole[:size, size:]
