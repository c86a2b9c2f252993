"""This file owns gradient descent on small relu networks and few data as one loop, for thousands of runs of a table.

    w_j <- w_j - dt grad V[pi_m](w_j), w = (a, b), F = (1/2n) sum_i (f(x_i) - y_i)^2,  f = (1/m) sum_j a_j relu(b_j . x)

The same steps as `GradientDescent` by `solve` (tested to 1e-12), a hundred times as fast at n = m = 50: nothing is
stored or certified on the way (docs/decisions.md). In place of that the loop looks at F in every step and has a stop
rule of its own. dt: `pace` over the largest eigenvalue of the Gram matrix of the n gradients, made anew at the
beginning of every stretch; half of it where F would rise, and never more in that stretch.
Compiled where numba is (`solvers._small_compiled`), else the plain numpy here, which is its oracle.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wflow import compiled
from wflow.arrays import Array, count, positive, shaped
from wflow.data import Data
from wflow.errors import NotConverged, StepTooLarge
from wflow.measure import Particles

STRETCH = 250
_HALVINGS = 40
Descent = Callable[[Array, Array, Array, Array, float, int, float], tuple[Array, Array, int, float, bool]]
"""From x, y, a, b, dt, most steps and the F to stop at: a, b, steps done, F there, whether F rose in the last one."""


@dataclass(frozen=True, eq=False)
class Trained:
    """The network at the end, its F on the data, mean-field time and steps, and whether F fell to `enough`."""

    measure: Particles
    energy: float
    time: float
    steps: int
    reached: bool


def train(
    start: Particles,
    data: Data,
    *,
    enough: float,
    horizon: float,
    limit: int = 200_000,
    pace: float = 1.0,
    dt: float | None = None,
) -> Trained:
    """Descend from equal neurons `start` (a, b) until F <= enough, the time `horizon`, or `limit` steps.

    pace: of the stability bound 2 at fixed b; 1 is half of it. dt: steps of this very length in its place (the last
    one may end beyond the horizon, by less than a step). Raises ValueError for data of other weights or inputs,
    StepTooLarge where F rises by a given dt, or however short the step, NotConverged where no neuron is active.
    """
    positive("train enough", enough)
    positive("train horizon", horizon)
    count("train limit", limit)
    x, y, a, b = _checked(start, data)
    step, time, steps = _descent(), 0.0, 0
    energy = _energy(x, y, a, b)
    while energy > enough and time < horizon * (1.0 - 1e-12) and steps < limit:
        most = min(STRETCH, limit - steps)
        if dt is None:
            longest = positive("train pace", pace) / _moving(_steepest(x, a, b), energy)
            a, b, energy, time, done = _stretch(step, (x, y, a, b), longest, most, (time, horizon, enough))
        else:
            left = math.ceil((horizon - time) / positive("train dt", dt) * (1.0 - 1e-12))
            a, b, done, energy, rose = step(x, y, a, b, dt, min(most, left), enough)
            if rose:
                raise StepTooLarge(f"train dt: F rises from {energy:.3g} by a step of {dt:.3g}; take a shorter one", dt)
            time += done * dt
        steps += done
    end = Particles(start.domain, np.column_stack([a, b]))
    return Trained(end, energy, time, steps, energy <= enough)


def _stretch(
    step: Descent, state: tuple[Array, Array, Array, Array], dt: float, most: int, ends: tuple[float, float, float]
) -> tuple[Array, Array, float, float, int]:
    """Some steps of equal length, shorter where F would rise; a, b, F, time and steps."""
    x, y, a, b = state
    time, horizon, enough = ends
    for _ in range(_HALVINGS):
        left = horizon - time
        even = left / math.ceil(left / dt) if left < most * dt else dt
        a, b, done, energy, rose = step(x, y, a, b, even, min(most, math.ceil(left / even - 1e-9)), enough)
        if done or not rose:
            return a, b, energy, time + done * even, done
        dt *= 0.5
    raise StepTooLarge(f"train: F = {energy:.3g} rises by a step of {dt:.3g} at t = {time:.3g}; scale the data", dt)


def _checked(start: Particles, data: Data) -> tuple[Array, Array, Array, Array]:
    points = shaped("train start", start.points, (None, data.inputs.shape[1] + 1))
    for name, weights in (("start", start.weights), ("data", data.weights)):
        if np.ptp(weights) > 1e-12 / len(weights):
            raise ValueError(f"train {name}: weights from {weights.min():g} to {weights.max():g}; give equal ones")
    return data.inputs, data.targets, points[:, 0].copy(), np.ascontiguousarray(points[:, 1:])


def _descent() -> Descent:
    if compiled.available():
        from solvers._small_compiled import descend

        return descend
    return plain


def plain(
    x: Array, y: Array, a: Array, b: Array, dt: float, most: int, enough: float
) -> tuple[Array, Array, int, float, bool]:
    """Steps until `most` of them, F <= enough, or F would rise: then the step is not taken."""
    n, m = len(x), len(a)
    z = x @ b.T
    residual = np.maximum(z, 0.0) @ a / m - y
    energy = float(residual @ residual) / (2 * n)
    for done in range(most):
        if energy <= enough:
            return a, b, done, energy, False
        turned = residual[:, None] * np.heaviside(z, 0.5)
        next_a = a - dt / n * (residual @ np.maximum(z, 0.0))
        next_b = b - dt / n * a[:, None] * (turned.T @ x)
        z = x @ next_b.T
        ahead = np.maximum(z, 0.0) @ next_a / m - y
        after = float(ahead @ ahead) / (2 * n)
        if not after <= energy * (1.0 + 1e-13):
            return a, b, done, energy, True
        a, b, residual, energy = next_a, next_b, ahead, after
    return a, b, most, energy, False


def _energy(x: Array, y: Array, a: Array, b: Array) -> float:
    residual = np.maximum(x @ b.T, 0.0) @ a / len(a) - y
    return float(residual @ residual) / (2 * len(y))


def _moving(steepest: float, energy: float) -> float:
    if not steepest > 0.0:
        raise NotConverged(
            f"train: F = {energy:.3g} stays, as no neuron is active on any datum; begin elsewhere", energy
        )
    return steepest


def _steepest(x: Array, a: Array, b: Array) -> float:
    """Largest eigenvalue of (1/nm) sum_j grad psi(x_i; w_j) . grad psi(x_k; w_j): the Hessian of F at residuals 0."""
    z = x @ b.T
    value, slope = np.maximum(z, 0.0), (z > 0.0) * a
    gram = value @ value.T + (slope @ slope.T) * (x @ x.T)
    return float(np.linalg.eigvalsh(gram)[-1]) / (len(x) * len(a))
