"""This file owns networks of finite width in the parametrisation of the theory, many seeds at once.

Plain gradient descent on the weights (wflow.deep.dmft.setting); nothing of the theory enters. A narrow deep network may
diverge where the limit does not: a network with |f| above LARGEST at any time or datum is left out of all that is
returned, and counted. The rule stands before the runs and looks at nothing else.
"""

from dataclasses import dataclass

import numpy as np

from wflow.activation import Activation
from wflow.arrays import Array, count
from wflow.deep.dmft.setting import Setting, checked
from wflow.errors import NotConverged

LARGEST = 1e3
GROUP = 1 << 22
"""Weights held at once: 32 MB."""


@dataclass(frozen=True, eq=False)
class Networks:
    """R networks of one width that did not diverge: f (R, T+1, P) and last kernels.

    Phi (R, L+1, P, P) and G (R, L+1, P, P): Phi^l and G^{l+1} at the last time, l = 0..L.   diverged: how many more.
    """

    width: int
    f: Array
    Phi: Array
    G: Array
    diverged: int

    def __len__(self) -> int:
        return len(self.f)


def networks(setting: Setting, sigma: Activation, *, width: int, seeds: int, seed: int = 0) -> Networks:
    """`seeds` networks of this width, started independently and trained; group by group, so that memory is bounded.

    Raises NotConverged where all of them diverge.
    """
    checked("networks", setting)
    if not isinstance(sigma, Activation):
        raise TypeError(f"networks sigma: got {sigma!r}; pass activation(name), an Activation")
    N, R = count("networks width", width), count("networks seeds", seeds)
    count("networks seed", seed, least=0)
    each = N * (N * (setting.hidden - 1) + setting.x.shape[1] + 1)
    size = max(1, GROUP // each)
    with np.errstate(over="ignore", invalid="ignore"):  # of those that diverge, which are left out below
        found = [
            _trained(setting, sigma, N, min(size, R - k), np.random.default_rng([seed, N, k]))
            for k in range(0, R, size)
        ]
    f, Phi, G = (np.concatenate(parts) for parts in zip(*found, strict=True))
    kept = np.all(np.abs(f) <= LARGEST, axis=(1, 2))
    if not np.any(kept):
        raise NotConverged(f"networks: all {R} of width {N} passed |f| = {LARGEST:g}; take a smaller rate", np.inf)
    return Networks(N, f[kept], Phi[kept], G[kept], int(R - np.sum(kept)))


def _trained(setting: Setting, sigma: Activation, N: int, R: int, rng: np.random.Generator) -> tuple[Array, ...]:
    """f (R, T+1, P), Phi and G (R, L+1, P, P) of R networks."""
    D, L = setting.x.shape[1], setting.hidden
    W = [rng.standard_normal((R, N, D if k == 0 else N)) for k in range(L)]
    W.append(rng.standard_normal((R, 1, N)))
    f = np.zeros((R, setting.times, setting.data))
    for t in range(setting.times):
        a, slopes, f[:, t] = _forward(setting, sigma, W)
        delta = np.where(np.all(np.abs(f[:, t]) <= LARGEST, axis=1)[:, None], setting.y - f[:, t], 0.0)
        g = _backward(W, slopes)
        if t < setting.steps:
            _descend(setting, W, a, g, delta)
    Phi = np.stack([np.swapaxes(one, 1, 2) @ one / one.shape[1] for one in a], axis=1)
    G = np.stack([np.swapaxes(one, 1, 2) @ one / one.shape[1] for one in g], axis=1)
    return f, Phi, G


def _forward(setting: Setting, sigma: Activation, W: list[Array]) -> tuple[list[Array], list[Array], Array]:
    """x^T and phi(h^k) (R, N, P), phi'(h^k), and f (R, P)."""
    a = [np.broadcast_to(setting.x.T, (len(W[0]), *setting.x.T.shape))]
    slopes = []
    for weights in W[:-1]:
        h = weights @ a[-1] / np.sqrt(a[-1].shape[1])
        a.append(sigma.value(h))
        slopes.append(sigma.slope(h))
    return a, slopes, (W[-1] @ a[-1])[:, 0] / (setting.gamma0 * a[-1].shape[1])


def _backward(W: list[Array], slopes: list[Array]) -> list[Array]:
    """g^1, .., g^L (R, N, P) and g^{L+1} = 1 (R, 1, P); g^k = phi'(h^k) W^{k+1 T} g^{k+1}/sqrt(N)."""
    R, _, P = slopes[-1].shape
    g = [np.ones((R, 1, P))]
    for weights, slope in zip(reversed(W[1:]), reversed(slopes), strict=True):
        scale = np.sqrt(g[0].shape[1])  # the readout has no 1/sqrt(N) of its own: its row is one
        g.insert(0, slope * (np.swapaxes(weights, 1, 2) @ g[0] / scale))
    return g


def _descend(setting: Setting, W: list[Array], a: list[Array], g: list[Array], delta: Array) -> None:
    """W^{k+1} += rate gamma0 sum_mu Delta_mu g_mu phi_mu^T/sqrt(fan-in), in place; the readout's without the root."""
    for k, weights in enumerate(W):
        scale = np.sqrt(a[k].shape[1]) if k + 1 < len(W) else 1.0
        weights += setting.rate * setting.gamma0 / scale * ((g[k] * delta[:, None, :]) @ np.swapaxes(a[k], 1, 2))
