"""This file owns laws on regions of the plane: a law of the plane that lies inside, and Gibbs laws."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.arrays import Array, count, positive
from wflow.errors import Refused
from wflow.law import Law, Regularity
from wflow.meshing import mesh_of
from wflow.shapes import Planar
from wflow.simplex_rule import simplex_rule

_CELLS, _NODES = 64, 4
_ROUNDS = 100


@dataclass(frozen=True, eq=False)
class Within(Law):
    """A law of the plane in a region that holds its mass: its density there, 0 outside. What lies outside is lost.

    A mesh of the region scales the loss away, up to what MeshDensity allows.
    """

    law: Law
    domain: Planar

    @property
    def regularity(self) -> Regularity:
        """Of the law itself."""
        return self.law.regularity

    @property
    def edge(self) -> float:
        """Of the law itself."""
        return self.law.edge

    @property
    def has_density(self) -> bool:
        return self.law.has_density

    @property
    def has_quantised(self) -> bool:
        return self.law.has_quantised

    def density(self, w: Array) -> Array:
        return np.where(self.domain.inside(w), self.law.density(w), 0.0)

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        """Draws of the law, anew where they lie outside."""
        found = self.law.sample(count("m", m), rng)
        for _ in range(_ROUNDS):
            out = self.domain.outside(found) > 0.0
            if not np.any(out):
                return found
            found[out] = self.law.sample(int(out.sum()), rng)
        raise Refused(f"Within: {_ROUNDS} draws in a row lie outside {self.domain}; the law must lie inside")

    def quantised(self, m: int) -> Array:
        """The law's own points, at the wall where they lie beyond it."""
        return self.domain.retract(self.law.quantised(m))


@dataclass(frozen=True, eq=False)
class Gibbs(Law):
    """e^{-V/T}/Z on a region of the plane: the minimiser of int V drho + T int rho log rho.

    potential: V (m,) at points (m, 2). Z by 16 Gauss points a triangle on two meshes, extrapolated in h^2, relative
    error about 1e-5 at curved walls.
    """

    domain: Planar
    potential: Callable[[Array], Array]
    temperature: float

    def __post_init__(self) -> None:
        positive("Gibbs temperature", self.temperature)

    def density(self, w: Array) -> Array:
        return np.where(self.domain.inside(w), self._weight(w) / self.normaliser[0], 0.0)

    @cached_property
    def least_energy(self) -> float:
        """inf F = -T log int e^{-V/T}."""
        total, level = self.normaliser
        return level - self.temperature * math.log(total)

    @cached_property
    def normaliser(self) -> tuple[float, float]:
        """int e^{-(V - level)/T}, and the level, the least V on a mesh."""
        coarse, fine = (self._total(n) for n in (_CELLS, 2 * _CELLS))
        return (4.0 * fine - coarse) / 3.0, self._level

    @cached_property
    def _level(self) -> float:
        return float(self.potential(mesh_of(self.domain, _CELLS).nodes).min())

    def _weight(self, w: Array) -> Array:
        return np.asarray(np.exp((self._level - self.potential(w)) / self.temperature))

    def _total(self, cells: int) -> float:
        mesh = mesh_of(self.domain, cells)
        rule, share = simplex_rule(2, _NODES)
        values = self._weight(mesh.at(rule).reshape(-1, 2)).reshape(mesh.size, -1)
        return float(mesh.volumes @ (values @ share))

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        """By rejection from the uniform law of the box around the region."""
        low, length = np.asarray(self.domain.lower), self.domain.lengths
        found = np.zeros((0, 2))
        while len(found) < count("m", m):
            w = low + length * rng.random((4 * m, 2))
            w = w[self.domain.outside(w) < 0.0]
            found = np.concatenate([found, w[rng.random(len(w)) < np.minimum(self._weight(w), 1.0)]])
        return found[:m]
