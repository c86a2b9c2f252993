"""This file owns measures as arrays: what those of one run have in common, and the rest of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wflow.domain import Box
from wflow.fourier import FourierDensity
from wflow.grid import Grid
from wflow.measure import Density, Measure, Particles, Quantiles, SignedParticles
from wflow.store.archive import Arrays

Kind = type[Measure]
FIELDS: dict[Kind, tuple[str, ...]] = {
    Particles: ("points", "weights"),
    SignedParticles: ("points", "weights"),
    Density: ("values",),
    Quantiles: ("edges",),
    FourierDensity: ("coefficients",),
}
"""The arrays that make each kind of measure, in the order of its constructor."""
KINDS = {kind.__name__: kind for kind in FIELDS}
_BOX = ("lower", "upper", "periodic", "frozen")


@dataclass(frozen=True)
class Form:
    """The kind of measure and where it lives: a grid, a box, or (None) a place that the kind itself implies."""

    kind: Kind
    home: Grid | Box | None

    @classmethod
    def of(cls, measures: Sequence[Measure]) -> "Form":
        """That of measures of one kind on one domain; TypeError if they are not, or are of no kind that is stored."""
        first, kind = measures[-1], type(measures[-1])
        if kind not in FIELDS or any(type(pi) is not kind for pi in measures):
            raise TypeError(f"pack: {kind.__name__} is not among {', '.join(KINDS)}, the measures that can be stored")
        if isinstance(first, Density):
            return cls(kind, first.grid)
        if kind is FourierDensity:
            return cls(kind, None)
        if not isinstance(first.domain, Box):
            raise TypeError(f"pack: measures on {first.domain} cannot be stored yet; keep them in memory")
        return cls(kind, first.domain)

    @classmethod
    def read(cls, arrays: Mapping[str, NDArray[Any]]) -> "Form":
        """What `arrays` gave."""
        kind = KINDS[str(arrays["kind"])]
        if "lower" not in arrays:
            return cls(kind, None)
        box = Box(*(tuple(arrays[name].tolist()) for name in _BOX))
        return cls(kind, Grid(box, tuple(arrays["shape"].tolist())) if "shape" in arrays else box)

    def arrays(self) -> Arrays:
        """kind; lower, upper, periodic, frozen (d,) of the box and shape (d,) of the grid, where there is one."""
        found = {"kind": np.array(self.kind.__name__)}
        box = self.home.domain if isinstance(self.home, Grid) else self.home
        if box is not None:
            found |= {name: np.array(getattr(box, name)) for name in _BOX}
        return found | ({"shape": np.array(self.home.shape)} if isinstance(self.home, Grid) else {})

    def measure(self, fields: Sequence[NDArray[Any]]) -> Measure:
        """The measure with these arrays."""
        make: Callable[..., Measure] = self.kind
        return make(*fields) if self.home is None else make(self.home, *fields)
