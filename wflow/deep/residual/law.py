"""This file owns laws pi_s of the parameters that move smoothly with s, what is drawn from them, and their field."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wflow.activation import Activation
from wflow.arrays import Array, count, shaped

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(100)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
"""E g(N(0, 1)): exact to degree 199, for tanh(mu + tau .) about e^(-22/tau)."""


@dataclass(frozen=True, eq=False)
class GaussianPath:
    """pi_s = N(mean(s), A(s) A(s)^T) on w = (u, v, c) in R^(2D+1): w = mean(s) + A(s) xi, xi ~ N(0, I_r).

    mean: s -> (2D+1,).   factor: s -> A (2D+1, r).   Both are evaluated on [0, 1] and slightly beyond it.
    """

    mean: Callable[[float], Array]
    factor: Callable[[float], Array]

    def __post_init__(self) -> None:
        for name in ("mean", "factor"):
            if not callable(getattr(self, name)):
                raise TypeError(f"GaussianPath {name}: {getattr(self, name)!r} is no function; give one of s in [0, 1]")
        mean = shaped("GaussianPath mean(0)", self.mean(0.0), (None,))
        if len(mean) < 3 or len(mean) % 2 == 0:
            raise ValueError(f"GaussianPath mean: {len(mean)} numbers; give 2 D + 1 for w = (u, v, c)")
        shaped("GaussianPath factor(0)", self.factor(0.0), (len(mean), None))

    @property
    def dim(self) -> int:
        """D."""
        return len(self.mean(0.0)) // 2

    @property
    def sources(self) -> int:
        """r."""
        return int(self.factor(0.0).shape[1])

    def layerwise(self, depth: int, width: int, seed: int) -> Array:
        """w_lj ~ pi_(l/depth), all independent: (depth, width, 2 D + 1)."""
        xi = np.random.default_rng([seed, count("depth", depth), count("width", width)])
        return self.placed(xi.standard_normal((depth, width, self.sources)))

    def tied(self, depth: int, width: int, seed: int) -> Array:
        """The same xi_j in all layers, w_lj = mean(l/depth) + A(l/depth) xi_j: (depth, width, 2 D + 1)."""
        xi = np.random.default_rng([seed, count("width", width)]).standard_normal((width, self.sources))
        return self.placed(np.broadcast_to(xi, (count("depth", depth), *xi.shape)))

    def placed(self, xi: Array) -> Array:
        """w of sources xi (depth, m, r) at s_l = l/depth."""
        places = [l / len(xi) for l in range(len(xi))]  # noqa: E741
        return np.stack([self.mean(s) + x @ self.factor(s).T for s, x in zip(places, xi, strict=True)])

    def field(self, sigma: Activation, s: float, z: Array) -> Array:
        """B_s(z) = int psi(z; w) dpi_s (n, D) at states z (n, D).

        u and h = v.z + c are jointly Gaussian: E[u sigma(h)] = E u E sigma(h) + Cov(u, h) E sigma'(h), by Stein's
        identity; what is left are means over one normal number.
        """
        u, along, h = self._about(s, z)
        return np.asarray(np.outer(sigma.value(h) @ _WEIGHTS, u) + along * (sigma.slope(h) @ _WEIGHTS)[:, None])

    def covariance(self, sigma: Activation, s: float, z: Array) -> Array:
        """Cov_s psi(z; w) (n, D, D): u given h is Gaussian with a mean linear in h and one covariance."""
        u, along, h = self._about(s, z)
        spread = self._spread(s, z)
        safe = np.where(spread > 0.0, spread, 1.0)
        given = u + (along / safe[:, None])[:, None, :] * _NODES[:, None]  # (n, q, D)
        rows = self.factor(s)[: self.dim]
        left = rows @ rows.T - np.einsum("ni,nj->nij", along / safe[:, None], along / safe[:, None])
        square = _WEIGHTS * sigma.value(h) ** 2
        second = np.einsum("nq,nqi,nqj->nij", square, given, given) + np.sum(square, axis=1)[:, None, None] * left
        mean = self.field(sigma, s, z)
        return np.asarray(second - np.einsum("ni,nj->nij", mean, mean))

    def _row(self, s: float, z: Array) -> Array:
        """h = v.z + c as a function of xi, less its mean: (n, r)."""
        a, dim = self.factor(s), self.dim
        return np.asarray(z @ a[dim:-1] + a[-1])

    def _spread(self, s: float, z: Array) -> Array:
        return np.sqrt(np.sum(self._row(s, z) ** 2, axis=1))

    def _about(self, s: float, z: Array) -> tuple[Array, Array, Array]:
        """E u (D,), Cov(u, h) (n, D), and h at the nodes (n, q)."""
        mean, dim, row = self.mean(s), self.dim, self._row(s, z)
        centre = z @ mean[dim:-1] + mean[-1]
        return mean[:dim], row @ self.factor(s)[:dim].T, centre[:, None] + self._spread(s, z)[:, None] * _NODES
