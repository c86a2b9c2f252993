"""This file owns the law of a neuron's angle at a temperature, by a quadrature that is exact on every arc.

    V(a, v) = a m(v) + lam (a^2 + |v|^2)/2,   m(v) = sum_i r_i relu(v . X_i),   X_i = (x_i, 1),   v = (w, b) = r u(phi)

m = r M(phi); of e^{-V/T} the integrals over a (Gaussian) and over r are closed, and where |M| < lam        (derived)

    Z = (2 pi T/lam)^(1/2) T lam int d(phi)/(lam^2 - M(phi)^2)
    phi has the density h/int h, h = 1/(lam^2 - M^2);  E(r^2 | phi) = 2 lam T h;  E(a | v) = -m(v)/lam

so that E a relu(v . X) = int relu(u . X) dnu, the charges nu of density -2 T M h^2/int h per radian. Z is infinite
where |M| reaches lam: M is Lipschitz, so int h grows at least like log(1/min(lam - |M|)).

Between two neighbouring kinks M = A cos phi + B sin phi = -R sin chi, chi an angle from a zero of M. With
eta = lam^2 - R^2, k = |eta|^(1/2)/lam,

    eta > 0:  tan sigma = k tan chi     eta < 0:  tanh sigma = k tan chi     h d(phi) = d(sigma)/(k lam^2)
    h = (k^2 c^2 + s^2)/(k lam)^2,  (cos chi, sin chi) = (k c, s)/(k^2 c^2 + s^2)^(1/2),  c, s = cos, sin or cosh, sinh

so h d(phi) times a quadratic form in (cos chi, sin chi) times h, or a quartic one times h^2, is a polynomial in c and s
of degree 2 or 4: Gauss's rule on panels of unit length in sigma gives each to rounding, at any temperature.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss

from wflow.arrays import Array
from wflow.duality.arcwise import Arcwise

RELU = (0.5, 0.5, 0.0)
_NODES = 16
"""exp(4 sigma) on a panel of length one, to 1e-17 of itself."""
_FLAT = 1e-20
"""Least k: R = lam to rounding on an arc that stays away from |M| = lam, where h d(phi) tends to d(tan chi)/lam^2."""


@dataclass(frozen=True, eq=False)
class AngleLaw:
    """Nodes: directions u (N, 2), M (N,), h (N,), and the weights (N,) of h d(phi); lam; whether |M| < lam throughout.

    Sums over the nodes of h d(phi) times 1, quadratic forms in u times h, or quartic ones times h^2 are exact to
    rounding, if these are such forms on each arc (arcs are cut at the zeros of M too). No nodes where h is infinite.
    """

    lam: float
    u: Array
    field: Array
    inverse: Array
    weights: Array

    @property
    def feasible(self) -> bool:
        """|M| < lam on the circle."""
        return len(self.weights) > 0

    @property
    def integral(self) -> float:
        """int h d(phi)."""
        return float(np.sum(self.weights))

    def charges(self, temperature: float) -> Array:
        """(N,) of nu: -2 T M h^2 d(phi)/int h."""
        return np.asarray(-2.0 * temperature * self.field * self.inverse * self.weights / self.integral)


def angle_law(r: Array, x: Array, lam: float, splits: Array | None = None) -> AngleLaw:
    """The law for coefficients r (n,) at X (n, 2); splits (k, 2): directions besides at whose normals arcs end.

    Functions with a kink where u . split = 0 are then integrated exactly too.
    """
    if splits is not None:
        r, x = np.concatenate([r, np.zeros(len(splits))]), np.concatenate([x, splits])
    ends, plane = Arcwise(r, x, RELU).arcs()
    left, right, a, b = ends[:-1], ends[1:], plane[:, 0], plane[:, 1]
    kept = right > left
    left, right, a, b = left[kept], right[kept], a[kept], b[kept]
    if highest(left, right, a, b) >= lam:
        none = np.zeros(0)
        return AngleLaw(lam, np.zeros((0, 2)), none, none, none)
    # |M| has a kink at a zero of M
    zero = left + np.mod(np.arctan2(b, a) + 0.5 * np.pi - left, np.pi)
    cut = (left < zero) & (zero < right)
    halves = np.where(cut, zero, right)
    left, right = np.concatenate([left, zero[cut]]), np.concatenate([halves, right[cut]])
    return _nodes(left, right, np.concatenate([a, a[cut]]), np.concatenate([b, b[cut]]), lam)


def highest(left: Array, right: Array, a: Array, b: Array) -> float:
    """max |A cos + B sin| over the arcs."""
    ends = [np.abs(a * np.cos(t) + b * np.sin(t)) for t in (left, right)]
    peak = np.arctan2(b, a)
    inside = left + np.mod(peak - left, np.pi) <= right
    return float(np.max([*ends, np.where(inside, np.hypot(a, b), 0.0)]))


def tops(left: Array, right: Array, a: Array, b: Array) -> Array:
    """Angles strictly inside the arcs at which |A cos + B sin| is highest."""
    found = left + np.mod(np.arctan2(b, a) - left, np.pi)
    return np.asarray(found[(left < found) & (found < right) & (np.hypot(a, b) > 0.0)])


def _nodes(left: Array, right: Array, a: Array, b: Array, lam: float) -> AngleLaw:
    size, peak = np.hypot(a, b), np.arctan2(b, a)
    eta = (lam - size) * (lam + size)
    k = np.maximum(np.sqrt(np.abs(eta)) / lam, _FLAT)
    first = left - peak - 0.5 * np.pi
    turns = np.round((first + 0.5 * (right - left)) / np.pi)  # half turns from the nearest zero of the sinusoid
    first = first - np.pi * turns
    last = first + (right - left)
    bent = eta < 0.0
    start = np.where(bent, _hyperbolic(first, k, size, lam), _circular(first, k))
    end = np.where(bent, _hyperbolic(last, k, size, lam), _circular(last, k))
    panels = np.maximum(np.ceil(end - start), 1.0).astype(np.int64)
    arc = np.repeat(np.arange(len(left)), panels)
    step = (end - start) / panels
    index = np.arange(len(arc)) - np.repeat(np.cumsum(panels) - panels, panels)
    nodes, rule = leggauss(_NODES)
    sigma = start[arc, None] + step[arc, None] * (index[:, None] + 0.5 * (nodes + 1.0))
    weights = 0.5 * step[arc, None] * rule / (k[arc, None] * lam**2)
    with np.errstate(over="ignore"):  # of the branch that is not taken
        c = np.where(bent[arc, None], np.cosh(sigma), np.cos(sigma))
        s = np.where(bent[arc, None], np.sinh(sigma), np.sin(sigma))
    kc, turned = k[arc, None] * c, peak[arc, None]
    norm = np.hypot(kc, s)
    sign = np.where(turns[arc, None] % 2.0, -1.0, 1.0) / norm
    u = sign[..., None] * np.stack(
        [-(np.sin(turned) * kc + np.cos(turned) * s), np.cos(turned) * kc - np.sin(turned) * s], axis=-1
    )
    field = -size[arc, None] * s * sign
    inverse = (norm / (k[arc, None] * lam)) ** 2
    return AngleLaw(lam, u.reshape(-1, 2), field.ravel(), inverse.ravel(), weights.ravel())


def _circular(chi: Array, k: Array) -> Array:
    """sigma with tan sigma = k tan chi, in the quarter of chi."""
    s, c = np.sin(chi), np.cos(chi)
    return np.asarray(chi + np.arctan2((k - 1.0) * s * c, c * c + k * s * s))


def _hyperbolic(chi: Array, k: Array, size: Array, lam: float) -> Array:
    """sigma with tanh sigma = k tan chi, from cos + k |sin| and (cos - k |sin|)(cos + k |sin|) = 1 - (M/lam)^2."""
    s, c = np.abs(np.sin(chi)), np.cos(chi)
    left = (lam - size * s) * (lam + size * s) / lam**2
    far = np.abs(c) + k * s
    return np.asarray(np.sign(np.sin(chi)) * 0.5 * np.log(far * far / np.where(left > 0.0, left, 1.0)))
