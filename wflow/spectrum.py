"""This file owns Funk-Hecke coefficients of activations on the circle, and their null modes.

For x = r (cos phi, sin phi):  sigma(x . w(theta)) = sum_n c_n cos n(phi - theta), c_0 = mu_0, c_n = 2 mu_n,
    mu_n(r) = (1/pi) int_0^pi sigma(r cos t) cos(n t) dt,
so the kernel k(theta) = E psi psi' = sum_n a_n cos n theta has a_0 = E mu_0^2, a_n = 2 E mu_n^2 >= 0 for every
rotation-invariant law of x. A mode with a_n = 0 is invisible to the network (a null mode).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.special import ive, jv

from wflow.activation import Activation
from wflow.arrays import Array

Inputs = Literal["gaussian", "circle"]
_RADIUS = 12.0  # e^{-r^2/2} is 5e-32 there
_RADIAL_NODES = 120


@lru_cache(maxsize=32)
def _gauss_legendre(n: int) -> tuple[Array, Array]:
    """The rule is an eigenvalue problem: solved once for all radii."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return nodes, weights


def funk_hecke(sigma: Activation, count: int, radius: float = 1.0) -> Array:
    """mu_0..mu_count at one input length, by Gauss-Legendre between the kinks: exact to rounding."""
    return np.asarray(_funk_hecke(sigma, count, np.array([radius]))[0])


def _funk_hecke(sigma: Activation, count: int, radii: Array) -> Array:
    """(R, count+1): the same at many lengths at once, by powers of e^{i t}."""
    kinks = np.arccos(np.clip(np.outer(1.0 / radii, sorted(sigma.kinks, reverse=True)), -1.0, 1.0))
    ends = np.column_stack([np.zeros(len(radii)), kinks, np.full(len(radii), math.pi)])
    nodes, weights = _gauss_legendre(count + 80)
    half, middle = 0.5 * np.diff(ends, axis=1), 0.5 * (ends[:, 1:] + ends[:, :-1])
    t = (middle[..., None] + half[..., None] * nodes).reshape(len(radii), -1)
    share = (half[..., None] * weights).reshape(len(radii), -1) * sigma.value(radii[:, None] * np.cos(t)) / math.pi
    out = np.empty((len(radii), count + 1))
    turn, power = np.exp(1j * t), np.ones_like(t, dtype=np.complex128)
    for n in range(count + 1):
        # powers gain one rounding each; starting afresh every 32 keeps the coefficients at 1e-15
        power = np.exp(1j * n * t) if n % 32 == 0 else power * turn
        out[:, n] = np.einsum("rt,rt->r", share, power.real)
    return out


def kernel_coefficients(sigma: Activation, inputs: Inputs, count: int) -> Array:
    """a_0..a_count of the circle kernel: closed forms where known, else quadrature (absolute error about 1e-15)."""
    closed = _closed(sigma, inputs, np.arange(count + 1, dtype=np.float64))
    return closed if closed is not None else quadrature_coefficients(sigma, inputs, count)


def quadrature_coefficients(sigma: Activation, inputs: Inputs, count: int) -> Array:
    """The same by quadrature for any activation: the oracle of the closed forms."""
    double = np.where(np.arange(count + 1) == 0, 1.0, 2.0)
    if inputs == "circle":
        return np.asarray(double * funk_hecke(sigma, count) ** 2)
    ends = np.array([0.0, *sorted({abs(z) for z in sigma.kinks if 0.0 < abs(z) < _RADIUS}), _RADIUS])
    nodes, weights = _gauss_legendre(_RADIAL_NODES)
    total = np.zeros(count + 1)
    for a, b in pairwise(ends):
        radii = 0.5 * (a + b) + 0.5 * (b - a) * nodes
        chance = 0.5 * (b - a) * weights * radii * np.exp(-0.5 * radii**2)
        total += chance @ _funk_hecke(sigma, count, radii) ** 2
    return np.asarray(double * total)


def _closed(sigma: Activation, inputs: Inputs, n: Array) -> Array | None:
    """Closed forms; `n` is 0..count. None where none is known."""
    gaussian = inputs == "gaussian"
    match sigma.name, sigma.parameter:
        case "relu", None:
            return (4.0 if gaussian else 2.0) * _relu_mu(0.0, len(n) - 1) ** 2 * np.where(n == 0, 0.5, 1.0)
        case "relu", float(b) if not gaussian and abs(b) < 1.0:
            return 2.0 * _relu_mu(b, len(n) - 1) ** 2 * np.where(n == 0, 0.5, 1.0)
        case "cos_minus_sin", float(b):
            series = ive(n, b * b) if gaussian else jv(n, b) ** 2
            return np.asarray(series * np.where(n == 0, 1.0, 2.0))
        case "linear", _:
            return np.where(n == 1, 1.0 if gaussian else 0.5, 0.0)
        case "quadratic", _:
            constant, second = (2.0, 1.0) if gaussian else (0.25, 0.125)
            return np.where(n == 0, constant, np.where(n == 2, second, 0.0))
    return None


def _relu_mu(b: float, count: int) -> Array:
    """mu_n of max(z - b, 0), |b| < 1, unit inputs, p = arccos b."""
    p = math.acos(b)
    n = np.arange(count + 1, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mu = np.sin((n + 1) * p) / (2 * (n + 1)) + np.sin((n - 1) * p) / (2 * (n - 1)) - b * np.sin(n * p) / n
    mu[0] = math.sin(p) - b * p
    if count >= 1:
        mu[1] = p / 2 + math.sin(2 * p) / 4 - b * math.sin(p)
    if b == 0.0:
        mu[3::2] = 0.0  # exactly: sin(k pi) is not zero in floating point
    return mu / math.pi


@dataclass(frozen=True)
class NullModes:
    """Modes n >= 1 that the activation does not see on the circle.

    odd_above, even_above: every odd (even) n above that number is null, for any rotation-invariant law of x, because
    the odd (even) part of sigma is a polynomial of that degree (proved); None: no such family.   unseen: further
    n <= `searched` whose coefficient is zero to rounding although a higher one of the same parity is not (a finding).
    """

    odd_above: int | None
    even_above: int | None
    unseen: tuple[int, ...] = ()
    searched: int = 24

    def __contains__(self, n: int) -> bool:
        """Whether n lies in a proved family."""
        above = self.odd_above if n % 2 else self.even_above
        return above is not None and n > above

    @property
    def empty(self) -> bool:
        """No null family, and none unseen up to `searched`."""
        return self.odd_above is None and self.even_above is None and not self.unseen

    def meets_multiples_of(self, q: int) -> bool:
        """Some multiple of q is null or unseen."""
        family = (q % 2 == 1 and self.odd_above is not None) or self.even_above is not None
        return family or any(n % q == 0 for n in self.unseen)

    def __str__(self) -> str:
        parts = [f"odd n > {self.odd_above}"] if self.odd_above is not None else []
        parts += [f"even n > {self.even_above}"] if self.even_above is not None else []
        parts += [f"n = {n} (to rounding)" for n in self.unseen]
        return ", ".join(parts) or f"none (searched to n = {self.searched})"


def null_modes(sigma: Activation, inputs: Inputs) -> NullModes:
    """The null modes of an activation, by parity.

    cos(phi - theta + pi) = -cos(phi - theta): odd modes come from the odd part of sigma alone, even modes from the
    even part; a polynomial of degree q in cos t has no mode above q. So a polynomial part makes a null family.
    """
    families = NullModes(sigma.odd_degree, sigma.even_degree)
    a = kernel_coefficients(sigma, inputs, families.searched + 12)
    seen = a > 1e-28 * a.max()
    # a spectrum that decays below rounding is not null: a higher mode of the same parity must stand well above
    unseen = [
        n
        for n in range(1, families.searched + 1)
        if n not in families and not seen[n] and a[n + 2 :: 2].max() > 1e-20 * a.max()
    ]
    return NullModes(sigma.odd_degree, sigma.even_degree, tuple(unseen), families.searched)
