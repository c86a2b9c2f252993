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

from wflow.activation import Activation, linear
from wflow.arrays import Array, count
from wflow.deep.dmft.gaussian import Field
from wflow.deep.dmft.layer import Layer, smooth
from wflow.deep.dmft.limit import Estimate, Limit
from wflow.deep.dmft.setting import Setting, checked
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
    def start(
        cls, setting: Setting, sigma: Activation, responses: bool, half: int, rng: np.random.Generator
    ) -> "_March":
        n, P, L = setting.times, setting.data, setting.hidden
        Phi, G, A, B = np.zeros((4, L + 1, n * P, n * P))
        Phi[0], G[L] = np.tile(setting.gram, (n, n)), 1.0
        layers = tuple(Layer.empty(2 * half, n * P) for _ in range(L))
        rows = [setting.x.shape[1], *[2 * half] * (L - 1), 1]
        u = tuple(Field.empty(rows[k], half, n * P, False, rng) for k in range(L))
        r = tuple(Field.empty(rows[k + 1], half, n * P, True, rng) for k in range(L))
        return cls(setting, sigma, responses, layers, u, r, Phi, G, A, B, *np.zeros((2, n, P)))

    def grow(self, t: int) -> None:
        """Everything at time t."""
        h = [self._up(k, t) for k in range(self.setting.hidden)]
        for k in reversed(range(self.setting.hidden)):
            self._down(k, t, h[k])

    def _up(self, k: int, t: int) -> Array:
        """h^{k+1}(t) (S, P); Phi^{k+1}(t, .), A^{k+1}(t, .)."""
        given, layer = self.setting, self.layers[k]
        P, past = given.data, slice(0, t * given.data)
        b, now = slice(past.stop, past.stop + P), slice(0, past.stop + P)
        layer.C[b, past] = self.A[k, b, past] + given.rate * self.delta.reshape(-1)[past] * self.Phi[k, b, past]
        u = self.u[k].grown(b.start, self.layers[k - 1].phi[:, b] if k > 0 else given.x.T)
        h = u + given.gamma0 * (layer.g[:, past] @ layer.C[b, past].T)
        layer.forward(self.sigma, h, b)
        row = layer.phi[:, b].T @ layer.phi[:, now] / len(h)
        self.Phi[k + 1, b, now], self.Phi[k + 1, now, b] = row, row.T
        if self.responses and k + 1 < given.hidden:
            self.A[k + 1, b, past] = layer.response_of_phi(t, P, given.gamma0) / given.gamma0
        return h

    def _down(self, k: int, t: int, h: Array) -> None:
        """z^{k+1}(t), g^{k+1}(t); G^{k+1}(t, .), B^k(t, .); of the last layer f(t) besides."""
        given, layer = self.setting, self.layers[k]
        P, past = given.data, slice(0, t * given.data)
        b, now = slice(past.stop, past.stop + P), slice(0, past.stop + P)
        layer.D[b, now] = self.B[k + 1, b, now]
        layer.D[b, past] += given.rate * self.delta.reshape(-1)[past] * self.G[k + 1, b, past]
        r = self.r[k].grown(b.start, self.layers[k + 1].g[:, b] if k + 1 < given.hidden else np.ones((1, P)))
        z = r + given.gamma0 * (layer.phi[:, now] @ layer.D[b, now].T)
        if k == given.hidden - 1:
            self.f[t] = np.mean(z * layer.phi[:, b], axis=0) / given.gamma0
            self.delta[t] = given.y - self.f[t]
        layer.backward(self.sigma, h, z, b)
        row = layer.g[:, b].T @ layer.g[:, now] / len(h)
        self.G[k, b, now], self.G[k, now, b] = row, row.T
        if self.responses and k > 0:
            self.B[k, b, now] = layer.response_of_g(t, P, given.gamma0) / given.gamma0

    def limit(self) -> Limit:
        """The arrays by (k, t, mu, s, a)."""
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
    checked("sampled_limit", setting)
    smooth("sampled_limit", sigma)
    count("sampled_limit runs", runs)
    count("sampled_limit seed", seed, least=0)
    half = _half("sampled_limit", samples, setting)
    found = [_one(setting, sigma, responses, half, np.random.default_rng([seed, run])) for run in range(runs)]
    return Estimate(_over(found, _mean), _over(found, _error), samples, runs)


def first_fields(setting: Setting, *, samples: int = SAMPLES, seed: int = 0) -> tuple[Array, Array]:
    """u (S, P) and r (S,) of the first run of `sampled_limit` with one hidden layer: h and z before the first step.

    They are particles: psi = z phi(h). Raises ValueError for more layers, whose fields at later times are drawn anew.
    """
    checked("first_fields", setting)
    count("first_fields seed", seed, least=0)
    if setting.hidden != 1:
        raise ValueError(f"first_fields setting: {setting.hidden} hidden layers are no particles; take hidden=1")
    half = _half("first_fields", samples, setting)
    march = _March.start(setting, linear(), True, half, np.random.default_rng([seed, 0]))
    u = march.u[0].grown(0, setting.x.T)
    return u, march.r[0].grown(0, np.ones((1, setting.data)))[:, 0]


def _half(name: str, samples: int, setting: Setting) -> int:
    """Pairs."""
    least = 2 * setting.times * setting.data + 4
    if count(f"{name} samples", samples) % 2 or samples < least:
        raise ValueError(
            f"{name} samples: {samples} is odd or below {least} = 2 (T + 1) P + 4, as many pairs as columns of "
            f"normals; give an even number, {max(SAMPLES, 10 * least)} for instance"
        )
    return samples // 2


def _one(setting: Setting, sigma: Activation, responses: bool, half: int, rng: np.random.Generator) -> Limit:
    march = _March.start(setting, sigma, responses, half, rng)
    for t in range(setting.times):
        with np.errstate(over="ignore", invalid="ignore"):
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
