"""Finite volumes on grids of one to three axes: explicit (Upwind, Muscl), implicit (ScharfetterGummel), conic."""

from solvers.finite_volume.conic import ConicMuscl, ConicUpwind
from solvers.finite_volume.conic_implicit import ConicImplicit
from solvers.finite_volume.explicit import Muscl, Upwind
from solvers.finite_volume.fitted import ScharfetterGummel
from solvers.finite_volume.sweeps import bernoulli

__all__ = ["ConicImplicit", "ConicMuscl", "ConicUpwind", "Muscl", "ScharfetterGummel", "Upwind", "bernoulli"]
