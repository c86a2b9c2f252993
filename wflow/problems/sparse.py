"""This file owns sparse problems over signed measures: deconvolution of spikes, and ReLU teachers on the circle.

    J(nu) = 1/2 |Phi nu - y|^2 + lam |nu|,     y = Phi nu_0

Deconvolution: Phi nu = int prod_k D(x_k - theta_k) dnu with the Dirichlet kernel D of degree `filters`, square means
over (2 filters + 1)^d equispaced points: exactly the integral, and <phi_a, phi_b> = prod_k D(a_k - b_k).
"""

import math
from collections.abc import Sequence

import numpy as np

from wflow.activation import activation
from wflow.arrays import Array, count, finite, positive
from wflow.charged import Charged
from wflow.data import Data
from wflow.domain import TURN, Box, circle, torus
from wflow.energy import Energy, population_risk
from wflow.flow import Flow
from wflow.forceless import TotalVariation
from wflow.kernel import relu_kernel
from wflow.law import Atoms, Law, Uniform
from wflow.measure import SignedParticles
from wflow.neuron import TranslationNeuron
from wflow.problems.problem import Problem
from wflow.terms import Risk, Term

PUBLISHED = "Chizat 2022, Math. Program. 194, 487-532; lchizat/2019-sparse-optim-measures"
_RADIUS = 0.5
"""r of every charge at the start; the masses r^2/m add up to r^2."""
_SPIKES = np.array([[0.0, 0.0], [1.7, -0.3], [0.7, 1.3]])
_MASSES = np.array([1.21, 0.64, 1.0])
_FEW = np.array([[0.5, -0.5], [2.1, -0.7], [0.3, 1.8], [0.5, 1.5]])
"""Where the published runs with three and four particles begin, from (pi, pi)."""
_TRIES = 10_000


def _penalised(lam: float, *terms: Term) -> Energy:
    """The terms and lam |nu|."""
    if not float(finite("lam", lam)) >= 0.0:
        raise ValueError(f"lam: {lam!r} is not allowed; give a number >= 0 (0: no penalty)")
    return Energy(*terms, *((TotalVariation(float(lam)),) if lam else ()))


def _deconvolution(filters: int, truth: SignedParticles, lam: float) -> Energy:
    """J for the spikes of `truth`, on as many axes as it has."""
    dim = truth.domain.dim
    neuron = TranslationNeuron(activation("dirichlet", count("filters", filters)), inputs=dim)
    nodes = TURN * np.arange(2 * filters + 1) / (2 * filters + 1)
    x = np.stack(np.meshgrid(*[nodes] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    return _penalised(lam, Risk(neuron, Data(x, neuron.value(x, truth.points) @ truth.weights)))


def _both(law: Law) -> Charged:
    """Charges of both signs spread alike, of the mass r^2 together."""
    return Charged(law, law, (0.5 * _RADIUS**2, 0.5 * _RADIUS**2))


def deconvolution_1d(
    filters: int = 8, spikes: int = 5, lam: float = 0.3, seed: int = 0, separation: float = 0.6, horizon: float = 1.0
) -> Problem:
    """Signed spikes on the circle seen through a low-pass filter: charges of both signs find them.

    filters: degree of the Dirichlet kernel; spikes: how many, at random angles at least `separation` apart, with masses
    uniform in (0.5, 1.5) of alternating sign; seed: of these; lam: strength of the total variation.
    """
    rng = np.random.default_rng(count("seed", seed, least=0))
    angles = _apart(rng, count("spikes", spikes), positive("separation", separation))
    masses = rng.uniform(0.5, 1.5, spikes) * (-1.0) ** np.arange(spikes)
    truth = SignedParticles(circle(), angles[:, None], masses)
    flow = Flow(_deconvolution(filters, truth, lam), circle(), _both(Uniform(circle())), horizon)
    note = "charges of one sign alone stay far from the minimum: the mirror step changes no sign"
    return Problem(flow, PUBLISHED, note)


def _apart(rng: np.random.Generator, n: int, separation: float) -> Array:
    """n random angles (n,), increasing, neighbours at least `separation` apart round the circle; ValueError if not."""
    for _ in range(_TRIES):
        angles = np.sort(rng.uniform(0.0, TURN, n))
        if np.min(np.diff(angles, append=angles[0] + TURN)) >= separation or n == 1:
            return np.asarray(angles)
    raise ValueError(f"separation: {n} spikes {separation:g} apart were not found; give fewer, or a smaller distance")


def one_spike(filters: int = 2, lam: float = 0.3, horizon: float = 2.0) -> Problem:
    """A unit spike at pi through the filter: the minimiser is (1 - lam/phi(0)) delta_pi, phi(0) = 2 filters + 1.

    Derived: on charges at pi J = phi(0) (m - 1)^2/2 + lam m, and |V| <= lam everywhere at m = 1 - lam/phi(0), since
    V = -lam D(theta - pi)/phi(0). J* = lam - lam^2/(2 phi(0)), for lam < phi(0).
    """
    truth, peak = SignedParticles(circle(), np.array([[math.pi]]), np.ones(1)), 2.0 * filters + 1.0
    flow = Flow(
        _deconvolution(filters, truth, lam), circle(), Charged(Uniform(circle()), None, (_RADIUS**2, 0.0)), horizon
    )
    if not lam < peak:
        raise ValueError(f"lam: {lam:g} is not below phi(0) = {peak:g}, where nothing pays for itself; give less")
    return Problem(
        flow,
        PUBLISHED,
        "the minimiser in closed form",
        lowest=lam - 0.5 * lam**2 / peak,
        charges=SignedParticles(circle(), truth.points, np.array([1.0 - lam / peak])),
    )


def deconvolution_2d(lam: float = 1.0, particles: int = 100, horizon: float = 2.0) -> Problem:
    """Three positive spikes on the torus through a filter of degree 2: the published case, without any chance.

    Spikes at (pi, pi) + {(0, 0), (1.7, -.3), (.7, 1.3)} of masses 1.21, .64, 1. particles: charges of the start,
    r = 1/2 each; a square number from 9 on: at the centres of as many cells; 1 to 4: the first of four given points.
    """
    domain = torus(2)
    flow = Flow(
        _deconvolution(2, SignedParticles(domain, math.pi + _SPIKES, _MASSES), lam),
        domain,
        Charged(Atoms(domain, _published_start(domain, particles)), None, (_RADIUS**2, 0.0)),
        horizon,
    )
    return Problem(flow, PUBLISHED, "one or two particles end in a local minimum; three near the spikes suffice")


def _published_start(domain: Box, particles: int) -> Array:
    """Positions (m, 2)."""
    if 1 <= count("particles", particles) <= len(_FEW):
        return np.asarray(math.pi + _FEW[:particles])
    side = math.isqrt(particles)
    if side**2 != particles or side < 3:
        raise ValueError(f"particles: {particles} is neither 1 to 4 nor a square number from 9 on; give such a number")
    centres = TURN * (np.arange(side) + 0.5) / side
    return np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1).reshape(-1, domain.dim)


def relu_teacher(angles: Sequence[float] = (0.0, math.pi / 2.0), lam: float = 0.02, horizon: float = 40.0) -> Problem:
    """Unit ReLU teachers in directions of the plane, x ~ N(0, I_2): J = 1/2 E (f_nu - f*)^2 + lam |nu| on the circle.

    nu = sum a_j |b_j| delta of the directions of b_j: two-homogeneous neurons a relu(b . x) with weight decay (lam/2)
    (a^2 + |b|^2) have this J at their optimal scale, a^2 = |b|^2 (derived). One teacher: the minimiser is (1 - 2 lam)
    delta and J* = lam - lam^2, for k(0) = 1/2 (derived).  angles: of the teachers; horizon: final time.
    """
    at = np.atleast_1d(finite("angles", angles))
    if at.ndim != 1 or not len(at):
        raise ValueError(f"angles: {angles!r} are not one or more angles; give those of the teachers, as (0.0, 1.0)")
    teachers = SignedParticles(circle(), at[:, None], np.ones(len(at)))
    energy = _penalised(lam, *population_risk(relu_kernel(0.0, "gaussian"), teachers))
    alone = len(at) == 1 and lam < 0.5
    return Problem(
        Flow(energy, circle(), _both(Uniform(circle())), horizon),
        "Akiyama & Suzuki 2021, arXiv:2106.06251 (setting); formulas derived for this project",
        "two teachers lean towards each other, by more for a larger lam",
        lowest=lam - lam**2 if alone else None,
        charges=SignedParticles(circle(), at[:, None], np.array([1.0 - 2.0 * lam])) if alone else None,
    )
