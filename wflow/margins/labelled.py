"""This file owns two classes of points in the plane, as classifiers see them: X = (x, 1) and labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wflow.arrays import Array, shaped
from wflow.loss import Logistic


@dataclass(frozen=True, eq=False)
class Labelled:
    """Distinct inputs as X = (x, 1) (k, 3), labels y (k,), and which of the n given rows each is (n,)."""

    points: Array
    labels: Array
    places: Array

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike) -> "Labelled":
        """Of x (n, 2) and y (n,) of -1 and +1. ValueError for other shapes or labels, and for one point in both."""
        inputs = shaped("inputs x", x, (None, 2))
        labels = shaped("labels y", y, (len(inputs),))
        Logistic().check(labels)
        distinct, first, places = np.unique(inputs, axis=0, return_index=True, return_inverse=True)
        torn = np.flatnonzero(labels[first][places.ravel()] != labels)
        if len(torn):
            raise ValueError(
                f"labels y: the point {inputs[torn[0]].tolist()} has both labels, so that no margin is positive; "
                "remove one of them"
            )
        return cls(np.column_stack([distinct, np.ones(len(distinct))]), labels[first], first)

    def spread(self, weights: Array, count: int) -> Array:
        """Weights (k,) of distinct points as weights (count,) of the rows: those of repeated ones on the first."""
        out = np.zeros(count)
        out[self.places.astype(int)] = weights
        return out
