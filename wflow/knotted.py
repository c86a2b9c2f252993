"""This file owns activations that are straight between knots, and their means over the directions of R^d."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.interpolate import PPoly
from scipy.special import betainc, gammaln, ndtr

from wflow.activation import Activation, Scalar
from wflow.arrays import Array, count, finite

Knots = Sequence[tuple[float, float]]
Dimension = int | float
"""2, 3, .. or math.inf."""
_ROUGH = 6
"""Up to which dimension knots count as kinks: at z = t_k/sqrt(d) a mean is like (z - .)_+^((d + 1)/2)."""
_SMOOTH, _FAR, _PIECES = 10, 40.0, 4000
"""From which dimension on, up to which argument and in how many pieces a mean is tabulated."""


def knotted(knots: Knots) -> Activation:
    """sigma through the knots (t_k, s_k), straight between them and constant beyond the first and the last.

    Raises ValueError unless t_1 < t_2 < ..., two or more.
    """
    times, values = _split(knots)
    slopes = np.concatenate([[0.0], np.diff(values) / np.diff(times), [0.0]])

    def slope(z: Array) -> Array:
        left, right = (slopes[np.searchsorted(times, z, side)] for side in ("left", "right"))
        return np.asarray(0.5 * (left + right))

    return Activation("knotted", lambda z: np.interp(z, times, values), slope, kinks=tuple(times.tolist()))


def averaged(knots: Knots, d: Dimension) -> Activation:
    """phi(z) = E sigma(sqrt(d) z Theta), Theta a coordinate of a uniform point of the unit sphere of R^d.

    What a network of rotation-invariant weights of size z sees of inputs of size sqrt(d). With sigma = s_1 + sum_k c_k
    (. - t_k)_+, all t_k >= 0, u = sqrt(d) |z|, theta_k = min(t_k/u, 1), C = Gamma(d/2)/(2 sqrt(pi) Gamma((d+1)/2)):

        phi   = s_1 + sum_k c_k [u C (1 - theta_k^2)^((d-1)/2) - (t_k/2) I_{1 - theta_k^2}((d-1)/2, 1/2)]
        phi'  = sign(z) sqrt(d) C sum_k c_k (1 - theta_k^2)^((d-1)/2)
        phi'' = d (d-1) C sum_k c_k (1 - theta_k^2)^((d-3)/2) theta_k^2/u       (d = 3: it jumps; 2: no bound)

    with I the regularised incomplete beta function. As d grows sqrt(d) Theta becomes N(0, 1) and, n and N its density
    and distribution function, phi = s_1 + sum_k c_k [|z| n(t_k/z) - t_k N(-t_k/|z|)], which d = math.inf gives.
    phi leaves a knot like a power (d + 1)/2. A knot at 0 is none of its kinks: z is a size, and ends there.
    Raises ValueError for knots below 0 and for d < 2.
    """
    times, values = _split(knots)
    if times[0] < 0.0:
        raise ValueError(f"averaged knots: {times[0]:g} is below 0; give knots at t >= 0")
    jumps = _jumps(times, values)
    if d == math.inf:
        return _in_the_limit(times, jumps, float(values[0]))
    n = count("averaged d", d, least=2)
    c = 0.5 * math.exp(float(gammaln(0.5 * n) - gammaln(0.5 * (n + 1)))) / math.sqrt(math.pi)
    half, least = 0.5 * (n - 1), np.maximum(times, np.finfo(float).tiny)

    def at(z: Array) -> tuple[Array, Array]:
        """max(u, t_k) and 1 - theta^2, knots along the last axis."""
        u = np.maximum(math.sqrt(n) * np.abs(z)[..., None], least)
        theta = times / u
        return u, (1.0 - theta) * (1.0 + theta)

    def value(z: Array) -> Array:
        u, rest = at(z)
        return np.asarray(values[0] + (u * c * rest**half - 0.5 * times * betainc(half, 0.5, rest)) @ jumps)

    def slope(z: Array) -> Array:
        return np.asarray(np.sign(z) * math.sqrt(n) * c * (at(z)[1] ** half @ jumps))

    def curvature(z: Array) -> Array:
        u, rest = at(z)
        steep = np.power(rest, half - 1.0, out=np.zeros_like(rest), where=rest > 0.0)
        inside = np.divide((1.0 - rest) * steep, u, out=np.zeros_like(rest), where=rest > 0.0)
        return np.asarray(n * (n - 1) * c * (inside @ jumps))

    rough = tuple((times[times > 0.0] / math.sqrt(n)).tolist()) if n <= _ROUGH else ()
    quick = value if n < _SMOOTH else _tabulated(value, slope, curvature)
    return Activation(_name(n), quick, slope, curvature, rough, float(n), odd_degree=0, power=0.5 * (n + 1))


def pieces(knots: Knots) -> list[tuple[float, float]]:
    """(t_k, c_k) with sigma = s_1 + sum_k c_k (. - t_k)_+: the changes of slope."""
    times, values = _split(knots)
    return list(zip(times.tolist(), _jumps(times, values).tolist(), strict=True))


def _jumps(times: Array, values: Array) -> Array:
    return np.diff(np.concatenate([[0.0], np.diff(values) / np.diff(times), [0.0]]))


def _tabulated(value: Scalar, slope: Scalar, curvature: Scalar) -> Scalar:
    """An even function by quintic Hermite interpolation in v = |z|/(1 + |z|) up to |z| = 40, to 1e-13; itself beyond.

    The incomplete beta function takes fifty times as long. Near a knot phi is like a power (d + 1)/2 of the distance.
    """
    v = np.linspace(0.0, _FAR / (1.0 + _FAR), _PIECES + 1)
    z, h = v / (1.0 - v), float(v[1])
    f, g = value(z), h * slope(z) * (1.0 + z) ** 2
    c = h * h * (curvature(z) * (1.0 + z) ** 4 + 2.0 * slope(z) * (1.0 + z) ** 3)
    rise, (g0, g1), (c0, c1) = np.diff(f), (g[:-1], g[1:]), (c[:-1], c[1:])
    powers = np.stack([
        6.0 * rise - 3.0 * (g1 + g0) - 0.5 * (c0 - c1),
        -15.0 * rise + 7.0 * g1 + 8.0 * g0 + 0.5 * (3.0 * c0 - 2.0 * c1),
        10.0 * rise - 4.0 * g1 - 6.0 * g0 - 0.5 * (3.0 * c0 - c1),
        0.5 * c0, g0, f[:-1],
    ])  # fmt: skip
    table = PPoly(powers, v / h, extrapolate=False)

    def near(z: Array) -> Array:
        size = np.abs(z)
        inside = size < _FAR
        found: Array = table(np.where(inside, size, 0.0) / (1.0 + np.where(inside, size, 0.0)) / h)
        if not np.all(inside):
            found[~inside] = value(size[~inside])
        return found

    return near


def _in_the_limit(times: Array, jumps: Array, least: float) -> Activation:
    """d = infinity."""

    def at(z: Array) -> tuple[Array, Array, Array]:
        """|z| with t_k/|z| and the Gaussian density there."""
        size = np.abs(z)[..., None]
        ratio = np.divide(times, size, out=np.full((*np.shape(z), len(times)), np.inf), where=size > 0.0)
        return size, ratio, np.exp(-0.5 * ratio * ratio) / math.sqrt(2.0 * math.pi)

    def value(z: Array) -> Array:
        size, ratio, bell = at(z)
        return np.asarray(least + (size * bell - times * ndtr(-ratio)) @ jumps)

    def slope(z: Array) -> Array:
        return np.asarray(np.sign(z) * (at(z)[2] @ jumps))

    def curvature(z: Array) -> Array:
        size, ratio, bell = at(z)
        inside = np.divide(
            bell * np.where(bell > 0.0, ratio, 0.0) ** 2, size, out=np.zeros_like(bell), where=bell > 0.0
        )
        return np.asarray(inside @ jumps)

    return Activation(_name(math.inf), value, slope, curvature, odd_degree=0)


def _name(d: Dimension) -> str:
    return "knotted, mean over directions" + (" of any number" if d == math.inf else "")


def _split(knots: Knots) -> tuple[Array, Array]:
    found = finite("knots", knots)
    if found.ndim != 2 or found.shape[1] != 2 or len(found) < 2 or np.any(np.diff(found[:, 0]) <= 0.0):
        raise ValueError(f"knots: {knots!r} are not pairs (t, s) with t increasing; give two or more")
    return found[:, 0], found[:, 1]
