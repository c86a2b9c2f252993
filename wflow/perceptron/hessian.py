"""This file owns exact products with Hessians of multilayer networks, forward over reverse (the R-operator).

R{.} is the derivative along a direction in theta. One forward and one backward sweep of R gives every row's own H_i v,
whose part in W_l is s_l (Rd_i h_i^T + d_i Rh_i^T): of rank two. So H_i (H_i v) needs no array (n, size) either.
Source: Pearlmutter 1994, Neural Comput. 6(1), 147-160.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wflow.arrays import Array
from wflow.perceptron.risk import Pass


class _Direction(Protocol):
    """A direction in theta, the same for all rows or one for each."""

    def ahead(self, layer: int, h: Array) -> Array:
        """s V h + c (n, n_l) of rows h."""

    def behind(self, layer: int, d: Array) -> Array:
        """s d V (n, n_{l-1}) of rows d."""


@dataclass(frozen=True, eq=False)
class _Shared:
    """One vector v (size,)."""

    at: Pass
    v: Array

    def ahead(self, layer: int, h: Array) -> Array:
        network = self.at.risk.network
        matrix, bias = network.layers(self.v)[layer]
        return network.linear(layer, matrix, bias, h)

    def behind(self, layer: int, d: Array) -> Array:
        network = self.at.risk.network
        return np.asarray(network.scale(layer) * (d @ network.layers(self.v)[layer][0]))


@dataclass(frozen=True, eq=False)
class _Swept:
    """H_i v of every row i, as Rh and Rd of each layer; a direction itself."""

    at: Pass
    rh: list[Array]
    rd: list[Array]

    def ahead(self, layer: int, h: Array) -> Array:
        """s V_i = s^2 (Rd h^T + d Rh^T), c_i = Rd."""
        at, s = self.at, self.at.risk.network.scale(layer)
        along = s * s * _dots(at.h[layer], h) + float(at.risk.network.biased(layer))
        return self.rd[layer] * along + at.d[layer] * (s * s * _dots(self.rh[layer], h))

    def behind(self, layer: int, d: Array) -> Array:
        at, s = self.at, self.at.risk.network.scale(layer)
        return np.asarray(s * s * (_dots(self.rd[layer], d) * at.h[layer] + _dots(at.d[layer], d) * self.rh[layer]))

    def mean(self) -> Array:
        """(1/n) sum_i H_i v (size,)."""
        at = self.at
        n, network = len(at.risk), at.risk.network
        return network.flat(
            [
                (
                    network.scale(k) / n * (self.rd[k].T @ at.h[k] + at.d[k].T @ self.rh[k]),
                    self.rd[k].mean(axis=0) if network.biased(k) else None,
                )
                for k in range(network.depth)
            ]
        )


def _dots(a: Array, b: Array) -> Array:
    """Row by row (n, 1)."""
    return np.asarray(np.einsum("ij,ij->i", a, b)[:, None])


def _swept(at: Pass, along: _Direction) -> _Swept:
    """R forward: Rz = s (V h + W Rh) + c, Rh = sigma' Rz.  Backward: Rd = R(sigma') e + sigma' Re, e = s d W."""
    network = at.risk.network
    rh, rz = [np.zeros_like(at.h[0])], []
    for k, (matrix, _) in enumerate(at.layers):
        rz.append(along.ahead(k, at.h[k]) + network.linear(k, matrix, None, rh[k]))
        if k < network.depth - 1:
            rh.append(at.slopes[k] * rz[k])
    rd = [at.risk.loss.curvature(at.outputs, rz[-1])]
    for k in range(network.depth - 1, 0, -1):
        re = at.before(k, rd[-1]) + along.behind(k, at.d[k])
        bent = at.curvatures[k - 1] * rz[k - 1] * at.before(k, at.d[k])
        rd.append(at.slopes[k - 1] * re + bent)
    return _Swept(at, rh, rd[::-1])


def hessian_times(at: Pass, v: Array) -> Array:
    """H v (size,), H = F'' at a pass: exact, at the cost of two gradients.

    relu and leaky relu have H but where some z is at a kink; there it is that of one of the pieces.
    Raises Refused for other activations whose sigma' jumps.
    """
    return _swept(at, _Shared(at, at.risk.network.checked(v, "v"))).mean()


def variance_times(at: Pass, v: Array) -> Array:
    """(1/n) sum_i H_i^2 v - H^2 v (size,), H_i the Hessian of the loss of row i, exactly as it is at this theta.

    At a minimum of the half square with f = y and one output H_i = grad f(x_i) grad f(x_i)^T; that is not supposed.
    """
    v = at.risk.network.checked(v, "v")
    each = _swept(at, _Shared(at, v))
    return _swept(at, each).mean() - _swept(at, _Shared(at, each.mean())).mean()
