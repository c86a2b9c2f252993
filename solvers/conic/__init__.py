"""This package owns conic (Wasserstein-Fisher-Rao) flows of signed measures: masses and positions of charges."""

from solvers.conic.particles import ConicDescent, ConicHeun, ConicParticles
from solvers.starts import Quantised, Sampled

__all__ = ["ConicDescent", "ConicHeun", "ConicParticles", "Quantised", "Sampled"]
