"""This file owns ReLU networks of d inputs: students a relu(b . x) that learn a few unit teachers at a ridge.

    F(pi) = E (f_pi - f*)^2/2 + (lam/2) int a^2 + |b|^2 dpi,     f* = sum_l relu(u_l . x),   x ~ N(0, I_d)

With charges nu = int a |b| delta_{b/|b|} dpi on the sphere of directions F >= J(nu) = E (f_nu - f*)^2/2 + lam |nu|,
with equality for |a| = |b|, and inf F = inf J (proved: wflow.duality.homogeneous).
"""

from collections.abc import Sequence

import numpy as np

from wflow.arrays import Array, count, finite, positive
from wflow.energy import Energy, population_risk
from wflow.finish import finish
from wflow.flow import Flow
from wflow.isotropic import Isotropic
from wflow.law import Atoms
from wflow.measure import Particles, SignedParticles
from wflow.problems.problem import Problem
from wflow.problems.sparse import relu_teacher
from wflow.space_kernel import ReluSpaceKernel
from wflow.terms import Potential


def relu_teacher_space(
    teachers: Sequence[Sequence[float]] = ((1.0, 0.0), (0.0, 1.0)),
    lam: float = 0.02,
    dim: int = 3,
    outer: tuple[float, float] = (0.5, 1.0),
    inner: tuple[float, float] = (1.0, 1.5),
    horizon: float = 10.0,
) -> Problem:
    """Neurons a relu(b . x) of `dim` Gaussian inputs learn unit teachers, with weight decay lam (a^2 + |b|^2)/2.

    teachers: directions, each with at most `dim` coordinates (the others are 0), of any length above 0; lam: at least
    0; outer, inner: between which |a| and |b| of the start are uniform, signs and directions of b spread alike.
    As |b|^2 - a^2 falls like e^{-2 lam t} and keeps its sign (proved: a a' - b . b' = -lam (a^2 - |b|^2)), |b| cannot
    come to 0, where b has no direction, before a does, if inner is above outer.
    One teacher: inf F = lam - lam^2 for lam < 1/2, at the charge 1 - 2 lam (derived).
    """
    units = _units(teachers, count("dim", dim, least=2))
    if not float(finite("lam", lam)) >= 0.0:
        raise ValueError(f"lam: {lam!r} is not allowed; give a number >= 0 (0: no weight decay)")
    domain = ReluSpaceKernel(dim).domain
    k = len(units)
    target = Atoms(domain, np.column_stack([np.full(k, float(k)), units]))
    decay = [Potential.quadratic(lam)] if lam else []
    alone = k == 1 and lam < 0.5
    energy = Energy(*population_risk(ReluSpaceKernel(dim), target), *decay)
    return Problem(
        Flow(energy, domain, Isotropic(dim, outer, inner), horizon),
        "Akiyama & Suzuki 2021, arXiv:2106.06251 (setting); formulas derived for this project",
        f"{k} teachers in R^{dim}: first charges grow and turn, then F falls geometrically",
        minimiser=None if decay else target,
        lowest=lam - lam**2 if alone else None,
    )


def _units(teachers: Sequence[Sequence[float]], dim: int) -> Array:
    """(k, dim) of length 1."""
    rows = [finite("teachers", row) for row in teachers]
    if not rows or any(row.ndim != 1 or not 1 <= len(row) <= dim for row in rows):
        raise ValueError(f"teachers: {teachers!r} are not one or more directions of at most dim = {dim} coordinates")
    out = np.zeros((len(rows), dim))
    for line, row in zip(out, rows, strict=True):
        line[: len(row)] = row / positive("teachers length", float(np.linalg.norm(row)))
    return out


def planar_optimum(teachers: Sequence[Sequence[float]], lam: float, dim: int) -> Particles:
    """A network of balanced neurons at inf F for teachers in the plane of the first two axes, found there by a finish.

    Newton's method from the teachers on the circle of directions (wflow.finish), to forces of 1e-13. That the plane
    has the optimum of every `dim` is proved in wflow.duality.teachers, and teacher_bracket certifies what this returns.
    Raises ValueError for teachers outside of that plane and for lam outside of [0, 1/2), from where on one teacher is
    not worth its price; NotConverged where the finish does.
    """
    units = _units(teachers, count("dim", dim, least=2))
    if not 0.0 <= float(finite("lam", lam)) < 0.5:
        raise ValueError(f"lam: {lam!r} is not allowed; give a number in [0, 1/2)")
    if np.any(units[:, 2:]):
        raise ValueError("teachers: planar_optimum takes directions with two coordinates; rotate them into that plane")
    angles = np.arctan2(units[:, 1], units[:, 0])
    flow = relu_teacher(angles.tolist(), lam).flow
    start = SignedParticles(flow.domain, np.mod(angles, 2.0 * np.pi)[:, None], np.full(len(angles), 1.0 - 2.0 * lam))
    found = finish(flow, start)
    charges, turned = found.measure.weights, found.measure.points[:, 0]
    size = np.sqrt(len(charges) * np.abs(charges))
    inner = np.zeros((len(charges), dim))
    inner[:, 0], inner[:, 1] = size * np.cos(turned), size * np.sin(turned)
    return Particles(ReluSpaceKernel(dim).domain, np.column_stack([np.sign(charges) * size, inner]))
