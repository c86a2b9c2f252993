"""Finite elements by DOLFINx, the extra `fem`: DG0. DOLFINx itself is imported when a flow is first solved."""

from solvers.fem.dg0 import DG0

__all__ = ["DG0"]
