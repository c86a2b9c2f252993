"""This file owns the compiled loop of solvers.small; importing it imports numba. Inner loops run along the m neurons.

A datum's residual is known as soon as its row of neurons is, so a step is one pass over the data:

    z_j = b_j . x_i    f = (1/m) sum_j a_j relu(z_j)    r = f - y_i    ga_j += r relu(z_j)    gb_kj += r 1{z_j > 0} x_ik
"""

import numpy as np

from wflow.arrays import Array
from wflow.compiled import inlined, kernel


@inlined
def _pass(x: Array, y: Array, a: Array, bt: Array, z: Array, ga: Array, gb: Array) -> float:
    """F, with both gradients, gb (d, m) still without the factor a_j."""
    n, d = x.shape
    m = len(a)
    ga[:] = 0.0
    gb[:] = 0.0
    total = 0.0
    for i in range(n):
        z[:] = 0.0
        for k in range(d):
            c = x[i, k]
            for j in range(m):
                z[j] += c * bt[k, j]
        f = 0.0
        for j in range(m):
            f += a[j] * max(z[j], 0.0)
        r = f / m - y[i]
        total += r * r
        for j in range(m):
            ga[j] += r * max(z[j], 0.0)
            z[j] = r if z[j] > 0.0 else (0.5 * r if z[j] == 0.0 else 0.0)
        for k in range(d):
            c = x[i, k]
            for j in range(m):
                gb[k, j] += c * z[j]
    return float(total / (2 * n))


@kernel
def _loop(x: Array, y: Array, a: Array, bt: Array, dt: float, most: int, enough: float) -> tuple[int, float, bool]:
    """In place of a (m,) and bt (d, m)."""
    n, d = x.shape
    m = len(a)
    z, ga, gb = np.empty(m), np.empty(m), np.empty((d, m))
    ga1, gb1, a1, bt1 = np.empty(m), np.empty((d, m)), np.empty(m), np.empty((d, m))
    energy = _pass(x, y, a, bt, z, ga, gb)
    for done in range(most):
        if energy <= enough:
            return done, energy, False
        for j in range(m):
            a1[j] = a[j] - dt / n * ga[j]
        for k in range(d):
            for j in range(m):
                bt1[k, j] = bt[k, j] - dt / n * a[j] * gb[k, j]
        after = _pass(x, y, a1, bt1, z, ga1, gb1)
        if not after <= energy * (1.0 + 1e-13):
            return done, energy, True
        a[:] = a1
        bt[:] = bt1
        ga, ga1 = ga1, ga
        gb, gb1 = gb1, gb
        energy = after
    return most, energy, False


def descend(
    x: Array, y: Array, a: Array, b: Array, dt: float, most: int, enough: float
) -> tuple[Array, Array, int, float, bool]:
    """As `solvers.small.plain`."""
    outer, inner = a.copy(), np.ascontiguousarray(b.T)
    done, energy, rose = _loop(x, y, outer, inner, float(dt), int(most), float(enough))
    return outer, np.ascontiguousarray(inner.T), int(done), float(energy), bool(rose)
