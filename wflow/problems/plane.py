"""This file owns ReLU networks of two inputs: students a relu(b . x) in the plane that learn a few teachers.

With V(a, b) = a |b| K(angle of b):  a a' = b . b' = -a |b| K, so each neuron keeps its a^2 - |b|^2 (proved). Where
a^2 > |b|^2 at the start, |b|' = -a K may bring |b| to 0 in finite time; there b has no direction and b' is not defined.
From a balanced start |a| = |b| = r:  r' = -s r K and angle' = -s K', s the sign of a. So r never vanishes, and the flow
is one of signed masses s r^2 on the circle.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from wflow.arrays import finite, positive
from wflow.balanced import Balanced
from wflow.energy import Energy, population_risk
from wflow.flow import Flow
from wflow.law import Atoms
from wflow.plane_kernel import ReluPlaneKernel
from wflow.problems.problem import Problem
from wflow.terms import Potential

Start = Literal["spread", "clumped", "positive"]
CLUMP = (0.5 * math.pi - 0.1, 0.5 * math.pi + 0.1)
"""The arc in which a clumped start has all its directions."""


def relu_teacher_plane(
    teachers: Sequence[Sequence[float]] = ((1.0, 0.3), (1.0, 2.2), (-1.0, 4.0)),
    start: Start = "spread",
    radius: float = 1.0,
    ridge: float = 0.0,
    horizon: float = 10.0,
) -> Problem:
    """Neurons a relu(b . x), x ~ N(0, I_2), learn sum_l c_l relu(u_l . x), u_l = (cos angle_l, sin angle_l).

    F = E (f_pi - f*)^2/2 + ridge int |(a, b)|^2/2 dpi in closed form (arc-cosine kernel; Cho & Saul 2009).
    teachers: pairs (c_l, angle_l).   start: balanced, |a| = |b| uniform between radius/2 and 3 radius/2, with "spread"
    directions and both signs of a; "clumped" directions, in an arc of 0.2 about pi/2; or "positive", a > 0 alone, which
    it stays: the last two do not separate directions, as Chizat & Bach suppose.
    pi = (1/k) sum_l delta_{(k c_l, u_l)} represents the teachers: without ridge F vanishes there, min F = 0.
    """
    pairs = finite("teachers", teachers)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs):
        raise ValueError(f"teachers: shape {pairs.shape} is not (k, 2); give pairs (outer weight, angle), at least one")
    k, domain = len(pairs), ReluPlaneKernel().domain
    points = np.stack([k * pairs[:, 0], np.cos(pairs[:, 1]), np.sin(pairs[:, 1])], axis=1)
    teacher = Atoms(domain, points)
    decay = [Potential.quadratic(ridge)] if float(finite("ridge", ridge)) else []
    if ridge < 0.0:
        raise ValueError(f"ridge: {ridge!r} is not allowed; give a number >= 0 (0: none)")
    energy = Energy(*population_risk(ReluPlaneKernel(), teacher), *decay)
    return Problem(
        Flow(energy, domain, _start(start, positive("radius", radius)), horizon),
        "Chizat & Bach 2018, arXiv:1805.09545 (teacher and students with ReLU units in the plane)",
        f"{k} teachers; 2-homogeneous: a global minimum is promised only from a start that separates directions",
        minimiser=None if decay else teacher,
        limit_reason="F -> 0 is promised where the flow converges from a separating start; the limit is not unique",
    )


def _start(name: str, radius: float) -> Balanced:
    radii = (0.5 * radius, 1.5 * radius)
    known = {"spread": Balanced(radii), "clumped": Balanced(radii, CLUMP), "positive": Balanced(radii, positive=1.0)}
    if name not in known:
        raise ValueError(f"start: unknown name {name!r}; known: {', '.join(known)}")
    return known[name]
