"""This file owns ReLU networks of two inputs: students a relu(b . x) in the plane that learn a few teachers."""

import math
from collections.abc import Sequence

import numpy as np

from wflow.arrays import finite, positive
from wflow.energy import Energy, Potential, population_risk
from wflow.flow import Flow
from wflow.law import Atoms, Gaussian
from wflow.plane_kernel import ReluPlaneKernel
from wflow.problems.problem import Problem


def relu_teacher_plane(
    teachers: Sequence[Sequence[float]] = ((1.0, 0.3), (1.0, 2.2), (-1.0, 4.0)),
    spread: float = 1.0,
    ridge: float = 0.0,
    horizon: float = 20.0,
) -> Problem:
    """Neurons a relu(b . x), x ~ N(0, I_2), learn sum_l c_l relu(u_l . x), u_l = (cos angle_l, sin angle_l).

    F = E (f_pi - f*)^2/2 + ridge int |(a, b)|^2/2 dpi in closed form (arc-cosine kernel; Cho & Saul 2009).
    teachers: pairs (c_l, angle_l); spread: standard deviation of the Gaussian start of (a, b_1, b_2).
    pi = (1/k) sum_l delta_{(k c_l, u_l)} represents the teachers: without ridge F vanishes there, min F = 0.
    """
    pairs = finite("teachers", teachers)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs):
        raise ValueError(f"teachers: shape {pairs.shape} is not (k, 2); give pairs (outer weight, angle), at least one")
    k, domain = len(pairs), ReluPlaneKernel().domain
    points = np.stack([k * pairs[:, 0], np.cos(pairs[:, 1]), np.sin(pairs[:, 1])], axis=1)
    teacher = Atoms(domain, points)
    decay = [Potential.quadratic(ridge)] if float(finite("ridge", ridge)) else []
    if ridge < 0.0 or not math.isfinite(ridge):
        raise ValueError(f"ridge: {ridge!r} is not allowed; give a number >= 0 (0: none)")
    energy = Energy(*population_risk(ReluPlaneKernel(), teacher), *decay)
    return Problem(
        Flow(energy, domain, Gaussian(0.0, positive("spread", spread), dim=3), horizon),
        "Chizat & Bach 2018, arXiv:1805.09545 (teacher and students with ReLU units in the plane)",
        f"{k} teachers; 2-homogeneous: a global minimum is promised only from a start that separates directions",
        minimiser=None if decay else teacher,
        limit_reason="F -> 0 is promised where the flow converges from a separating start; the limit is not unique",
    )
