"""This file owns PETSc's matrices of forms, and their L U. Imported after `toolchain.start` alone."""

from typing import Any

from dolfinx import fem
from dolfinx.fem import petsc
from petsc4py import PETSc

_REASONS = {value: name for name, value in vars(PETSc.SNES.ConvergedReason).items() if isinstance(value, int)}


def empty_of(form: fem.Form) -> Any:
    """The matrix of a form, not yet assembled."""
    matrix = petsc.create_matrix(form)
    # facets between ranks are summed on both (solvers.fem.mesh.regions_of), each for its own rows
    matrix.setOption(PETSc.Mat.Option.IGNORE_OFF_PROC_ENTRIES, True)
    return matrix


def matrix_of(form: fem.Form) -> Any:
    """Made and assembled."""
    return assembled(empty_of(form), form)


def assembled(matrix: Any, form: fem.Form) -> Any:
    """The same matrix with other numbers."""
    matrix.zeroEntries()
    petsc.assemble_matrix(matrix, form)
    matrix.assemble()
    return matrix


def factored(matrix: Any) -> Any:
    """A KSP that solves by L U."""
    if matrix.comm.size > 1:  # what all ranks have dropped by now
        PETSc.garbage_cleanup(matrix.comm)
    solver = PETSc.KSP().create(matrix.comm)
    solver.setErrorIfNotConverged(True)
    solve_by_factors(solver, matrix)
    solver.setUp()
    return solver


def solve_by_factors(solver: Any, matrix: Any) -> None:
    """Tell a KSP to solve by L U in the order of nested dissection, without exchanges of rows.

    An M-matrix needs none, and then no step of the solution changes a sign. PETSc's own on one rank, on several that
    of MUMPS: the same numbers to rounding.
    """
    solver.setOperators(matrix)
    solver.setType("preonly")
    pc = solver.getPC()
    pc.setType("lu")
    if matrix.comm.size == 1:
        pc.setFactorSolverType("petsc")
        pc.setFactorOrdering("nd")
        return
    pc.setFactorSolverType("mumps")
    pc.setFactorSetUpSolverType()
    # 1: a pivot is taken where it stands; 6, 8: no permutation by values, no scaling
    pc.getFactorMatrix().setMumpsCntl(1, 0.0)
    for option, value in ((6, 0), (8, 0), (14, 100)):
        pc.getFactorMatrix().setMumpsIcntl(option, value)


def reason_of(snes: Any) -> str:
    """Why SNES stopped, in PETSc's words."""
    return _REASONS.get(snes.getConvergedReason(), "unknown")
