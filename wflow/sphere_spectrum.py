"""This file owns Funk-Hecke coefficients of activations on the sphere S^2, and their null degrees.

For x of length r along a unit vector u:  sigma(x . w) = sum_l (2l + 1) mu_l(r) P_l(u . w),
    mu_l(r) = (1/2) int_{-1}^1 sigma(r t) P_l(t) dt,
so the kernel k(w, w') = E sigma(x . w) sigma(x . w') = sum_l a_l P_l(w . w') has a_l = (2l + 1) E mu_l^2 >= 0 for every
rotation-invariant law of x (addition theorem). A degree with a_l = 0 is invisible to the network.
Source: Atkinson & Han 2012, Spherical Harmonics and Approximations on the Unit Sphere, theorem 2.22.
"""

import math
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.special import gammaln, ive, spherical_jn

from wflow.activation import Activation
from wflow.arrays import Array
from wflow.harmonics import gauss_legendre, legendre
from wflow.spectrum import NullModes

SphereInputs = Literal["gaussian", "sphere"]
_RADIUS = 12.0  # r^2 e^{-r^2/2} is 1e-29 there
_RADIAL_NODES = 120
_ROUNDING = 1e-26
"""What quadrature leaves of a_l = 0, mu_l being right to 1e-15."""


def sphere_funk_hecke(sigma: Activation, count: int, radius: float = 1.0) -> Array:
    """mu_0..mu_count at one input length, by Gauss-Legendre between the kinks: exact to rounding."""
    kinks = [z / radius for z in sorted(sigma.kinks) if abs(z) < radius]
    nodes, weights = gauss_legendre(count + 80)
    out = np.zeros(count + 1)
    for a, b in pairwise([-1.0, *kinks, 1.0]):
        t = 0.5 * (a + b) + 0.5 * (b - a) * nodes
        out += legendre(t, count) @ (0.25 * (b - a) * weights * sigma.value(radius * t))
    return out


def sphere_coefficients(sigma: Activation, inputs: SphereInputs, count: int) -> Array:
    """a_0..a_count: closed forms where known, else quadrature (absolute error about 1e-15)."""
    closed = _closed(sigma, inputs, count)
    return closed if closed is not None else sphere_quadrature(sigma, inputs, count)


def sphere_quadrature(sigma: Activation, inputs: SphereInputs, count: int) -> Array:
    """The same by quadrature for any activation, the oracle of the closed forms."""
    double = 2.0 * np.arange(count + 1) + 1.0
    if inputs == "sphere":
        return np.asarray(double * sphere_funk_hecke(sigma, count) ** 2)
    # of abs(x), x ~ N(0, I_3), the density is (2/pi)^(1/2) r^2 e^{-r^2/2}
    ends = np.array([0.0, *sorted({abs(z) for z in sigma.kinks if 0.0 < abs(z) < _RADIUS}), _RADIUS])
    nodes, weights = gauss_legendre(_RADIAL_NODES)
    total = np.zeros(count + 1)
    for a, b in pairwise(ends):
        radii = 0.5 * (a + b) + 0.5 * (b - a) * nodes
        chance = 0.5 * (b - a) * weights * math.sqrt(2.0 / math.pi) * radii**2 * np.exp(-0.5 * radii**2)
        total += sum(p * sphere_funk_hecke(sigma, count, r) ** 2 for p, r in zip(chance, radii, strict=True))
    return np.asarray(double * total)


def _closed(sigma: Activation, inputs: SphereInputs, count: int) -> Array | None:
    """Closed forms, None where none is known. Gaussian x of length r: a homogeneous sigma gains E r^2 = 3, E r^4 = 15.

    cos_minus_sin: by e^{ibt} = sum (2l + 1) i^l j_l(b) P_l(t), and k = e^{-b^2 (1 - t)} for Gaussian x, where
    e^{b^2 t} = sum (2l + 1) i_l(b^2) P_l(t), i_l(x) = (pi/2x)^(1/2) I_{l+1/2}(x).
    """
    gaussian = inputs == "gaussian"
    l = np.arange(count + 1, dtype=np.float64)  # noqa: E741
    match sigma.name, sigma.parameter:
        case "relu", None:
            return np.asarray((2.0 * l + 1.0) * relu_mu(count) ** 2 * (3.0 if gaussian else 1.0))
        case "heaviside", None:
            return np.asarray((2.0 * l + 1.0) * heaviside_mu(count) ** 2)
        case "cos_minus_sin", float(b):
            bessel = math.sqrt(0.5 * math.pi) / b * ive(l + 0.5, b * b)
            return np.asarray((2.0 * l + 1.0) * (bessel if gaussian else spherical_jn(np.arange(count + 1), b) ** 2))
        case "linear", _:
            return np.where(l == 1.0, 1.0 if gaussian else 1.0 / 3.0, 0.0)
        case "quadratic", _:
            # z^2 = r^2 (1/3 + 2/3 P_2): mu_0 = r^2/3, mu_2 = 2 r^2/15
            square = 15.0 if gaussian else 1.0
            return square * np.where(l == 0.0, 1.0 / 9.0, np.where(l == 2.0, 4.0 / 45.0, 0.0))
    return None


def relu_mu(count: int) -> Array:
    """mu_0..mu_count of max(z, 0): 1/4, 1/6, then for even l (-1)^(l/2+1) (l-2)!/(2^(l+1) (l/2-1)! (l/2+1)!).

    Odd l >= 3 vanish: relu(z) = z/2 + abs(z)/2.
    """
    mu = np.zeros(count + 1)
    even = np.arange(2.0, count + 1, 2.0)
    size = gammaln(even - 1) - (even + 1) * math.log(2.0) - gammaln(even / 2) - gammaln(even / 2 + 2)
    mu[2::2] = np.where(even % 4 == 2, 1.0, -1.0) * np.exp(size)
    mu[: min(2, count + 1)] = (0.25, 1.0 / 6.0)[: count + 1]
    return mu


def heaviside_mu(count: int) -> Array:
    """mu_0..mu_count of 1{z > 0}: 1/2, 1/4, then for odd l (-1)^((l-1)/2) (l-1)!/(2^(l+1) ((l+1)/2)! ((l-1)/2)!)."""
    mu = np.zeros(count + 1)
    odd = np.arange(1.0, count + 1, 2.0)
    size = gammaln(odd) - (odd + 1) * math.log(2.0) - gammaln(odd / 2 + 1.5) - gammaln(odd / 2 + 0.5)
    mu[1::2] = np.where(odd % 4 == 1, 1.0, -1.0) * np.exp(size)
    mu[0] = 0.5
    return mu


def null_degrees(sigma: Activation, inputs: SphereInputs) -> NullModes:
    """The degrees l >= 1 that the activation does not see on S^2, by parity as on the circle (wflow.spectrum).

    P_l(-t) = (-1)^l P_l(t): odd degrees come from the odd part of sigma alone, even ones from the even part, and a
    polynomial of degree q has no degree above q.
    """
    families = NullModes(sigma.odd_degree, sigma.even_degree)
    a = sphere_coefficients(sigma, inputs, families.searched + 12)
    seen = a > _ROUNDING * a.max()
    # a spectrum that decays below rounding is not null: a higher degree of the same parity must stand well above
    unseen = [
        n
        for n in range(1, families.searched + 1)
        if n not in families and not seen[n] and a[n + 2 :: 2].max() > 1e-20 * a.max()
    ]
    return NullModes(sigma.odd_degree, sigma.even_degree, tuple(unseen), families.searched)
