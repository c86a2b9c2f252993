"""Gradient descent with momentum: the kinetic equation of (w, v), by particles and on a grid of phase space."""

from solvers.kinetic.particles import HeavyBall, KineticLangevin
from solvers.kinetic.phase import phase_of
from solvers.kinetic.phase_space import PhaseSpace

__all__ = ["HeavyBall", "KineticLangevin", "PhaseSpace", "phase_of"]
