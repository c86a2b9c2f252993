"""This file owns gradients layer by layer: their size where each layer has a rate of its own, and how fast F must fall.

    |grad F|^2 = sum_l n^{-c_l} |dF/dw^l|^2

is the same in every form of a parametrisation (a + s, b - s, c - 2 s): what a step of descent changes, over eta.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from wflow.arrays import Array
from wflow.deep.parametrisation.features import gram
from wflow.perceptron import EmpiricalRisk, HalfSquares, Pass


def per_layer(name: str, risk: EmpiricalRisk, rates: Sequence[float]) -> list[float]:
    """One positive rate for each layer of a network without biases, or TypeError, ValueError."""
    if not isinstance(risk, EmpiricalRisk):
        raise TypeError(f"{name} risk: got {risk!r}; pass an EmpiricalRisk, such as ScaledNetwork.risk(x, y)")
    network = risk.network
    if any(network.biased(k) for k in range(network.depth)):
        raise ValueError(f"{name} risk: its network has biases, which have no rate here; build it with biases=False")
    each = np.asarray(rates)
    if each.dtype.kind not in "iuf" or each.shape != (network.depth,) or not np.all((each > 0.0) & (each < math.inf)):
        raise ValueError(f"{name} rates: {rates!r}; give {network.depth} positive numbers, one a layer")
    return [float(r) for r in each]


def slopes(at: Pass) -> list[Array]:
    """dF/dw^l of every layer."""
    n, network = len(at.risk), at.risk.network
    return [network.scale(k) / n * (d.T @ h) for k, (d, h) in enumerate(zip(at.d, at.h, strict=True))]


def size_of(found: Sequence[Array], rates: Sequence[float]) -> float:
    """|grad F| of slopes."""
    return math.sqrt(sum(rate * float(np.vdot(slope, slope)) for rate, slope in zip(rates, found, strict=True)))


def gradient_size(at: Pass, rates: Sequence[float]) -> float:
    """(sum_l rate_l |dF/dw^l|^2)^(1/2) at a pass."""
    return size_of(slopes(at), per_layer("gradient_size", at.risk, rates))


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
        """1 - F_{k+1}/F_k; nan where F_k is 0."""
        return 1.0 - self.after / self.before if self.before > 0.0 else math.nan


def bounds(at: Pass, paces: Sequence[float]) -> tuple[float, float]:
    """`last` and `whole` of `Fall`, for steps pace_l on layer l and the half square, any number of outputs.

    |dF/dw^{L+1}|^2 = (s/P)^2 tr chi^T x x^T chi >= (s^2 n/P^2) lambda_min(K^L) |chi|^2, |chi|^2 = 2 P F, where s^2 n
    times the rate of w^{L+1} is 1 in muP and NTK. Of all layers chi^T T chi/P^2, T = sum_l pace_l J_l J_l^T, J_l =
    df/dw^l.
    """
    if not isinstance(at.risk.loss, HalfSquares):
        raise ValueError(f"falls risk: its loss is {at.risk.loss}; the bound is one of the half square: HalfSquares()")
    x, scale = at.h[-1], at.risk.network.scale(at.risk.network.depth - 1)
    last = paces[-1] * scale**2 * x.shape[1] * float(np.linalg.eigvalsh(gram(x))[0])
    whole = float(np.linalg.eigvalsh(_tangent(at, paces))[0])
    return 2.0 * last / len(at.risk), 2.0 * whole / len(at.risk)


def _tangent(at: Pass, paces: Sequence[float]) -> Array:
    """T (q P, q P), rows k P + i."""
    P, q = at.outputs.shape
    each = [at.back(np.tile(row, (P, 1))) for row in np.eye(q)]
    found = np.zeros((q, P, q, P))
    for k, pace in enumerate(paces):
        across = pace * at.risk.network.scale(k) ** 2 * (at.h[k] @ at.h[k].T)
        for a, b in product(range(q), repeat=2):
            found[a, :, b] += (each[a][k] @ each[b][k].T) * across
    return found.reshape(q * P, q * P)
