"""This file owns compiled forces of circle kernels on many measures at once (wflow.many), without the lock of threads.

One row is one measure of m atoms with common weights. Importing this file imports numba; wflow.many has the same in
plain numpy.
"""

import math
from functools import partial

import numpy as np

from wflow import elementary
from wflow.arrays import Array
from wflow.compiled import kernel
from wflow.elementary import cos, sin

_LATTICE = 2.0**50
_TURN = 2.0 * math.pi
_kernel = partial(kernel, uses=(elementary,), beside=True)


@_kernel
def series(theta: Array, weights: Array, a: Array, fixed: Array, out: Array) -> None:
    """out -= V' for V = sum_n Re((a_n c_n + p_n) e^{i n w}), c_n = sum_j weights_j e^{-i n theta_j}; theta (R, m).

    a: (N+1,), fixed: (N+1, 2), the real and imaginary parts of p_n.
    """
    runs, m = theta.shape
    c1, s1, c, s = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    for r in range(runs):
        for j in range(m):
            c1[j] = cos(theta[r, j])
            s1[j] = sin(theta[r, j])
        for j in range(m):
            c[j] = c1[j]
            s[j] = s1[j]
        for n in range(1, len(a)):
            if n > 1:
                for j in range(m):
                    turned = c[j] * c1[j] - s[j] * s1[j]
                    s[j] = s[j] * c1[j] + c[j] * s1[j]
                    c[j] = turned
            re, im = 0.0, 0.0
            for j in range(m):
                re += weights[j] * c[j]
                im -= weights[j] * s[j]
            g, h = n * (a[n] * re + fixed[n, 0]), n * (a[n] * im + fixed[n, 1])
            for j in range(m):
                out[r, j] += g * s[j] + h * c[j]


@_kernel
def pieces(theta: Array, weights: Array, breaks: Array, real: Array, imag: Array, out: Array) -> None:
    """out[r, i] -= sum_j weights_j g((theta_i - theta_j) mod 2 pi), g = Re sum_{p,n} c[s, p, n] t^p e^{i n t}, p < 3.

    real, imag: c (S, 3, N). As wflow.piecewise.sums_over_atoms, whose words hold here: sources twice along a line,
    prefix sums of weights (-L)^q e^{-i n L}, at a break the mean of both sides. The targets are the sources, in order,
    so that each cut only moves forward.
    """
    runs, m = theta.shape
    size, powers, waves = real.shape
    source, place, line = np.empty(m), np.empty(m), np.empty(2 * m)
    prefix = np.zeros((waves, powers, 2, 2 * m + 1))
    left, right = np.empty(size + 1, np.int64), np.empty(size + 1, np.int64)
    cut, moment = np.empty((size + 1, waves, powers, 2)), np.empty((powers, 2))
    for r in range(runs):
        for j in range(m):
            turned = theta[r, j] - _TURN * np.floor(theta[r, j] / _TURN)
            turned = np.rint(turned * _LATTICE) / _LATTICE
            source[j] = 0.0 if turned >= _TURN or turned < 0.0 else turned
        order = np.argsort(source)
        for k in range(m):
            place[k] = source[order[k]]
            line[k] = place[k] - _TURN
            line[m + k] = place[k]
        for n in range(waves):
            for k in range(2 * m):
                w = weights[order[k % m]]
                x, y = w * np.cos(n * line[k]), -w * np.sin(n * line[k])
                for q in range(powers):
                    prefix[n, q, 0, k + 1] = prefix[n, q, 0, k] + x
                    prefix[n, q, 1, k + 1] = prefix[n, q, 1, k] + y
                    x, y = -x * line[k], -y * line[k]
        left[:] = 0
        right[:] = 0
        for i in range(m):
            t = place[i]
            for b in range(size + 1):
                at = t - breaks[b]
                while left[b] < 2 * m and line[left[b]] < at:
                    left[b] += 1
                while right[b] < 2 * m and line[right[b]] <= at:
                    right[b] += 1
                for n in range(waves):
                    for q in range(powers):
                        for z in range(2):
                            cut[b, n, q, z] = 0.5 * (prefix[n, q, z, left[b]] + prefix[n, q, z, right[b]])
            total = 0.0
            for n in range(waves):
                c, s = np.cos(n * t), np.sin(n * t)
                for b in range(size):
                    for z in range(2):
                        inside = cut[b, n, :, z] - cut[b + 1, n, :, z]
                        moment[0, z] = inside[0]
                        moment[1, z] = t * inside[0] + inside[1]
                        moment[2, z] = t * t * inside[0] + 2.0 * t * inside[1] + inside[2]
                    for p in range(powers):
                        u = moment[p, 0] * c - moment[p, 1] * s
                        v = moment[p, 0] * s + moment[p, 1] * c
                        total += real[b, p, n] * u - imag[b, p, n] * v
            out[r, order[i]] -= total
