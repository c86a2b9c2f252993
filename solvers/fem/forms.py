"""This file owns the variational forms of DG0 in UFL, and their compilation: once a machine for each number of axes.

Imported after `toolchain.start` alone.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import basix.ufl
import ufl
from cffi import VerificationError
from dolfinx import fem, jit
from dolfinx.fem.forms import CompiledForm
from mpi4py import MPI

from wflow.errors import Refused

_SHAPES = ("interval", "quadrilateral", "hexahedron")
_ONE_POINT = {"quadrature_degree": 0}
INNER = 1
"""The facets that a form is given: by itself DOLFINx takes each on one rank alone."""


@dataclass(frozen=True, eq=False)
class Forms:
    """The forms on abstract cells with `dim` axes, bound to a mesh later. n points from the side + of a facet to -.

    exchange   int [rho+ (v.n)^+ g- + rho- (v.n)^- g+] + [(v.n)^+ s+ + (v.n)^- s-] over inner facets, test (g, s)
    heat       int u w  +  share int jump(u) jump(w) / gap over inner facets, gap = |n . spacing|

    rho, u, w, g, s are constant on each cell, v is continuous and linear along each axis; one quadrature point. Tested
    with g the first says what each cell gains from its neighbours, with s how fast it sends.
    """

    domain: Any
    density: Any
    velocity: Any
    pair: Any
    trial: Any
    test: Any
    share: Any
    spacing: Any

    @classmethod
    def on(cls, dim: int) -> "Forms":
        """With spaces on intervals, quadrilaterals or hexahedra."""
        shape, domain = _SHAPES[dim - 1], abstract_mesh(dim)
        corners = domain.ufl_coordinate_element()
        cells = ufl.FunctionSpace(domain, basix.ufl.element("DG", shape, 0))
        pairs = ufl.FunctionSpace(domain, basix.ufl.element("DG", shape, 0, shape=(2,)))
        return cls(
            domain, ufl.Coefficient(cells), ufl.Coefficient(ufl.FunctionSpace(domain, corners)),
            ufl.TestFunction(pairs), ufl.TrialFunction(cells), ufl.TestFunction(cells),
            ufl.Constant(domain), ufl.Constant(domain, shape=(dim,)),
        )  # fmt: skip

    @cached_property
    def exchange(self) -> CompiledForm:
        """Compiled."""
        gained, sent = self.pair
        along = ufl.dot(self.velocity("+"), ufl.FacetNormal(self.domain)("+"))
        ahead, back = ufl.max_value(along, 0.0), ufl.max_value(-along, 0.0)
        moved = self.density("+") * ahead * gained("-") + self.density("-") * back * gained("+")
        return compiled((moved + ahead * sent("+") + back * sent("-")) * self._inner)

    @cached_property
    def heat(self) -> CompiledForm:
        """Compiled."""
        u, w = self.trial, self.test
        gap = abs(ufl.dot(ufl.FacetNormal(self.domain)("+"), self.spacing))
        inside = u * w * ufl.dx(domain=self.domain, metadata=_ONE_POINT)
        return compiled(inside + self.share / gap * ufl.jump(u) * ufl.jump(w) * self._inner)

    @property
    def _inner(self) -> Any:
        return ufl.dS(INNER, domain=self.domain, metadata=_ONE_POINT)


def abstract_mesh(dim: int) -> Any:
    """A UFL domain of cells with `dim` axes. Each mesh needs its own: DOLFINx writes the mesh into it."""
    return ufl.Mesh(basix.ufl.element("Lagrange", _SHAPES[dim - 1], 1, shape=(dim,)))


@cache
def forms_of(dim: int) -> Forms:
    """The forms for one to three axes, the same object each time."""
    return Forms.on(dim)


def compiled(form: ufl.Form) -> CompiledForm:
    """By FFCx and the C compiler, kept in a folder of wflow's own within DOLFINx's cache.

    Raises OSError where that folder cannot be written, Refused where the compiler fails.
    """
    folder = Path(jit.get_options()["cache_dir"]) / "wflow"
    try:
        with _alone_in(folder):
            return fem.compile_form(MPI.COMM_SELF, form, jit_options={"cache_dir": folder})
    except OSError as error:
        raise OSError(
            f"solvers.fem: DOLFINx cannot keep its compiled forms in {folder} ({error.strerror or error}); "
            "set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    except VerificationError as error:
        raise Refused(
            f"solvers.fem: the C compiler failed on a form of DOLFINx ({error}); try another one, in CC"
        ) from error


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process at a time. A source without its mark of completion is then left by a process that was killed.

    FFCx would wait for that mark and give up after ten seconds, in every later run. The lock falls with its process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDONLY | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for source in folder.glob("*.c"):
            if not source.with_suffix(".c.cached").exists():
                source.unlink()
        yield
    finally:
        os.close(lock)
