"""Dual averaging of densities (Nitanda, Wu & Suzuki 2020): its outer iteration exactly, on cells, and by particles."""

from solvers.dual_averaging.exact import Averaged, dual_averaging
from solvers.dual_averaging.particles import ParticleDualAveraging

__all__ = ["Averaged", "ParticleDualAveraging", "dual_averaging"]
