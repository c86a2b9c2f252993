"""This file owns the largest margin in the variation norm: what both trained layers converge to, certified.

    gamma_1 = max over signed measures nu on S^2, |nu| <= 1, of min_i y_i f_nu(x_i),  f_nu(x) = int relu(b.(x,1)) dnu(b)
            = min over p >= 0, sum p = 1, of max_b |g_p(b)|,   g_p(b) = sum_i p_i y_i relu(b . (x_i, 1))

(a matrix game; both values are attained: the sphere is compact and relu continuous.) Any nu bounds gamma_1 from below
and any p from above, since the maximum over b is taken over the whole sphere, exactly (wflow.margins.arrangement).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from wflow.arrays import Array, count, positive, shaped
from wflow.errors import NotConverged
from wflow.margins.arrangement import Arrangement
from wflow.margins.labelled import Labelled

_ENTERING = 40
"""Directions of each sign that enter at once."""
_APART = 1e-9


@dataclass(frozen=True, eq=False)
class VariationMargin:
    """lower <= gamma_1 <= upper, with nu = sum_j masses_j delta_{directions_j} (k, 3) and p (n,) that prove it."""

    lower: float
    upper: float
    directions: Array
    masses: Array
    weights: Array
    rounds: int

    def classifier(self, x: Array) -> Array:
        """f_nu (m,) at points x (m, 2)."""
        return np.asarray(np.maximum(np.column_stack([x, np.ones(len(x))]) @ self.directions.T, 0.0) @ self.masses)


def variation_margin(x: ArrayLike, y: ArrayLike, *, tolerance: float = 1e-10, limit: int = 200) -> VariationMargin:
    """The largest margin of relu networks of variation norm 1 on x (n, 2), y = +-1 (n,), and its certificate.

    Exchange: a linear programme on finitely many directions gives nu and p; the maxima of |g_p| over the sphere enter
    it; until upper - lower <= tolerance upper, to which rounding is added at both ends. A round costs O(n^3) and a
    programme of n rows: 30 points take .5 s, 60 points 1 to 4 s.
    Raises NotConverged after `limit` rounds, Refused for more than 200 distinct points or for points that coincide to
    six digits.   Source: Chizat & Bach 2020, COLT, arXiv:2002.04486; Hettich & Kortanek 1993, SIAM Rev. 35(3).
    """
    data = Labelled.of(x, y)
    positive("variation_margin tolerance", tolerance)
    circles, signed = Arrangement(data.points), data.labels
    directions, upper, best = circles.vertices, np.inf, np.zeros(0)
    for round_ in range(1, count("variation_margin limit", limit) + 1):
        responses = signed[:, None] * np.maximum(data.points @ directions.T, 0.0)
        masses, p = _game(responses)
        lower = float(np.min(responses @ masses))
        bound, entering = _ceiling(circles, p * signed)
        if bound < upper:
            upper, best = bound, p
        # rounding is in the bracket, and no round makes it smaller
        if upper - lower <= tolerance * upper + circles.rounding:
            used = masses != 0.0
            lower -= circles.rounding
            return VariationMargin(lower, upper, directions[used], masses[used], data.spread(best), round_)
        directions = _together(directions[masses != 0.0], _near_active(directions, responses, p, lower), entering)
    raise NotConverged(
        f"variation_margin: bracket [{lower:.12g}, {upper:.12g}] after {limit} rounds; raise `limit` or `tolerance`",
        upper - lower,
    )


def variation_ceiling(x: ArrayLike, y: ArrayLike, weights: ArrayLike) -> float:
    """max over the sphere of |g_p|, p (n,) the weights over their sum: a bound of gamma_1 from above, rounding added.

    A run proves one by itself, with weights_i / (1 + e^{y_i f(x_i)}): they tend to the p of the maximal margin.
    """
    data = Labelled.of(x, y)
    p = shaped("variation_ceiling weights", weights, (len(data.places),))
    if p.min() < 0.0 or p.sum() <= 0.0:
        raise ValueError(f"variation_ceiling weights: {p.tolist()} are not nonnegative with a sum above 0; change them")
    return _ceiling(Arrangement(data.points), data.gathered(p / p.sum()) * data.labels)[0]


def _ceiling(circles: Arrangement, c: Array) -> tuple[float, Array]:
    """max over the sphere of |sum_i c_i relu(b . X_i)|, rounding added, and directions (k, 3) where it is large."""
    (up, highest), (down, lowest) = circles.maximum(c), circles.maximum(-c)
    rounding = circles.rounding * float(np.abs(c).sum())
    return max(up, down) + rounding, np.concatenate([highest[:_ENTERING], lowest[:_ENTERING]])


def _near_active(directions: Array, responses: Array, p: Array, lower: float) -> Array:
    """Directions whose constraint |g_p| <= gamma is within a tenth of being met: they may be wanted again."""
    return np.asarray(directions[np.abs(p @ responses) > 0.9 * lower])


def _together(*parts: Array) -> Array:
    """Directions (k, 3) of all parts, those within 1e-9 of another left out."""
    whole = np.concatenate(parts)
    _, first = np.unique(np.round(whole / _APART), axis=0, return_index=True)
    return np.asarray(whole[np.sort(first)])


def _game(responses: Array) -> tuple[Array, Array]:
    """Signed masses (k,) of sum |masses| = 1 with the largest min_i (responses masses)_i, and the weights p (n,)."""
    n, k = responses.shape
    # unknowns: masses of both signs, and the margin t; t - responses masses <= 0
    above = np.column_stack([-responses, responses, np.ones(n)])
    mass = np.append(np.ones(2 * k), 0.0)[None]
    found = linprog(
        -np.append(np.zeros(2 * k), 1.0), A_ub=above, b_ub=np.zeros(n), A_eq=mass, b_eq=[1.0],
        bounds=[(0.0, None)] * (2 * k) + [(None, None)], method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    if found.x is None:
        raise NotConverged(f"variation_margin: HiGHS ended with {found.message!r}; scale the inputs", np.inf)
    masses = found.x[:k] - found.x[k : 2 * k]
    p = np.maximum(-found.ineqlin.marginals, 0.0)
    return masses / max(float(np.abs(masses).sum()), np.finfo(float).tiny), p / p.sum()
