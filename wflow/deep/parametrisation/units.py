"""This file owns two activations on either side of what is known: smooth and no polynomial, and an odd polynomial."""

import numpy as np
from scipy.special import expit

from wflow.activation import Activation
from wflow.arrays import Array


def silu() -> Activation:
    """z/(1 + e^{-z})."""

    def slope(z: Array) -> Array:
        return np.asarray(expit(z) * (1.0 + z * expit(-z)))

    def curvature(z: Array) -> Array:
        return np.asarray(expit(z) * expit(-z) * (2.0 + z * (expit(-z) - expit(z))))

    return Activation("silu", lambda z: z * expit(z), slope, curvature, odd_degree=1)


def odd_cubic() -> Activation:
    """z + z^3/6."""
    return Activation(
        "odd_cubic", lambda z: z + z**3 / 6.0, lambda z: 1.0 + 0.5 * z * z, lambda z: np.asarray(z),
        odd_degree=3, even_degree=0,
    )  # fmt: skip
