"""This file owns degrees: how V scales where a neuron is scaled."""

import numpy as np

from wflow.arrays import Array
from wflow.energy import Energy
from wflow.hypotheses.verdicts import Hypothesis, compared
from wflow.measure import Measure
from wflow.trajectory import Trajectory

HOMOGENEOUS = 1e-10
"""Largest |V(c w) - c^p V(w)| over max |V| that rounding explains."""
_TRIES = 200


def homogeneity(run: Trajectory, degree: float, *, seed: int = 0) -> Hypothesis:
    """V(c w) = c^degree V(w) for V of the start, at 200 random w and c between 1/10 and 10."""
    off = off_degree(run.flow.energy, run.measures[0], degree, seed=seed)
    claim = f"V is positively homogeneous of degree {degree:g}"
    return compared("degree", claim, off, HOMOGENEOUS, f"{_TRIES} points, factors 0.1 to 10")


def linearity(run: Trajectory, *, seed: int = 0) -> Hypothesis:
    """V(c a, theta) = c V(a, theta) for V of the start, at 200 random (a, theta) and c between 1/10 and 10."""
    off = off_first(run.flow.energy, run.measures[0], seed=seed)
    reason = f"{_TRIES} points, factors 0.1 to 10; a penalty has to be |a| times a function of theta"
    return compared("degree", "V is 1-homogeneous in the outer weight a", off, HOMOGENEOUS, reason)


def off_degree(energy: Energy, pi: Measure, degree: float, *, seed: int = 0) -> float:
    """max |V(c w)/c^degree - V(w)| over max |V(w)|, V that of pi; 0 where V vanishes."""
    w, scale = _tried(pi, seed)
    return _off(energy, pi, w, scale[:, None] * w, scale**degree)


def off_first(energy: Energy, pi: Measure, *, seed: int = 0) -> float:
    """max |V(c a, theta)/c - V(a, theta)| over max |V|, a the first coordinate."""
    w, scale = _tried(pi, seed)
    scaled = w.copy()
    scaled[:, 0] *= scale
    return _off(energy, pi, w, scaled, scale)


def _tried(pi: Measure, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng([seed, _TRIES])
    return rng.standard_normal((_TRIES, pi.domain.dim)), 10.0 ** rng.uniform(-1.0, 1.0, _TRIES)


def _off(energy: Energy, pi: Measure, w: Array, scaled: Array, factor: Array) -> float:
    plain, moved = energy.potential(pi, w), energy.potential(pi, scaled)
    size = float(np.max(np.abs(plain)))
    return float(np.max(np.abs(moved / factor - plain))) / size if size else 0.0
