"""This file owns charged laws: measures of any mass and sign as starts, two probability laws with a mass each."""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, count, positive
from wflow.domain import Domain
from wflow.errors import Refused
from wflow.grid import Grid
from wflow.law import Atoms, Law, Regularity


@dataclass(frozen=True, eq=False)
class Charged(Law):
    """nu = masses[0] positive - masses[1] negative, for laws of mass 1 on one domain; a sheet without a law is empty.

    The one law that is no probability law: methods that keep mass refuse it. `quantised` and `sample` give m points of
    which `weights(m)` are the signed masses, equal on each sheet; the sheets share the points by mass, at least one
    each, positive first. From Atoms on every sheet the points are those atoms, whatever m.
    conserved: masses change but not their sum, which is then 1, on one sheet: a flow of probability measures, with V
    less its mean in place of V (the spherical metric). ValueError for other sheets or masses.
    """

    positive: Law | None
    negative: Law | None = None
    masses: tuple[float, float] = (1.0, 1.0)
    conserved: bool = False

    def __post_init__(self) -> None:
        if not self.sheets:
            raise ValueError("Charged: no law on either sheet; give a positive or a negative one")
        if len(self.masses) != 2:
            raise ValueError(f"Charged masses: {self.masses!r} is not a pair; give (of positive, of negative)")
        for law in self.sheets:
            if not isinstance(law, Law) or isinstance(law, Charged):
                raise TypeError(f"Charged: {law!r} is no probability law; give for instance Uniform(circle())")
            if law.domain != self.domain:
                raise ValueError(f"Charged: the sheets live on {self.domain} and {law.domain}; give one domain")
        pairs = zip(("positive", "negative"), (self.positive, self.negative), self.masses, strict=True)
        held = [0.0 if law is None else positive(f"Charged mass of {name}", mass) for name, law, mass in pairs]
        object.__setattr__(self, "masses", tuple(held))
        if self.conserved and (self.negative is not None or self.masses[0] != 1.0):
            raise ValueError(
                f"Charged conserved: sheets of masses {self.masses}; a sum of masses is conserved on probability "
                "measures, give one positive law of mass 1"
            )

    @property
    def sheets(self) -> tuple[Law, ...]:
        """The laws that there are, positive first."""
        return tuple(law for law in (self.positive, self.negative) if law is not None)

    @property
    def domain(self) -> Domain:
        """Of the sheets."""
        return self.sheets[0].domain

    @property
    def mass(self) -> float:
        """Total signed mass."""
        return self.masses[0] - self.masses[1]

    @property
    def total_variation(self) -> float:
        """|nu|(domain), where the sheets are mutually singular or seen apart, as points are."""
        return sum(self.masses)

    @property
    def atomic(self) -> bool:
        """Every sheet is Atoms."""
        return all(isinstance(law, Atoms) for law in self.sheets)

    @property
    def regularity(self) -> Regularity:
        """The worst of the sheets."""
        return max((law.regularity for law in self.sheets), key=("smooth", "jump", "atom").index)

    @property
    def connected(self) -> bool:
        """Both sheets are."""
        return all(law.connected for law in self.sheets)

    @property
    def support(self) -> tuple[float, float]:
        """Of both sheets together."""
        ends = [law.support for law in self.sheets]
        return min(low for low, _ in ends), max(high for _, high in ends)

    @property
    def has_quantised(self) -> bool:
        return all(law.has_quantised or isinstance(law, Atoms) for law in self.sheets)

    def quantised(self, m: int) -> Array:
        """(m, d). Two sheets interlace: one takes each even and one each odd of twice as many quantised points.

        From one law on both sheets, equally charged, the quantiles of each would coincide by pairs; so they alternate.
        """
        if self.atomic:
            return self._atoms
        first, second = self._shares(m)
        if not (first and second):
            return self.sheets[0].quantised(m)
        pair = zip(self.sheets, (first, second), (0, 1), strict=True)
        return np.concatenate([law.quantised(2 * n)[start::2] for law, n, start in pair])

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        """(m, d), independent on each sheet."""
        if self.atomic:
            return self._atoms
        shares = [n for n in self._shares(m) if n]
        return np.concatenate([law.sample(n, rng) for law, n in zip(self.sheets, shares, strict=True)])

    def weights(self, m: int) -> Array:
        """Signed masses of the m points."""
        signed = zip((self.positive, self.negative), self.masses, (1.0, -1.0), strict=True)
        if self.atomic:
            parts = [sign * mass * law.weights for law, mass, sign in signed if isinstance(law, Atoms)]
            return np.concatenate(parts)
        parts = [np.full(n, sign * mass / n) for (_, mass, sign), n in zip(signed, self._shares(m), strict=True) if n]
        return np.concatenate(parts)

    @property
    def has_averages(self) -> bool:
        return all(law.has_averages or isinstance(law, Atoms) for law in self.sheets)

    def averages(self, grid: Grid) -> Array:
        """Cell averages (m,) of nu."""
        positive, negative = self.averages_of_sheets(grid)
        return positive - negative

    def averages_of_sheets(self, grid: Grid) -> tuple[Array, Array]:
        """Cell averages (m,) of both sheets, each with its mass; what lies outside of the grid is left out."""
        pairs = zip((self.positive, self.negative), self.masses, strict=True)
        first, second = (np.zeros(grid.size) if law is None else mass * _averages(law, grid) for law, mass in pairs)
        return first, second

    @property
    def _atoms(self) -> Array:
        return np.concatenate([law.points for law in self.sheets if isinstance(law, Atoms)])

    def _shares(self, m: int) -> tuple[int, int]:
        """How many of m points each sheet has. Refused for fewer points than sheets."""
        if count("m", m) < len(self.sheets):
            raise Refused(f"Charged: {m} point cannot stand for two sheets; take at least 2")
        share = round(m * self.masses[0] / self.total_variation)
        first = min(max(share, int(self.positive is not None)), m - int(self.negative is not None))
        return first, m - first


def _averages(law: Law, grid: Grid) -> Array:
    """Cell averages (m,); atoms on several axes go to their cells, on an edge to the one above it."""
    if law.has_averages or not isinstance(law, Atoms):
        return law.averages(grid)
    below = np.asarray(grid.domain.lower)
    place = np.floor((law.domain.wrap(law.points) - below) / grid.widths).astype(np.int64)
    last = np.asarray(grid.shape) - 1
    at_wall = law.points == np.asarray(grid.domain.upper)
    place = np.where(at_wall, last, place)
    inside = np.all((place >= 0) & (place <= last), axis=1)
    cells = np.ravel_multi_index(tuple(place[inside].T), grid.shape)
    return np.bincount(cells, law.weights[inside], minlength=grid.size) / grid.cell_volume
