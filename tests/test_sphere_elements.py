"""The network flow on the sphere by finite elements: linear decay rates by degree, and what relu does not see."""

import math

import numpy as np
import pytest

from solvers.fem import DG1, toolchain
from wflow import activation, problems, solve
from wflow.problems.sphere import decay_rates

pytestmark = [
    pytest.mark.fem,
    pytest.mark.skipif(toolchain.missing() is not None, reason=toolchain.missing() or ""),
]
SMALL = 1e-4


def amplitude(pi, degree):
    """h of (1 + h P_l(z))/4 pi: (2l + 1) int P_l dpi."""
    points, weights = pi.quadrature(4)
    return (2 * degree + 1) * float(weights @ np.polynomial.legendre.legval(points[:, 2], np.eye(degree + 1)[degree]))


def fading(degree, cells):
    """-log of what is left of an amplitude of 1e-4 after unit time."""
    flow = problems.sphere_teacher(activation="relu", inputs="gaussian", modes={degree: SMALL}, horizon=1.0).flow
    run = solve(flow, DG1(cells=cells), steps=4, times=[1.0])
    return -math.log(amplitude(run.final, degree) / amplitude(run.measures[0], degree))


@pytest.mark.slow
@pytest.mark.parametrize("degree", [1, 2, 4])
def test_linear_rates_of_relu(degree):
    """l (l + 1) E mu_l^2 with Gaussian inputs: 1/6, .0703, .00651, to 1 %; the error falls with h^2."""
    exact = decay_rates(activation("relu"), "gaussian", degree)[degree]
    coarse, fine = (abs(fading(degree, n) / exact - 1.0) for n in (24, 48))
    assert fine <= 0.01
    assert fine <= coarse / 2.0


@pytest.mark.slow
def test_relu_does_not_see_degree_three():
    """V is constant (odd degrees from 3 on are null): what moves is the mesh's error, 1e-4 of the rate for l = 4."""
    assert abs(fading(3, 24)) <= 1e-6
