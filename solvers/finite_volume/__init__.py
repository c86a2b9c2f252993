"""Finite volumes on grids of one to three axes: explicit (Upwind, Muscl) and implicit (ScharfetterGummel)."""

from solvers.finite_volume.explicit import Muscl, Upwind
from solvers.finite_volume.fitted import ScharfetterGummel
from solvers.finite_volume.sweeps import bernoulli

__all__ = ["Muscl", "ScharfetterGummel", "Upwind", "bernoulli"]
