"""This file owns descent with a rate for each layer: so many steps, to rest, by all data or one, and its bound.

At rest means |grad F| <= tolerance with |grad F|^2 = sum_l n^{-c_l} |dF/dw^l|^2, which is the same in every form of a
parametrisation (a + s, b - s, c - 2 s); it is what a step changes, over eta.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, count, positive
from wflow.deep.parametrisation.features import gram
from wflow.deep.parametrisation.scaled import per_layer
from wflow.errors import NotConverged
from wflow.perceptron import EmpiricalRisk, Pass


def trained(risk: EmpiricalRisk, theta: Array, rates: Sequence[float], *, eta: float, steps: int) -> Array:
    """theta after so many steps w^l -= eta rate_l dF/dw^l. Raises NotConverged where F is no longer finite."""
    paces = [positive("trained eta", eta) * rate for rate in per_layer(risk.network, rates)]
    now = risk.network.checked(theta).copy()
    for k in range(count("trained steps", steps, least=0)):
        at = _finite(Pass(risk, now), k)
        _move(at, _slopes(at), paces)
    return _finite(Pass(risk, now), steps).theta


def _slopes(at: Pass) -> list[Array]:
    """dF/dw^l of every layer."""
    n, network = len(at.risk), at.risk.network
    return [network.scale(k) / n * (d.T @ h) for k, (d, h) in enumerate(zip(at.d, at.h, strict=True))]


def _move(at: Pass, slopes: Sequence[Array], paces: Sequence[float]) -> None:
    """One step, in place."""
    for (matrix, _), slope, pace in zip(at.layers, slopes, paces, strict=True):
        slope *= pace
        matrix -= slope


def _size(slopes: Sequence[Array], rates: Sequence[float]) -> float:
    return math.sqrt(sum(rate * float(np.vdot(slope, slope)) for rate, slope in zip(rates, slopes, strict=True)))


def _finite(at: Pass, k: int) -> Pass:
    with np.errstate(over="ignore", invalid="ignore"):
        value = at.value
    if not math.isfinite(value):
        raise NotConverged(f"descent diverged: F = {value} before step {k}; halve eta", value)
    return at


def gradient_size(at: Pass, rates: Sequence[float]) -> float:
    """(sum_l rate_l |dF/dw^l|^2)^(1/2)."""
    return _size(_slopes(at), per_layer(at.risk.network, rates))


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
    paces = [positive("rested eta", eta) * rate for rate in per_layer(risk.network, rates)]
    now = risk.network.checked(theta).copy()
    for k in range(count("rested limit", limit) + 1):
        at = _finite(Pass(risk, now), k)
        slopes, value = _slopes(at), at.value
        if (size := _size(slopes, rates)) <= tolerance:
            return Rest(now, value, size, k)
        _move(at, slopes, paces)
    raise _restless("descent", size, value, tolerance, limit)


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
    paces = [positive("stochastically_rested eta", eta) * rate for rate in per_layer(risk.network, rates)]
    now = risk.network.checked(theta).copy()
    rows = [risk.rows(slice(i, i + 1)) for i in range(len(risk))]
    for k in range(count("stochastically_rested limit", limit) + 1):
        at = _finite(Pass(risk, now), k)
        size = gradient_size(at, rates)
        if size <= tolerance:
            return Rest(now, at.value, size, k)
        if k < limit:
            for i in np.random.default_rng([seed, k]).permutation(len(rows)):
                one = Pass(rows[i], now)
                _move(one, _slopes(one), paces)
    raise _restless("one-sample descent", size, at.value, tolerance, limit)


@dataclass(frozen=True)
class Fall:
    """One step of descent: F before and after, and two bounds of the rate 1 - F_{k+1}/F_k from below, to O(eta^2).

    last: 2 eta lambda_min(K^L)/P, of the output weights alone; whole: the same of the tangent kernel of all layers.
    """

    before: float
    after: float
    last: float
    whole: float

    @property
    def rate(self) -> float:
        """1 - F_{k+1}/F_k."""
        return 1.0 - self.after / self.before


def falls(
    risk: EmpiricalRisk, theta: Array, rates: Sequence[float], *, eta: float, steps: int, every: int = 1
) -> Iterator[Fall]:
    """Every so many steps of gradient descent, one output.

    |dF/dw^{L+1}|^2 = (s n^{1/2}/P)^2 chi^T K^L chi >= (s^2 n/P^2) lambda_min(K^L) |chi|^2, |chi|^2 = 2 P F, where s^2 n
    times the rate of w^{L+1} is 1 in muP and NTK.
    """
    paces = [positive("falls eta", eta) * rate for rate in per_layer(risk.network, rates)]
    now, scale = risk.network.checked(theta).copy(), risk.network.scale(risk.network.depth - 1)
    for k in range(steps):
        at = _finite(Pass(risk, now), k)
        if k % every:
            _move(at, _slopes(at), paces)
            continue
        last = paces[-1] * scale**2 * at.h[-1].shape[1] * float(np.linalg.eigvalsh(gram(at.h[-1]))[0])
        before, whole = at.value, float(np.linalg.eigvalsh(_tangent(at, paces))[0])
        _move(at, _slopes(at), paces)
        yield Fall(before, Pass(risk, now).value, 2.0 * last / len(risk), 2.0 * whole / len(risk))


def _tangent(at: Pass, paces: Sequence[float]) -> Array:
    """sum_l pace_l (df/dw^l) (df/dw^l)^T (P, P) of one output."""
    ds = at.back(np.ones((len(at.risk), 1)))
    scales = [at.risk.network.scale(k) for k in range(at.risk.network.depth)]
    parts = zip(paces, scales, ds, at.h, strict=True)
    return np.asarray(sum(p * s * s * (d @ d.T) * (h @ h.T) for p, s, d, h in parts))
