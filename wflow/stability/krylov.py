"""This file owns two iterations on symmetric matrices (d, d): the top of a symmetric map, and a positive solve.

Both see the map alone, which takes symmetric matrices to symmetric ones and is symmetric for <A, B> = tr A B.
"""

from collections.abc import Callable

import numpy as np

from wflow.arrays import Array
from wflow.errors import NotConverged

Map = Callable[[Array], Array]
_CYCLE = 24
_BREAKDOWN = 1e-13


def leading(of: Map, start: Array, *, tolerance: float, limit: int) -> tuple[float, Array]:
    """The largest eigenvalue and its matrix, of norm 1, by Lanczos' method, begun again from its best answer.

    Ends where |T E - theta E| <= tolerance, of 1 or of theta if larger, asked of the map itself; some eigenvalue is
    then as near to theta. That it is the largest is not proved here. Raises NotConverged after `limit` maps.
    """
    e, residual, used = start / np.linalg.norm(start), np.inf, 0
    while used < limit:
        image = of(e)
        theta = float(np.vdot(e, image))
        residual = float(np.linalg.norm(image - theta * e))
        if residual <= tolerance * max(1.0, abs(theta)):
            return theta, e
        e, steps = _cycle(of, e)
        used += steps + 1
    raise NotConverged(
        f"leading: Lanczos' residual is {residual:.1e} > {tolerance:.1e} after {used} maps; raise `limit`, or ask for "
        "a wider tolerance", residual,
    )  # fmt: skip


def _cycle(of: Map, e: Array) -> tuple[Array, int]:
    """The best matrix of the Krylov space of some twenty maps, made orthogonal twice; and how many maps that took."""
    basis, diagonal, beside = [e], [], []
    for _ in range(_CYCLE):
        image = of(basis[-1])
        diagonal.append(float(np.vdot(basis[-1], image)))
        for _twice in range(2):
            for q in basis:
                image = image - np.vdot(q, image) * q
        length = float(np.linalg.norm(image))
        if length <= _BREAKDOWN * max(1.0, abs(diagonal[0])):
            break
        beside.append(length)
        basis.append(image / length)
    k = len(diagonal)
    small = np.diag(diagonal) + np.diag(beside[: k - 1], 1) + np.diag(beside[: k - 1], -1)
    weights = np.linalg.eigh(small)[1][:, -1]
    best = np.sum([w * q for w, q in zip(weights, basis, strict=False)], axis=0)
    best = 0.5 * (best + best.T)
    return best / np.linalg.norm(best), k


def solved(of: Map, target: Array, guess: Array, scale: Array, *, tolerance: float, limit: int) -> Array:
    """X with |target - A X| <= tolerance for a positive map A, by conjugate gradients preconditioned by 1/scale (d, d).

    Raises NotConverged where a direction shows that A is not positive, or after `limit` maps.
    """
    x = guess
    rest = target - of(x)
    step = lowered = rest / scale
    product = float(np.vdot(rest, lowered))
    for _ in range(limit):
        if np.linalg.norm(rest) <= tolerance:
            # the recursion's residual drifts from the true one
            rest = target - of(x)
            if np.linalg.norm(rest) <= tolerance:
                return x
            step, product = rest / scale, float(np.vdot(rest, rest / scale))
        image = of(step)
        curvature = float(np.vdot(step, image))
        if curvature <= 0.0:
            raise NotConverged(f"solved: the map is not positive ({curvature:.1e} along a direction)", -curvature)
        length = product / curvature
        x, rest = x + length * step, rest - length * image
        lowered = rest / scale
        product, last = float(np.vdot(rest, lowered)), product
        step = lowered + product / last * step
    residual = float(np.linalg.norm(rest))
    raise NotConverged(f"solved: residual {residual:.1e} > {tolerance:.1e} after {limit} maps; raise `limit`", residual)
