"""This file owns the closed solver of deep linear networks: no sampling, exact for any rate.

For phi = id fields are linear in their Gaussian sources, so that a layer is four matrices over times (and data):

    h = X u + Y r      z = V u + W r      u ~ GP(Phi^{l-1}), r ~ GP(G^{l+1})
    h(t) = u(t) + gamma0 sum_{s<t} C(t, s) z(s)      C = A^{l-1} + rate Delta Phi^{l-1}      (T P) x T
    z(t) = r(t) + gamma0 sum_{s<t} D(t, s) h(s)      D = B^l + rate Delta G^{l+1}            T x (T P)

and Phi^l = X Phi^{l-1} X^T + Y G^{l+1} Y^T,  G^l = V Phi^{l-1} V^T + W G^{l+1} W^T,  A^l = Y/gamma0,
B^{l-1} = V/gamma0, f = <h^L z^L>/gamma0 at equal times. C and D reach back in time only (phi'' = 0), so the horizon
grows a time after the other: rows t of h^1, .., h^L, then of z^L, .., z^1, each from rows that are known (derived). One
pass is exact; sweeps over a fixed horizon in another order need many and may overflow. At the end the arrays are put in

    Phi^l = M [Phi^{l-1} + gamma0^2 C G^{l+1} C^T] M^T, M = (I - gamma0^2 C D)^{-1}, and so on,

with M by a solver of linear equations: their distance is the residual. Work O(L (T P)^3).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from wflow.arrays import Array, positive
from wflow.deep.dmft.limit import LinearLimit
from wflow.deep.dmft.setting import Setting, checked
from wflow.errors import NotConverged


@dataclass(frozen=True, eq=False)
class _Layer:
    """X (M, M), Y (M, n), V (n, M), W (n, n) of one hidden layer; n times, M = n P, time outermost."""

    X: Array
    Y: Array
    V: Array
    W: Array

    @classmethod
    def empty(cls, times: int, data: int) -> "_Layer":
        n, M = times, times * data
        return cls(np.zeros((M, M)), np.zeros((M, n)), np.zeros((n, M)), np.zeros((n, n)))


@dataclass(frozen=True, eq=False)
class _March:
    """All arrays of all layers, filled a time after the other."""

    setting: Setting
    layers: tuple[_Layer, ...]
    Phi: Array
    G: Array
    f: Array
    delta: Array

    @classmethod
    def start(cls, setting: Setting) -> "_March":
        n, P, L = setting.times, setting.data, setting.hidden
        Phi, G = np.zeros((L + 1, n * P, n * P)), np.zeros((L + 1, n, n))
        Phi[0] = np.tile(setting.gram, (n, n))
        G[L] = 1.0
        layers = tuple(_Layer.empty(n, P) for _ in range(L))
        return cls(setting, layers, Phi, G, np.zeros((n, P)), np.zeros((n, P)))

    def grow(self, t: int) -> None:
        """Rows t of every array: h^1, .., h^L and what follows from them, f, then z^L, .., z^1."""
        for k in range(self.setting.hidden):
            self._up(k, t)
        for k in reversed(range(self.setting.hidden)):
            self._down(k, t)

    def _up(self, k: int, t: int) -> None:
        """h^{k+1}(t) and Phi^{k+1}(t, .)."""
        P, gamma0, layer = self.setting.data, self.setting.gamma0, self.layers[k]
        now, b = (t + 1) * P, slice(t * P, (t + 1) * P)
        C = gamma0 * self.forwards(k, b, t)
        layer.X[b, : t * P] = C @ layer.V[:t, : t * P]
        layer.X[b, b] = np.eye(P)
        layer.Y[b, :t] = C @ layer.W[:t, :t]
        row = (layer.X[b, :now] @ self.Phi[k, :now, :now]) @ layer.X[:now, :now].T
        row += (layer.Y[b, :t] @ self.G[k + 1, :t, :t]) @ layer.Y[:now, :t].T
        self.Phi[k + 1, b, :now], self.Phi[k + 1, :now, b] = row, row.T

    def _down(self, k: int, t: int) -> None:
        """z^{k+1}(t) and G^{k+1}(t, .); of the last layer f(t) besides."""
        P, gamma0, layer = self.setting.data, self.setting.gamma0, self.layers[k]
        now, s = (t + 1) * P, t + 1
        D = gamma0 * self.backwards(k + 1, slice(t, s), t)[0]
        layer.V[t, : t * P] = D @ layer.X[: t * P, : t * P]
        layer.W[t, :t] = D @ layer.Y[: t * P, :t]
        layer.W[t, t] = 1.0
        by_u = layer.V[t, :now] @ self.Phi[k, :now, :now]
        by_r = layer.W[t, :s] @ self.G[k + 1, :s, :s]
        row = layer.V[:s, :now] @ by_u + layer.W[:s, :s] @ by_r
        self.G[k, t, :s], self.G[k, :s, t] = row, row
        if k == self.setting.hidden - 1:
            b = slice(t * P, now)
            self.f[t] = (layer.X[b, :now] @ by_u + layer.Y[b, :s] @ by_r) / gamma0
            self.delta[t] = self.setting.y - self.f[t]

    def forwards(self, k: int, rows: slice, t: int) -> Array:
        """C (rows, t) of h^{k+1}: A^k + rate Delta_a(s) Phi^k_{mu a}(., s) summed over a, for s < t."""
        P = self.setting.data
        weighted = self.Phi[k, rows, : t * P] * self.delta.reshape(-1)[: t * P]
        pulled = self.setting.rate * weighted.reshape(len(weighted), t, P).sum(axis=2)
        return pulled if k == 0 else pulled + self.layers[k - 1].Y[rows, :t] / self.setting.gamma0

    def backwards(self, k: int, rows: slice, t: int) -> Array:
        """D (rows, t P) of z^k: B^k + rate Delta_a(s) G^{k+1}(., s)."""
        P, L = self.setting.data, self.setting.hidden
        pulled = self.setting.rate * np.repeat(self.G[k, rows, :t], P, axis=1) * self.delta.reshape(-1)[: t * P]
        return pulled if k == L else pulled + self.layers[k].V[rows, : t * P] / self.setting.gamma0

    def residual(self) -> float:
        """How far the arrays are from the closed equations."""
        return max(
            float(np.max(np.abs(have - want)) / max(np.max(np.abs(have)), np.finfo(float).tiny))
            for have, want in self._closed()
        )

    def _closed(self) -> Iterator[tuple[Array, Array]]:
        """Each array, and what its closed equation makes of the others."""
        n, P, L, gamma0 = self.setting.times, self.setting.data, self.setting.hidden, self.setting.gamma0
        earlier = np.repeat(np.tri(n, k=-1), P, axis=0)  # (M, n)
        C, D = np.zeros(earlier.shape), np.zeros(earlier.shape[::-1])
        for k, layer in enumerate(self.layers):
            C = self.forwards(k, slice(None), n) * earlier
            D = self.backwards(k + 1, slice(None), n) * np.repeat(np.tri(n, k=-1), P, axis=1)
            Phi, G = self.Phi[k], self.G[k + 1]
            yield layer.Y, gamma0 * _resolved(gamma0**2 * C @ D, C)
            yield layer.V, gamma0 * _resolved(gamma0**2 * D @ C, D)
            yield self.Phi[k + 1], _congruent(gamma0**2 * C @ D, Phi + gamma0**2 * C @ G @ C.T)
            yield self.G[k], _congruent(gamma0**2 * D @ C, G + gamma0**2 * D @ Phi @ D.T)
        mixed = _resolved(gamma0**2 * C @ D, Phi @ D.T + C @ G)
        outputs = _resolved(gamma0**2 * D @ C, mixed.T).T.reshape(n, P, n)
        yield self.f, np.einsum("tmt->tm", outputs)
        # by Stein's lemma, g^{L+1} being 1 at all times: <r phi(h)> = sum of responses
        C = self.forwards(L, slice(None), n) * earlier
        yield self.f, C.sum(axis=1).reshape(n, P)


def _resolved(N: Array, right: Array) -> Array:
    """(I - N)^{-1} right, N strictly lower triangular in time."""
    return np.asarray(solve_triangular(np.eye(len(N)) - N, right, lower=True, unit_diagonal=True))


def _congruent(N: Array, middle: Array) -> Array:
    """(I - N)^{-1} middle (I - N)^{-T}."""
    return _resolved(N, _resolved(N, middle).T).T


def linear_limit(setting: Setting, *, tolerance: float = 1e-9) -> LinearLimit:
    """The infinitely wide limit of deep linear networks under gradient descent with this rate, exact to rounding.

    Raises NotConverged where f grows beyond 1e100 (the rate is too large), or the residual is above `tolerance`.
    """
    checked("linear_limit", setting)
    positive("linear_limit tolerance", tolerance)
    march = _March.start(setting)
    for t in range(setting.times):
        with np.errstate(over="ignore", invalid="ignore"):
            march.grow(t)
        size = float(np.max(np.abs(march.f[t])))
        if not size < 1e100:
            raise NotConverged(f"linear_limit: |f| is {size:.1e} after {t} steps; take a smaller rate", size)
    residual = march.residual()
    if not residual <= tolerance:
        raise NotConverged(
            f"linear_limit: the closed equations hold to {residual:.1e} only, tolerance {tolerance:.1e}: f is at most "
            f"{np.max(np.abs(march.f)):.1e}; take a smaller rate or fewer steps",
            residual,
        )
    return _shaped(march, residual)


def _shaped(march: _March, residual: float) -> LinearLimit:
    n, P, L, gamma0 = march.setting.times, march.setting.data, march.setting.hidden, march.setting.gamma0
    A, B = np.zeros((L + 1, n * P, n)), np.zeros((L + 1, n, n * P))
    for k, layer in enumerate(march.layers):
        A[k + 1], B[k] = layer.Y / gamma0, layer.V / gamma0
    return LinearLimit(
        march.f, march.Phi.reshape(L + 1, n, P, n, P), march.G, A.reshape(L + 1, n, P, n), B.reshape(L + 1, n, n, P),
        residual,
    )  # fmt: skip
