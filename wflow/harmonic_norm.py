"""This file owns the H^-1 distance of two measures on the sphere by spherical harmonics: W2 to first order at uniform.

With c_lm = int Y_lm da and d_lm = int Y_lm db, harmonics of mean square 1:

    |a - b|^2 = sum_{l >= 1} sum_m |c_lm - d_lm|^2/(l (l + 1))

To first order in a - b at the uniform law W2^2 = int |grad phi|^2/4 pi with -Laplace phi = 4 pi (a - b), whose
coefficients are (c_lm - d_lm)/(l (l + 1)). There is no floor; degrees above the last one are not seen.
Source for the comparison with W2: Peyre 2018, ESAIM Control Optim. Calc. Var. 24(4), 1489-1501.
"""

import math

import numpy as np

from wflow.arrays import ComplexArray
from wflow.errors import Refused
from wflow.harmonics import moments
from wflow.law import Law
from wflow.measure import Measure
from wflow.mesh_density import MeshDensity
from wflow.shapes import Sphere
from wflow.zonal import harmonic_moments

DEGREE = 24
"""The last degree: structures of some 180/24 degrees."""
_NODES = 3


def harmonic_norm(a: Measure | Law, b: Measure | Law, degree: int = DEGREE) -> float:
    """|a - b| by 1 <= l <= degree. Refused off the sphere."""
    for measure in (a, b):
        if not isinstance(measure.domain, Sphere):
            raise Refused(f"H^-1 by spherical harmonics: a measure lives on {measure.domain}; it needs the sphere")
    apart = np.sum(np.abs(_moments(a, degree) - _moments(b, degree)) ** 2, axis=1)
    l = np.arange(1, degree + 1)  # noqa: E741
    return math.sqrt(float(np.sum(apart[1:] / (l * (l + 1.0)))))


def _moments(pi: Measure | Law, degree: int) -> ComplexArray:
    """Of a density on a mesh by nine points a cell: its one or three would show as atoms in high degrees."""
    return moments(*pi.quadrature(_NODES), degree) if isinstance(pi, MeshDensity) else harmonic_moments(pi, degree)
