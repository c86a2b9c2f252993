"""This file owns how a finite network fluctuates about its limit when both start at the teacher: LLN and CLT.

Neurons on the circle, kernel k = sum_n a_n cos n theta, teacher and start uniform, m independent neurons. With c_n the
modes of their empirical measure, E_x |f_m - f|^2 = sum_{n>=1} a_n |c_n|^2: mass is kept, so that n = 0 has no part.
Uniform is at rest, and about it each mode falls by itself, c_n' = -lambda_n c_n to first order, lambda_n = n^2 a_n/2;
at the start E|c_n|^2 = 1/m. Hence (derived)

    m E|f_m(t) - f|^2  ->  sum_{n>=1} a_n e^{-2 lambda_n t} as m grows;    at t = 0 it is k(0) - a_0 for every m.

What is left out, products of modes, is of the next order in 1/m. Source: Rotskoff & Vanden-Eijnden 2018,
arXiv:1805.00915; Chen, Rotskoff, Bruna & Vanden-Eijnden 2020, arXiv:2008.09623.
"""

import math

import numpy as np

from wflow.arrays import Array, ComplexArray
from wflow.domain import TURN


def predicted(coefficients: Array, times: Array) -> Array:
    """sum_{n>=1} a_n e^{-n^2 a_n t} (k,) at times (k,), from a_0 .. a_N."""
    n = np.arange(1, len(coefficients))
    a = np.asarray(coefficients)[1:]
    return np.asarray(np.exp(-np.multiply.outer(times, n**2 * a)) @ a)


def relu_tail(times: Array) -> Array:
    """(pi^(3/2)/16) t^(-3/2): what the sum tends to for ReLU and Gaussian inputs as t grows.

    There a_n = 4/(pi^2 (n^2 - 1)^2) for even n, so that the sum is near (1/2) int 4/(pi^2 n^4) e^{-4t/(pi^2 n^2)} dn.
    """
    return np.asarray(math.pi**1.5 / 16.0 * np.asarray(times) ** -1.5)


def observed(modes: ComplexArray, coefficients: Array) -> Array:
    """sum_{n>=1} a_n |c_n|^2 (R,) of modes (R, N + 1), c_0 the mass: that is E_x |f_m - f|^2, cut off after N."""
    return np.asarray(np.abs(modes[:, 1:]) ** 2 @ np.asarray(coefficients)[1:])


def squared_on_interval(points: Array) -> Array:
    """W2^2 (R,) of rows of m points in [0, 1] (R, m) to the uniform law: mean (x_(j) - c_j)^2 + 1/(12 m^2).

    c_j = (j + 1/2)/m. Of independent uniform points the mean is 1/(6m) exactly: int s(1 - s) ds/m.
    """
    m = points.shape[1]
    away = np.sort(points, axis=1) - (np.arange(m) + 0.5) / m
    return np.asarray(np.mean(away**2, axis=1) + 1.0 / (12.0 * m * m))


def squared_on_circle(points: Array) -> Array:
    """W2^2 (R,) of rows of m angles (R, m) to the uniform law: variance of x_(j) - c_j and (2 pi/m)^2/12.

    The best shift is the mean displacement. Of independent uniform angles the mean is (2 pi)^2 (1/6 - 1/12)/m.
    """
    m = points.shape[1]
    away = np.sort(np.mod(points, TURN), axis=1) - TURN * (np.arange(m) + 0.5) / m
    return np.asarray(np.var(away, axis=1) + (TURN / m) ** 2 / 12.0)
