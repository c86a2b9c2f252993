"""This file owns what is measured of features x^l = phi(h^l) (P, n): Gram matrices, independence, movement."""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, finite, shaped
from wflow.perceptron import Pass


def gram(x: Array) -> Array:
    """K = x x^T/n (P, P) of features (P, n)."""
    x = shaped("gram x", x, (None, None))
    return np.asarray(x @ x.T / x.shape[1])


def spectrum(kernel: Array) -> Array:
    """The numbers of K over their mean tr K/P, rising (P,): all 1 where features are orthogonal and alike.

    Exact to about 1e-16 P; where n is near P they spread by chance (Marchenko & Pastur), whatever the features.
    Raises ValueError where K is 0: no features, no answer.
    """
    numbers = np.linalg.eigvalsh(_symmetric("spectrum", kernel))
    if not numbers.mean() > 0.0:
        raise ValueError("spectrum kernel: its trace is 0, no feature is alive; start hidden layers at size 1")
    return np.asarray(numbers / numbers.mean())


def independence(kernel: Array) -> float:
    """lambda_min(K)/(tr K/P), the least of the spectrum: 0 where features of the P data are dependent."""
    return float(spectrum(kernel)[0])


def rank(kernel: Array, tolerance: float = 1e-12) -> int:
    """How many numbers of K are above tolerance times the largest."""
    numbers = np.linalg.eigvalsh(_symmetric("rank", kernel))
    return int(np.sum(numbers > tolerance * numbers[-1]))


def _symmetric(name: str, kernel: Array) -> Array:
    """The kernel, or ValueError: of a table that is not symmetric eigvalsh would read half."""
    checked = shaped(f"{name} kernel", kernel, (None, None))
    rounding = 1e-9 * np.max(np.abs(checked))
    if checked.shape[0] != checked.shape[1] or np.any(np.abs(checked - checked.T) > rounding):
        raise ValueError(f"{name} kernel: of shape {checked.shape} and not symmetric; give gram(x), x (P, n)")
    return checked


def movement(after: Array, before: Array) -> float:
    """|after - before|/|before|, as one vector: of features (rms) or of kernels (Frobenius).

    Raises ValueError for arrays of different shapes, and where `before` is 0.
    """
    end = shaped("movement after", after, np.shape(before))
    size = float(np.linalg.norm(start := finite("movement before", before)))
    if size == 0.0:
        raise ValueError("movement before: it is 0, and nothing moves relative to it; start hidden layers at size 1")
    return float(np.linalg.norm(end - start) / size)


@dataclass(frozen=True, eq=False)
class Journey:
    """By hidden layer (L,): movement of features, of kernels (also against their end); spectra of kernels (L, P)."""

    rms: Array
    kernel: Array
    kernel_of_end: Array
    begins: Array
    ends: Array

    @property
    def first(self) -> Array:
        """Independence by layer (L,) at the start."""
        return np.asarray(self.begins[:, 0])

    @property
    def last(self) -> Array:
        """Independence by layer (L,) at the end."""
        return np.asarray(self.ends[:, 0])


def journey(before: Pass, after: Pass) -> Journey:
    """Of two passes of one network on the same data."""
    pairs = [(x, y, gram(x), gram(y)) for x, y in zip(before.h[1:], after.h[1:], strict=True)]
    return Journey(
        np.array([movement(y, x) for x, y, _, _ in pairs]),
        np.array([movement(k, k0) for _, _, k0, k in pairs]),
        np.array([movement(k0, k) for _, _, k0, k in pairs]),
        np.array([spectrum(k0) for _, _, k0, _ in pairs]),
        np.array([spectrum(k) for _, _, _, k in pairs]),
    )
