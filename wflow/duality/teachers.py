"""This file owns brackets of inf F for neurons a relu(b . x) in R^d with a ridge, whose teachers span few dimensions.

With charges nu = int a |b| delta_{b/|b|} dpi on the sphere of directions a ridge lam costs at least lam |nu|, with
equality for |a| = |b|, so that inf F = inf J, J = E (f_nu - f*)^2/2 + lam |nu| (as in wflow.duality.homogeneous;
proved there for any d). For every p in L^2(N(0, I_d)) and s >= 0 with s max_{|u| = 1} |<p, relu_u>| <= lam, Fenchel:

    J >= s <p, f*> - s^2 |p|^2/2                                                                             (proved)

Take p = sum_i p_i relu(z_i . x) with all z_i in the span U of the teachers, dim U = r. Then <p, relu_u> =
sum_i p_i kappa(z_i . P u) depends on the projection P u to U alone, which runs over the unit ball of U (its sphere
if r = d): whatever d, the maximum is one over a ball of dimension r, enclosed by wflow.duality.ball.

*The dimension does not matter for teachers in a line or a plane* (proved). Let Pi project L^2 on the functions of
x_U that are positively homogeneous of degree 1; f* and p are such. For a unit vector u with P u = rho v, |v| = 1,
Pi relu_u = int relu_w dm(w) with a measure m >= 0 on the unit sphere of U, of mass at most 1. So inf J over S^{d-1} is
that over the sphere of U, and a p that is feasible on the latter is so on the former.
  r = 2. relu(z) = z/2 + |z|/2. With g ~ N(0, 1) for what is orthogonal to U, sigma^2 = 1 - rho^2 and R = |x_U|, the
  even part of Pi relu_u is E R |R rho v.t + sigma g|/4 at the unit vector t; adding g and -g, that is N(t)/2 with
  N(t) = E (R/2) max(R rho |v.t|, sigma |g|), which continued by |x| N(x/|x|) is a mean of maxima of norms: a norm. In
  the plane each norm is N(x) = int |w.x| de(w) with an even e >= 0, so the even part is that of int relu_w de. The
  linear part rho v.x/2 is that of m = (1 + (rho/N(v)) sign(v.w)) e, for by symmetry about v its mean is
  (rho/N(v)) int |v.w| de v = rho v; and rho <= N(v) as E R^2 = 2, so m >= 0. Its mass is that of e, pi/2 times the
  mean of N over the circle, (pi/4) E R |rho X + sigma g| with X = R v.t: by Price's theorem its derivative in rho is
  (pi/4) E (X/R) sign(rho X + sigma g) >= 0, and at rho = 1 it is (pi/4) (2/pi) E R^2 = 1.
  r = 1. m = 2 kappa(rho) delta_v + 2 kappa(-rho) delta_{-v} has the mass (2/pi)(sqrt(1 - rho^2) + rho asin rho) <= 1.
"""

import numpy as np

from wflow.arrays import Array
from wflow.duality.ball import MOST, Ball
from wflow.duality.bracket import Bracket
from wflow.duality.field import UNIT, largest
from wflow.duality.mixtures import ROUNDED
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.forceless import Constant
from wflow.law import Atoms
from wflow.measure import Measure
from wflow.space_kernel import ReluSpaceKernel, charges_of
from wflow.space_sums import space_sums
from wflow.terms import Interaction, Potential, Term

_RANK = 1e-9
"""Singular values below this are no dimension of the span; what that leaves of the teachers is counted as rounding."""


def teacher_bracket(energy: Energy, pi: Measure) -> Bracket:
    """inf F over all networks, bracketed at pi, by the dual f* - f_pi with the students' directions projected on U.

    Raises Refused unless F is the closed risk of ReluSpaceKernel with a target of atoms, constants and a ridge above 0,
    for teachers that span more than three dimensions, and where none has a charge.
    """
    target, ridge, offset = _read(energy)
    teachers, given = _charged(target)
    basis, apart = _span(teachers)
    units, shares = charges_of(pi)
    flat = units @ basis.T
    length = np.linalg.norm(flat, axis=1)
    seen = (length > 0.0) & (shares != 0.0)
    z = np.concatenate([teachers @ basis.T, flat[seen]])
    z = z / np.linalg.norm(z, axis=1)[:, None]
    p = np.concatenate([given, -(length * shares)[seen]])
    total, charge = float(np.sum(np.abs(p))), float(np.sum(np.abs(given)))
    top, enclosure = largest(Ball(z, p), signed=True)
    top += 4.0 * apart * total
    off = UNIT * (2.0 * len(p) + 64.0) + 4.0 * apart
    along = float(p @ space_sums(z[: len(given)], given, z, 0)) - off * total * charge
    square = float(p @ space_sums(z, p, z, 0)) + off * total**2
    most = ridge / top * (1.0 - ROUNDED)
    s = min(max(along / square, 0.0), most)
    found = s * along - 0.5 * s**2 * square
    lower = found + offset - ROUNDED * (abs(found) + 2.0 * abs(offset)) - UNIT * 8.0 * charge**2
    size = charge + float(np.sum(np.abs(shares)))
    own = ridge * float(pi.weights @ np.sum(pi.points**2, axis=1))
    rounding = UNIT * ((2.0 * len(shares) + units.shape[1] + 64.0) * size**2 + (len(shares) + 16.0) * own)
    return Bracket(energy.value(pi), lower, rounding, "networks", enclosure.method, s, top / ridge)


def refusal(energy: Energy) -> str | None:
    """Why `teacher_bracket` refuses an energy, in its words; None where it does not."""
    try:
        _span(_charged(_read(energy)[0])[0])
    except Refused as why:
        return str(why)
    return None


def _charged(target: Atoms) -> tuple[Array, Array]:
    """Directions and charges of the teachers that have one."""
    teachers, given = charges_of(target)
    charged = given != 0.0
    if not np.any(charged):
        raise Refused("teachers: no teacher has a charge a |b|, so that there is nothing to learn; give one that has")
    return teachers[charged], given[charged]


def _read(energy: Energy) -> tuple[Atoms, float, float]:
    """The teachers, the ridge and what is added to E (f - f*)^2/2."""
    ridge = sum(term.ridge or 0.0 for term in energy.terms if isinstance(term, Potential))
    constant = sum(term.number for term in energy.terms if isinstance(term, Constant))
    match [term for term in energy.terms if not _plain(term)]:
        case [Interaction(kernel=ReluSpaceKernel() as kernel), Potential(convolved=(other, Atoms() as target))]:
            if other == kernel and ridge > 0.0 and not energy.internal and not energy.limits:
                return target, ridge, constant - 0.5 * kernel.double(target)
    raise Refused(
        f"teachers: {[type(t).__name__ for t in energy.terms]} is not the closed risk of neurons a relu(b . x) with a "
        "target of atoms and a ridge above 0; use problems.relu_teacher_space with lam > 0"
    )


def _plain(term: Term) -> bool:
    return isinstance(term, Constant) or (isinstance(term, Potential) and bool(term.ridge))


def _span(teachers: Array) -> tuple[Array, float]:
    """An orthonormal basis (r, d) of their span, and how far off coordinates in it may be: u and what is left over."""
    _, sizes, rows = np.linalg.svd(teachers, full_matrices=False)
    basis = rows[sizes > _RANK * sizes[0]]
    r, d = basis.shape
    if r > MOST:
        raise Refused(
            f"teachers: they span {r} dimensions, and the search of a ball is exponential in that; at most {MOST}"
        )
    left = teachers - (teachers @ basis.T) @ basis
    defect = float(np.linalg.norm(basis @ basis.T - np.eye(r)))
    return basis, float(np.max(np.linalg.norm(left, axis=1))) + defect + 16.0 * d * UNIT
