"""Porous media and the diffusions of two axes: laws, equations, distances, and finite volumes on compact support."""

import math

import numpy as np
import pytest

from solvers.finite_volume import Muscl, ScharfetterGummel, Upwind
from solvers.finite_volume.fitted import _mean_stiffness
from wflow import (
    Atoms,
    Barenblatt,
    Flow,
    Gaussian,
    Grid,
    Law,
    Particles,
    Power,
    Product,
    barenblatt_law,
    box,
    interval,
    line,
    problems,
    solve,
    w2,
)
from wflow.convergence import Laboratory, in_space
from wflow.problems import NAMES, VARIANTS, build, parameters_of

LEVELS = (np.arange(40) + 0.5) / 40
POWERS = [0.0, 0.37, 0.5, 1.0, 2.0, 5.0]
EVERY = pytest.mark.parametrize("power", POWERS)


def derivative(f, x, h):
    """f' by the central difference of order 4."""
    return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)


def second(f, x, h):
    """f'' by the central difference of order 4."""
    return (16 * (f(x + h) + f(x - h)) - (f(x + 2 * h) + f(x - 2 * h)) - 30 * f(x)) / (12 * h * h)


# Laws of Barenblatt's profile


@EVERY
def test_cdf_and_quantile_undo_each_other(power):
    """cdf(quantile(s)) = s, and quantile(cdf(w)) = w inside the support."""
    law = Barenblatt(power, 0.7, 0.3)
    w = 0.3 + 0.7 * np.linspace(-0.9, 0.9, 19)
    np.testing.assert_allclose(law.cdf(law.quantile(LEVELS)), LEVELS, rtol=0.0, atol=1e-14)
    np.testing.assert_allclose(law.quantile(law.cdf(w)), w, rtol=0.0, atol=1e-12)


@EVERY
def test_density_is_the_slope_of_the_cdf(power):
    """rho = dF/dw inside, 0 outside."""
    law = Barenblatt(power, 0.7, 0.3)
    w = 0.3 + 0.7 * np.linspace(-0.9, 0.9, 19)
    np.testing.assert_allclose(law.density(w[:, None]), derivative(law.cdf, w, 1e-3), rtol=0.0, atol=1e-7)
    assert law.density(np.array([[-0.41], [1.01]])).tolist() == [0.0, 0.0]


@EVERY
def test_averages_carry_the_mass(power):
    """Cells of the law have total mass 1 and are symmetric about the centre to rounding, however small."""
    law = Barenblatt(power, 0.7)
    grid = Grid(interval(-1.0, 1.0), (200,))
    masses = law.averages(grid) * grid.cell_volume
    assert masses.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(masses, masses[::-1], rtol=1e-9, atol=0.0)


@pytest.mark.slow
@EVERY
@pytest.mark.parametrize("dim", [1, 2])
def test_second_moment(power, dim):
    """E|x - c|^2 = d R^2/(d + 2q + 2), by 200000 quantised points: |x|^2 is Beta(d/2, q + 1) times R^2."""
    law = barenblatt_law(power, 0.7, 0.3, dim)
    spread = np.mean(np.sum((law.quantised(200_000) - 0.3) ** 2, axis=1))
    assert spread == pytest.approx(dim * 0.49 / (dim + 2 * power + 2), rel=1e-4)


@EVERY
def test_the_plane_profile_has_its_mass(power):
    """Mass within r is the integral of 2 pi r rho(r), by differences; 1 at the edge."""
    law = barenblatt_law(power, 0.7, dim=2)
    r = np.linspace(0.05, 0.6, 12)
    slope = derivative(law.within, r, 1e-3) / (2 * math.pi * r)
    np.testing.assert_allclose(law.radial(r), slope, rtol=0.0, atol=1e-6)
    assert law.within(np.array([0.7]))[0] == 1.0


def test_named_members():
    """q = 1/2 is the semicircle 2 sqrt(R^2 - x^2)/(pi R^2), q = 0 uniform: 1/2R on a segment, 1/pi R^2 on a disc."""
    w = np.array([[-0.5], [0.1], [0.6]])
    semicircle = 2.0 / (math.pi * 4.0) * np.sqrt(4.0 - w[:, 0] ** 2)
    np.testing.assert_allclose(Barenblatt(0.5, 2.0).density(w), semicircle, rtol=1e-14)
    assert Barenblatt(0.0, 2.0).density(w) == pytest.approx(0.25, rel=1e-14)
    assert barenblatt_law(0.0, 2.0, dim=2).density(np.array([[1.0, 1.0]])) == pytest.approx(
        1 / (4 * math.pi), rel=1e-14
    )


@pytest.mark.parametrize(
    ("law", "edge", "regularity"),
    [
        (Gaussian(), math.inf, "smooth"),
        (Barenblatt(0.0, 1.0), 0.0, "jump"),
        (Barenblatt(0.5, 1.0), 0.5, "smooth"),
        (barenblatt_law(0.0, 1.0, dim=2), 0.0, "jump"),
        (barenblatt_law(2.0, 1.0, dim=2), 2.0, "smooth"),
        (Product(Gaussian(), Barenblatt(1.0, 1.0)), 1.0, "smooth"),
        (Atoms(line(), np.zeros((1, 1))), -1.0, "atom"),
        (problems.aggregation("newtonian").exact(0.3), 2.0, "smooth"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, Law) else str(x),
)
def test_how_a_density_ends(law, edge, regularity):
    """rho ~ (distance)^edge: what a scheme without diffusion loses its order to; the worst axis of a product."""
    assert law.edge == edge
    assert law.regularity == regularity


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Barenblatt(-1.0, 1.0), "power: -1.0 is below 0"),
        (lambda: Barenblatt(1.0, 0.0), "reach: 0.0"),
        (lambda: barenblatt_law(1.0, 1.0, dim=3), "dim: 3 is not allowed"),
        (lambda: problems.barenblatt(exponent=1.0), "exponent: 1.0 is not above 1"),
        (lambda: problems.barenblatt(dim=3), "dim: 3 is not allowed"),
        (lambda: problems.barenblatt(start=0.0), "start: 0.0"),
        (lambda: problems.porous_well(reach=-1.0), "reach: -1.0"),
        (lambda: problems.ornstein_uhlenbeck(mean=(1.0, 2.0, 3.0)), "not numbers or pairs"),
        (lambda: problems.ornstein_uhlenbeck(std=(1.0, 0.0)), "std: .* give numbers above 0"),
        (lambda: problems.drift_diffusion(g=(0.0, 0.0)), "not both 0"),
        (lambda: problems.drift_diffusion(g=-1.0), "give a number above 0"),
    ],
)
def test_wrong_parameters_are_refused(call, words):
    """The argument, its value, the remedy."""
    with pytest.raises(ValueError, match=words):
        call()


# Equations, by differences


def moving(problem, t, w, h):
    """d rho/dt at w."""
    return derivative(lambda s: problem.exact(s).density(w), t, h)


def laplace(f, w, h):
    """Sum of second differences along the axes."""
    steps = np.eye(w.shape[1])
    return sum(second(lambda s, e=e: f(w + s * e), 0.0, h) for e in steps)


def divergence(field, w, h):
    """Sum of first differences of field_k along axis k."""
    steps = np.eye(w.shape[1])
    return sum(derivative(lambda s, k=k, e=e: field(w + s * e)[:, k], 0.0, h) for k, e in enumerate(steps))


def inner_points(radius, dim, centre=0.0):
    """Twenty points within 0.8 of the radius about (centre, 0)."""
    rng = np.random.default_rng(9)
    w = rng.normal(size=(20, dim))
    w *= 0.8 * radius * rng.random((20, 1)) / np.linalg.norm(w, axis=1)[:, None]
    w[:, 0] += centre
    return w


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("m", [1.5, 2.0, 3.0])
def test_barenblatt_solves_the_porous_medium_equation(m, dim):
    """d_t rho = g Laplace rho^m inside the support, by differences; residual below 1e-5 of either side."""
    p = problems.barenblatt(m, 0.3, dim, start=0.5, horizon=1.0)
    w = inner_points(p.exact(0.4).reach, dim)
    left = moving(p, 0.4, w, 1e-3)
    right = 0.3 * laplace(lambda x: p.exact(0.4).density(x) ** m, w, 3e-3)
    np.testing.assert_allclose(left, right, rtol=0.0, atol=1e-5 * np.max(np.abs(left)))


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("m", [1.5, 2.0, 3.0])
def test_barenblatt_is_the_textbook_formula(m, dim):
    """s^-a (C - k|x|^2 s^-2b)_+^(1/(m-1)), s = g t, a = d/(d(m-1)+2), b = a/d, k = b(m-1)/2m; in the plane
    C = (m k/((m-1) pi))^((m-1)/m), on the line from mass one by quadrature."""
    g, t = 0.3, 0.7
    a = dim / (dim * (m - 1) + 2)
    b = a / dim
    k, s = b * (m - 1) / (2 * m), g * t
    if dim == 2:
        C = (m * k / ((m - 1) * math.pi)) ** ((m - 1) / m)
    else:
        z = np.cos(math.pi * (np.arange(4000) + 0.5) / 4000)  # int (1 - z^2)^q dz by x = cos
        whole = math.pi / 4000 * np.sum((1 - z * z) ** (1 / (m - 1) + 0.5))
        C = (math.sqrt(k) / whole) ** (1 / (1 / (m - 1) + 0.5))
    law = problems.barenblatt(m, g, dim, start=t).flow.initial
    w = inner_points(law.reach / 0.8, dim)
    expected = s**-a * np.maximum(C - k * np.sum(w * w, axis=1) * s ** (-2 * b), 0.0) ** (1 / (m - 1))
    np.testing.assert_allclose(law.density(w), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("m", [1.5, 2.0, 3.0])
def test_porous_well_solves_its_equation(m, dim):
    """d_t rho = g Laplace rho^m + div(x rho) inside the moving support."""
    p = problems.porous_well(m, 0.7, dim, mean=0.4, reach=0.9)
    law = p.exact(0.3)
    w = inner_points(law.reach, dim, 0.4 * math.exp(-0.3))
    left = moving(p, 0.3, w, 1e-3)
    right = 0.7 * laplace(lambda x: p.exact(0.3).density(x) ** m, w, 3e-3)
    right = right + divergence(lambda x: x * p.exact(0.3).density(x)[:, None], w, 3e-3)
    np.testing.assert_allclose(left, right, rtol=0.0, atol=1e-5 * np.max(np.abs(left)))


@pytest.mark.parametrize("dim", [1, 2])
def test_porous_well_rests_where_the_variation_is_constant(dim):
    """U'(rho) + |x|^2/2 = R^2/2 on the support of the limit, |x|^2/2 above it outside; the flow's law gets there."""
    p = problems.porous_well(3.0, 0.7, dim, mean=0.4, reach=0.9)
    rest = p.minimiser
    w = inner_points(rest.reach, dim)
    level = Power(3.0, 0.7).slope(rest.density(w)) + 0.5 * np.sum(w * w, axis=1)
    np.testing.assert_allclose(level, 0.5 * rest.reach**2, rtol=1e-12)
    assert p.exact(30.0).reach == pytest.approx(rest.reach, rel=1e-12)


def test_porous_well_on_the_line_as_published():
    """m = 2, strength 1/2 (F = (1/2) int rho^2): R^3 = 3/2 + (R_0^3 - 3/2) e^{-3t}; derived a second time by hand."""
    p = problems.porous_well(2.0, 0.5, mean=0.2, reach=1.3)
    law = p.exact(0.6)
    assert law.reach**3 == pytest.approx(1.5 + (1.3**3 - 1.5) * math.exp(-1.8), rel=1e-12)
    assert law.centre == pytest.approx(0.2 * math.exp(-0.6), rel=1e-14)


def test_ornstein_uhlenbeck_of_two_axes_solves_its_equation():
    """d_t rho = Laplace rho + lam div(x rho), and it is the product of its axes' laws."""
    p = problems.ornstein_uhlenbeck(1.3, (0.6, -0.4), (0.7, 1.1))
    w = np.random.default_rng(0).normal(size=(20, 2))
    right = laplace(p.exact(0.4).density, w, 3e-3)
    right = right + 1.3 * divergence(lambda x: x * p.exact(0.4).density(x)[:, None], w, 3e-3)
    np.testing.assert_allclose(moving(p, 0.4, w, 1e-3), right, rtol=0.0, atol=1e-7)
    single = [problems.ornstein_uhlenbeck(1.3, m, s).exact(0.4) for m, s in ((0.6, 0.7), (-0.4, 1.1))]
    np.testing.assert_allclose(p.exact(0.4).density(w), Product(*single).density(w), rtol=1e-13)


@pytest.mark.parametrize("g", [(1.0, 0.5), (1.0, 0.0)], ids=str)
def test_drift_diffusion_of_two_axes_solves_its_equation(g):
    """d_t rho = Laplace rho - g . grad rho on the square; no flux at x = 0 and x = 1: rho' = g rho there."""
    p = problems.drift_diffusion(g)
    w = np.random.default_rng(0).uniform(0.1, 0.9, (20, 2))
    law = p.exact(0.1)
    right = laplace(law.density, w, 3e-3) - divergence(lambda x: law.density(x)[:, None] * g, w, 3e-3)
    np.testing.assert_allclose(moving(p, 0.1, w, 1e-3), right, rtol=0.0, atol=1e-6)
    wall = np.array([[0.0, 0.3], [1.0, 0.3]])
    flux = derivative(lambda s: law.density(wall + np.array([s, 0.0])), 0.0, 1e-3) - g[0] * law.density(wall)
    np.testing.assert_allclose(flux, 0.0, atol=1e-9)


def test_defaults_on_one_axis_are_unchanged():
    """Numbers give the problems of one axis: their domains and windows."""
    assert problems.ornstein_uhlenbeck().flow.window == ((-12.0, 14.0),)
    assert problems.drift_diffusion().flow.domain == interval(0.0, 1.0)
    assert problems.drift_diffusion((1.0, 0.0)).flow.domain == box([0, 0], [1, 1])


# Distances


@pytest.mark.parametrize("m", [1.5, 2.0, 3.0])
def test_w2_between_two_times(m):
    """Self-similar: W2 = |R - R'| (d/(d + 2m/(m-1)))^(1/2), by quantiles on the line (1e-7 of the support)."""
    p = problems.barenblatt(m, 0.3, start=0.5, horizon=1.0)
    first, last = p.exact(0.0), p.exact(1.0)
    expected = (last.reach - first.reach) / math.sqrt(1 + 2 * m / (m - 1))
    assert w2(first, last) == pytest.approx(expected, abs=1e-6)


def test_w2_between_two_times_in_the_plane():
    """The same with d = 2, for 400 points quantised alike at both times: the dilation is their optimal map (1/m)."""
    p = problems.barenblatt(2.0, 0.3, 2, start=0.05, horizon=1.0)
    first, last = p.exact(0.0), p.exact(1.0)
    expected = (last.reach - first.reach) * math.sqrt(2 / 6)
    clouds = [Particles(law.domain, law.quantised(400)) for law in (first, last)]
    assert w2(*clouds) == pytest.approx(expected, rel=1e-3)


def test_the_well_contracts():
    """W2 of two solutions falls at least by e^{-t}: F is 1-convex along geodesics."""
    a, b = problems.porous_well(mean=1.0, reach=0.5), problems.porous_well(mean=-0.3, reach=2.0)
    for t in (0.2, 1.0):
        assert w2(a.exact(t), b.exact(t)) <= math.exp(-t) * w2(a.exact(0.0), b.exact(0.0)) + 1e-6


# Finite volumes


def l1(density, law):
    """sum over cells of |cell average - exact average| |cell|."""
    return float(np.sum(np.abs(density.values - law.averages(density.grid))) * density.grid.cell_volume)


def l1_order(problem, solvers, steps):
    """Least-squares slope of log L1 error at the horizon against log cells."""
    flow = problem.flow
    exact = problem.exact(flow.horizon)
    ends = [solve(flow, s, steps=steps(s.cells), times=[flow.horizon]).final for s in solvers]
    errors = [l1(end, exact) for end in ends]
    return -float(np.polyfit(np.log([s.cells for s in solvers]), np.log(errors), 1)[0]), errors[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("solver", "bound"), [(Upwind, 6e-3), (Muscl, 3e-5), (ScharfetterGummel, 3e-4)], ids=["upwind", "muscl", "fitted"]
)
def test_barenblatt_on_the_line_in_l1(solver, bound):
    """L1 order at least 0.9 from 64 to 256 cells, dt ~ h^2, and the finest error below its bound."""
    steps = (lambda n: n * n // 64) if solver is ScharfetterGummel else (lambda n: n * n // 22)
    order, finest = l1_order(problems.barenblatt(), [solver(n) for n in (64, 128, 256)], steps)
    assert order >= 0.9
    assert finest < bound


@pytest.mark.parametrize(
    ("solver", "bound"), [(Upwind, 9e-3), (Muscl, 2e-4), (ScharfetterGummel, 4e-4)], ids=["upwind", "muscl", "fitted"]
)
@pytest.mark.slow
def test_barenblatt_in_the_plane_in_l1(solver, bound):
    """L1 order at least 0.9 from 64 x 64 to 256 x 256 cells, dt ~ h^2 (backward Euler: fewer steps)."""
    p = problems.barenblatt(dim=2, horizon=0.002)
    steps = (lambda n: n * n // 320) if solver is ScharfetterGummel else (lambda n: n * n // 64)
    order, finest = l1_order(p, [solver(n) for n in (64, 128, 256)], steps)
    assert order >= 0.9
    assert finest < bound


@pytest.mark.slow
@pytest.mark.parametrize("m", [1.5, 2.0, 3.0, 4.0])
def test_muscl_has_the_order_it_declares_at_an_edge(m):
    """W2 order at least 1 + min(1/2, 1/(m-1)) less 0.15, from 32 to 128 cells: the density ends like y^(1/(m-1))."""
    p = problems.barenblatt(m)
    refinement = in_space(Laboratory(p.flow), Muscl(32), [1, 2, 4], 20)
    declared = Muscl(32).order(p.flow).space
    assert declared == 1 + min(0.5, 1 / (m - 1))
    assert refinement.observed >= declared - 0.15


def test_face_temperatures_of_the_smallest_densities():
    """jump(U')/jump(log rho) is finite and nonnegative beside 0 and among subnormal numbers: m = 2, U' = 2 rho.

    Equal values have p' = 2 rho; the logarithmic mean otherwise, which lies between the two.
    """
    tiny = 5e-324
    left, right = np.array([tiny, 1.0, 0.0, tiny, 2.0, 1.0]), np.array([tiny, tiny, 0.0, 3 * tiny, 2.0, 2.0])
    found = _mean_stiffness(Power(2.0), left, right)
    assert np.all((found >= 2 * np.minimum(left, right)) & (found <= 2 * np.maximum(left, right)))
    assert found[4] == 4.0
    assert found[5] == pytest.approx(2.0 / math.log(2.0), rel=1e-14)


@pytest.mark.parametrize("dim", [1, 2])
def test_fitted_fluxes_keep_the_porous_equilibrium(dim):
    """From averages of the minimiser one long step moves at most what averaging costs: L1 below 2e-2 on 64 cells."""
    p = problems.porous_well(dim=dim)
    flow = Flow(p.flow.energy, p.flow.domain, p.minimiser, 1.0, p.flow.window)
    end = solve(flow, ScharfetterGummel(64), steps=1).final
    assert l1(end, p.minimiser) < 2e-2


# Names of the catalogue


def test_variants_are_names_for_parameters():
    """A variant builds its problem at its own defaults, keeps its name, and lets every parameter be set."""
    assert set(NAMES) == {*problems.CATALOGUE, *VARIANTS}
    for name, (base, parameters) in VARIANTS.items():
        posed = build(name)
        assert posed.name == name
        assert {**parameters_of(base), **parameters} == posed.parameters
    assert build("barenblatt_2d", exponent=3.0).parameters["exponent"] == 3.0
    with pytest.raises(ValueError, match="did you mean 'barenblatt_2d'"):
        build("barenblat_2d")


@pytest.mark.parametrize("dim", [1, 2])
def test_an_implicit_step_says_where_its_face_temperatures_stopped(dim):
    """The last change of the fixed point is the residual, on every axis: below its tolerance, and as loose as that."""
    flow = problems.barenblatt(dim=dim).flow
    for tolerance in (1e-4, 1e-12):
        solver = ScharfetterGummel(24, tolerance=tolerance)
        residual = solver.step(flow, solver.init(flow), 1e-3).residual
        assert 0.0 < residual <= tolerance
        assert tolerance < 1e-10 or residual > 1e-8
