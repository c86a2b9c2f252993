"""This file owns functions of an angle that are Re sum_{r,n} c[s, r, n] t^r e^{i n t} between breaks, and sums of them.

Kernels with kinks are such functions in closed form. Their sums over atoms are exact and take O((m + len(w)) log m),
since nodal quadrature of a kink is not accurate.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from wflow.arrays import Array, ComplexArray
from wflow.domain import TURN

Places = npt.NDArray[np.intp]
_LATTICE = 2.0**50


def differentiated(parts: ComplexArray) -> ComplexArray:
    """d/dt of t^r e^{i n t} = r t^{r-1} e^{i n t} + i n t^r e^{i n t}; parts (S, R, N)."""
    out = parts * (1j * np.arange(parts.shape[2]))
    out[:, :-1] += parts[:, 1:] * np.arange(1, parts.shape[1])[:, None]
    return out


def sums_over_atoms(breaks: Array, jet: Sequence[ComplexArray], theta: Array, weights: Array, w: Array) -> list[Array]:
    """For each function g of `jet`, all with the same breaks, sum_j weights_j g((w - theta_j) mod 2 pi), (len(w),).

    The sources are laid out twice, one turn apart, so that t = w - theta_j in [0, 2 pi) picks each of them once.
    Those of a piece are the ones between two cuts of that line; their moments sum_j weights_j (t_j)^r e^{i n t_j}
    come from prefix sums of weights L^q e^{-i n L}, L the place on the line. At a break: the mean of both sides.
    """
    source = _on_turn(theta)
    order = np.argsort(source, kind="stable")
    sorted_source, sorted_weights = source[order], weights[order]
    line = np.concatenate([sorted_source - TURN, sorted_source])
    mass = np.concatenate([sorted_weights, sorted_weights])
    target = _on_turn(w)
    cuts = [_both_sides(line, target - b) for b in breaks]
    total = [np.zeros(len(target)) for _ in jet]
    for n in range(jet[0].shape[2]):
        used = [np.flatnonzero(np.any(parts[:, :, n], axis=0)) for parts in jet]
        highest = max((int(r[-1]) for r in used if len(r)), default=-1)
        if highest < 0:
            continue
        prefix = _prefix(mass if n == 0 else mass * np.exp(-1j * n * line), line, highest)
        wave = np.exp(1j * n * target) if n else None
        for s, (before, after) in enumerate(pairwise(cuts)):
            moments = _moments(_at(prefix, before) - _at(prefix, after), target)
            for out, parts in zip(total, jet, strict=True):
                c = parts[s, : highest + 1, n]
                out += (c.real @ moments) if wave is None else ((c @ moments) * wave).real
    return total


def _on_turn(angle: Array) -> Array:
    """Angles in [0, 2 pi), rounded to multiples of 2^-50, of which the float 2 pi is one.

    Differences of them are then exact: else w - 2 pi may meet an atom that w misses, or the other way round, and an
    atom within 1e-15 of w is counted half or one and a half times.
    """
    out = np.rint(np.mod(angle, TURN) * _LATTICE) / _LATTICE
    out[out >= TURN] = 0.0
    return np.asarray(out)


def _prefix(mass: Array, line: Array, highest: int) -> Array:
    """Sums of mass (-line)^q over all places to the left, q = 0 ... highest: (highest + 1, len(line) + 1)."""
    out = np.zeros((highest + 1, len(line) + 1), dtype=mass.dtype)
    out[0, 1:] = mass
    for q in range(highest):
        np.multiply(out[q, 1:], -line, out=out[q + 1, 1:])
    return np.cumsum(out, axis=1, out=out)


def _moments(inside: Array, target: Array) -> Array:
    """Sums of mass (t - L)^r = sum_q C(r, q) t^{r-q} (-L)^q, row r, from those of mass (-L)^q, row q; t = target."""
    out = np.array(inside)
    for r in range(1, len(inside)):
        for q in range(r):
            out[r] += math.comb(r, q) * target ** (r - q) * inside[q]
    return out


def _both_sides(line: Array, cut: Array) -> tuple[Places, Places | None]:
    """Places of the cuts, and if any falls on an atom of the line, where they are behind it."""
    left, right = np.searchsorted(line, cut, side="left"), np.searchsorted(line, cut, side="right")
    return left, None if np.array_equal(left, right) else right


def _at(prefix: Array, places: tuple[Places, Places | None]) -> Array:
    """Prefix sums up to a cut, atoms exactly at it counted half."""
    left, right = places
    here = np.take(prefix, left, axis=1)
    return here if right is None else np.asarray(0.5 * (here + np.take(prefix, right, axis=1)))


def sawtooth_pieces() -> tuple[Array, ComplexArray]:
    """((pi - t)^2/2 - pi^2/6)/(2 pi) on [0, 2 pi]: breaks (2,) and parts (1, 3, 2)."""
    parts = np.zeros((1, 3, 2), dtype=np.complex128)
    parts[0, :, 0] = np.array([math.pi**2 / 3.0, -math.pi, 0.5]) / TURN
    return np.array([0.0, TURN]), parts


def relu_pieces(threshold: float) -> tuple[Array, ComplexArray]:
    """E max(x . v - b, 0) max(x . v' - b, 0) for x uniform on S^1 and |b| < 1, by the angle t of v and v'.

    (I(t) 1{t < 2p} + I(2 pi - t) 1{2 pi - t < 2p})/2 pi with p = arccos b and
    I(t) = (2p - t)(cos(t)/2 + b^2) + sin(2p - t)/2 - 2b (sin p + sin(p - t)).
    """
    b, p = threshold, math.acos(threshold)
    breaks = np.unique(np.round([0.0, min(2 * p, TURN - 2 * p), max(2 * p, TURN - 2 * p), TURN], 15))
    parts = np.zeros((len(breaks) - 1, 3, 2), dtype=np.complex128)
    # I(t) by parts: sin(2p - t)/2 = Re(e^{it} i e^{-2ip}/2), sin(p - t) = Re(e^{it} i e^{-ip})
    wave = 0.5j * np.exp(-2j * p) - 2j * b * np.exp(-1j * p)
    here = np.zeros((3, 2), dtype=np.complex128)
    here[0] = [2 * p * b * b - 2 * b * math.sin(p), p + wave]
    here[1] = [-b * b, -0.5]
    # I(2 pi - t): (2p - 2 pi + t)(cos(t)/2 + b^2) + sin(2p + t)/2 - 2b (sin p + sin(p + t))
    mirrored = np.zeros((3, 2), dtype=np.complex128)
    mirrored[0] = [(2 * p - TURN) * b * b - 2 * b * math.sin(p), p - math.pi + wave.conjugate()]
    mirrored[1] = [b * b, 0.5]
    for s, middle in enumerate(0.5 * (breaks[1:] + breaks[:-1])):
        parts[s] = ((middle < 2 * p) * here + (TURN - middle < 2 * p) * mirrored) / TURN
    return breaks, parts
