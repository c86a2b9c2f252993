"""This file owns the Fourier coefficients of activations whose waves are known in closed form, with what is cut off."""

import math

import numpy as np
from scipy.special import jv

from wflow.activation import Activation, parameter_of
from wflow.arrays import Array, ComplexArray

_TAIL = 1e-18
_MOST = 256


def filter_modes(sigma: Activation) -> ComplexArray | None:
    """c_0..c_N (N+1,) with sigma(z) = Re(c_0 + 2 sum_n c_n e^{i n z}), exactly; None for other activations.

    Dirichlet: c_n = 1. cos b z - sin b z for whole b: 2 c_b = 1 + i.
    """
    b = parameter_of(sigma)
    if b is None or b != round(b) or sigma.name not in ("dirichlet", "cos_minus_sin"):
        return None
    if sigma.name == "dirichlet":
        return np.ones(int(b) + 1, dtype=np.complex128)
    out = np.zeros(int(b) + 1, dtype=np.complex128)
    out[-1] = 0.5 * (1.0 + 1.0j)
    return out


def ridge_modes(sigma: Activation, rho: Array) -> tuple[Array, Array] | None:
    """mu (n, N+1) and tails (n,): sigma(rho_i cos t) = sum_k mu_ik cos k t, but for at most tails_i.

    cos(z cos t) - sin(z cos t), z = b rho (Jacobi-Anger): mu_0 = J_0, mu_k = 2 s_k J_k(z), signs s_k = 1, -1, -1, 1, ..
    |J_k(z)| <= (z/2)^k/k! (cited: Watson 1944, section 2.11), so what is left beyond N is at most
    2 q/(1 - z/(2 N + 4)), q = (z/2)^(N+1)/(N+1)!. None for other activations, or where N would be above 256.
    """
    b = parameter_of(sigma)
    if b is None or sigma.name != "cos_minus_sin":
        return None
    half = 0.5 * b * float(np.max(rho, initial=0.0))
    for count in range(2 * math.ceil(half) + 2, _MOST):
        first = math.exp((count + 1) * math.log(max(half, 1e-300)) - math.lgamma(count + 2))
        if first <= _TAIL:
            k = np.arange(count + 1)
            signs = np.array([1.0, -1.0, -1.0, 1.0])[k % 4] * np.where(k == 0, 1.0, 2.0)
            tails = np.full(len(rho), 2.0 * first / (1.0 - half / (count + 2)))
            return signs * jv(k, b * rho[:, None]), tails
    return None
