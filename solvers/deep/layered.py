"""This file owns descent with a rate for each layer: so many steps, to rest, by all data or one, step by step.

    w^l <- w^l - eta n^{-c_l} dF/dw^l           at rest: |grad F| <= tolerance (wflow.deep.parametrisation.slopes)

Steps are those of descent on theta itself, in any parametrisation of wflow.deep.parametrisation; no flow stands behind.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, count, positive
from wflow.deep.parametrisation import Fall, bounds, per_layer, size_of, slopes
from wflow.errors import NotConverged
from wflow.perceptron import EmpiricalRisk, Pass


@dataclass(frozen=True, eq=False)
class _Descent:
    """theta, moved in place, and the step of each layer."""

    risk: EmpiricalRisk
    theta: Array
    paces: list[float]

    @classmethod
    def start(cls, name: str, risk: EmpiricalRisk, theta: Array, rates: Sequence[float], eta: float) -> "_Descent":
        each = per_layer(name, risk, rates)
        paces = [positive(f"{name} eta", eta) * rate for rate in each]
        return cls(risk, risk.network.checked(theta).copy(), paces)

    def at(self, k: int) -> Pass:
        """The pass at theta. Raises NotConverged where F is no longer finite."""
        found = Pass(self.risk, self.theta)
        with np.errstate(over="ignore", invalid="ignore"):
            value = found.value
        if not math.isfinite(value):
            raise NotConverged(f"descent diverged: F = {value} before round {k}; halve eta", value)
        return found

    def slopes(self, at: Pass) -> list[Array]:
        """dF/dw^l; where they overflow the next look at F says so."""
        with np.errstate(over="ignore", invalid="ignore"):
            return slopes(at)

    def move(self, found: Sequence[Array]) -> None:
        """One step by slopes, which are used up."""
        with np.errstate(over="ignore", invalid="ignore"):
            for (matrix, _), slope, pace in zip(self.risk.network.layers(self.theta), found, self.paces, strict=True):
                slope *= pace
                matrix -= slope


def trained(risk: EmpiricalRisk, theta: Array, rates: Sequence[float], *, eta: float, steps: int) -> Array:
    """theta after so many steps w^l -= eta rate_l dF/dw^l. Raises NotConverged where F is no longer finite."""
    run = _Descent.start("trained", risk, theta, rates, eta)
    for k in range(count("trained steps", steps, least=0)):
        run.move(run.slopes(run.at(k)))
    return run.at(steps).theta


@dataclass(frozen=True, eq=False)
class Rest:
    """Where it ended, F and |grad F| there, after how many rounds: a step on all data, or P steps on one each."""

    theta: Array
    value: float
    gradient: float
    rounds: int


def rested(
    risk: EmpiricalRisk, theta: Array, rates: Sequence[float], *, eta: float, tolerance: float = 1e-8, limit: int
) -> Rest:
    """Gradient descent until |grad F| <= tolerance. Raises NotConverged after `limit` steps, or where F blows up."""
    run = _Descent.start("rested", risk, theta, rates, eta)
    positive("rested tolerance", tolerance)
    size = value = math.nan
    for k in range(count("rested limit", limit) + 1):
        at = run.at(k)
        found = run.slopes(at)
        size, value = _size(found, rates), at.value
        if size <= tolerance:
            return Rest(run.theta, value, size, k)
        run.move(found)
    raise _restless("descent", size, value, tolerance, limit)


def _size(found: Sequence[Array], rates: Sequence[float]) -> float:
    """|grad F|; inf where it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        return size_of(found, rates)


def _restless(what: str, size: float, value: float, tolerance: float, limit: int) -> NotConverged:
    return NotConverged(
        f"{what}: |grad F| = {size:.3g} > {tolerance:g} at F = {value:.6g} after {limit} rounds; raise limit or eta",
        size,
    )


def stochastically_rested(
    risk: EmpiricalRisk,
    theta: Array,
    rates: Sequence[float],
    *,
    eta: float,
    tolerance: float = 1e-8,
    limit: int,
    seed: int = 0,
) -> Rest:
    """One datum a step, each once a round in an order drawn anew, until |grad F| of all data <= tolerance.

    With a constant eta it rests only where each datum's own gradient vanishes. Raises NotConverged after `limit`
    rounds, or where F blows up.
    """
    run = _Descent.start("stochastically_rested", risk, theta, rates, eta)
    positive("stochastically_rested tolerance", tolerance)
    count("stochastically_rested seed", seed, least=0)
    rows = [risk.rows(slice(i, i + 1)) for i in range(len(risk))]
    size = value = math.nan
    for k in range(count("stochastically_rested limit", limit) + 1):
        at = run.at(k)
        size, value = _size(run.slopes(at), rates), at.value
        if size <= tolerance:
            return Rest(run.theta, value, size, k)
        if k < limit:
            for i in np.random.default_rng([seed, k]).permutation(len(rows)):
                run.move(run.slopes(Pass(rows[i], run.theta)))
    raise _restless("one-sample descent", size, value, tolerance, limit)


def falls(
    risk: EmpiricalRisk, theta: Array, rates: Sequence[float], *, eta: float, steps: int, every: int = 1
) -> Iterator[Fall]:
    """Every so many steps of gradient descent, the half square: F before and after, and what theory says it falls."""
    run = _Descent.start("falls", risk, theta, rates, eta)
    count("falls steps", steps)
    count("falls every", every)
    return _falls(run, steps, every)


def _falls(run: _Descent, steps: int, every: int) -> Iterator[Fall]:
    for k in range(steps):
        at = run.at(k)
        if k % every:
            run.move(run.slopes(at))
            continue
        (last, whole), before = bounds(at, run.paces), at.value
        run.move(run.slopes(at))
        yield Fall(before, run.at(k + 1).value, last, whole)
