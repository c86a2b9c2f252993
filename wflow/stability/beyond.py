"""This file owns a stable problem outside of the slides' box: eta s > 1 at batch 1, in two dimensions.

Four data of rank one, H_i = v_i v_i^T: v = (3, 0) twice, (2, 4), (2, -4), eta = 1/9. All exact:  (proved)

    eta H = diag(13/18, 8/9),  eta^2 Sigma = diag(17/36, 32/27):  eta a = 8/9 < 2,  eta s = (32/27)^(1/2) = 1.0887 > 1
    T on diagonals (C_11, C_22):  (1/162) [[25, 64], [64, 130]],  largest eigenvalue (155 + 27409^(1/2))/324 = .98937
    T on C_12:  1 - eta tr H + 2 mean eta^2 v_1^2 v_2^2 = 29/162

So x_t -> 0 in mean square although s is above 1/eta. In general C = I in <C, T C> <= radius <C, C> gives only

    tr (I - eta H)^2 + eta^2 c tr Sigma <= d,   hence   eta s c^(1/2) <= d^(1/2):   the box for d = 1  (proved)
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wflow.stability.batches import Batches, WithoutReplacement
from wflow.stability.curvatures import Curvatures

_VECTORS = ((3, 0), (3, 0), (2, 4), (2, -4))
_ETA = Fraction(1, 9)
Rational = list[list[Fraction]]


@dataclass(frozen=True)
class Beyond:
    """The problem, its rate, and as closed forms its radius and eta s."""

    curvatures: Curvatures
    eta: float
    draw: Batches
    radius: float
    spread: float


def beyond_the_box() -> Beyond:
    """The four data, eta = 1/9, batches of one."""
    return Beyond(
        Curvatures(np.array(_VECTORS, dtype=np.float64)),
        float(_ETA),
        WithoutReplacement(len(_VECTORS)),
        (155.0 + math.sqrt(27409.0)) / 324.0,
        math.sqrt(32.0 / 27.0),
    )


def enclosed(x: Rational, mu: Fraction) -> bool:
    """Whether X > 0 and T(X) < mu X, by Sylvester's minors in rational arithmetic: a proof that the radius is below mu.

    X (2, 2) symmetric, of this problem's coordinates.
    """
    after = moved(x)
    return _definite(x) and _definite([[mu * x[i][j] - after[i][j] for j in range(2)] for i in range(2)])


def moved(x: Rational) -> Rational:
    """T(X) = mean M_i X M_i, M_i = I - eta v_i v_i^T, exactly."""
    total = [[Fraction(0)] * 2 for _ in range(2)]
    for v in _VECTORS:
        m = [[Fraction(int(i == j)) - _ETA * v[i] * v[j] for j in range(2)] for i in range(2)]
        for i in range(2):
            for j in range(2):
                terms = [m[i][k] * x[k][q] * m[q][j] for k in range(2) for q in range(2)]
                total[i][j] += sum(terms, Fraction(0)) / len(_VECTORS)
    return total


def _definite(x: Rational) -> bool:
    return x[0][0] > 0 and x[0][0] * x[1][1] - x[0][1] * x[1][0] > 0
