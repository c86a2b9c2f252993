"""This file owns relu neurons with rotation-invariant weights in two blocks of inputs, as functions of four numbers."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from wflow.activation import Activation
from wflow.arrays import Array, count
from wflow.domain import Box

_SMALLEST, _FAR = 1e-12, 40.0
"""tau is at least the first and |b/tau| at most the second, where the normal density is 0."""


@dataclass(frozen=True)
class TwoBlockNeuron:
    """psi(s_1, s_2; a, b, r_1, r_2) = a E relu(b + r_1 s_1 T_1 + r_2 s_2 T_2), the mean over directions.

    Of neurons a relu(w . x + b) on R^(d_1 + d_2) whose weights have a law that rotations of either block leave alone:
    r_i is the length of w in block i, s_i that of x over sqrt(d_i), T_i sqrt(d_i) times a coordinate of a uniform point
    of the unit sphere of R^{d_i}, of variance 1 and fourth cumulant -6/(d_i + 2). With u_i = r_i s_i, tau^2 = u_1^2 +
    u_2^2, z = b/tau, phi and Phi normal density and cdf, He_k Hermite polynomials,

        psi/a = tau phi(z) + b Phi(z) + q g_4 + O(1/d^2),   q = -sum_i u_i^4/(4 (d_i + 2)),
        g_k = (-1)^k He_{k-2}(z) phi(z)/tau^(k-1),          the k-th derivative in b of the first two terms:

    Edgeworth's expansion by one term. Derivatives are exactly those of this formula. r_1, r_2 >= 0: psi is even in
    both, so nothing crosses a wall. As relu is, psi/a is homogeneous of degree 1 in (b, r_1, r_2).
    Raises ValueError for a block of less than two inputs.
    """

    sizes: tuple[int, int]

    def __post_init__(self) -> None:
        for k in (0, 1):
            count(f"TwoBlockNeuron sizes[{k}]", self.sizes[k], least=2)

    @property
    def activation(self) -> Activation:
        """phi(z) + z Phi(z): psi = a tau sigma(b/tau) in infinite dimension. The mean of a relu has no kink."""
        return Activation("mean_relu", lambda z: _normal(z) + z * ndtr(z), lambda z: np.asarray(ndtr(z)), _normal)

    @property
    def domain(self) -> Box:
        """(a, b, r_1, r_2): the plane times a quarter plane."""
        return Box((-math.inf, -math.inf, 0.0, 0.0), (math.inf,) * 4, (False,) * 4)

    @property
    def inputs(self) -> int:
        """The two lengths."""
        return 2

    @property
    def names(self) -> tuple[str, ...]:
        """Outer weight, bias, lengths."""
        return "outer weight a", "bias b", "length r_1", "length r_2"

    def value(self, x: Array, w: Array) -> Array:
        """(n, m)."""
        _, q, g = self._parts(x, w)
        return np.asarray(w[:, 0] * (g[0] + q * g[4]))

    def gradient(self, x: Array, w: Array) -> Array:
        """(n, m, 4); with v = tau^2 and d g_k/dv = g_{k+2}/2."""
        u, q, g = self._parts(x, w)
        along = 0.5 * (g[2] + q * g[6])
        moves = [2.0 * s * size * along + self._fourth(i, 4.0 * s * size**3) * g[4] for i, (s, size) in enumerate(u)]
        slopes = [g[1] + q * g[5], *moves]
        return np.stack([g[0] + q * g[4], *(w[:, 0] * slope for slope in slopes)], axis=-1)

    def curvature(self, x: Array, w: Array) -> Array:
        """(n, m, 4, 4)."""
        u, q, g = self._parts(x, w)
        out = np.zeros((*q.shape, 4, 4))
        once, twice, mixed = 0.5 * (g[2] + q * g[6]), 0.25 * (g[4] + q * g[8]), 0.5 * (g[3] + q * g[7])
        v = [2.0 * s * size for s, size in u]
        fourth = [self._fourth(i, 4.0 * s * size**3) for i, (s, size) in enumerate(u)]
        out[..., 1, 1] = g[2] + q * g[6]
        for i, (s, size) in enumerate(u):
            out[..., 1, 2 + i] = out[..., 2 + i, 1] = v[i] * mixed + fourth[i] * g[5]
            for j in (0, 1):
                out[..., 2 + i, 2 + j] = v[i] * v[j] * twice + 0.5 * (v[i] * fourth[j] + v[j] * fourth[i]) * g[6]
            out[..., 2 + i, 2 + i] += 2.0 * s**2 * once + self._fourth(i, 12.0 * s**2 * size**2) * g[4]
        out *= w[:, 0, None, None]
        out[..., 0, 1:] = out[..., 1:, 0] = self.gradient(x, np.column_stack([np.ones(len(w)), w[:, 1:]]))[..., 1:]
        return out

    def _fourth(self, i: int, power: Array) -> Array:
        return -power / (4.0 * (self.sizes[i] + 2.0))

    def _parts(self, x: Array, w: Array) -> tuple[list[tuple[Array, Array]], Array, list[Array]]:
        """(s_i (n, 1), u_i (n, m)) of both blocks, q (n, m), and g_0, .., g_8 (n, m)."""
        u = [(x[:, i, None], x[:, i, None] * w[:, 2 + i]) for i in (0, 1)]
        q = self._fourth(0, u[0][1] ** 4) + self._fourth(1, u[1][1] ** 4)
        tau = np.maximum(np.hypot(u[0][1], u[1][1]), _SMALLEST)
        z = np.clip(w[:, 1] / tau, -_FAR, _FAR)
        phi, cdf = _normal(z), np.asarray(ndtr(z))
        g, before, last = [tau * phi + w[:, 1] * cdf, cdf], np.zeros_like(z), phi / tau
        for k in range(2, 9):
            g.append(last)
            # (-1)^k He_k: h_{k+1} = -z h_k - k h_{k-1}, each over one more tau
            before, last = last, (-z * last - (k - 2) * before / tau) / tau
        return u, q, g


def _normal(z: Array) -> Array:
    return np.asarray(np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))
