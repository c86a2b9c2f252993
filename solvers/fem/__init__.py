"""Finite elements by DOLFINx, the extra `fem`: DG0, DG1. DOLFINx itself is imported when a flow is first solved."""

from solvers.fem.dg0 import DG0
from solvers.fem.dg1 import DG1

__all__ = ["DG0", "DG1"]
