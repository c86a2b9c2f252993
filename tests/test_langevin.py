"""Noisy particles: weak orders without sampling noise, walls, the sphere, seeds, refusals.

E g(w_n) of a scheme is computed, not sampled. Affine drifts: mean and covariance of the scheme obey a recursion whose
matrices are read off `moved` itself. One particle on an axis: u <- E u(moved(., noise)) by Gauss-Hermite quadrature on
spectral nodes, against the exact semigroup e^{t L}, L = -V' d/dw + T d^2/dw^2, by a matrix exponential there.
"""

import math

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.special import dawsn, eval_legendre

from solvers.langevin import Langevin, Langevin2
from solvers.particles import Quantised, Sampled
from wflow import (
    Energy,
    Entropy,
    Flow,
    Gaussian,
    Interaction,
    Particles,
    Potential,
    Refused,
    Uniform,
    box,
    circle,
    interval,
    line,
    problems,
    solve,
    torus,
)  # fmt: skip
from wflow.affine import moment_error
from wflow.domain import Box
from wflow.internal import Power
from wflow.pair_kernel import QuadraticKernel
from wflow.shapes import disk, sphere

T = 0.3
BOTH = pytest.mark.parametrize("method", [Langevin(1), Langevin2(1)], ids=lambda s: type(s).__name__)


def flow_of(domain, *terms, horizon=1.0, law=None):
    return Flow(Energy(*terms, Entropy(T)), domain, Uniform(domain) if law is None else law, horizon)


def order_of(errors):
    """Slopes of successive halvings."""
    return np.log2(errors[:-1] / errors[1:])


@pytest.mark.parametrize(("method", "order"), [(Langevin(3), 1.0), (Langevin2(3), 2.0)], ids=["1", "2"])
def test_weak_order_with_affine_drift(method, order):
    """Attraction, a well and an interaction of three particles: errors of mean and covariance at t = 1 are O(dt^p)."""
    posed = flow_of(
        line(),
        Potential.quadratic(1.5, 0.7),
        Interaction(QuadraticKernel(1)),
        law=Gaussian(np.array([2.0]), np.array([0.5])),
    )
    errors = np.array([moment_error(posed, method, steps) for steps in (20, 40, 80, 160)])
    assert np.all(np.abs(order_of(errors)[1:] - order) < 0.1)
    assert errors[-1] < (2e-2, 2e-4)[int(order) - 1]


def normal(count=24):
    """Nodes and weights of a standard normal law: exact for polynomials of degree 47."""
    x, weights = np.polynomial.hermite_e.hermegauss(count)
    return x, weights / weights.sum()


def stepped(flow, method, w, dt):
    """Where each node w (n,) goes with each kick (q,), one particle at a time: (n, q)."""
    xi, _ = normal()
    kicks = np.sqrt(2.0 * T * dt) * xi
    out = np.empty((len(w), len(xi)))
    for i, at in enumerate(w):
        begun = np.full((len(xi), 1, 1), at)
        out[i] = method.moved(flow, lambda v: slope_of(flow, v), begun, dt, kicks[:, None, None])[:, 0, 0]
    return out


def slope_of(flow, v):
    return flow.energy.velocity(Particles(flow.domain, np.zeros((1, 1))), v.reshape(-1, 1)).reshape(v.shape)


def wave(w, derivative):
    """A potential on the circle with no symmetry."""
    a, b = w + 0.4, 2.0 * w
    if derivative == 0:
        return (np.sin(a) + 0.4 * np.cos(b))[:, 0]
    return np.cos(a) - 0.8 * np.sin(b) if derivative == 1 else (-np.sin(a) - 1.6 * np.cos(b))[:, :, None]


@BOTH
def test_weak_order_on_the_circle(method):
    """E (cos + sin)(w_1) from every start on the circle, V = sin(w + .4) + .4 cos 2w: slopes p within .1."""
    n = 48
    w, k = 2.0 * math.pi * np.arange(n) / n, np.fft.fftfreq(n, 1.0 / n)
    flow = flow_of(circle(), Potential(wave))
    to = np.fft.fft(np.eye(n), axis=0)
    derivative = np.real(np.fft.ifft((1j * k)[:, None] * to, axis=0))
    second = np.real(np.fft.ifft((-(k**2))[:, None] * to, axis=0))
    generator = slope_of(flow, w[:, None, None])[:, :, 0] * derivative + T * second
    u0 = np.cos(w) + np.sin(w)
    exact, errors = expm(generator) @ u0, []
    for steps in (8, 16, 32, 64):
        there, (_, weights) = stepped(flow, method, w, 1.0 / steps), normal()
        # u at other points by its Fourier series
        series = np.real(np.exp(1j * there[:, :, None] * k) @ to / n)
        operator = np.einsum("iqj,q->ij", series, weights)
        errors.append(np.max(np.abs(np.linalg.matrix_power(operator, steps) @ u0 - exact)))
    assert np.all(np.abs(order_of(np.array(errors))[1:] - method.weak) < 0.1)


def test_weak_order_at_walls():
    """[0, 1] with drift against and along the walls, V = -.8 w: E cos(pi w_1) errs by O(dt), mirrored.

    The semigroup with Neumann conditions on Chebyshev nodes; E u(moved) by the density of the kick on 4000 points,
    since u o mirror has kinks of its second derivative that Gauss-Hermite quadrature does not resolve.
    """
    flow, method = flow_of(interval(0.0, 1.0), Potential.linear(-0.8)), Langevin(1)
    n = 32
    x, w = np.cos(math.pi * np.arange(n + 1) / n), None
    w = 0.5 * (1.0 + x)
    basis = np.polynomial.chebyshev.chebvander(x, n)
    inverse = np.linalg.inv(basis)
    slopes = np.stack(
        [np.polynomial.chebyshev.chebval(x, np.polynomial.chebyshev.chebder(c)) for c in np.eye(n + 1)], 1
    )
    first = 2.0 * slopes @ inverse
    generator = 0.8 * first + T * first @ first
    # Neumann: u at the ends from u inside
    ends, inside = [0, n], slice(1, n)
    lift = -np.linalg.solve(first[np.ix_(ends, ends)], first[ends, inside])
    reduced = generator[inside, inside] + generator[inside][:, ends] @ lift
    u0 = np.cos(math.pi * w)
    exact, errors = expm(reduced) @ u0[inside], []
    z = np.linspace(-9.0, 9.0, 4001)
    weights = np.exp(-0.5 * z**2) / np.sum(np.exp(-0.5 * z**2))
    for steps in (16, 32, 64, 128):
        dt = 1.0 / steps
        begun = np.repeat(w[:, None], len(z), 1)[:, :, None]
        there = method.moved(
            flow, lambda v: np.full(v.shape, 0.8), begun, dt, math.sqrt(2.0 * T * dt) * z[None, :, None]
        )
        assert np.all((there >= 0.0) & (there <= 1.0))
        values = np.polynomial.chebyshev.chebvander(2.0 * there[:, :, 0] - 1.0, n)
        operator = np.einsum("iqj,q->ij", values, weights) @ inverse
        errors.append(np.max(np.abs((np.linalg.matrix_power(operator, steps) @ u0)[inside] - exact)))
    assert np.all(np.abs(order_of(np.array(errors))[1:] - 1.0) < 0.15)


def test_pure_noise_at_walls_is_exact():
    """Brownian motion mirrored is reflected Brownian motion: E cos(pi w) is multiplied by e^{-pi^2 T dt}, whatever dt.

    The mean over a fine normal quadrature, 1e-10; on both walls, several reflections deep.
    """
    flow, z = flow_of(interval(0.0, 1.0), Potential.linear(0.0)), np.linspace(-9.0, 9.0, 40001)
    weights = np.exp(-0.5 * z**2) / np.sum(np.exp(-0.5 * z**2))
    for dt in (0.01, 1.0):
        begun = np.full((len(z), 1, 1), 0.2)
        kick = math.sqrt(2.0 * T * dt) * z[:, None, None]
        there = Langevin(1).moved(flow, np.zeros_like, begun, dt, kick)[:, 0, 0]
        assert (
            abs(weights @ np.cos(math.pi * there) - math.exp(-(math.pi**2) * T * dt) * math.cos(0.2 * math.pi)) < 1e-10
        )


@pytest.mark.parametrize(
    ("domain", "inside"),
    [
        (box([0.0, -1.0], [1.0, 2.0]), 1),
        (Box((0.0, -math.inf), (math.inf, 1.0), (False, False)), 1),
        (Box((0.0, 0.0), (1.0, 2.0), (False, True)), 0),
    ],
    ids=["box", "quarter plane", "cylinder"],
)
def test_mirrors(domain, inside):
    """Points come back at the mirrored place, stay where they were inside, and periodic axes stay lifted."""
    w = np.random.default_rng(0).normal(size=(50, 2)) * 5.0
    back = domain.mirrored(w)
    np.testing.assert_array_equal(domain.mirrored(back), back)
    low, high = np.array(domain.lower), np.array(domain.upper)
    walls = ~np.array(domain.periodic)
    assert np.all((back >= low)[:, walls]) and np.all((back <= high)[:, walls])
    np.testing.assert_array_equal(back[:, ~walls], w[:, ~walls])
    np.testing.assert_allclose(domain.mirrored(np.array([[-0.25, 0.5]]))[0], [0.25, 0.5], atol=1e-15)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_harmonics_decay_on_the_sphere(degree):
    """Y_l decays as e^{-l(l+1) T t}: a step multiplies it by E P_l(cos r), whose error is O(dt^2), so O(dt) at t = 1.

    E over three normal coordinates by Gauss-Hermite quadrature from the north pole; the slope 2 within .1.
    """
    flow, (x, weights) = flow_of(sphere(), Potential.linear([0.0, 0.0, 0.0])), normal(20)
    kicks = np.stack(np.meshgrid(x, x, x, indexing="ij"), -1).reshape(-1, 1, 3)
    share = np.einsum("i,j,k->ijk", weights, weights, weights).ravel()
    errors = []
    for dt in (0.02, 0.01, 0.005):
        begun = np.broadcast_to([0.0, 0.0, 1.0], kicks.shape)
        there = Langevin(1).moved(flow, np.zeros_like, begun, dt, math.sqrt(2.0 * T * dt) * kicks)
        np.testing.assert_allclose(np.linalg.norm(there, axis=-1), 1.0, rtol=1e-14)
        if degree == 1:  # E cos r of Rayleigh's r, as the docstring has it
            s = math.sqrt(T * dt)
            assert abs(share @ there[:, 0, 2] - (1.0 - 2.0 * s * dawsn(s))) < 1e-12
        errors.append(abs(share @ eval_legendre(degree, there[:, 0, 2]) - math.exp(-degree * (degree + 1) * T * dt)))
    assert np.all(np.abs(order_of(np.array(errors)) - 2.0) < 0.1)


@pytest.mark.slow
def test_harmonics_decay_on_the_sphere_by_a_run():
    """From the pole, 20000 particles, 40 steps to t = .5: means of P_1 and P_2 within 4 standard errors and O(dt)."""
    from wflow import Atoms

    flow = flow_of(sphere(), Potential.linear([0.0, 0.0, 0.0]), horizon=0.5)
    m = 20_000
    start = Atoms(sphere(), np.tile([0.0, 0.0, 1.0], (m, 1)))
    end = solve(Flow(flow.energy, flow.domain, start, 0.5), Langevin(m, seed=5), steps=40).final.points[:, 2]
    for degree in (1, 2):
        found = eval_legendre(degree, end)
        rate = degree * (degree + 1) * T
        allowed = 4.0 * found.std() / m**0.5 + rate**2 * 0.5 / 40
        assert abs(found.mean() - math.exp(-rate * 0.5)) < allowed


def test_seeds_and_steps():
    """Step k draws from default_rng([seed, k]): a run repeats its bits; other seeds and the start's draws differ."""
    flow = flow_of(circle(), Potential(wave))
    a, b, c = (solve(flow, Langevin(7, seed=s), steps=5).final.points for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert np.all(a != c)
    method = Langevin(7, seed=0, start=Sampled(0))
    state = method.init(flow)
    first = method.step(flow, state, 1e-3).state
    drawn = np.random.default_rng([0, 1]).standard_normal((7, 1)) * math.sqrt(2e-3 * T)
    drift = 1e-3 * flow.energy.velocity(state.measure, state.measure.points)
    np.testing.assert_allclose(first.measure.points, state.measure.points + drift + drawn, rtol=1e-14)


def test_a_run_says_what_it_has():
    """Energies of atoms with an entropy are undefined; mass is kept to the bit."""
    run = solve(flow_of(torus(2), Potential.linear([0.1, 0.0])), Langevin(9, start=Sampled(1)), steps=4)
    assert np.all(np.isnan(run.energies)) and np.all(run.diagnostics["mass"] == run.diagnostics["mass"][0])


def test_refusals():
    """No noise, another internal energy, regions; walls and the sphere for weak order 2; no tolerance."""
    still = problems.linear_neuron().flow
    with pytest.raises(Refused, match="no entropy"):
        solve(still, Langevin(4), steps=2)
    with pytest.raises(Refused, match="besides the entropy"):
        solve(flow_of(interval(0, 1), Power(2.0, 1.0)), Langevin(4), steps=2)
    with pytest.raises(Refused, match="curved wall"):
        solve(flow_of(disk(), Potential.linear([0.0, 0.0])), Langevin(4, start=Sampled(0)), steps=2)
    for domain in (interval(0.0, 1.0), sphere()):
        with pytest.raises(Refused, match="second order"):
            solve(flow_of(domain, Potential.linear([0.0] * domain.dim)), Langevin2(4, start=Sampled(0)), steps=2)
    with pytest.raises(Refused, match="random"):
        solve(flow_of(circle(), Potential(wave)), Langevin(4), tolerance=1e-3)
    with pytest.raises(TypeError, match="start"):
        Langevin(4, start=Quantised)
    with pytest.raises(ValueError, match="seed"):
        Langevin(4, seed=-1)
