"""This file owns degrees: how V scales where a neuron is scaled."""

import numpy as np

from wflow.hypotheses.verdicts import Hypothesis, Verdict
from wflow.trajectory import Trajectory

HOMOGENEOUS = 1e-10
"""Largest |V(c w) - c^p V(w)| over max |V| that rounding explains."""
_TRIES = 200


def homogeneity(run: Trajectory, degree: float, *, seed: int = 0) -> Hypothesis:
    """V(c w) = c^degree V(w) for V of the start, at 200 random w and c between 1/10 and 10."""
    rng = np.random.default_rng([seed, _TRIES])
    pi, dim = run.measures[0], run.flow.domain.dim
    w, scale = rng.standard_normal((_TRIES, dim)), 10.0 ** rng.uniform(-1.0, 1.0, _TRIES)
    plain, scaled = (run.flow.energy.potential(pi, at) for at in (w, scale[:, None] * w))
    off = float(np.max(np.abs(scaled / scale**degree - plain)) / np.max(np.abs(plain)))
    verdict: Verdict = "consistent" if off <= HOMOGENEOUS else "refuted"
    claim = f"V is positively homogeneous of degree {degree:g}"
    return Hypothesis(claim, verdict, off, HOMOGENEOUS, f"{_TRIES} points, factors 0.1 to 10")
