"""This file owns measures as arrays: what those of one run have in common, and the rest of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wflow.fourier import FourierDensity
from wflow.measure import Density, Measure, Particles, Quantiles, SignedParticles
from wflow.mesh import Mesh
from wflow.mesh_density import MeshDensity
from wflow.signed_density import SignedDensity
from wflow.store import homes
from wflow.store.archive import Arrays
from wflow.store.homes import Home

Kind = type[Measure]
FIELDS: dict[Kind, tuple[str, ...]] = {
    Particles: ("points", "weights"),
    SignedParticles: ("points", "weights"),
    Density: ("values",),
    SignedDensity: ("positive", "negative"),
    MeshDensity: ("values",),
    Quantiles: ("edges",),
    FourierDensity: ("coefficients",),
}
"""The arrays that make each kind of measure, in the order of its constructor."""
KINDS = {kind.__name__: kind for kind in FIELDS}


@dataclass(frozen=True, eq=False)
class Form:
    """The kind of measure and where it lives: a grid, a mesh, a domain, or (None) where the kind itself implies it."""

    kind: Kind
    home: Home | None

    @classmethod
    def of(cls, measures: Sequence[Measure]) -> "Form":
        """That of measures of one kind in one place; TypeError if they are not, or are of no kind that is stored."""
        first, kind = measures[-1], type(measures[-1])
        if kind not in FIELDS or any(type(pi) is not kind for pi in measures):
            raise TypeError(f"pack: {kind.__name__} is not among {', '.join(KINDS)}, the measures that can be stored")
        home = _home(first)
        if isinstance(home, Mesh) and not all(homes.same(home, _home(pi)) for pi in measures):
            raise TypeError("pack: the densities live on different meshes; keep one mesh for a run")
        return cls(kind, home)

    @classmethod
    def read(cls, arrays: Mapping[str, NDArray[Any]]) -> "Form":
        """What `arrays` gave."""
        return cls(KINDS[str(arrays["kind"])], homes.read(arrays))

    def arrays(self) -> Arrays:
        """kind, and the place: once, however many measures there are."""
        kind = {"kind": np.array(self.kind.__name__)}
        return kind if self.home is None else kind | homes.stored(self.home)

    def measure(self, fields: Sequence[NDArray[Any]]) -> Measure:
        """The measure with these arrays."""
        make: Callable[..., Measure] = self.kind
        return make(*fields) if self.home is None else make(self.home, *fields)


def _home(pi: Measure) -> Home | None:
    match pi:
        case Density() | SignedDensity():
            return pi.grid
        case MeshDensity():
            return pi.mesh.whole
        case FourierDensity():
            return None
    return pi.domain
