"""This file owns the output layer trained alone, of infinite width or of any kernel: a flow of n coefficients.

With a(0) = 0 and f = sum_i y_i alpha_i K(x_i, .), gradient descent of F in a is exactly                      (derived)

    alpha_i' = weights_i / (1 + e^{u_i}),   u = Q alpha,   Q_ij = y_i y_j K(x_i, x_j),   |f|^2 = alpha . Q alpha

for a = int, or mean, over b of sum_i alpha_i y_i relu(b . X_i): K is then `arc_cosine`, or `kernel_of` m neurons.
"""

from collections.abc import Sequence

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit

from wflow.arrays import Array, finite, shaped
from wflow.data import Data
from wflow.errors import NotConverged
from wflow.loss import Logistic

_RELATIVE = 1e-10


def output_layer(data: Data, kernel: Array, times: Sequence[float]) -> Array:
    """alpha (k, n) at increasing times (k,), alpha(0) = 0, to 1e-10: Radau's method of order 5 in s = log(1 + t).

    In s the rates are those of K over gamma_2^2, whatever t.   Raises NotConverged where the integrator does.
    """
    Logistic().check(data.targets)
    n, y, weights = len(data), data.targets, data.weights
    q = y[:, None] * y * shaped("output_layer kernel", kernel, (n, n))
    s = np.log1p(finite("output_layer times", times))
    if s.ndim != 1 or not len(s) or s[0] < 0.0 or np.any(np.diff(s) <= 0.0):
        raise ValueError(f"output_layer times: {list(times)} do not increase from 0 or later; sort them, each once")

    def pull(s: float, alpha: Array) -> Array:
        return np.asarray(np.exp(s) * weights * expit(-q @ alpha))

    def jacobian(s: float, alpha: Array) -> Array:
        u = q @ alpha
        return np.asarray(-(np.exp(s) * weights * expit(u) * expit(-u))[:, None] * q)

    run = solve_ivp(
        pull, (0.0, float(s[-1])), np.zeros(n), method="Radau", t_eval=s, jac=jacobian, rtol=_RELATIVE, atol=_RELATIVE
    )  # fmt: skip
    if not run.success:
        raise NotConverged(f"output_layer: Radau stopped at log(1 + t) = {run.t[-1]:g}: {run.message}", np.inf)
    return np.asarray(run.y.T)


def kernel_margins(data: Data, kernel: Array, alphas: Array) -> Array:
    """min_i u_i/(alpha . Q alpha)^(1/2) (k,), at most gamma_2 of that kernel (proved: Cauchy and Schwarz)."""
    q = data.targets[:, None] * data.targets * kernel
    u = alphas @ q
    return np.asarray(u.min(axis=1) / np.sqrt(np.sum(alphas * u, axis=1)))
