"""This file owns nonnegative least squares with a price or a mass: an active-set method that ends at few atoms.

    least squares with a price    min |B w - b|^2/2 + price sum w    over w >= 0
    on the simplex                min |B w - b|^2/2                  over w >= 0, sum w = 1

One column enters at a time, the one whose gradient is steepest; the problem on the columns in play is solved without
signs; where that makes a weight negative the way is cut at the first that vanishes, and that column leaves. F falls
with each column, and no set of columns comes twice. On the simplex a column that depends (affinely) on those in play
cannot gain. With a price it can: b = sum s_j b_j, sum s_j > 1, serves as well for less; then B w stays while w goes
along (-s, 1) until a weight vanishes. So at most as many are left as B has rows (one more on the simplex).
Source: Lawson and Hanson 1974, Solving Least Squares Problems, chapter 23.
"""

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array

Indices = NDArray[np.int64]
_ROUNDS = 20
_STEEP = 1e-13
_DEPENDENT = 1e-10
"""Of a column's length: what it has outside of the span of the others."""


def priced(b: Array, y: Array, price: float) -> Array:
    """w (m,) of the first problem, b (n, m), y (n,)."""
    return _climbed(b, y, price, simplex=False)


def on_simplex(b: Array, y: Array) -> Array:
    """w (m,) of the second problem."""
    return _climbed(b, y, 0.0, simplex=True)


def _climbed(b: Array, y: Array, price: float, *, simplex: bool) -> Array:
    n, m = b.shape
    w = np.zeros(m)
    if simplex:
        w[int(np.argmin(np.sum((b - y[:, None]) ** 2, axis=0)))] = 1.0
    scale = float(np.max(np.linalg.norm(b, axis=0), initial=0.0)) * float(np.linalg.norm(y)) + price
    for _ in range(_ROUNDS * (n + 1)):
        gain = b.T @ (y - b @ w) - price
        if simplex:
            gain -= float(w @ gain)
        gain[w > 0.0] = -np.inf
        enters = int(np.argmax(gain))
        if gain[enters] <= _STEEP * scale:
            break
        before = _value(b, y, price, w)
        w = _entered(b, y, price, w, enters, simplex=simplex)
        if _value(b, y, price, w) >= before:
            break
    return w


def _value(b: Array, y: Array, price: float, w: Array) -> float:
    return 0.5 * float(np.sum((b @ w - y) ** 2)) + price * float(np.sum(w))


def _entered(b: Array, y: Array, price: float, w: Array, enters: int, *, simplex: bool) -> Array:
    """The minimiser on the columns in play and one more, after those have left that would be negative."""
    play = np.append(np.flatnonzero(w > 0.0), enters)
    w = w.copy()
    if not simplex and len(play) > 1 and (s := _dependence(b[:, play])) is not None:
        play = _exchanged(w, play, s)
    while True:
        wanted = _mass_one(b[:, play], y) if simplex else _free(b[:, play], y, price)
        low = wanted <= 0.0
        if not np.any(low):
            w[play] = wanted
            return w
        now = w[play]
        # the entering column starts at 0: if it should fall at once it was rounding that let it in
        share = float(np.min(np.where(low, now / np.maximum(now - wanted, 1e-300), np.inf)))
        moved = np.maximum(now + min(share, 1.0) * (wanted - now), 0.0)
        leaves = low & (moved <= 1e-15 * np.max(moved, initial=1e-300))
        if not np.any(leaves):
            leaves = now / np.maximum(now - wanted, 1e-300) <= share
            leaves &= low
        moved[leaves] = 0.0
        w[play] = moved
        play = play[~leaves]
        if not len(play):
            return w


def _dependence(b: Array) -> Array | None:
    """s with last column = sum s_j column_j, None where there is none."""
    s = np.linalg.lstsq(b[:, :-1], b[:, -1], rcond=None)[0]
    off = float(np.linalg.norm(b[:, :-1] @ s - b[:, -1]))
    return np.asarray(s) if off <= _DEPENDENT * float(np.linalg.norm(b[:, -1])) else None


def _exchanged(w: Array, play: Indices, s: Array) -> Indices:
    """w moved, in place, along (-s, 1) until one vanishes; the columns that stay in play."""
    now = w[play[:-1]]
    spans = np.where(s > 0.0, now / np.where(s > 0.0, s, 1.0), np.inf)
    first = int(np.argmin(spans))
    if not np.isfinite(spans[first]):  # sum s <= 0 does not gain: rounding let it in
        return play[:-1]
    w[play[:-1]] = np.maximum(now - spans[first] * s, 0.0)
    w[play[-1]] = spans[first]
    w[play[first]] = 0.0
    return np.delete(play, first)


def _free(b: Array, y: Array, price: float) -> Array:
    """argmin |b s - y|^2/2 + price sum s without signs, by b = Q R: R s = Q^T y - price R^{-T} 1."""
    q, r = np.linalg.qr(b)
    right = q.T @ y - price * np.linalg.lstsq(r.T, np.ones(b.shape[1]), rcond=None)[0]
    return np.asarray(np.linalg.lstsq(r, right, rcond=None)[0])


def _mass_one(b: Array, y: Array) -> Array:
    """argmin |b s - y| with sum s = 1: the first weight is what the others leave."""
    rest = np.linalg.lstsq(b[:, 1:] - b[:, :1], y - b[:, 0], rcond=None)[0]
    return np.concatenate([[1.0 - np.sum(rest)], rest])
