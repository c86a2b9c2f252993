"""This file owns THE list of solvers, one instance each at its default resolution."""

from solvers.conic import ConicDescent, ConicHeun, ConicParticles
from solvers.dual_averaging import ParticleDualAveraging
from solvers.fem import DG0, DG1, Ljko, Ljko2, TwoPoint
from solvers.fictitious_play import FictitiousPlay
from solvers.finite_volume import ConicImplicit, ConicMuscl, ConicUpwind, Muscl, ScharfetterGummel, Upwind
from solvers.jko import (
    Bdf2,
    Entropic,
    Exact,
    Hats,
    Heated,
    Linearised,
    Midpoint,
    Quantile,
    QuantileDual,
    RiskDual,
    Sdirk2,
    Sinkhorn,
    SoftMin,
    Spline,
    SplineSdirk2,
)
from solvers.kinetic import HeavyBall, KineticLangevin, PhaseSpace
from solvers.langevin import Langevin, Langevin2
from solvers.particles import DormandPrince, GradientDescent, GradientFlow, NormDescent, Sampled
from solvers.spectral import Fourier
from solvers.stochastic import ModifiedEquation, StochasticGradient
from wflow.solver import Solver

METHODS: tuple[Solver, ...] = (
    GradientFlow(particles=400),
    DormandPrince(particles=400),
    Upwind(cells=128),
    Muscl(cells=128),
    ScharfetterGummel(cells=128),
    DG0(cells=128),
    DG1(cells=64),
    TwoPoint(cells=64),
    Fourier(modes=48),
    Quantile(points=200),
    Sdirk2(points=200),
    Linearised(cells=128),
    Spline(cells=128),
    Hats(cells=128),
    Exact(cells=96),
    RiskDual(particles=400),
    ConicParticles(particles=100),
    ConicMuscl(cells=128),
)
FURTHER: tuple[Solver, ...] = (
    Midpoint(points=200),
    Bdf2(points=200),
    QuantileDual(points=200),
    SplineSdirk2(cells=128),
    Entropic(cells=128),
    Heated(cells=128),
    Sinkhorn(cells=128),
    SoftMin(cells=128),
    Ljko(cells=128),
    Ljko2(cells=128),
    ConicHeun(particles=100),
    ConicDescent(particles=100),
    ConicUpwind(cells=128),
    ConicImplicit(cells=128),
    GradientDescent(particles=100),
    NormDescent(particles=100),
    HeavyBall(particles=400, speed=0.25),
    PhaseSpace(cells=128, speed=0.25),
    FictitiousPlay(cells=128),
    KineticLangevin(particles=400, speed=0.25, start=Sampled(0)),
    Langevin(particles=400),
    Langevin2(particles=400),
    StochasticGradient(particles=100),
    ModifiedEquation(particles=100),
    ParticleDualAveraging(particles=400),
)
"""What `wflow run` takes besides, and `wflow verify --further`. Without it verify leaves them out: they say the same as
Sdirk2 in a table whose agreements grow like the square of the list, and Bdf2 is two-step: its state is the last two
measures. SplineSdirk2 is to Spline what Sdirk2 is to Quantile, QuantileDual takes Quantile's steps on networks and
proves them; Entropic, Heated and Sinkhorn approximate the step that Spline takes. Ljko is Linearised on meshes, Ljko2
its second order, two-step too. SoftMin is a splitting for long steps of noisy networks, with no energy to certify.
ConicHeun is ConicParticles at second order, ConicDescent the same with steps that F judges; ConicUpwind is ConicMuscl
at first order, ConicImplicit so with masses by the potential of the step's end. GradientDescent is GradientFlow at
first order, as networks are trained, NormDescent that with steps scaled by the norms of neurons, StochasticGradient
that on a few data a step, ModifiedEquation the stochastic equation of its steps. Langevin is GradientFlow with noise,
for entropic flows, Langevin2 the same at weak order 2: their runs are draws, of which verify asks means over seeds.
HeavyBall and PhaseSpace solve another equation, that of momentum, and are compared with each other alone;
KineticLangevin is HeavyBall with noise. FictitiousPlay is an equation of its own too.
ParticleDualAveraging is Langevin in a mean of past potentials, with the same minimiser."""
