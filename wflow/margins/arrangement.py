"""This file owns the maximum over the sphere of sums of relus, by the arrangement of their great circles.

g(b) = sum_i c_i relu(b . X_i), b in S^2, X_i in R^3, is linear on each cell of the arrangement of the great circles
b . X_i = 0: g(b) = b . C, C the sum of c_i X_i over the X_i ahead of b. On the closed cell b . C has its maximum

    inside:     at C/|C|, if that lies in the cell;
    on an arc:  at P C/|P C|, P the projection to the plane of the arc's circle, if that lies in the arc;
    or at a vertex, +-(X_i x X_j)/|X_i x X_j|.

All of these, whether they lie in their cell or not, are points of the sphere at which g may be evaluated, so the
maximum of g is the largest of its values at them. Source of the count: n circles have n (n - 1) vertices, 2 n (n - 1)
arcs and n (n - 1) + 2 cells, each beside an arc.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.errors import Refused

MOST = 200
"""Circles; time and memory grow as their cube."""
_LEAST_ANGLE = 1e-6


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Great circles of normals X (n, 3), no two of them parallel; n^3 in time and memory (.1 GB at n = 200).

    Raises Refused for more than 200 circles, and where two are closer than 1e-6 in angle: their vertices are rounding.
    """

    normals: Array

    def __post_init__(self) -> None:
        n = len(self.normals)
        if n > MOST:
            raise Refused(f"Arrangement: {n} circles have {2 * n * (n - 1)} arcs; give at most {MOST} distinct inputs")
        if n > 1 and self._least_sine < _LEAST_ANGLE:
            raise Refused(
                f"Arrangement: two inputs are {self._least_sine:.1e} apart in angle, so that their circles meet where "
                "rounding says; merge them"
            )

    @cached_property
    def rounding(self) -> float:
        """What a maximum of g is off at most, per unit of sum_i |c_i|: rounding of sums, and of the candidates.

        Sums of n terms: n eps |X|. Vertices are known to eps over the sine between their circles, and an arc whose
        middle is on the wrong side of a circle is so short that it is that near to a vertex; g changes by at most
        sum |c_i| |X_i| a unit of length. Counted with factors 2 and 16.
        """
        return float(np.finfo(float).eps * self._lengths.max() * (2.0 * len(self.normals) + 16.0 / self._least_sine))

    def maximum(self, c: Array) -> tuple[float, Array]:
        """max over S^2 of sum_i c_i relu(b . X_i), to within `rounding` sum |c_i|, and the b of all local maxima.

        Returns the value and directions (k, 3), the best first. Candidates that lie outside of their cell only add
        points at which g is looked at.
        """
        at = np.concatenate([self.vertices, *self._pulled(c)])
        values = np.maximum(at @ self.normals.T, 0.0) @ c
        order = np.argsort(-values)
        return float(values[order[0]]), at[order]

    def _pulled(self, c: Array) -> tuple[Array, Array]:
        """C/|C| of the cells, and P C/|P C| of the arcs."""
        circle, ahead = self._arcs
        pulls, own = (ahead * c) @ self.normals, self.normals[circle]
        along = pulls - np.sum(pulls * own, axis=1, keepdims=True) / np.sum(own * own, axis=1, keepdims=True) * own
        return _unit((self.cells * c) @ self.normals), _unit(along)

    @cached_property
    def cells(self) -> NDArray[np.bool_]:
        """Which normals are ahead in each cell (n (n - 1) + 2, n): both sides of every arc, each set once."""
        circle, ahead = self._arcs
        beside = ahead.copy()
        beside[np.arange(len(circle)), circle] = True
        return np.unique(np.concatenate([ahead, beside]), axis=0)

    @cached_property
    def vertices(self) -> Array:
        """+-(X_i x X_j)/|..|, i < j (n (n - 1), 3); of one circle two opposite points, which lie on it."""
        if len(self.normals) == 1:
            across = np.cross(self.normals[0], np.eye(3)[np.argmin(np.abs(self.normals[0]))])
            return _unit(np.stack([across, -across]))
        i, j = np.triu_indices(len(self.normals), 1)
        across = np.cross(self.normals[i], self.normals[j])
        return _unit(np.concatenate([across, -across]))

    @cached_property
    def _arcs(self) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """The circle of each arc (k,), and which normals are ahead of its middle (k, n), the arc's own left out."""
        sets = []
        for i, normal in enumerate(self.normals):
            first = _unit(np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])[None])[0]
            second = np.cross(normal / self._lengths[i], first)
            others = np.delete(self.normals, i, axis=0)
            zero = np.arctan2(-(others @ first), others @ second) if len(others) else np.zeros(1)
            ends = np.sort(np.concatenate([zero, zero + np.pi]) % (2.0 * np.pi))
            middle = 0.5 * (ends + np.append(ends[1:], ends[0] + 2.0 * np.pi))
            ahead = (np.outer(np.cos(middle), first) + np.outer(np.sin(middle), second)) @ self.normals.T > 0.0
            ahead[:, i] = False
            sets.append(ahead)
        return np.repeat(np.arange(len(sets)), [len(ahead) for ahead in sets]), np.concatenate(sets)

    @cached_property
    def _lengths(self) -> Array:
        return np.asarray(np.linalg.norm(self.normals, axis=1))

    @cached_property
    def _least_sine(self) -> float:
        """The least sine of the angle between two normals; 1 of a single one."""
        if len(self.normals) == 1:
            return 1.0
        i, j = np.triu_indices(len(self.normals), 1)
        sines = np.linalg.norm(np.cross(self.normals[i], self.normals[j]), axis=1) / (
            self._lengths[i] * self._lengths[j]
        )
        return float(sines.min())


def _unit(v: Array) -> Array:
    """Rows of length 1; those that vanish, on whose cells g is 0, are left out."""
    length = np.linalg.norm(v, axis=1)
    return np.asarray(v[length > 0.0] / length[length > 0.0, None])
