"""This file owns the energy of pairs: half a double integral of a symmetric kernel."""

from dataclasses import dataclass
from functools import lru_cache

from wflow.arrays import Array
from wflow.grid import Grid
from wflow.kernel import Kernel
from wflow.measure import Density, Measure
from wflow.pair_kernel import PairKernel
from wflow.signed_density import SignedDensity


@dataclass(frozen=True, eq=False)
class Interaction:
    """(1/2) int int k dpi dpi for a symmetric kernel; V = int k(w, .) dpi."""

    kernel: Kernel

    @property
    def convex(self) -> bool:
        """As the kernel is positive semidefinite, at least on measures of mass 0."""
        return self.kernel.convex

    @property
    def singular(self) -> bool:
        """The kernel is infinite where two points meet."""
        return isinstance(self.kernel, PairKernel) and self.kernel.singular

    def value(self, pi: Measure) -> float:
        """Half the double integral."""
        return 0.5 * self.kernel.double(self._seen(pi))

    def potential(self, pi: Measure, w: Array, derivative: int) -> Array:
        """k * pi and its derivatives."""
        return self.kernel.against(self._seen(pi), w, derivative)

    def _seen(self, pi: Measure) -> Measure:
        """Of a measure shared between ranks the kernel sees its own points where it adds up moments, else all."""
        return pi if pi.ranks.size == 1 or self.kernel.by_moments else pi.whole()

    def coupling(self, pi: Measure, w: Array) -> tuple[Array, Array]:
        """The kernel's own."""
        if isinstance(pi, Density | SignedDensity) and w is pi.grid.centres:
            return _coupling_at_centres(self, pi.grid)
        return self.kernel.coupling(w)


@lru_cache(maxsize=4)
def _coupling_at_centres(term: Interaction, grid: Grid) -> tuple[Array, Array]:
    """The kernel's coupling at the cells of a grid; shared, hence read-only."""
    factor, core = term.kernel.coupling(grid.centres)
    factor.flags.writeable = core.flags.writeable = False
    return factor, core
