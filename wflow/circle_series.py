"""This file owns Fourier series on the circle against measures: their modes, and sums over modes at points."""

import numpy as np

from wflow.arrays import Array, ComplexArray
from wflow.domain import TURN
from wflow.fourier import series_at_nodes
from wflow.law import Atoms, Law, Uniform
from wflow.measure import Measure, circle_modes


def circle_modes_of(pi: Measure | Law, count: int) -> ComplexArray:
    """c_0..c_count of a measure, of atoms, or of a law on the circle."""
    if isinstance(pi, Measure):
        return pi.modes(count)
    if isinstance(pi, Atoms):
        return circle_modes(pi.points[:, 0], pi.weights, count)
    if isinstance(pi, Uniform):
        return np.asarray(np.arange(count + 1) == 0, dtype=np.complex128)
    # a smooth law: c_n = e^{-i n theta} against the quantile, spectrally accurate in s for positive analytic densities
    s = (np.arange(16 * (count + 1)) + 0.5) / (16 * (count + 1))
    return circle_modes(pi.quantile(s), np.full(len(s), 1.0 / len(s)), count)


def series(a: Array, c: ComplexArray, w: Array, derivative: int) -> Array:
    """d^j/dw^j sum_n a_n Re(c_n e^{i n w}); FFT where w are the centres of a circle grid or the nodes of a density."""
    n = np.arange(len(a))
    spectrum = 0.5 * a * c
    spectrum[0] *= 2.0
    for _ in range(derivative):
        spectrum *= 1j * n
    used = np.flatnonzero(spectrum)
    if not len(used) or used[-1] == 0:  # as of a uniform target
        return np.full(len(w), spectrum[0].real)
    nodes = len(w)
    step = TURN / nodes
    # equispaced points over the turn, by their ends: two comparisons, then an FFT instead of a matrix
    equispaced = nodes > 2 * len(a) and abs(w[-1, 0] - w[0, 0] - (nodes - 1) * step) < 1e-12 * nodes
    if equispaced and np.max(np.abs(w[1:, 0] - w[:-1, 0] - step)) <= 1e-13:
        return series_at_nodes(spectrum, nodes, float(w[0, 0]))
    turn = np.exp(1j * w[:, 0])
    total = np.zeros(nodes, dtype=np.complex128)
    for k in range(int(used[-1]), 0, -1):
        total += spectrum[k]
        total *= turn
    return np.asarray(spectrum[0].real + 2.0 * total.real)
