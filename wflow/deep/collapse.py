"""This file owns the depth collapse of independent starts: what of it a run shows, in statistics that fall to 0.

From independent weights with constant biases, at depth L >= 4, the limit keeps for all times (docs/multilayer.md)

    H_i, Delta_i independent of the neuron, 2 <= i <= L - 2
    w_2 - w_2^0 = g(c_1)      w_{L-1} - w_{L-1}^0 = g(c_{L-1})
    w_i - w_i^0 = one number, 3 <= i <= L - 2: a whole layer is translated.

A network of width n is off by n^{-1/2}.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, shaped
from wflow.deep.network import Network
from wflow.errors import Refused


@dataclass(frozen=True, eq=False)
class Collapse:
    """S of each middle layer w_2 .. w_{L-1}, and the spread over neurons of the fields H_2 .. H_{L-2}.

    translations: S = (share of the variance along the axis on which the change should be constant)^(1/2), in [0, 1].
    spreads: (E_x Var_c H_i(x, c))^(1/2).
    """

    translations: tuple[float, ...]
    spreads: tuple[float, ...]


def translation(change: Array, axis: int | None, p: Array, q: Array) -> float:
    """(mean over the other axis of the variance along `axis`, over the mean square)^(1/2), with masses p (n,), q (m,).

    change: w(T) - w(0) (n, m).   axis: 0 or 1, None for all pairs.   0: it does not depend on that index; 1: nothing of
    it but.   Raises Refused where nothing moved: 0/0.
    """
    if axis not in (0, 1, None):
        raise ValueError(f"translation axis: {axis!r} is none of the two; give 0, 1, or None for all pairs")
    square = float(p @ change**2 @ q)
    if square == 0.0:
        raise Refused("translation: the weights did not move, so that S is 0/0; take a start that is not stationary")
    if axis is None:
        rest = change - float(p @ change @ q)
    else:
        rest = change - (p @ change if axis == 0 else (change @ q)[:, None])
    return float(np.sqrt(p @ rest**2 @ q / square))


def collapse(start: Network, end: Network, inputs: Array) -> Collapse:
    """Of a run from one network to another, at depth 3 and above (at 3, S of w_2 along c_2, which does not fall)."""
    if start.depth < 3:
        raise Refused(f"collapse: depth {start.depth} has no middle layer; take 3 or more")
    if start.widths != end.widths:
        raise ValueError(f"collapse: widths {start.widths} became {end.widths}; give two networks of one run")
    inputs = shaped("collapse inputs", inputs, (None, end.first.shape[1]))
    axes = [1] if start.depth == 3 else [1, *([None] * (start.depth - 4)), 0]
    found = [
        translation(after.values() - before.values(), axis, p, q)
        for before, after, axis, p, q in zip(start.middle, end.middle, axes, end.masses, end.masses[1:], strict=False)
    ]
    fields = end.fields(inputs).before
    return Collapse(tuple(found), tuple(_spread(fields[i], end.masses[i]) for i in range(1, end.depth - 2)))


def _spread(h: Array, p: Array) -> float:
    mean = h @ p
    return float(np.sqrt(np.mean((h - mean[:, None]) ** 2 @ p)))
