"""This file owns THE list of solvers, one instance each at its default resolution."""

from solvers.finite_volume import Muscl, ScharfetterGummel, Upwind
from solvers.jko import Exact, Quantile
from solvers.particles import GradientFlow
from solvers.spectral import Fourier
from wflow.solver import Solver

METHODS: tuple[Solver, ...] = (
    GradientFlow(particles=400),
    Upwind(cells=128),
    Muscl(cells=128),
    ScharfetterGummel(cells=128),
    Fourier(modes=48),
    Quantile(points=200),
    Exact(cells=96),
)
