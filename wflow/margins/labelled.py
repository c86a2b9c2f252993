"""This file owns two classes of points in the plane, as classifiers see them: X = (x, 1) and labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wflow.arrays import Array, shaped
from wflow.loss import Logistic


@dataclass(frozen=True, eq=False)
class Labelled:
    """Distinct inputs as X = (x, 1) (k, 3), labels y (k,), and the distinct point of each of the n given rows (n,)."""

    points: Array
    labels: Array
    places: NDArray[np.intp]

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike) -> "Labelled":
        """Of x (n, 2) and y (n,) of -1 and +1. ValueError for other shapes or labels, and for one point in both."""
        inputs = shaped("inputs x", x, (None, 2))
        labels = shaped("labels y", y, (len(inputs),))
        Logistic().check(labels)
        distinct, first, places = np.unique(inputs, axis=0, return_index=True, return_inverse=True)
        places = places.ravel()
        torn = np.flatnonzero(labels[first][places] != labels)
        if len(torn):
            raise ValueError(
                f"labels y: the point {inputs[torn[0]].tolist()} has both labels, so that no margin is positive; "
                "remove one of them"
            )
        return cls(np.column_stack([distinct, np.ones(len(distinct))]), labels[first], places)

    def spread(self, weights: Array) -> Array:
        """Weights (k,) of distinct points as weights (n,) of the rows, in equal parts among those of one point."""
        return np.asarray((weights / np.bincount(self.places))[self.places])

    def gathered(self, weights: Array) -> Array:
        """Weights (n,) of the rows as those of distinct points (k,)."""
        return np.bincount(self.places, weights=weights)
