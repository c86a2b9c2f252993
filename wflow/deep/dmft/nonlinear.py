"""This file owns the theory's equations for any smooth phi, solved forwards in time by causal Monte Carlo.

What happens at a time depends on earlier times alone, so there is no fixed point to iterate on. At each t, with S
samples of the fields of every layer,

    for l = 1..L:   u^l(t) given its past -> h^l(t) -> Phi^l(t, .), A^l(t, .)
    f(t) = <z^L(t) phi(h^L(t))>/gamma0,  Delta(t) = y - f(t)
    for l = L..1:   r^l(t) given its past -> z^l(t), g^l(t) -> G^l(t, .), B^{l-1}(t, .)

Samples come in pairs (u, r), (u, -r), which are one in law: the leading noise of f, <r phi(u)>/gamma0, whose mean is 0,
cancels within a pair, for any gamma0. With the moments of wflow.deep.dmft.gaussian these are the control variates.
The error is O(S^{-1/2}), with a bias O(1/S): bars come from independent runs. One hidden layer is S particles exactly.

The integral of continuous time is rate sum_{s<t} here: the limit of descent with this very step, not of the flow.
Work: L S P^3 T^3 multiplications twice; memory 8 L S T P numbers and two chunks.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from wflow.activation import Activation
from wflow.arrays import Array, count
from wflow.deep.dmft.gaussian import Field
from wflow.deep.dmft.layer import Layer, smooth
from wflow.deep.dmft.limit import Estimate, Limit
from wflow.deep.dmft.setting import Setting
from wflow.errors import NotConverged

SAMPLES = 6000
Statistic = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class _March:
    """All arrays of all layers, filled a time after the other; kernels (L+1, M, M), M = (T+1) P."""

    setting: Setting
    sigma: Activation
    responses: bool
    layers: tuple[Layer, ...]
    u: tuple[Field, ...]
    r: tuple[Field, ...]
    Phi: Array
    G: Array
    A: Array
    B: Array
    f: Array
    delta: Array

    @classmethod
    def start(cls, setting: Setting, sigma: Activation, responses: bool, half: int, rng: np.random.Generator) -> "_March":
        n, P, L = setting.times, setting.data, setting.hidden
        kernels = np.zeros((4, L + 1, n * P, n * P))
        kernels[0, 0], kernels[1, L] = np.tile(setting.gram, (n, n)), 1.0
        layers = tuple(Layer.empty(2 * half, n * P) for _ in range(L))
        rows = [setting.x.shape[1], *[2 * half] * (L - 1), 1]
        u = tuple(Field.empty(rows[l], half, n * P, False, rng) for l in range(L))
        r = tuple(Field.empty(rows[l + 1], half, n * P, True, rng) for l in range(L))
        return cls(setting, sigma, responses, layers, u, r, *kernels, np.zeros((n, P)), np.zeros((n, P)))

    def grow(self, t: int) -> None:
        """Everything at time t."""
        h = [self._up(l, t) for l in range(self.setting.hidden)]
        for l in reversed(range(self.setting.hidden)):
            self._down(l, t, h[l])

    def _up(self, l: int, t: int) -> Array:
        """h^{l+1}(t) (S, P); Phi^{l+1}(t, .), A^{l+1}(t, .)."""
        set_, layer = self.setting, self.layers[l]
        P, past = set_.data, slice(0, t * set_.data)
        b, now = slice(past.stop, past.stop + P), slice(0, past.stop + P)
        layer.C[b, past] = self.A[l, b, past] + set_.rate * self.delta.reshape(-1)[past] * self.Phi[l, b, past]
        u = self.u[l].grown(b.start, self.layers[l - 1].phi[:, b] if l > 0 else set_.x.T)
        h = u + set_.gamma0 * (layer.g[:, past] @ layer.C[b, past].T)
        layer.forward(self.sigma, h, b)
        row = layer.phi[:, b].T @ layer.phi[:, now] / len(h)
        self.Phi[l + 1, b, now], self.Phi[l + 1, now, b] = row, row.T
        if self.responses and l + 1 < set_.hidden:
            self.A[l + 1, b, past] = layer.response_of_phi(t, P, set_.gamma0) / set_.gamma0
        return h

    def _down(self, l: int, t: int, h: Array) -> None:
        """z^{l+1}(t), g^{l+1}(t); G^{l+1}(t, .), B^l(t, .); of the last layer f(t) besides."""
        set_, layer = self.setting, self.layers[l]
        P, past = set_.data, slice(0, t * set_.data)
        b, now = slice(past.stop, past.stop + P), slice(0, past.stop + P)
        layer.D[b, now] = self.B[l + 1, b, now]
        layer.D[b, past] += set_.rate * self.delta.reshape(-1)[past] * self.G[l + 1, b, past]
        r = self.r[l].grown(b.start, self.layers[l + 1].g[:, b] if l + 1 < set_.hidden else np.ones((1, P)))
        z = r + set_.gamma0 * (layer.phi[:, now] @ layer.D[b, now].T)
        if l == set_.hidden - 1:
            self.f[t] = np.mean(z * layer.phi[:, b], axis=0) / set_.gamma0
            self.delta[t] = set_.y - self.f[t]
        layer.backward(self.sigma, h, z, b)
        row = layer.g[:, b].T @ layer.g[:, now] / len(h)
        self.G[l, b, now], self.G[l, now, b] = row, row.T
        if self.responses and l > 0:
            self.B[l, b, now] = layer.response_of_g(t, P, set_.gamma0) / set_.gamma0

    def limit(self) -> Limit:
        """The arrays by (l, t, mu, s, a)."""
        n, P, L = self.setting.times, self.setting.data, self.setting.hidden
        shape = (L + 1, n, P, n, P)
        return Limit(self.f, *(array.reshape(shape) for array in (self.Phi, self.G, self.A, self.B)))


def sampled_limit(
    setting: Setting,
    sigma: Activation,
    *,
    samples: int = SAMPLES,
    runs: int = 3,
    seed: int = 0,
    responses: bool = True,
) -> Estimate:
    """The infinitely wide limit under gradient descent with this rate: the mean of independent runs, with bars.

    samples: of each run, even, above 2 (T + 1) P + 2. responses: False leaves A and B out, that is, takes gradients for
    independent of features: an approximation for comparisons, and not the limit.
    Raises Refused for an activation whose slope jumps, NotConverged where f grows beyond 1e100 (rate too large).
    """
    smooth(sigma)
    if not isinstance(setting, Setting):
        raise TypeError(f"sampled_limit setting: got {setting!r}; pass a Setting")
    count("sampled_limit runs", runs)
    count("sampled_limit seed", seed, least=0)
    half = _half(samples, setting)
    found = [
        _one(setting, sigma, responses, half, np.random.default_rng([seed, run])) for run in range(runs)
    ]
    return Estimate(_over(found, _mean), _over(found, _error), samples, runs)


def _half(samples: int, setting: Setting) -> int:
    """Pairs."""
    least = 2 * setting.times * setting.data + 4
    if count("sampled_limit samples", samples) % 2 or samples < least:
        raise ValueError(
            f"sampled_limit samples: {samples} is odd or below {least} = 2 (T + 1) P + 4, as many pairs as columns of "
            f"normals; give an even number, {max(SAMPLES, 10 * least)} for instance"
        )
    return samples // 2


def _one(setting: Setting, sigma: Activation, responses: bool, half: int, rng: np.random.Generator) -> Limit:
    march = _March.start(setting, sigma, responses, half, rng)
    for t in range(setting.times):
        march.grow(t)
        size = float(np.max(np.abs(march.f[t])))
        if not size < 1e100:
            raise NotConverged(f"sampled_limit: |f| is {size:.1e} after {t} steps; take a smaller rate", size)
    return march.limit()


def _over(found: list[Limit], statistic: Statistic) -> Limit:
    """The statistic (...) of arrays (R, ...), field by field."""
    return Limit(*(statistic(np.array([getattr(one, f.name) for one in found])) for f in fields(Limit)))


def _mean(values: Array) -> Array:
    return np.asarray(values.mean(axis=0))


def _error(values: Array) -> Array:
    """Of the mean; nan for one run."""
    if len(values) == 1:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(values.std(axis=0, ddof=1) / len(values) ** 0.5)
