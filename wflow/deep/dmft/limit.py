"""This file owns what the theory returns: f and the kernels of every layer at every pair of times.

Index l = 0..L counts weights: W^{l+1} has Phi^l on its left and G^{l+1} on its right, so that they stand together.

    Phi[l] = Phi^l = <phi(h^l) phi(h^l)>, Phi[0] = X X^T/D      G[l] = G^{l+1} = <g^{l+1} g^{l+1}>, G[L] = 1
    A[l] = A^l = <d phi(h^l)/d r^l>/gamma0, A[0] = 0            B[l] = B^l = <d g^{l+1}/d u^{l+1}>/gamma0, B[L] = 0

A^L and B^0 act on nothing; the closed solver has them, the sampled one leaves them 0.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array


@dataclass(frozen=True, eq=False)
class Limit:
    """f (T+1, P); Phi, G, A, B (L+1, T+1, P, T+1, P), indexed (l, t, mu, s, a). A is 0 for s >= t, B for s > t."""

    f: Array
    Phi: Array
    G: Array
    A: Array
    B: Array

    @property
    def tangent(self) -> Array:
        """K_{mu a}(t, t) = sum_l G^{l+1} Phi^l (T+1, P, P): f moves by rate K (y - f) a step, to O(rate^2)."""
        return np.asarray(np.einsum("ltmta,ltmta->tma", self.G, self.Phi))


@dataclass(frozen=True, eq=False)
class LinearLimit:
    """phi = id, where g is that of all data: f (T+1, P), Phi (L+1, T+1, P, T+1, P), G (L+1, T+1, T+1),
    A (L+1, T+1, P, T+1) and B (L+1, T+1, T+1, P): A of `Limit` summed over a, B the same for all mu.

    residual: how far the arrays are from the closed equations, the largest entry relative to the largest of its array.
    """

    f: Array
    Phi: Array
    G: Array
    A: Array
    B: Array
    residual: float


@dataclass(frozen=True, eq=False)
class Estimate:
    """A Monte Carlo answer: the mean of independent runs, and the standard errors of that mean (nan for one run)."""

    mean: Limit
    error: Limit
    samples: int
    runs: int
