"""This file owns L U of a PETSc matrix. Imported after `toolchain.start` alone."""

from typing import Any

from petsc4py import PETSc


def factored(matrix: Any) -> Any:
    """A KSP that solves by L U in the order of nested dissection, without exchanges of rows.

    An M-matrix needs none, and then no step of the solution changes a sign.
    """
    solver = PETSc.KSP().create(PETSc.COMM_SELF)
    solver.setErrorIfNotConverged(True)
    solver.setOperators(matrix)
    solver.setType("preonly")
    solver.getPC().setType("lu")
    solver.getPC().setFactorSolverType("petsc")
    solver.getPC().setFactorOrdering("nd")
    solver.setUp()
    return solver
