"""Kernels on the sphere: closed forms against series, derivatives along great circles, digits where points meet."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.polynomial.legendre import legder, legval

from wflow import Atoms, Drifted, Mesh, MeshDensity, Particles, Uniform, ZonalDensity, sphere, sphere_kernel
from wflow.activation import activation, cos_minus_sin, leaky_relu, relu
from wflow.arc_sums import _sums, arc_sums, finished
from wflow.energy import Energy, population_risk
from wflow.harmonics import Table, _known, convolved, gauss_legendre, gradients, moments, series
from wflow.sphere_kernel import LegendreKernel
from wflow.sphere_spectrum import sphere_coefficients

GIVEN = {
    "relu": (relu(), "gaussian"),
    "relu, unit inputs": (relu(), "sphere"),
    "leaky": (leaky_relu(0.3), "gaussian"),
    "leaky, unit inputs": (leaky_relu(0.3), "sphere"),
    "cos - sin": (cos_minus_sin(2.0), "gaussian"),
    "tanh": (activation("tanh"), "sphere"),
    "quadratic": (activation("quadratic"), "gaussian"),
}
KINKED = ("relu", "relu, unit inputs", "leaky", "leaky, unit inputs")


def unit(count, seed):
    """Points (count, 3) of the sphere."""
    return sphere().retract(np.random.default_rng(seed).standard_normal((count, 3)))


def cloud(count, seed):
    """Particles with unequal weights."""
    weights = np.random.default_rng(seed + 1).random(count)
    return Particles(sphere(), unit(count, seed), weights / weights.sum())


def tangent(w, seed):
    """Unit vectors (m, 3) at right angles to w."""
    along = sphere().slide(w, np.random.default_rng(seed).standard_normal(w.shape))
    return along / np.linalg.norm(along, axis=1)[:, None]


def arc(w, along, angle):
    """Where great circles from w (m, 3) in the direction along are after an angle."""
    return math.cos(angle) * w + math.sin(angle) * along


@pytest.mark.parametrize("name", GIVEN)
def test_a_kernel_is_its_legendre_series(name):
    """int k(w, .) dpi = sum_a a_l sum_j weights_j P_l(w . w_j); kinked: l <= 600, tail l^-3 below 1e-9."""
    kernel, pi, w = sphere_kernel(*GIVEN[name]), cloud(30, 0), unit(8, 5)
    a = kernel.coefficients(600) if name in KINKED else sphere_coefficients(*GIVEN[name], 96)
    expected = legval(w @ pi.points.T, a) @ pi.weights
    np.testing.assert_allclose(kernel.against(pi, w, 0), expected, atol=1e-10 if name in KINKED else 1e-13)


def test_relu_in_numbers():
    """(1, 2, -1)/6^(1/2) and (.5, -1, 2)/(5.25)^(1/2): k = (sin phi + (pi - phi) cos phi)/2 pi, phi by arccos."""
    w, v = np.array([[1.0, 2.0, -1.0]]) / math.sqrt(6.0), np.array([[0.5, -1.0, 2.0]]) / math.sqrt(5.25)
    phi = math.acos(float(w[0] @ v[0]))
    k = (math.sin(phi) + (math.pi - phi) * math.cos(phi)) / (2.0 * math.pi)
    pi = Particles(sphere(), v)
    assert sphere_kernel(relu(), "gaussian").against(pi, w, 0)[0] == pytest.approx(k, rel=1e-14)
    assert k * math.sqrt(6.0 * 5.25) == pytest.approx(0.198374812988, rel=1e-10)
    assert sphere_kernel(relu(), "sphere").against(pi, w, 0)[0] == pytest.approx(k / 3.0, rel=1e-14)


def test_leaky_relu_by_its_inputs():
    """E sigma(x . w) sigma(x . v) over unit x by a Gauss rule on the half spheres of w: x in the plane of w alone bends
    at x . w = 0, so v = -w is asked: E = -leak E z^2 = -leak/3, and v = w: (1 + leak^2)/6."""
    kernel = sphere_kernel(leaky_relu(0.3), "sphere")
    w = unit(1, 0)
    assert kernel.against(Particles(sphere(), -w), w, 0)[0] == pytest.approx(-0.1, rel=1e-13)
    assert kernel.against(Particles(sphere(), w), w, 0)[0] == pytest.approx(1.09 / 6.0, rel=1e-13)


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("source", ["particles", "atoms", "zonal", "drifted", "mesh"])
def test_gradient_and_hessian_along_great_circles(name, source):
    """d/dt and d^2/dt^2 of int k(w_t, .) dpi at t = 0 by differences of order 4; both vanish on w itself."""
    kernel, pi, w = sphere_kernel(*GIVEN[name]), measures()[source], unit(6, 7)
    u, h = tangent(w, 1), 2e-3
    f = {k: kernel.against(pi, arc(w, u, k * h), 0) for k in (-2, -1, 0, 1, 2)}
    first = (8.0 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12.0 * h)
    second = (16.0 * (f[1] + f[-1]) - (f[2] + f[-2]) - 30.0 * f[0]) / (12.0 * h * h)
    gradient, hessian = kernel.against(pi, w, 1), kernel.against(pi, w, 2)
    np.testing.assert_allclose(np.sum(gradient * u, axis=1), first, atol=3e-9)
    np.testing.assert_allclose(np.einsum("mi,mij,mj->m", u, hessian, u), second, atol=3e-7)
    np.testing.assert_allclose(np.sum(gradient * w, axis=1), 0.0, atol=1e-15)
    np.testing.assert_allclose(hessian @ w[:, :, None], 0.0, atol=1e-14)
    np.testing.assert_allclose(hessian, hessian.transpose(0, 2, 1), atol=1e-15)


def measures():
    """One of each kind."""
    zonal = ZonalDensity({1: 0.3, 2: 0.5}, (1.0, 1.0, 0.0))
    pi = cloud(12, 3)
    return {
        "particles": pi,
        "atoms": Atoms(sphere(), pi.points, pi.weights),
        "zonal": zonal,
        "drifted": Drifted(zonal, 0.4),
        "mesh": MeshDensity.linear_of(zonal, octahedral(3)),
    }


def octahedral(halvings):
    """An octahedron with each side halved so many times, on the sphere."""
    e = np.vstack([np.eye(3), -np.eye(3)])
    cells = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]])
    corners = e[cells]
    for _ in range(halvings):
        a, b, c = (corners[:, k] for k in range(3))
        ab, bc, ca = (sphere().retract(x + y) for x, y in ((a, b), (b, c), (c, a)))
        corners = np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    nodes, inverse = np.unique(np.round(corners.reshape(-1, 3), 12), axis=0, return_inverse=True)
    return Mesh(sphere(), sphere().retract(nodes), inverse.reshape(-1, 3))


@pytest.mark.parametrize("name", GIVEN)
def test_laws_enter_as_many_points_would(name):
    """A zonal law by its moments against a product rule of 60 x 90 points: exact for smooth k, h^3 for kinked."""
    kernel, law, w = sphere_kernel(*GIVEN[name]), ZonalDensity({1: 0.3, 2: 0.5}, (1.0, 1.0, 0.0)), unit(5, 2)
    z, share = gauss_legendre(60)
    angle = 2.0 * math.pi * np.arange(90) / 90
    points = sphere().turned(np.repeat(z, 90), np.tile(angle, 60), np.array([0.0, 0.6, 0.8]))
    weights = law.density(points) * np.repeat(share, 90) * 2.0 * math.pi / 90
    rule = Particles(sphere(), points, weights / weights.sum())
    for derivative, size in enumerate((1e-9, 1e-7, 1e-5) if name in KINKED else (1e-13, 1e-12, 1e-11)):
        gap = kernel.against(rule, w, derivative) - kernel.against(law, w, derivative)
        assert np.max(np.abs(gap)) < size
    assert kernel.double(rule) == pytest.approx(kernel.double(law), abs=1e-9 if name in KINKED else 1e-13)


@pytest.mark.parametrize("name", GIVEN)
def test_the_double_integral_is_that_of_the_potential(name):
    """int int k dpi dpi = int (k * pi) dpi for atoms; of the uniform law it is a_0, and k * uniform = a_0."""
    kernel, pi = sphere_kernel(*GIVEN[name]), cloud(20, 1)
    assert kernel.double(pi) == pytest.approx(float(pi.weights @ kernel.against(pi, pi.points, 0)), rel=1e-13)
    uniform = Uniform(sphere())
    assert kernel.double(uniform) == pytest.approx(kernel.coefficients(0)[0], rel=1e-14)
    np.testing.assert_allclose(kernel.against(uniform, pi.points, 0), kernel.coefficients(0)[0], rtol=1e-14)
    assert not np.any(kernel.against(uniform, pi.points, 1))


@pytest.mark.parametrize("name", ["cos - sin", "quadratic"])
def test_coupling_is_the_mixed_derivative(name):
    """factor core factor^T = d_w d_w' k: for one pair P (k' I + k'' w' w^T) P' with k as a function of w . w'."""
    kernel = sphere_kernel(activation("cos_minus_sin", 0.5), "gaussian") if name == "cos - sin" else None
    kernel = kernel or sphere_kernel(*GIVEN[name])
    w = unit(2, 9)
    factor, core = kernel.coupling(w)
    a, t = kernel.coefficients(20), float(w[0] @ w[1])
    own = [np.eye(3) - np.outer(x, x) for x in w]
    middle = legval(t, legder(a)) * np.eye(3) + legval(t, legder(a, 2)) * np.outer(w[1], w[0])
    # of cos - sin what lies beyond degree 8 is 1e-9 here
    np.testing.assert_allclose(((factor * core) @ factor.T)[:3, 3:], own[0] @ middle @ own[1], atol=1e-8)


def exact_pair(digits):
    """sin a - a cos a for a = 2 asin h, by its series in whole numbers: sum (-1)^(k+1) 2k a^(2k+1)/(2k+1)!."""
    a = Fraction(digits)
    return float(sum((-1) ** (k + 1) * 2 * k * a ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(1, 12)))


@pytest.mark.parametrize("angle", [1e-12, 1e-9, 1e-6, 1e-3, 0.1, 0.5])
def test_digits_near_the_antipode_and_near_the_point(angle):
    """k at pi - angle is (sin a - a cos a)/2 pi ~ a^3/6 pi and its gradient a sin a/2 pi: 1e-13 of themselves.

    At w' near w the gradient is (pi - a) sin a/2 pi ~ a/2, all its digits likewise.
    """
    axis, side = np.array([[0.0, 0.0, 1.0]]), np.array([[1.0, 0.0, 0.0]])
    near = math.cos(angle) * axis + math.sin(angle) * side
    if angle < 1e-7:  # cos a = 1 to rounding: the point is off the sphere by less than it knows
        near = axis + angle * side
    kernel = sphere_kernel(relu(), "gaussian")
    opposite, beside = Particles(sphere(), -near), Particles(sphere(), near)
    cap = exact_pair(angle) / (2.0 * math.pi)
    assert kernel.against(opposite, axis, 0)[0] == pytest.approx(cap, rel=1e-13, abs=0.0)
    slope = float(np.linalg.norm(kernel.against(opposite, axis, 1)))
    assert slope == pytest.approx(angle * math.sin(angle) / (2.0 * math.pi), rel=1e-13, abs=0.0)
    slope = float(np.linalg.norm(kernel.against(beside, axis, 1)))
    assert slope == pytest.approx((math.pi - angle) * math.sin(angle) / (2.0 * math.pi), rel=1e-13, abs=0.0)


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["beside", "opposite"])
def test_forces_of_near_points_keep_their_digits_anywhere(sign):
    """w' = sign (w + 1e-9 u): (pi - a)/2 pi (opposite: a/2 pi) times the tangent part of w' - w (w' + w), to 1e-12.

    That difference is exact in floating point; the tangent part of w' itself would be right to 1e-7 only.
    """
    w = unit(200, 4)
    near = sphere().retract(w + 1e-9 * tangent(w, 2))
    away = near - w
    along = away - np.sum(away * w, axis=1)[:, None] * w
    angle = np.linalg.norm(along, axis=1)[:, None]
    expected = (math.pi - angle if sign > 0.0 else angle) / (2.0 * math.pi) * sign * along
    kernel = sphere_kernel(relu(), "gaussian")
    sources = [Particles(sphere(), sign * point[None]) for point in near]
    found = np.concatenate([kernel.against(pi, w[k : k + 1], 1) for k, pi in enumerate(sources)])
    gap = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert gap.max() < 1e-12


def test_the_diagonal_is_continuous():
    """At w = w': value 1/2, gradient 0, Hessian -P/2; at w = -w' all three vanish."""
    kernel, w = sphere_kernel(relu(), "gaussian"), unit(1, 3)
    own, opposite = Particles(sphere(), w), Particles(sphere(), -w)
    tangential = np.eye(3) - np.outer(w[0], w[0])
    for pi, value, bend in ((own, 0.5, -0.5), (opposite, 0.0, 0.0)):
        assert kernel.against(pi, w, 0)[0] == pytest.approx(value, abs=1e-15)
        np.testing.assert_allclose(kernel.against(pi, w, 1), 0.0, atol=1e-15)
        np.testing.assert_allclose(kernel.against(pi, w, 2)[0], bend * tangential, atol=1e-15)
        u = arc(w, tangent(w, 0), 1e-9)
        np.testing.assert_allclose(kernel.against(pi, u, 2)[0], bend * tangential, atol=1e-8)


@pytest.mark.parametrize("derivative", [0, 1, 2])
def test_compiled_sums_are_those_of_numpy(derivative):
    """200 points, one met exactly and one opposite: rounding."""
    pytest.importorskip("numba")
    points, weights = unit(200, 0), cloud(200, 0).weights
    w = np.concatenate([unit(150, 1), points[:1], -points[1:2]])
    plain = finished(_sums(points, weights, w, derivative) / (2.0 * math.pi), w, derivative)
    np.testing.assert_allclose(arc_sums(points, weights, w, derivative), plain, atol=1e-15)


@pytest.mark.parametrize("degree", [1, 7, 40, 96])
def test_the_addition_theorem(degree):
    """sum_m Y_lm(w) Y_lm(w') = (2l + 1) P_l(w . w'), to the poles and to degree 96: 1e-12 of 2l + 1."""
    w = np.concatenate([unit(5, 0), np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1e-9, 0.0, 1.0]])])
    v = unit(1, 8)
    c = moments(v, np.ones(1), degree)
    for one in {degree, degree // 2}:
        only = np.where(np.arange(degree + 1)[:, None] == one, c, 0.0)
        expected = (2 * one + 1) * legval(w @ v[0], np.eye(1, one + 1, one)[0])
        np.testing.assert_allclose(series(only, w, 0), expected, atol=1e-12 * (2 * one + 1))


def test_harmonics_are_orthonormal():
    """mean of Y_lm Y_l'm' = delta to degree 6, by a product rule exact for degree 12."""
    z, share = gauss_legendre(8)
    angle = 2.0 * math.pi * np.arange(16) / 16
    points = sphere().turned(np.repeat(z, 16), np.tile(angle, 8), np.array([0.0, 0.0, 1.0]))
    table = Table.of(points, 6)
    waves = [column * part for m in range(7) for column in table.columns[m, m:] for part in parts(table, m)]
    weights = np.repeat(share, 16) / 32.0
    np.testing.assert_allclose((np.array(waves) * weights) @ np.array(waves).T, np.eye(49), atol=1e-13)


def parts(table, m):
    """Re and Im of (x + i y)^m, of m = 0 the first alone."""
    return [table.powers[m].real, table.powers[m].imag][: 1 if m == 0 else 2]


def test_gradients_of_harmonics_are_those_of_their_series():
    """The features of `coupling`: as a sum they give the gradient of sum_l sum_m Y_lm(v) Y_lm(w)."""
    w, v = unit(4, 0), unit(1, 1)
    rows, degrees = gradients(w, 5)
    own, _ = gradients(v, 5)
    assert rows.shape == (4, 3, 35) and sorted(degrees) == sorted(n for n in range(1, 6) for _ in range(2 * n + 1))
    t = w @ v[0]
    a = 2.0 * np.arange(6.0) + 1.0
    mixed = np.einsum("mik,jk->mij", rows, own[0])
    for k in range(4):
        p, q = np.eye(3) - np.outer(w[k], w[k]), np.eye(3) - np.outer(v[0], v[0])
        middle = legval(t[k], legder(a)) * np.eye(3) + legval(t[k], legder(a, 2)) * np.outer(v[0], w[k])
        np.testing.assert_allclose(mixed[k], p @ middle @ q, atol=1e-11)


def test_blocks_and_remembered_tables_change_nothing(monkeypatch):
    """Blocks of a few points; a read-only array is remembered by identity, and an equal other one is not mistaken."""
    monkeypatch.setattr("wflow.harmonics._BLOCK", 300)
    pi, shares = cloud(50, 0), 1.0 / (1.0 + np.arange(10.0)) ** 2
    plain = convolved(shares, pi.points, pi.weights, unit(40, 2), 1)
    fixed = unit(40, 2)
    fixed.flags.writeable = False
    for _ in range(2):
        np.testing.assert_allclose(convolved(shares, pi.points, pi.weights, fixed, 1), plain, atol=1e-15)
    assert any(known() is fixed for known, _ in _known.values())
    monkeypatch.setattr("wflow.harmonics._BLOCK", 1 << 21)
    np.testing.assert_allclose(convolved(shares, pi.points, pi.weights, fixed.copy(), 1), plain, atol=1e-15)
    same = convolved(shares, pi.points, pi.weights, pi.points, 2)
    np.testing.assert_allclose(same, convolved(shares, pi.points, pi.weights, pi.points.copy(), 2), atol=1e-14)


def test_a_mesh_and_its_points_give_the_same_energy():
    """F of a MeshDensity is that of particles at its quadrature points; V is F's slope in the weights."""
    law, target = ZonalDensity({1: 0.3, 2: 0.5}), Uniform(sphere())
    pi = MeshDensity.averages_of(law, octahedral(3))
    for name in ("relu", "cos - sin"):
        energy = Energy(*population_risk(sphere_kernel(*GIVEN[name]), target))
        dust = Particles(sphere(), pi.points, pi.weights)
        assert energy.value(pi) == pytest.approx(energy.value(dust), rel=1e-10, abs=1e-16)
        other = MeshDensity.averages_of(target, pi.mesh)
        mixed = [MeshDensity(pi.mesh, (1 - e) * pi.values + e * other.values) for e in (1e-3, -1e-3)]
        slope = (energy.value(mixed[0]) - energy.value(mixed[1])) / 2e-3
        expected = float((other.weights - pi.weights) @ energy.potential(pi, pi.points))
        assert slope == pytest.approx(expected, rel=1e-7, abs=0.0)


def test_what_has_no_kernel_is_refused():
    """Other kinks, a tanh too steep, other inputs, and laws without moments."""
    for sigma in (activation("elu"), relu(0.5), activation("relu_squared")):
        with pytest.raises(ValueError, match="kink"):
            sphere_kernel(sigma, "gaussian")
    with pytest.raises(ValueError, match="smaller"):
        sphere_kernel(activation("tanh", 20.0), "gaussian")
    with pytest.raises(ValueError, match="unknown law 'circle'"):
        sphere_kernel(relu(), "circle")
    kernel = sphere_kernel(relu(), "gaussian")
    assert kernel.convex and kernel.jumps == 3.0 and LegendreKernel(np.array([0.0, 1.0])).jumps == math.inf
    assert not LegendreKernel(np.array([0.0, -1.0])).convex
