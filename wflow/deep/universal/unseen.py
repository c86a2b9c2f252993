"""This file owns what a network cannot do whose first weights lie in a subspace: it sees a part of the inputs alone.

If <w_1(c), x> depends on columns S of x only, so do all fields and the prediction, whatever else the network is:

    F >= E[ min over numbers m of E[l(m, Y) | X_S] ]      |g - f| >= |g - E[g | X_S]| for every f of the span (proved).

For the half square the first is E Var(Y | X_S)/2.

Such a start stays such where a reflection R of the columns T outside S (x_T -> -x_T) keeps the law of (X, Y): with
w_1 = 0 on T, l'(f(X), Y) Delta(X) is even under R and X_T odd, so that d_t w_1 = -E[Delta_1 X] stays 0 on T, at any
depth, for any loss, activation and other layers (proved). So the flow never goes below the first bound.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.data import Data
from wflow.errors import Refused
from wflow.loss import Loss

_SAME = 1e-12


def least_risk(data: Data, loss: Loss, columns: Sequence[int]) -> float:
    """inf E l(f(X_S), Y) over all functions f of the columns S of the inputs, on these data."""
    found = 0.0
    for rows in groups(data.inputs, _columns("least_risk", columns, data.inputs)):
        y, mass = data.targets[rows], float(np.sum(data.weights[rows]))
        if mass > 0.0:
            best = loss.best_constant(y, data.weights[rows] / mass)
            found += float(data.weights[rows] @ loss.value(np.full(len(y), best), y))
    return found


def seen_share(targets: Array, inputs: Array, weights: Array, columns: Sequence[int]) -> Array:
    """(t,) |g - E[g | X_S]|/|g| of targets (n, t): nearer than this comes no function of the columns S.

    ValueError for a target that vanishes where the weights do not.
    """
    left = np.array(targets, dtype=np.float64)
    sizes = np.asarray(weights) @ left**2
    if not np.all(sizes > 0.0):
        raise ValueError(f"seen_share targets: number {int(np.argmin(sizes))} is 0 at all inputs; leave it out")
    for rows in groups(inputs, _columns("seen_share", columns, inputs)):
        q = weights[rows] / max(float(np.sum(weights[rows])), np.finfo(float).tiny)
        left[rows] -= q @ left[rows]
    return np.asarray(np.sqrt((weights @ left**2) / sizes))


def reflected(data: Data, columns: Sequence[int]) -> None:
    """Refused where the reflection of these columns does not keep the data: each row with its image, alike in y and q.

    To 1e-12: then starts with w_1 = 0 there keep that, up to rounding. ValueError for no columns.
    """
    image = data.inputs.copy()
    turned = _columns("reflected", columns, data.inputs)
    if not turned:
        raise ValueError("reflected columns: none is given, and nothing would be looked at; name those w_1 is 0 on")
    image[:, turned] *= -1.0
    table, other = (_ordered(np.column_stack([x, data.targets, data.weights])) for x in (data.inputs, image))
    gap = float(np.max(np.abs(table - other)))
    if gap > _SAME:
        raise Refused(
            f"reflected: the reflection of columns {list(columns)} moves the data by {gap:.3g}; "
            "give pairs of rows x_T and -x_T of the same target and weight"
        )


def groups(inputs: Array, columns: Sequence[int]) -> Iterator[NDArray[np.intp]]:
    """Row numbers with the same x_S."""
    _, which = np.unique(inputs[:, list(columns)], axis=0, return_inverse=True)
    for k in range(int(which.max()) + 1):
        yield np.flatnonzero(which.ravel() == k)


def _columns(name: str, columns: Sequence[int], inputs: Array) -> list[int]:
    """Numbers of columns, each once; ValueError for others."""
    p, found = inputs.shape[1], list(columns)
    if not set(found) <= set(range(p)) or len(set(found)) < len(found):
        raise ValueError(f"{name} columns: {found} of {p} inputs; give different numbers from 0 to {p - 1}")
    return found


def _ordered(table: Array) -> Array:
    """Rows sorted by their entries to 1e-9, since images differ in rounding; inputs before targets."""
    return np.asarray(table[np.lexsort(np.round(table, 9).T[::-1])])
