"""Finite elements by DOLFINx, the extra `fem`: methods on meshes. DOLFINx is imported when a flow is first solved."""

from solvers.fem.dg0 import DG0
from solvers.fem.dg1 import DG1
from solvers.fem.fitted import TwoPoint
from solvers.fem.ljko import Ljko, Ljko2
from solvers.fem.vtx import write_vtx

__all__ = ["DG0", "DG1", "Ljko", "Ljko2", "TwoPoint", "write_vtx"]
