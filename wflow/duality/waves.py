"""This file owns the trigonometric polynomials that neurons on data make: sum_i r_i psi(x_i; w) by its waves in w."""

import numpy as np

from wflow.arrays import Array, ComplexArray
from wflow.duality.field import UNIT
from wflow.duality.filters import filter_modes, ridge_modes
from wflow.duality.series import Series
from wflow.neuron import CircleNeuron, TranslationNeuron

_OPERATIONS = 64.0


def shifted(neuron: TranslationNeuron, x: Array, r: Array) -> Series | None:
    """sum_i r_i prod_l sigma(x_il - t_l): C_k = prod_l conj(c_{k_l}) sum_i r_i e^{-i k . x_i} (conjugated for -k).

    C is off by u (2 pi |k|_1 + n + 16) sum |r_i| prod |c|, |x| <= 2 pi.
    """
    half = filter_modes(neuron.activation)
    if half is None:
        return None
    whole = np.concatenate([np.conj(half[:0:-1]), half])
    k = np.arange(len(whole)) - len(half) + 1
    table = np.ones((len(r), 1), dtype=np.complex128)
    for axis in range(neuron.inputs):
        table = (table[:, :, None] * np.exp(1j * x[:, axis, None] * k)[:, None, :]).reshape(len(r), -1)
    total = (r @ table).reshape((len(k),) * neuron.inputs)
    for axis in range(neuron.inputs):
        total = total * whole.reshape([-1 if a == axis else 1 for a in range(neuron.inputs)])
    # e^{i k (x - t)} is the wave -k in t
    back = np.flip(total)
    size = float(np.sum(np.abs(r))) * float(np.sum(np.abs(whole))) ** neuron.inputs
    reach = float(np.max(np.abs(x), initial=0.0))
    away = UNIT * (neuron.inputs * len(half) * reach + len(r) + 16.0) * size
    return Series(0.5 * (back + np.conj(np.flip(back))), away)


def turned(neuron: CircleNeuron, x: Array, r: Array) -> Series | None:
    """sum_i r_i sigma(rho_i cos(t - phi_i)) by the modes of sigma; their tails and rounding are slack."""
    rho, phi = np.hypot(x[:, 0], x[:, 1]), np.arctan2(x[:, 1], x[:, 0])
    found = ridge_modes(neuron.activation, rho)
    if found is None:
        return None
    mu, tails = found
    k = np.arange(mu.shape[1])
    half: ComplexArray = np.sum(r[:, None] * mu * np.exp(-1j * phi[:, None] * k), axis=0, dtype=np.complex128)
    # a Bessel function is off by a few u of 1, not of its own size
    away = UNIT * (_OPERATIONS + len(r)) * float(np.sum(np.abs(r)[:, None] * (np.abs(mu) + 1.0) * (1.0 + 0.1 * k)))
    return Series.of_circle(half, away + float(np.abs(r) @ tails))
