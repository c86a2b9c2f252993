"""This file owns what a network of neurons w = (a, b), psi = a relu(b . x), has learnt of unit teachers."""

import numpy as np

from wflow.arrays import Array
from wflow.measure import Measure
from wflow.space_kernel import charges_of

NEAR = 0.5
"""Radians about a teacher within which students stand for it."""


def imbalance(pi: Measure) -> float:
    """int (|a| - |b|)^2 dpi: with a ridge lam, F(pi) = J(nu) + lam/2 of it, nu the charges of pi, none cancelled."""
    gap = np.abs(pi.points[:, 0]) - np.linalg.norm(pi.points[:, 1:], axis=1)
    return float(pi.weights @ gap**2)


def recovered(pi: Measure, teachers: Array) -> tuple[Array, Array]:
    """Charges (k,) within NEAR of each unit teacher (k, d), and the angle (k,) from it to their barycentre.

    nan where no charge, or a negative sum of them, is near.
    """
    units, charges = charges_of(pi)
    held = units @ teachers.T >= np.cos(NEAR)
    mass, mean = held.T @ charges, held.T @ (charges[:, None] * units)
    length = np.linalg.norm(mean, axis=1)
    found = (mass > 0.0) & (length > 0.0)
    mean = mean / np.where(found, length, 1.0)[:, None]
    # of nearly equal unit vectors half the distance is the sine of half the angle
    angle = 2.0 * np.arcsin(np.minimum(0.5 * np.linalg.norm(mean - teachers, axis=1), 1.0))
    return np.where(found, mass, np.nan), np.where(found, angle, np.nan)
