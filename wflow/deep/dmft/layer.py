"""This file owns one hidden layer over many samples: its fields, and how they respond to kicks of their sources.

    h(t) = u(t) + gamma0 sum_{s<t} C(t, s) g(s)       C(t, s) = A^{l-1} + rate Delta(s) Phi^{l-1}
    z(t) = r(t) + gamma0 sum_{s<=t} D(t, s) phi(h(s))   D(t, s) = B^l + [rate Delta(s) G^{l+1}]_{s<t}     g = phi'(h) z

Responses are derivatives of phi(h(t)) or g(t) in all earlier u(s), r(s), for each sample. They are taken backwards:
with beta(s), zeta(s) the derivatives in h(s), z(s), through all that follows,

    alpha(s) = gamma0 sum_{s'>s} beta(s') C(s', s)      zeta(s) = phi'(h(s)) alpha(s)
    beta(s)  = phi''(h(s)) z(s) alpha(s) + gamma0 phi'(h(s)) sum_{s'>=s} zeta(s') D(s', s)

from s = t down. d/dr(s) = zeta(s), d/du(s) = beta(s). Forward tangents cost as much and have to be kept, S (T P)^2
numbers; backwards P rows a sample are enough, and a chunk of samples at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from wflow.activation import Activation
from wflow.arrays import Array
from wflow.errors import Refused

CHUNK = 1 << 17
"""Numbers in each of the two arrays of a chunk's derivatives: what the cache of a core holds."""


@dataclass(frozen=True, eq=False)
class Layer:
    """phi(h), phi'(h), g and phi''(h) z (S, M) of the times so far; C and D (M, M) of all samples."""

    phi: Array
    slope: Array
    g: Array
    bend: Array
    C: Array
    D: Array

    @classmethod
    def empty(cls, samples: int, columns: int) -> "Layer":
        shapes = [(samples, columns)] * 4 + [(columns, columns)] * 2
        return cls(*(np.zeros(shape) for shape in shapes))

    @property
    def memory(self) -> int:
        """Bytes."""
        return sum(getattr(self, one.name).nbytes for one in fields(self))

    def forward(self, sigma: Activation, h: Array, block: slice) -> None:
        """phi and phi' at a time."""
        self.phi[:, block], self.slope[:, block] = sigma.value(h), sigma.slope(h)

    def backward(self, sigma: Activation, h: Array, z: Array, block: slice) -> None:
        """g and phi'' z at a time."""
        assert sigma.curvature is not None
        self.g[:, block] = self.slope[:, block] * z
        self.bend[:, block] = sigma.curvature(h) * z

    def response_of_phi(self, t: int, P: int, gamma0: float) -> Array:
        """<d phi(h(t))/d r(s)> (P, t P), s < t."""
        found = np.zeros((P, t * P))
        for rows in self._chunks(P, t):
            zeta = self._swept(rows, t, P, gamma0, of_g=False)[1]
            found += zeta.sum(axis=0)[:, : t * P]
        return found / len(self.phi)

    def response_of_g(self, t: int, P: int, gamma0: float) -> Array:
        """<d g(t)/d u(s)> (P, (t+1) P), s <= t: with a part at s = t, the mean of phi'' z."""
        found = np.zeros((P, (t + 1) * P))
        for rows in self._chunks(P, t):
            beta = self._swept(rows, t, P, gamma0, of_g=True)[0]
            found += beta.sum(axis=0)
        return found / len(self.phi)

    def _chunks(self, P: int, t: int) -> Iterator[slice]:
        size = max(1, CHUNK // (P * (t + 1) * P))
        return (slice(k, min(k + size, len(self.phi))) for k in range(0, len(self.phi), size))

    def _swept(self, rows: slice, t: int, P: int, gamma0: float, *, of_g: bool) -> tuple[Array, Array]:
        """beta, zeta (chunk, P, (t+1) P): derivatives of g(t), or of phi(h(t)), which z(t) does not enter."""
        n = len(self.phi[rows])
        beta, zeta = np.zeros((2, n, P, (t + 1) * P))
        now, i = slice(t * P, (t + 1) * P), np.arange(P)
        slope, bend = self.slope[rows], self.bend[rows]
        if of_g:
            zeta[:, i, t * P + i] = slope[:, now]
            beta[:, :, now] = gamma0 * slope[:, None, now] * (zeta[:, :, now] @ self.D[now, now])
            beta[:, i, t * P + i] += bend[:, now]
        else:
            beta[:, i, t * P + i] = slope[:, now]
        b, z = beta.reshape(n * P, -1), zeta.reshape(n * P, -1)
        for s in reversed(range(t)):
            here, after, on = slice(s * P, (s + 1) * P), slice((s + 1) * P, (t + 1) * P), slice(s * P, (t + 1) * P)
            alpha = gamma0 * (b[:, after] @ self.C[after, here]).reshape(n, P, P)
            zeta[:, :, here] = alpha * slope[:, None, here]
            fed = gamma0 * (z[:, on] @ self.D[on, here]).reshape(n, P, P)
            beta[:, :, here] = fed * slope[:, None, here] + alpha * bend[:, None, here]
        return beta, zeta


def smooth(name: str, sigma: Activation) -> None:
    """Refused for an activation whose slope jumps: phi'' is then no function, and B(t, t) cannot be sampled."""
    if not isinstance(sigma, Activation):
        raise TypeError(f"{name} sigma: got {sigma!r}; pass activation(name), an Activation")
    if sigma.curvature is None or sigma.breaks < 2.0:
        raise Refused(
            f"{sigma}: its slope jumps at {sigma.kinks}, so that phi'', which the response B(t, t) averages, is no "
            "function; take a smooth one: tanh, erf, gelu, softplus"
        )
