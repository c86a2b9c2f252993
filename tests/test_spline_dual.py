"""The spline dual by other means: splines by scipy, minima by brute force, slopes by differences, bounds by POT."""

import math

import numpy as np
import pytest
from scipy.interpolate import BSpline

from wflow import box, circle, w2
from wflow.domain import Box
from wflow.grid import Grid
from wflow.knothe import squared_bound
from wflow.measure import Density
from wflow.plans import cheapest_plan
from wflow.spline.ascent import Manner, ascend
from wflow.spline.dual import StepDual
from wflow.spline.envelope import transformed
from wflow.spline.halved import refined
from wflow.spline.lattice import Sides, averaged, carried, fitted, folded, given, moved, padded, read
from wflow.spline.multigrid import Multigrid

SIDES = [Sides(False, False), Sides(True, False), Sides(True, True)]
IDS = ["walls", "cylinder", "torus"]


def drawn(seed):
    return np.random.default_rng([2026, seed])


def by_scipy(c, y, sides):
    """The spline at points (m, 2) in cells, from scipy's basis elements, ghosts laid out by index arithmetic."""
    element = BSpline.basis_element(np.array([-1.5, -0.5, 0.5, 1.5]), extrapolate=False)
    total = np.zeros(len(y))
    for k in np.ndindex(c.shape):
        parts = []
        for axis, n in enumerate(c.shape):
            # a mirrored coefficient k stands at k and at -1 - k, 2 n - 1 - k; a wrapped one at k + n turns
            homes = (
                [k[axis] + n * t for t in (-1, 0, 1)] if sides[axis] else [k[axis], -1 - k[axis], 2 * n - 1 - k[axis]]
            )
            parts.append(sum(np.nan_to_num(element(y[:, axis] - (home + 0.5))) for home in homes))
        total += c[k] * parts[0] * parts[1]
    return total


@pytest.mark.parametrize("sides", SIDES, ids=IDS)
def test_splines_are_scipys(sides):
    """At nodes and, by a deposit of unit masses, anywhere: 1e-13."""
    draw = drawn(0)
    c, parts = draw.normal(size=(5, 6)), (2, 3)
    nodes = np.stack(
        np.meshgrid(*((np.arange(n * r) + 0.5) / r for n, r in zip(c.shape, parts, strict=True)), indexing="ij"),
        axis=-1,
    )
    np.testing.assert_allclose(read(c, parts, sides).ravel(), by_scipy(c, nodes.reshape(-1, 2), sides), atol=1e-13)
    y = draw.uniform(0.0, 1.0, size=(40, 2)) * c.shape
    field = np.zeros((7, 8))
    # p = 0: points stay where they are
    moved(padded(np.zeros_like(c), sides), np.ones(40), y, y.copy(), (1.0, 1.0), sides, field, np.empty((40, 3)))
    assert np.vdot(folded(field, sides), c) == pytest.approx(by_scipy(c, y, sides).sum(), abs=1e-12)


@pytest.mark.parametrize("sides", SIDES, ids=IDS)
def test_adjoints_and_inverses(sides):
    """<read c, f> = <c, given f>; fitted inverts the means of read; a refined spline is the same: 1e-12."""
    draw = drawn(1)
    c, parts = draw.normal(size=(6, 4)), (2, 1)
    f = draw.normal(size=(12, 4))
    assert np.vdot(read(c, parts, sides), f) == pytest.approx(np.vdot(c, given(f, parts, sides)), abs=1e-12)
    np.testing.assert_allclose(fitted(read(c, parts, sides), parts, sides), c, atol=1e-12)
    coarse = averaged(read(refined(c, sides), (1, 1), sides), (1, 1))
    np.testing.assert_allclose(coarse, read(c, (2, 2), sides), atol=1e-13)


@pytest.mark.parametrize("sides", SIDES, ids=IDS)
def test_the_envelope_is_the_minimum(sides):
    """Against all pairs of nodes: equal to rounding, on a rough function; and taken at the places that are returned."""
    f, pull = drawn(2).normal(size=(7, 5)), (0.3, 0.05)
    least, places = transformed(f, pull, sides)
    gaps = []
    for n, turns in zip(f.shape, sides, strict=True):
        gap = np.abs(np.arange(n)[:, None] - np.arange(n))
        gaps.append(np.minimum(gap, n - gap) if turns else gap)
    all_pairs = 0.5 * pull[0] * gaps[0][:, None, :, None] ** 2 + 0.5 * pull[1] * gaps[1][None, :, None, :] ** 2 + f
    np.testing.assert_allclose(least, all_pairs.min(axis=(2, 3)), atol=1e-13)
    away = places - np.indices(f.shape)  # lifted: the way is that to the node, not to a nearer image
    there = f[places[0] % 7, places[1] % 5]
    np.testing.assert_allclose(
        there + 0.5 * pull[0] * away[0] ** 2 + 0.5 * pull[1] * away[1] ** 2, least, rtol=0.0, atol=1e-13
    )


@pytest.mark.parametrize("sides", SIDES, ids=IDS)
def test_a_nearest_point_is_a_least_one(sides):
    """p(y) + sum pull (y - x)^2/2 where p curves more than the pull: at most that at the start and all round the end.

    Round it: at 24 angles on circles of .003 and .03 cells, up to 1e-9. By brute force on splines from scipy.
    """
    draw, shape, pull = drawn(8), (6, 5), (0.5, 0.3)
    c, x = draw.normal(size=shape), draw.uniform(0.0, 1.0, size=(60, 2)) * shape
    begun = x + 0.5 * draw.normal(size=x.shape)
    begun = np.where(sides, begun, np.clip(begun, 0.0, shape))
    end, ghosts = begun.copy(), padded(c, sides)
    found = moved(ghosts, np.ones(60), x, end, pull, sides, np.zeros_like(ghosts), np.empty((60, 3)))

    def value(y):
        at = np.where(sides, np.mod(y, shape), np.clip(y, 0.0, shape))
        y = np.where(sides, y, at)
        return by_scipy(c, at.reshape(-1, 2), sides).reshape(y.shape[:-1]) + 0.5 * (y - x) ** 2 @ np.array(pull)

    here = value(end)
    assert found.total == pytest.approx(here.sum(), rel=1e-12)
    assert np.all(here <= value(begun) + 1e-12)
    angle = 2.0 * math.pi * np.arange(24) / 24
    ways = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for radius in (0.003, 0.03):
        assert np.all(here <= value(end + radius * ways[:, None]) + 1e-9)


@pytest.mark.parametrize("sides", SIDES, ids=IDS)
def test_mass_at_folds(sides):
    """The mass where the Jacobian of y + share grad p, by central differences of the map, is not positive definite.

    Of all kinds: with one negative eigenvalue on the diagonal or off it, and with two.
    """
    draw, shape, share = drawn(9), (6, 5), (0.9, 0.5)
    ghosts, masses = padded(draw.normal(size=shape), sides), draw.random(400)
    y = (np.floor(draw.uniform(0.0, 1.0, size=(400, 2)) * shape)) + draw.uniform(0.01, 0.99, size=(400, 2))

    def image(y):
        out = np.empty_like(y)
        return carried(ghosts, masses, y, share, sides, out), out

    step = 1e-4 * np.eye(2)
    jacobian = np.stack([(image(y + e)[1] - image(y - e)[1]) / 2e-4 for e in step], axis=2)
    # grad p is symmetric in the metric of share
    root = np.sqrt(share)
    eigenvalues = np.linalg.eigvalsh(jacobian * root / root[:, None])
    diagonal = np.diagonal(jacobian, axis1=1, axis2=2)
    folds = eigenvalues[:, 0] <= 0.0
    assert np.abs(eigenvalues).min() >= 1e-5
    assert np.any(folds & np.all(diagonal > 0.0, axis=1)) and np.any(folds & (eigenvalues[:, 1] > 0.0))
    assert np.any(eigenvalues[:, 1] < 0.0) and not np.all(folds)
    assert image(y)[0] == pytest.approx(masses[folds].sum(), rel=1e-12)


@pytest.mark.parametrize("sides", SIDES, ids=IDS)
@pytest.mark.parametrize("shape", [(16, 16), (24, 10), (32, 1)])
def test_a_multigrid_cycle_is_a_metric(sides, shape):
    """Positive, at most .9 from the inverse it stands in for, and symmetric but on cyclic axes whose halves are odd.

    In the norm of the matrix; weights vary by a hundred from cell to cell at random, the worst that can be met.
    """
    draw = drawn(3)
    first, second = (10.0 ** draw.uniform(-1, 1, size=shape) for _ in range(2))
    if not sides.first:
        first[0] = 0.0
    if not sides.second or shape[1] == 1:
        second[:, 0] = 0.0
    diagonal = 10.0 ** draw.uniform(-1, 1, size=shape)
    cycle = Multigrid.of(first, second, diagonal)
    n = math.prod(shape)
    matrix = np.zeros((n, n))
    number = np.arange(n).reshape(shape)
    for weight, axis in ((first, 0), (second, 1)):
        for here, there, w in zip(number.ravel(), np.roll(number, 1, axis).ravel(), weight.ravel(), strict=True):
            matrix[[here, there], [here, there]] += w if here != there else 0.0
            matrix[here, there] -= w if here != there else 0.0
            matrix[there, here] -= w if here != there else 0.0
    matrix += np.diag(diagonal.ravel())
    inverse = np.stack([cycle(e.reshape(shape)).ravel() for e in np.eye(n)], axis=1)
    if shape != (24, 10) or not any(sides):
        np.testing.assert_allclose(inverse, inverse.T, atol=1e-12 * np.abs(inverse).max())
    root = np.linalg.cholesky(matrix)
    left = np.eye(n) - root.T @ inverse @ root
    assert np.linalg.eigvalsh(0.5 * (left + left.T)).max() <= 0.9
    assert np.linalg.eigvalsh(0.5 * (inverse + inverse.T)).min() > 0.0


def a_dual(sides, tau=0.02):
    """60 atoms and an entropy with a potential on 6 x 5 cells of 2 x 1 nodes."""
    draw = drawn(4)
    shape, parts, widths = (6, 5), (2, 1), (0.1, 0.2)
    field = draw.normal(size=(12, 5))

    def conjugate(p):
        rho = np.exp(p - field)
        return float(rho.sum()), rho, rho

    masses = draw.random(60)
    return StepDual(
        shape, parts, sides, widths, draw.random((60, 2)) * shape, masses / masses.sum(), tau, conjugate
    ), draw


@pytest.mark.parametrize("sides", SIDES, ids=IDS)
def test_the_value_and_its_slope(sides):
    """D by minima over 40 places a cell on each axis (above it by at most the curvature times their distance squared).

    The slope by central differences: to 1e-6.
    """
    dual, draw = a_dual(sides)
    c = 0.05 * draw.normal(size=dual.shape)
    here = dual.at(c)
    tiles = [(-1, 0, 1) if turns else (0,) for turns in sides]
    y = np.stack(np.meshgrid(*((np.arange(40 * n) + 0.5) / 40 for n in dual.shape), indexing="ij"), axis=-1)
    y = y.reshape(-1, 2)
    values, total = by_scipy(c, y, sides), 0.0
    for x, mass in zip(dual.atoms, dual.masses, strict=True):
        images = [
            (y + np.array(dual.shape) * (s, t) - x) ** 2 @ np.array(dual.pull) for s in tiles[0] for t in tiles[1]
        ]
        total += mass * np.min(values + 0.5 * np.min(images, axis=0))
    p = read(c, dual.parts, sides)
    above = total - dual.volume * dual.conjugate(p)[0] - here.value
    assert 0.0 <= above <= sum(dual.pull) / 80.0**2
    for _ in range(5):
        d = draw.normal(size=dual.shape)
        difference = (dual.at(c + 1e-6 * d).value - dual.at(c - 1e-6 * d).value) / 2e-6
        assert difference == pytest.approx(float(np.vdot(here.slope, d)), rel=1e-6)


@pytest.mark.parametrize("sides", SIDES[1:], ids=IDS[1:])
def test_atoms_may_be_anywhere_on_the_lifted_axis(sides):
    """Atoms turned by whole periods go to places turned by as many: D and its slope stay, 1e-12.

    On a rough spline, with many minima an atom: from a start that is not turned Newton would end in another.
    """
    dual, draw = a_dual(sides)
    c = draw.normal(size=dual.shape)
    turns = np.where(sides, draw.integers(-2, 3, size=(60, 2)), 0) * dual.shape
    here = dual.at(c)
    dual.atoms = dual.atoms + turns
    there = dual.at(c)
    assert np.abs(turns).max() > 0
    assert there.value == pytest.approx(here.value, rel=1e-12)
    np.testing.assert_allclose(there.slope, here.slope, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(there.places, here.places + turns, rtol=0.0, atol=1e-7)


def test_the_ascent_ends_at_the_maximum():
    """No slope, and no random step gains: residual 1e-9 after some tens of evaluations."""
    dual, draw = a_dual(Sides(False, True), tau=1e-3)
    climbed = ascend(dual, dual.at(np.zeros(dual.shape)), lambda here: 1e-9, Manner(1e-6))
    assert climbed.residual <= 1e-9
    assert np.abs(climbed.here.slope).max() <= 1e-8
    assert all(
        dual.at(climbed.here.c + 1e-3 * draw.normal(size=dual.shape)).value < climbed.here.value for _ in range(20)
    )
    assert dual.evaluations <= 150


# The bound by a coupling


@pytest.mark.parametrize("turns", [False, True])
def test_the_bound_on_one_axis(turns):
    """A line: W2^2 to rounding. A circle: above it, by less than a tenth for close densities."""
    draw, domain = drawn(5), circle() if turns else box([0.0], [2.0])
    grid = Grid(domain, (30,))
    a = draw.random(30) * (draw.random(30) > 0.3)
    b = a * (1.0 + 0.02 * draw.random(30)) if turns else draw.random(30)
    a, b = a / (a.sum() * grid.cell_volume), b / (b.sum() * grid.cell_volume)
    bound = squared_bound(a[:, None], b[:, None], (float(grid.widths[0]), 1.0), (turns, False))
    exact = w2(Density(grid, a), Density(grid, b)) ** 2
    if turns:
        assert exact * (1.0 - 1e-9) <= bound <= 1.1 * exact
    else:
        assert bound == pytest.approx(exact, rel=1e-12)


def test_the_bound_of_products_is_exact():
    """Products of two laws each: the sum of the squares along the axes, 1e-12."""
    draw = drawn(6)
    a0, a1, b0, b1 = (draw.random(n) for n in (12, 9, 12, 9))
    widths = (0.1, 0.3)
    both = squared_bound(np.outer(a0, a1), np.outer(b0, b1), widths, (False, False))
    apart = [
        squared_bound(a[:, None], b[:, None], (h, 1.0), (False, False))
        for a, b, h in ((a0, b0, widths[0]), (a1, b1, widths[1]))
    ]
    assert both == pytest.approx(sum(apart), rel=1e-12)


def on_a_circle(case):
    """Two densities on 64 cells of [0, 2 pi): bumps of std .2 at 2.0 and further on, or random ones with gaps."""
    grid = Grid(circle(), (64,))
    x = grid.centres[:, 0]
    if case in MOVED:
        pair = [np.exp(-0.5 * (np.angle(np.exp(1j * (x - m))) / 0.2) ** 2) for m in (2.0, MOVED[case])]
    else:
        draw = drawn(40 + int(case[-1]))
        pair = [draw.random(64) * (draw.random(64) > 0.5) for _ in range(2)]
    return grid, *(f / (f.sum() * grid.cell_volume) for f in pair)


MOVED = {"bump moved by .05": 2.05, "bump moved by 1": 3.0}
ON_A_CIRCLE = [*MOVED, *(f"random {k}" for k in range(4))]


@pytest.mark.parametrize("case", ON_A_CIRCLE)
def test_the_bound_on_a_circle_is_exact(case):
    """W2^2 on a circle is that of quantile functions, one of them turned best: 1e-6 of it."""
    grid, a, b = on_a_circle(case)
    bound = squared_bound(a[:, None], b[:, None], (float(grid.widths[0]), 1.0), (True, False))
    assert bound == pytest.approx(w2(Density(grid, a), Density(grid, b)) ** 2, rel=1e-6)


@pytest.mark.parametrize(("first", "second"), [ON_A_CIRCLE[:2], ON_A_CIRCLE[2:4], ON_A_CIRCLE[::4]])
def test_the_bound_of_products_on_a_torus_is_exact(first, second):
    """Products of two laws on circles each: the sum of the two W2^2, 1e-6 of it."""
    (grid, a0, b0), (_, a1, b1) = on_a_circle(first), on_a_circle(second)
    h = float(grid.widths[0])
    apart = [w2(Density(grid, a), Density(grid, b)) ** 2 for a, b in ((a0, b0), (a1, b1))]
    assert squared_bound(np.outer(a0, a1), np.outer(b0, b1), (h, h), (True, True)) == pytest.approx(
        sum(apart), rel=1e-6
    )


def marginal_squares(a, b, h, periodic):
    """W2^2 of the marginals along each axis, exact: of densities (n, n) on the unit square or torus."""
    squares = []
    for axis, turns in enumerate(periodic):
        grid = Grid(Box((0.0,), (1.0,), (turns,)), (a.shape[axis],))
        one, other = (f.sum(axis=1 - axis) / (f.sum() * h) for f in (a, b))
        squares.append(w2(Density(grid, one), Density(grid, other)) ** 2)
    return squares


def in_a_square(draw, n, at):
    """A random density (n, n) on a quarter of each axis, from `at` cells on."""
    field = np.zeros((n, n))
    side = n // 4
    field[:side, :side] = draw.random((side, side)) * (draw.random((side, side)) > 0.3) + 1e-3
    return np.roll(field, at, axis=(0, 1))


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_of_a_translation_is_exact(seed):
    """A density that is no product, moved by whole cells on both axes: |shift|^2, 1e-12."""
    draw, n, h = drawn(20 + seed), 12, (0.1, 0.3)
    a = np.zeros((n, n))
    a[:5, :6] = draw.random((5, 6)) * (draw.random((5, 6)) > 0.3)
    bound = squared_bound(a, np.roll(a, (7, 4), axis=(0, 1)), h, (False, False))
    assert bound == pytest.approx((7 * h[0]) ** 2 + (4 * h[1]) ** 2, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_between_far_corners(seed):
    """Displacements of three quarters of the square: between the sum of the marginals' W2^2 and what variances allow.

    Any coupling projects onto ones of the marginals, so W2^2 is at least their sum S. This one couples its first
    marginals best, and on the second axis costs (m - m')^2 + Var(X - Y), at most (m - m')^2 + (s + s')^2 with means m
    and deviations s; each order of the axes is allowed, so the better of them is at most the least of both.
    """
    draw, n = drawn(30 + seed), 16
    h = 1.0 / n
    a, b = in_a_square(draw, n, 0), in_a_square(draw, n, 12)
    bound, squares = squared_bound(a, b, (h, h), (False, False)), marginal_squares(a, b, h, (False, False))
    ceilings = []
    for second in (0, 1):
        x, laws = (np.arange(n) + 0.5) * h, [f.sum(axis=1 - second) / f.sum() for f in (a, b)]
        means = [law @ x for law in laws]
        spreads = [math.sqrt(law @ (x - m) ** 2 + h * h / 12.0) for law, m in zip(laws, means, strict=True)]
        ceilings.append(squares[1 - second] + (means[0] - means[1]) ** 2 + sum(spreads) ** 2)
    assert sum(squares) * (1.0 - 1e-12) <= bound <= min(ceilings)
    assert min(ceilings) <= 1.1 * sum(squares)  # the two say something


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("periodic", [(False, False), (True, False), (True, True)])
def test_the_bound_lies_above(seed, periodic):
    """Above the exact sum of the marginals' W2^2, and above POT's cost of atoms at centres less what cells can save.

    W2 of atoms at centres is at most W2 of the densities plus two spreads (h^2/12 an axis each): triangle inequality.
    Mass moves by five cells on each axis: what the cells save is a sixth of that, and nothing for the marginals.
    """
    draw, n = drawn(7 + seed), 16
    h = 1.0 / n
    a, b = in_a_square(draw, n, 0), in_a_square(draw, n, 5)
    bound = squared_bound(a, b, (h, h), periodic)
    assert bound >= sum(marginal_squares(a, b, h, periodic)) * (1.0 - 1e-9)
    x = np.stack(np.meshgrid(*(np.arange(n) * h,) * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    gap = np.abs(x[:, None] - x[None])
    gap = np.where(periodic, np.minimum(gap, 1.0 - gap), gap)
    atoms = math.sqrt(cheapest_plan(a.ravel(), b.ravel(), (gap**2).sum(axis=2)).cost)
    assert math.sqrt(bound) >= atoms - 2.0 * math.sqrt(h * h / 6.0)
    assert bound <= 2.0  # and not absurd: no mass goes further than the square is wide
