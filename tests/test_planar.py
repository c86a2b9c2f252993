"""W2 of densities in the plane at their full size, against closed forms, products of lines and circles, and POT."""

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm

from wflow import Box, Density, Gaussian, Grid, NotConverged, Product, Refused, box, circle, interval, planar, torus, w2
from wflow.geodesics import geodesic
from wflow.knothe import squared_bound
from wflow.measure import Particles
from wflow.nodal import nodal
from wflow.planar import between, spread
from wflow.plans import cheapest_plan
from wflow.spline.dual import TransportDual
from wflow.transport import w2_floor

SQUARE = box([-0.5, -0.5], [0.5, 0.5])


def density(values, domain: Box = SQUARE) -> Density:
    grid = Grid(domain, values.shape)
    return Density(grid, values.ravel() / (values.sum() * grid.cell_volume))


def middles(n: int, low: float = -0.5, high: float = 0.5):
    return low + (high - low) * (np.arange(n) + 0.5) / n


def bell(n: int, mean, covariance, domain: Box = SQUARE) -> Density:
    grid = Grid(domain, (n, n))
    away = grid.centres - np.asarray(mean)
    return density(np.exp(-0.5 * np.sum((away @ np.linalg.inv(covariance)) * away, axis=1)).reshape(n, n), domain)


def turned(angle: float, s: float, t: float):
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return turn @ np.diag([s * s, t * t]) @ turn.T


def bures(a, b) -> float:
    root = sqrtm(a)
    return float(np.trace(a + b - 2.0 * np.real(sqrtm(root @ b @ root))))


def closed_forms(n: int):
    """Pairs on n^2 cells, W2^2, and the share by which cells may be off."""
    a, b, round_ = turned(0.3, 0.05, 0.09), turned(1.2, 0.06, 0.1), 0.06**2 * np.eye(2)
    yield "translation", bell(n, (-0.1, -0.05), round_), bell(n, (0.1, 0.05), round_), 0.05
    yield "Bures", bell(n, (-0.06, 0.0), a), bell(n, (0.06, 0.03), b), bures(a, b) + 0.12**2 + 0.03**2
    yield "dilation", bell(n, (0.0, 0.0), 0.04**2 * np.eye(2)), bell(n, (0.0, 0.0), 0.08**2 * np.eye(2)), 2 * 0.04**2


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("case", range(3))
def test_closed_forms(case, back):
    """W2^2 of Gaussians to 1e-4 on 128^2 cells, in either order of the two."""
    _, a, b, exact = list(closed_forms(128))[case]
    assert w2(*((b, a) if back else (a, b))) ** 2 == pytest.approx(exact, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("case", range(3))
def test_closed_forms_on_many_cells(case):
    """3e-5 on 512^2 cells."""
    _, a, b, exact = list(closed_forms(512))[case]
    assert w2(a, b) ** 2 == pytest.approx(exact, rel=3e-5)


def test_discs():
    """A disc to one of twice the radius: x -> 2x. Of the cells' own masses at their middles, Gelbrich's bound, to 1e-4.

    Gelbrich: W2^2 >= that of the Gaussians with the same moments, with equality for such a map.
    """
    n, fine = 128, 16
    x = middles(n * fine)
    square = x[:, None] ** 2 + x[None, :] ** 2

    def disc(radius):
        inside = (square <= radius**2).astype(float)
        return density(inside.reshape(n, fine, n, fine).mean(axis=(1, 3)))

    a, b = disc(0.15), disc(0.3)
    variances = [float(pi.weights @ np.sum(pi.points**2, axis=1)) for pi in (a, b)]
    gelbrich = (math.sqrt(variances[1]) - math.sqrt(variances[0])) ** 2
    assert w2(a, b) ** 2 == pytest.approx(gelbrich, rel=1e-4)
    assert gelbrich == pytest.approx(0.15**2 / 2.0, rel=1e-3)


def products(n: int, domain: Box, line: Box):
    """Pairs whose W2^2 is the sum of those along the axes, exact on one: the first jumps, the second hardly moves."""
    x = middles(n, domain.lower[0], domain.upper[0])
    one = np.exp(-0.5 * (x / 0.06) ** 2) + 1e-5
    two = np.exp(-0.5 * ((x - 0.2) / 0.05) ** 2) + np.exp(-0.5 * ((x + 0.2) / 0.05) ** 2) + 1e-5
    wide = np.exp(-0.5 * (x / 0.1) ** 2) + 1e-5
    near = wide * (1.0 + 1e-3 * np.sin(8.0 * x))
    for (a0, a1), (b0, b1) in (((one, wide), (two, wide)), ((wide, wide), (near, near)), ((one, two), (two, one))):
        grid = Grid(line, (n,))
        along = [
            w2(*(Density(grid, f / (f.sum() * grid.cell_volume)) for f in pair)) ** 2 for pair in ((a0, b0), (a1, b1))
        ]
        yield density(np.outer(a0, a1), domain), density(np.outer(b0, b1), domain), sum(along)


@pytest.mark.parametrize("case", [0, 1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("turns", [False, True])
def test_products(case, turns):
    """Walls and torus, 128^2 cells: W2^2 to 2e-3, where the map jumps and where mass moves by a hundredth of a cell."""
    line = Box((-0.5,), (0.5,), (turns,))
    a, b, exact = list(products(128, Box((-0.5, -0.5), (0.5, 0.5), (turns, turns)), line))[case]
    assert w2(a, b) ** 2 == pytest.approx(exact, rel=2e-3)


def full_supports(n: int):
    """Densities on all of a unit box, W2^2 by lines and circles: walls, both axes nearly emptied, a torus."""
    x = middles(n, 0.0, 1.0)
    one, turn, half = np.ones(n), np.cos(2.0 * np.pi * x), np.cos(np.pi * x)
    for turns, pairs in (
        (False, ((1.0 + 0.5 * turn, one), (1.0 + 0.9 * half, one))),
        (False, ((1.0 + 1e-9 + turn, 1.0 + 1e-9 - turn), (1.0 + 1e-9 + half, 1.0 + 1e-9 - half))),
        (True, ((1.0 + 0.9 * turn, 1.0 - 0.9 * turn), (1.0 + 0.5 * np.sin(2.0 * np.pi * x), 1.0 + 0.8 * turn))),
    ):
        grid = Grid(Box((0.0,), (1.0,), (turns,)), (n,))
        along = [w2(*(Density(grid, f / (f.sum() * grid.cell_volume)) for f in pair)) ** 2 for pair in pairs]
        domain = Box((0.0, 0.0), (1.0, 1.0), (turns, turns))
        (a0, b0), (a1, b1) = pairs
        yield density(np.outer(a0, a1), domain), density(np.outer(b0, b1), domain), sum(along)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "most"), [(0, 60), (1, 180), (2, 90)])
def test_full_supports_take_few_looks(case, most, monkeypatch):
    """Each spline is left when it gains little: W2^2 to 1e-4 on 256^2 cells, in looks at D worth `most` on them all."""
    looks, at = [], TransportDual.at

    def counted(self, c):
        looks.append(len(self.masses) / 256**2)
        return at(self, c)

    monkeypatch.setattr(TransportDual, "at", counted)
    a, b, exact = list(full_supports(256))[case]
    assert w2(a, b) ** 2 == pytest.approx(exact, rel=1e-4)
    assert sum(looks) <= most


@pytest.mark.slow
def test_smooth_maps_leave_one_look_for_the_finest_spline(monkeypatch):
    """Gaussians on 1024^2 cells: where a coarse spline gains nothing the finest is looked at once; 5e-5."""
    looks, at = [], TransportDual.at
    monkeypatch.setattr(TransportDual, "at", lambda self, c: looks.append(len(self.masses)) or at(self, c))
    _, a, b, exact = list(closed_forms(1024))[1]
    assert w2(a, b) ** 2 == pytest.approx(exact, rel=5e-5)
    # one on the finest, one whether the two are nearer than a cell; the spline before is not looked at
    assert sum(count > 600_000 for count in looks) <= 2


def test_other_cells_and_windows():
    """Grids of 100 and 120 cells on windows that overlap: the translation by (.6, .5), to 1e-4."""
    shift = box([0.1, 0.0], [1.1, 1.0])
    a, b = bell(100, (0.0, 0.0), 0.06**2 * np.eye(2)), bell(120, (0.6, 0.5), 0.06**2 * np.eye(2), shift)
    assert w2(a, b) ** 2 == pytest.approx(0.61, rel=1e-4)


def test_laws_and_cells():
    """Cells against a law: a translation by (.2, .1) to 1e-3; floor: the spreads of both in their cells."""
    law = Product(Gaussian(0.1, 0.06), Gaussian(0.05, 0.06))
    a = bell(128, (-0.1, -0.05), 0.06**2 * np.eye(2), box([-0.6, -0.6], [0.6, 0.6]))
    assert w2(a, law) ** 2 == pytest.approx(0.05, rel=1e-3)
    assert w2_floor(a, a) == pytest.approx(2.0 * math.sqrt(2.0 * (1.2 / 128) ** 2 / 12.0))


def test_nothing_moves():
    """W2(a, a) = 0 to the root of rounding, also where a is nothing but noise, and for mass in one cell."""
    draw = np.random.default_rng(0)
    alone = np.zeros((40, 40))
    alone[7, 9] = 1.0
    for values in (draw.random((40, 40)), alone):
        assert w2(density(values), density(values)) <= 1e-8


@pytest.mark.slow
@pytest.mark.parametrize(("share", "most"), [(0.0, 2), (0.1, 60), (0.5, 60)])
def test_what_is_near_is_found_on_the_finest_spline(share, most, monkeypatch):
    """A bell moved by a share of a cell on 256^2 cells: W2^2 to a share of 2e-5, in few looks at D (from coarse: 230).

    On 1024^2 cells that is 16 s in place of 62, and none in place of 61 for a density and itself (measured).
    """
    looks, at = [], TransportDual.at
    monkeypatch.setattr(TransportDual, "at", lambda self, c: looks.append(1) or at(self, c))
    cells = [bell(256, (x, 0.0), 0.06**2 * np.eye(2)) for x in (0.0, share / 256.0)]
    assert w2(*cells) ** 2 == pytest.approx((share / 256.0) ** 2, rel=2e-5)
    assert len(looks) <= most


def test_single_cells():
    """Atoms: their distance, on a square and round a torus, to rounding; from one cell to all, by a sum."""
    a, b = np.zeros((40, 40)), np.zeros((40, 40))
    a[3, 9], b[37, 22] = 1.0, 1.0
    apart = np.array([34.0, 13.0]) / 40.0
    assert w2(density(a), density(b)) == pytest.approx(math.hypot(*apart), rel=1e-12)
    apart[0] = 1.0 - apart[0]
    ring = Box((-0.5, -0.5), (0.5, 0.5), (True, True))
    assert w2(density(a, ring), density(b, ring)) == pytest.approx(math.hypot(*apart), rel=1e-12)
    even = density(np.ones((40, 40)))
    away = even.points - even.points[3 * 40 + 9]
    assert w2(density(a), even) ** 2 == pytest.approx(np.mean(np.sum(away**2, axis=1)), rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_between_bounds(seed):
    """Rough densities: POT's cost for masses at the middles from above, and the triangle inequality from below.

    W2 of atoms is at least that of the piecewise constant densities less their spreads; the dual may be short by one
    more spread.
    """
    draw = np.random.default_rng(seed)
    a, b = (density(draw.random((24, 24)) ** 3) for _ in range(2))
    cost = np.sum((a.points[:, None] - b.points[None]) ** 2, axis=2)
    atoms = math.sqrt(cheapest_plan(a.weights, b.weights, cost).cost)
    assert atoms - spread(a.grid) <= w2(a, b) <= atoms * (1.0 + 1e-9)
    knothe = squared_bound(*(pi.values.reshape(24, 24) for pi in (a, b)), (1.0 / 24, 1.0 / 24), (False, False))
    assert w2(a, b) <= math.sqrt(knothe) + 2.0 * spread(a.grid)


def lonely(n: int, share: float):
    """Two densities, each on a share of n^2 cells, at random."""
    draw = np.random.default_rng(3)
    return (density(draw.random((n, n)) * (draw.random((n, n)) < share)) for _ in range(2))


@pytest.mark.parametrize("apart", [0.0, 0.25])
def test_few_lonely_cells_go_by_a_plan(apart):
    """The dual has kinks at every atom and stops; POT's cost is the answer, on one grid and two, and ours the path."""
    a, b = lonely(40, 0.1)
    b = Density(Grid(box([apart - 0.5, -0.5], [apart + 0.5, 0.5]), (40, 40)), b.values)
    kept = [pi.weights > 0.0 for pi in (a, b)]
    cost = np.sum((a.points[kept[0]][:, None] - b.points[kept[1]][None]) ** 2, axis=2)
    exact = cheapest_plan(a.weights[kept[0]], b.weights[kept[1]], cost).cost
    assert w2(a, b) ** 2 == pytest.approx(exact, rel=1e-9)
    moved = between(a, b)
    assert moved.weights @ np.sum(moved.shift**2, axis=1) == pytest.approx(exact, rel=1e-9)


def test_too_many_lonely_cells_are_refused(monkeypatch):
    """Where they are too many it says what to do, on one grid and two."""
    monkeypatch.setattr(planar, "_FEW", 100)
    monkeypatch.setattr(planar, "_MANY", 100)
    a, b = lonely(40, 0.1)
    for other in (b, Density(Grid(box([0.0, 0.0], [1.0, 1.0]), (40, 40)), b.values)):
        with pytest.raises(NotConverged, match="Particles at the cells"):
            w2(a, other)


@pytest.mark.slow
def test_long_cells_are_no_matter_of_splines():
    """Noise on 80^2 cells twenty times as long as wide, too many pairs for POT: the answer is the plan on nodes."""
    draw, strip = np.random.default_rng(5), box([0.0, 0.0], [1.0, 0.05])
    a, b = (density(draw.random((80, 80)), strip) for _ in range(2))
    assert w2(a, b) ** 2 == pytest.approx(nodal(a, b).squared, rel=1e-12)


def test_few_cells_along_an_axis_are_no_matter_of_splines():
    """Noise on 7 x 60 cells: the plan on nodes to rounding, where splines would stop at a share of their tolerance."""
    draw = np.random.default_rng(6)
    a, b = (density(draw.random((7, 60)), box([0.0, 0.0], [0.7, 6.0])) for _ in range(2))
    assert w2(a, b) ** 2 == pytest.approx(nodal(a, b).squared, rel=1e-12)


def test_frozen_axes_are_neither_of_the_two_cases():
    """Sheets across which nothing moves: neither splines nor Laguerre cells, whichever of the two is frozen."""
    sheets, plane_ = Box((0.0, 0.0), (1.0, 1.0), (False, False), (True, False)), box([0.0, 0.0], [1.0, 1.0])
    on, off = (Density(Grid(domain, (2, 16)), np.ones(32)) for domain in (sheets, plane_))
    atoms = [Particles(domain, np.full((1, 2), 0.25)) for domain in (sheets, plane_)]
    assert planar.densities(off, off) is not None
    assert planar.atoms_and_density(atoms[1], off) is not None
    for pair in ((on, off), (off, on), (on, on)):
        assert planar.densities(*pair) is None
    for pair in ((atoms[0], off), (on, atoms[1]), (atoms[0], on), (atoms[1], atoms[1]), (off, off)):
        assert planar.atoms_and_density(*pair) is None


def test_dust_is_left_out():
    """A cell of mass 1 and 1e-17 in each other cell: one atom moves, and the distance is that of the two cells."""
    a, b = np.full((40, 40), 1e-17), np.full((40, 40), 1e-17)
    a[3, 9], b[37, 22] = 1.0, 1.0
    moved = between(density(a), density(b))
    assert len(moved.weights) == 1
    assert moved.squared == pytest.approx((34.0**2 + 13.0**2) / 40.0**2, rel=1e-12)


# Geodesics


def test_the_map_of_gaussians():
    """Every atom goes where Bures' linear map sends it: rms error below a tenth of a cell."""
    p, q = turned(0.3, 0.05, 0.09), turned(1.2, 0.06, 0.1)
    moved = between(bell(128, (-0.06, 0.0), p), bell(128, (0.06, 0.03), q))
    root = np.real(sqrtm(p))
    linear = np.linalg.inv(root) @ np.real(sqrtm(root @ q @ root)) @ np.linalg.inv(root)
    expected = (moved.start - [-0.06, 0.0]) @ linear.T + [0.06, 0.03]
    off = moved.start + moved.shift - expected
    assert math.sqrt(float(moved.weights @ np.sum(off**2, axis=1))) <= 0.1 / 128
    assert float(moved.weights @ np.sum(moved.shift**2, axis=1)) == pytest.approx(moved.squared, rel=1e-3)


def test_geodesics_run_at_constant_speed():
    """W2(at s, at t) = |s - t| W2 of densities half way and at the ends, to 1 %; mass and mean to 1e-6."""
    a, b = bell(128, (-0.1, -0.05), 0.05**2 * np.eye(2)), bell(128, (0.1, 0.05), 0.08**2 * np.eye(2))
    path = geodesic(a, b)
    assert path.length == pytest.approx(math.sqrt(0.05 + 2 * 0.03**2), rel=1e-4)
    half = path.density(0.5, a.grid)
    assert w2(a, half) == pytest.approx(0.5 * path.length, rel=1e-2)
    assert w2(half, b) == pytest.approx(0.5 * path.length, rel=1e-2)
    assert np.abs(half.weights @ half.points) == pytest.approx([0.0, 0.0], abs=1e-6)
    assert path.at(0.3).mass == pytest.approx(1.0, abs=1e-12)


def test_geodesics_on_one_axis():
    """Pieces: uniform on [0, 1] to uniform on [1, 3] by 1 + 2x; a circle the short way round."""
    domain = interval(0.0, 4.0)
    grid = Grid(domain, (40,))
    x = grid.centres[:, 0]
    a, b = (np.where((x > low) & (x < high), 1.0 / (high - low), 0.0) for low, high in ((0.0, 1.0), (1.0, 3.0)))
    path = geodesic(Density(grid, a), Density(grid, b))
    np.testing.assert_allclose(path.end, 1.0 + 2.0 * path.start, atol=1e-12)
    ring = Grid(circle(), (64,))
    values = np.exp(4.0 * np.cos(ring.centres[:, 0]))
    values /= values.sum() * ring.cell_volume
    around = geodesic(Density(ring, values), Density(ring, np.roll(values, -3)))
    # where there is hardly any mass it goes far: no translation of a circle is optimal
    assert around.weights[np.abs(around.shift[:, 0]) > 1.0].sum() <= 1e-2
    assert around.weights @ around.shift[:, 0] == pytest.approx(-3.0 * ring.widths[0], rel=1e-2)


def test_atoms_become_cells():
    """An atom at the middle of a cell: 9/16 of its mass there on two axes; mass 1; at a wall nothing is negative."""
    grid = Grid(box([0.0, 0.0], [1.0, 1.0]), (8, 8))
    atom = Particles(grid.domain, grid.centres[[27]])
    spread_out = geodesic(atom, atom).density(0.0, grid)
    assert spread_out.weights[27] == pytest.approx(9.0 / 16.0)
    corner = Particles(grid.domain, np.zeros((1, 2)))
    assert geodesic(corner, corner).density(0.0, grid).mass == pytest.approx(1.0, abs=1e-14)


@pytest.mark.slow
def test_a_torus_of_bells():
    """A bell on the torus, moved over its seam: on a circle the optimal map of a translation is none, and W2 less."""
    grid = Grid(torus(2), (64, 64))
    values = np.exp(4.0 * np.cos(grid.centres - [0.1, 3.0]).sum(axis=1)).reshape(64, 64)
    a, b = density(values, torus(2)), density(np.roll(values, (-6, 0), (0, 1)), torus(2))
    ring = Grid(circle(), (64,))
    line = values.sum(axis=1) / (values.sum() * ring.cell_volume)
    assert w2(a, b) == pytest.approx(w2(Density(ring, line), Density(ring, np.roll(line, -6))), rel=1e-3)


@pytest.mark.slow
def test_atoms_and_a_density_are_not_gathered():
    """One atom: the root of its mean squared distance from the piecewise constant density, h^2/12 an axis with it."""
    a = bell(64, (0.1, 0.0), 0.1**2 * np.eye(2))
    atom = Particles(a.domain, np.array([[-0.2, 0.3]]))
    exact = a.weights @ np.sum((a.points - atom.points) ** 2, axis=1) + 2.0 / 64**2 / 12.0
    assert w2(atom, a) ** 2 == pytest.approx(exact, rel=1e-12)
    assert w2(a, atom) == w2(atom, a)
    assert w2_floor(a, atom) == 0.0


@pytest.mark.parametrize("away", [(1.0, 0.0), (100.0, 0.0), (3.0, -1000.3)])
def test_far_windows(away):
    """A bell and the same one far away: the distance to 1e-9, at once; the geodesic is as long as its shifts say."""
    a = bell(32, (0.0, 0.0), 0.1**2 * np.eye(2))
    there = box([away[0] - 0.5, away[1] - 0.5], [away[0] + 0.5, away[1] + 0.5])
    b = bell(32, away, 0.1**2 * np.eye(2), there)
    moved = between(a, b)
    assert w2(a, b) == pytest.approx(math.hypot(*away), rel=1e-9)
    assert moved.weights @ np.sum(moved.shift**2, axis=1) == pytest.approx(moved.squared, rel=1e-9)


@pytest.mark.slow
def test_two_laws_far_apart():
    """Laws enter by windows of their own, on cells of a thousandth: still a translation."""
    a, b = (Product(Gaussian(m, 0.001), Gaussian(m, 0.001)) for m in (0.0, 10.0))
    assert w2(a, b) == pytest.approx(10.0 * math.sqrt(2.0), rel=1e-9)


@pytest.mark.parametrize("seed", range(60))
def test_any_pair_is_within_its_floor(seed):
    """Random shapes, boxes, walls and circles, rough and lonely densities: POT's W2 of the atoms, to one spread."""
    draw = np.random.default_rng(seed)
    lengths, turns = draw.choice([0.1, 1.0, 30.0], 2), tuple(bool(t) for t in draw.random(2) < 0.4)
    domain = Box((0.0, 0.0), tuple(map(float, lengths)), turns)
    pair = []
    for shape in (draw.integers(2, 30, 2), draw.integers(2, 30, 2)) if seed % 2 else (draw.integers(8, 30, 2),) * 2:
        values = draw.random(tuple(shape)) ** draw.choice([1.0, 8.0])
        if draw.random() < 0.3:
            values *= draw.random(tuple(shape)) < 0.2
            values[0, 0] += 1.0
        pair.append(density(values, domain))
    a, b = pair
    cost = np.sum(domain.difference(a.points[:, None], b.points[None]) ** 2, axis=2)
    atoms = math.sqrt(cheapest_plan(a.weights, b.weights, cost).cost)
    assert abs(w2(a, b) - atoms) <= 0.5 * w2_floor(a, b) + 1e-3 * atoms


def test_a_path_is_seen_on_its_own_domain_alone():
    """Another number of axes, cells that do not hold the path, and times beyond its ends are refused in words."""
    a = bell(16, (0.0, 0.0), 0.1**2 * np.eye(2))
    path = geodesic(a, a)
    with pytest.raises(Refused, match="give one domain"):
        path.density(0.5, Grid(interval(0.0, 1.0), (8,)))
    with pytest.raises(Refused, match="covers the path"):
        path.density(0.5, Grid(box([5.0, 5.0], [6.0, 6.0]), (8, 8)))
    with pytest.raises(ValueError, match="between 0 and 1"):
        path.density(2.0, a.grid)
