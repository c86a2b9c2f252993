"""Wasserstein gradient flows of mean-field neural networks: solved by independent methods, compared in W2, certified.

A Flow is an Energy on a Domain, started from a Law, up to a horizon. A Solver holds the resolution and moves a
Measure; `solve` returns a Trajectory; Certificates say what is true of it.
"""

from wflow import problems, schedules
from wflow.activation import activation
from wflow.barenblatt import Barenblatt, barenblatt_law
from wflow.charged import Charged
from wflow.cone import Cone, SquaredAngleCone
from wflow.data import Data, read_csv
from wflow.domain import Box, Domain, box, circle, cylinder, interval, line, plane, space, torus
from wflow.energy import Energy, population_risk
from wflow.errors import (
    Concentrated,
    EnergyRose,
    LostDensity,
    NotConverged,
    Refused,
    StepTooLarge,
    Truncated,
    WflowError,
)
from wflow.flow import Flow
from wflow.forceless import Constant, TotalVariation
from wflow.fourier import FourierDensity
from wflow.geodesics import Geodesic, geodesic
from wflow.grid import Grid
from wflow.internal import Entropy, Power
from wflow.joint import Product, Radial
from wflow.kernel import FourierKernel, PiecewiseKernel, circle_kernel
from wflow.law import Atoms, ClosedForm, Gaussian, Law, Transported, Uniform
from wflow.limits import Congestion, Obstacle
from wflow.loop import solve
from wflow.loss import HalfSquare, Huber, Logistic
from wflow.measure import Density, Measure, Particles, Quantiles, SignedParticles
from wflow.mesh import Mesh
from wflow.mesh_density import MeshDensity
from wflow.mesh_file import region
from wflow.neuron import CircleNeuron, RidgeNeuron, TranslationNeuron
from wflow.pair_kernel import LogKernel, NewtonianKernel, QuadraticKernel
from wflow.ranks import on_ranks
from wflow.shapes import Planar, Sphere, annulus, disk, polygon, punched, sphere
from wflow.signed_density import SignedDensity
from wflow.solver import Order, Solver, State, Step
from wflow.sphere_kernel import ArcCosineKernel, LegendreKernel, sphere_kernel
from wflow.steps import Steps
from wflow.terms import Interaction, Potential, Risk
from wflow.trajectory import Trajectory
from wflow.transport import w2
from wflow.triangulated import Region
from wflow.within import Gibbs, Within
from wflow.zonal import Drifted, Zonal, ZonalDensity

__version__ = "0.1.0"
__all__ = [
    "ArcCosineKernel", "Atoms", "Barenblatt", "Box", "Charged", "CircleNeuron", "ClosedForm", "Concentrated", "Cone",
    "Congestion", "Constant", "Data", "Density", "Domain", "Drifted", "Energy", "EnergyRose", "Entropy", "Flow",
    "FourierDensity", "FourierKernel", "Gaussian", "Geodesic", "Gibbs", "Grid", "HalfSquare", "Huber", "Interaction",
    "Law", "LegendreKernel", "LogKernel", "Logistic", "LostDensity", "Measure", "Mesh", "MeshDensity",
    "NewtonianKernel", "NotConverged", "Obstacle", "Order", "Particles", "PiecewiseKernel", "Planar", "Potential",
    "Power", "Product", "QuadraticKernel", "Quantiles", "Radial", "Refused", "Region", "RidgeNeuron", "Risk",
    "SignedDensity", "SignedParticles", "Solver", "Sphere", "SquaredAngleCone", "State", "Step", "StepTooLarge",
    "Steps", "TotalVariation", "Trajectory", "TranslationNeuron", "Transported", "Truncated", "Uniform", "WflowError",
    "Within", "Zonal", "ZonalDensity", "activation", "annulus", "barenblatt_law", "box", "circle", "circle_kernel",
    "cylinder",
    "disk", "geodesic", "interval", "line", "on_ranks", "plane", "polygon", "population_risk", "problems", "punched",
    "read_csv", "region", "schedules", "solve", "space", "sphere", "sphere_kernel", "torus", "w2",
]  # fmt: skip
