"""This file owns how measures on neurons (a, b) and signed measures on directions or places stand for one another.

Two-homogeneous, a relu(b . x): only the charges nu = int a |b| delta_{b/|b|} dpi count, on the circle for b in R^2 and
on the sphere for b in R^3. Partially 1-homogeneous, a phi(x; theta): nu = int a delta_theta dpi. In both cases
f_pi = f_nu, and every nu is that of some pi.

Weight decay is total variation (derived): (ridge/2) int (a^2 + |b|^2) dpi >= ridge int |a||b| dpi >= ridge |nu|, with
equality where |a| = |b| and no two charges of opposite sign share a direction: `balanced` is such a pi. So inf over pi
of R(f_pi) + (ridge/2) int |w|^2 dpi is inf over nu of R(f_nu) + ridge |nu|. Of a phi(theta) a penalty ridge int |a| dpi
does the same.
Source: Chizat & Bach 2018, arXiv:1805.09545, section 2; Neyshabur, Tomioka & Srebro 2015, arXiv:1412.6614 (balance).
"""

import numpy as np

from wflow.arrays import Array
from wflow.domain import Box, Domain, circle, space
from wflow.errors import Refused
from wflow.measure import Measure, Particles, SignedParticles
from wflow.shapes import Sphere, sphere

_PLANE, _SPACE = 3, 4


def directions(pi: Measure) -> SignedParticles:
    """The charges a |b| at b/|b| of a measure on (a, b), b in R^2 (the circle) or R^3 (the sphere).

    Of a density by its own points and weights. Neurons with a = 0 or b = 0 have no charge and are left out.
    Raises Refused for other domains, and where nothing has a charge.
    """
    dim = pi.domain.dim
    if not isinstance(pi.domain, Box) or dim not in (_PLANE, _SPACE) or pi.domain.bounded:
        raise Refused(f"directions: neurons live on {pi.domain}; give (a, b) of R^3 or R^4, a relu(b . x)")
    a, b = pi.points[:, 0], pi.points[:, 1:]
    radius = np.linalg.norm(b, axis=1)
    charge = pi.weights * a * radius
    charged = charge != 0.0
    if not np.any(charged):
        raise Refused("directions: every neuron has a = 0 or b = 0, and no charge is left")
    b, radius, charge = b[charged], radius[charged], charge[charged]
    if dim == _PLANE:
        home: Domain = circle()
        at = home.wrap(np.arctan2(b[:, 1], b[:, 0])[:, None])
    else:
        home, at = sphere(), b / radius[:, None]
    return SignedParticles(home, at, charge)


def places(pi: Measure) -> SignedParticles:
    """The charges a at theta of a measure on (a, theta), the first axis infinite.

    Raises Refused where the first axis is bounded, frozen or the only one.
    """
    domain = pi.domain
    if not isinstance(domain, Box) or domain.dim < 2 or np.isfinite(domain.lengths[0]):
        raise Refused(f"places: neurons live on {domain}; give (a, theta) with a on an infinite first axis")
    rest = Box(domain.lower[1:], domain.upper[1:], domain.periodic[1:], domain.frozen[1:])
    return SignedParticles(rest, pi.points[:, 1:], pi.weights * pi.points[:, 0])


def balanced(nu: SignedParticles) -> Particles:
    """m neurons (a, b) of weight 1/m with |a| = |b| whose `directions` are the charges nu on the circle or the sphere.

    a_j |b_j| = m nu_j: the pi of least int |w|^2 dpi, which is 2 |nu| where no two charges of opposite sign meet.
    """
    at = _unit(nu)
    r = np.sqrt(len(at) * np.abs(nu.weights))[:, None]
    return Particles(space(at.shape[1] + 1), np.hstack([np.sign(nu.weights)[:, None] * r, r * at]))


def with_outer(nu: SignedParticles) -> Particles:
    """m neurons (a, theta) of weight 1/m, a_j = m nu_j, whose `places` are the charges nu on a box."""
    home = nu.domain
    if not isinstance(home, Box):
        raise Refused(f"with_outer: charges on {home} have no product with a line here; give a box or a torus")
    domain = Box((-np.inf, *home.lower), (np.inf, *home.upper), (False, *home.periodic), (False, *home.frozen))
    return Particles(domain, np.hstack([len(nu.points) * nu.weights[:, None], nu.points]))


def _unit(nu: SignedParticles) -> Array:
    """(m, 2) or (m, 3) unit vectors of the charges."""
    if isinstance(nu.domain, Sphere):
        return nu.points
    if not nu.domain.is_circle:
        raise Refused(f"balanced: charges on {nu.domain} are no directions; give them on the circle or the sphere")
    return np.column_stack([np.cos(nu.points[:, 0]), np.sin(nu.points[:, 0])])
