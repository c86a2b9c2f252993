"""This file owns the second variation of F on the cells of a grid, internal terms left out: how V changes with pi."""

from collections.abc import Hashable
from functools import lru_cache

import numpy as np

from wflow.arrays import Array
from wflow.energy import Energy
from wflow.grid import Grid
from wflow.measure import Density
from wflow.terms import Risk, Term


def second_variation(energy: Energy, pi: Density) -> Array:
    """d V_i / d q_j (m, m) at the cells of pi, q their masses, on changes of q of sum zero; internal terms left out.

    A Risk: sum_x weight loss''(f_pi, y) psi(x; w_i) psi(x; w_j). Any other term with a coupling is taken to be
    quadratic in pi, as an Interaction is: then column j is V of all mass in cell j, once a grid.
    """
    total = np.zeros((pi.grid.size, pi.grid.size))
    for term in energy.terms:
        if isinstance(term, Risk):
            total += _of_risk(term, pi)
        elif term.coupling(pi, pi.points) is not None:
            assert isinstance(term, Hashable)
            total += _of_quadratic(term, pi.grid)
    return total


def _of_risk(risk: Risk, pi: Density) -> Array:
    core = risk.data.weights * risk.loss.curvature(risk.predict(pi), risk.data.targets)
    features = _at_cells(risk, pi.grid)
    return np.asarray(features.T @ (core[:, None] * features))


@lru_cache(maxsize=2)
def _at_cells(risk: Risk, grid: Grid) -> Array:
    """psi (n, m) at the data and the cells; shared, hence read-only."""
    features = np.array(risk.neuron.value(risk.data.inputs, grid.centres))
    features.flags.writeable = False
    return features


@lru_cache(maxsize=2)
def _of_quadratic(term: Term, grid: Grid) -> Array:
    """V of one cell, cell by cell; shared, hence read-only."""
    single = np.eye(grid.size) / grid.cell_volume
    matrix = np.stack([term.potential(Density(grid, values), grid.centres, 0) for values in single], axis=1)
    matrix.flags.writeable = False
    return matrix
