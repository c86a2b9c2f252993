"""This file owns exact W2 between atoms and a piecewise constant density on two axes: semi-discrete transport.

With atoms x_i of masses mu_i and rho constant on the cells of a grid, W2^2 is the maximum of the concave

    Phi(g) = sum_i mu_i g_i + int min_i (|z - x_i|^2 - g_i) rho(z) dz        (wflow.laguerre_dual, wflow.dual_ascent).

Source: Aurenhammer, Hoffmann & Aronov 1998, Algorithmica 20, 61-76 (the dual).
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.atom_clusters import nested
from wflow.domain import Box
from wflow.dual_ascent import ascent
from wflow.errors import Refused
from wflow.grid import Grid
from wflow.laguerre_dual import Dual
from wflow.measure import Density, Particles

TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class SemiDiscrete:
    """The optimal transport between m atoms and a density, to `residual`.

    squared: Phi(g), with Phi(g) <= W2^2 <= Phi(g) + slack. g (m,): the potentials, of mean 0 in mu. masses (m,) and
    barycentres (m, 2): what each atom's cell holds of the density, and its middle, from where atom i is supplied.
    residual: sum_i |mu_i - masses_i|. newton: the steps taken.
    """

    squared: float
    slack: float
    g: Array
    masses: Array
    barycentres: Array
    residual: float
    newton: int


def semidiscrete(particles: Particles, density: Density, *, tolerance: float = TOLERANCE) -> SemiDiscrete:
    """Optimal transport between atoms and a density that is constant on each cell of its grid of two axes.

    Atoms that coincide, to a rounding of their distance from the mean, are one, and share its cell by their masses;
    atoms without mass have g = -inf and no barycentre (nan). Atoms may lie beyond the grid's walls; along periodic axes
    all distances go the short way, and the barycentre is that of the cell next to its atom.
    Raises Refused for other domains, NotConverged where sum_i |mu_i - rho(L_i)| stays above `tolerance`.
    """
    _admit(particles, density)
    here, there = _means(particles, density)
    places, group = np.unique(density.domain.wrap(particles.points) - here, axis=0, return_inverse=True)
    mass = np.bincount(group, particles.weights, len(places))
    order = nested(places)
    places, mass, group = places[order], mass[order], np.argsort(order)[group]
    held = mass > 0.0
    dual = _centred(places[held], mass[held] / mass.sum(), density, there)
    found, count = ascent(dual, tolerance)
    residual = float(np.abs(dual.mu - found.mass).sum())
    dual, g = dual.based(found.phi), np.zeros_like(dual.mu)
    potential = dual.potentials(g) - 2.0 * dual.x @ (there - here)
    index = np.where(held, np.cumsum(held) - 1, -1)[group]
    share = np.where(held[group], particles.weights / np.where(held, mass, 1.0)[group], 0.0)
    return SemiDiscrete(
        dual.value(g, found) + float(np.sum((there - here) ** 2)),
        dual.slack(g, residual),
        np.append(potential - dual.mu @ potential, -np.inf)[index],
        share * np.append(found.mass, 0.0)[index],
        np.vstack([density.domain.wrap(found.moment / found.mass[:, None] + there), [np.nan, np.nan]])[index],
        residual,
        count,
    )


def _admit(particles: Particles, density: Density) -> None:
    """Raise Refused unless both live on the same two axes, none of them frozen."""
    for name, domain in (("particles", particles.domain), ("density", density.domain)):
        if domain.dim != 2:
            raise Refused(
                f"semidiscrete: the {name} have {domain.dim} axes; the cells are polygons of the plane, use w2"
            )
        if any(domain.frozen):
            raise Refused(f"semidiscrete: an axis of the {name} is frozen ({domain}); mass moves along both, use w2")
    one, other = particles.domain, density.domain
    turns = np.asarray(one.periodic)
    if one.periodic != other.periodic or not np.allclose(one.lengths[turns], other.lengths[turns], rtol=1e-12):
        raise Refused(f"semidiscrete: the particles live on {one}, the density on {other}; give both the same turns")


def _means(particles: Particles, density: Density) -> tuple[Array, Array]:
    """Of both, 0 along periodic axes: moved to 0, W2^2 falls by their squared distance.

    Cells are then as exact as the distances of the atoms, however far away and close together these are.
    """
    turns = density.domain.periodic
    means = (
        (pi.weights / pi.mass) @ points
        for pi, points in ((particles, particles.points), (density, density.grid.centres))
    )
    here, there = (np.where(turns, 0.0, mean) for mean in means)
    return here, there


def _centred(x: Array, mu: Array, density: Density, there: Array) -> Dual:
    """The problem of atoms x (m, 2) of mean 0 and of the density, moved by its mean `there` to have mean 0 as well."""
    grid, turns = density.grid, density.domain.periodic
    lower, upper = (np.asarray(side) - there for side in (grid.domain.lower, grid.domain.upper))
    moved = Grid(Box(tuple(lower.tolist()), tuple(upper.tolist()), turns), grid.shape)
    rho = np.ascontiguousarray(density.values.reshape(grid.shape) / density.mass)
    base = None if any(turns) else np.zeros_like(x)
    return Dual(x, mu, rho, moved, base)
