"""Domains that are no boxes: walls of planar regions, great circles of the sphere; who refuses them."""

import math

import numpy as np
import pytest

from solvers.finite_volume import Muscl
from wflow import (
    Energy,
    Flow,
    Potential,
    Refused,
    Sphere,
    Uniform,
    annulus,
    box,
    disk,
    plane,
    polygon,
    punched,
    solve,
    space,
    sphere,
)
from wflow.curves import Corners, Ring
from wflow.shapes import Planar

L = polygon((0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (1.0, 1.0), (1.0, 2.0), (0.0, 2.0))
SHAPES = {
    "disk": disk(1.5, (0.2, -0.1)),
    "annulus": annulus(0.4, 1.0),
    "L": L,
    "punched": punched((-1.0, -1.0), (1.0, 2.0), (0.2, 0.1), 0.3),
}


def spread(domain, m, seed):
    """m points of the box around a domain and a tenth beyond it."""
    rng = np.random.default_rng(seed)
    low, high = np.asarray(domain.lower), np.asarray(domain.upper)
    return low - 0.1 * (high - low) + 1.2 * (high - low) * rng.random((m, domain.dim))


@pytest.mark.parametrize("name", SHAPES)
def test_volume_is_the_share_of_points_inside(name):
    """Four standard errors of 40000 draws."""
    domain = SHAPES[name]
    inside = domain.outside(spread(domain, 40000, 0)) < 0.0
    around = 1.44 * float(np.prod(domain.lengths))
    share = domain.volume / around
    assert abs(inside.mean() - share) <= 4.0 * math.sqrt(share * (1.0 - share) / len(inside))


@pytest.mark.parametrize("name", SHAPES)
def test_outside_is_the_distance_that_retract_goes(name):
    """Outside points land on the wall, as far as `outside` says; inside points stay."""
    domain = SHAPES[name]
    w = spread(domain, 2000, 1)
    depth, back = domain.outside(w), domain.retract(w)
    assert np.all(np.abs(domain.outside(back)[depth > 0.0]) <= 1e-12)
    np.testing.assert_allclose(np.linalg.norm(back - w, axis=1), np.maximum(depth, 0.0), atol=1e-12)
    np.testing.assert_array_equal(back[depth <= 0.0], w[depth <= 0.0])


@pytest.mark.slow
def test_nearest_point_of_an_l_by_brute_force():
    """Against 40000 points of its walls: none is nearer, and one is as near but for their spacing."""
    corners = np.asarray(L.outer.points)
    along = np.linspace(0.0, 1.0, 5001)[:, None]
    walls = np.concatenate([a + along * (b - a) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)])
    w = spread(L, 300, 2)
    nearest = np.linalg.norm(w[:, None] - walls, axis=2).min(axis=1)
    found = np.abs(L.outside(w))
    assert np.all(found <= nearest + 1e-12)
    assert np.all(found >= nearest - 2e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_velocity_slides_along_walls(name):
    """At the wall nothing leaves and the tangent part stays; inside nothing changes."""
    domain = SHAPES[name]
    rng = np.random.default_rng(3)
    w = spread(domain, 500, 4)
    at_wall = domain.outside(w) > 0.0
    w = domain.retract(w)
    velocity = rng.standard_normal(w.shape)
    slid = domain.slide(w, velocity)
    np.testing.assert_array_equal(slid[~at_wall], velocity[~at_wall])
    step = 1e-6
    assert np.all(domain.outside(w + step * slid)[at_wall] <= 1e-11)
    # an orthogonal projection: what is taken away is normal to what stays
    assert np.max(np.abs(np.sum(slid * (velocity - slid), axis=1))) <= 1e-12


def test_great_circles():
    """Quarter turns, antipodes and near points keep their digits."""
    s = sphere()
    poles = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    np.testing.assert_allclose(
        s.distance(poles[:, None], poles[None]) * 2.0 / math.pi, [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    )
    near = s.retract(np.array([[1e-9, 0.0, 1.0]]))
    assert s.distance(near, poles[:1])[0] == pytest.approx(1e-9, rel=1e-14)


def test_difference_is_the_logarithm():
    """exp_b(difference) = a for the exponential cos(r) b + sin(r) u, of any pair."""
    s, rng = sphere(), np.random.default_rng(5)
    a, b = s.retract(rng.standard_normal((2, 400, 3)))
    way = s.difference(a, b)
    r = np.linalg.norm(way, axis=1, keepdims=True)
    np.testing.assert_allclose(np.cos(r) * b + np.sin(r) * way / r, a, atol=1e-14)
    np.testing.assert_allclose(s.distance(a, b), np.arccos(np.sum(a * b, axis=1)), atol=1e-7)
    opposite = s.difference(-b, b)
    np.testing.assert_allclose(np.linalg.norm(opposite, axis=1), math.pi, rtol=1e-14)
    assert np.max(np.abs(np.sum(opposite * b, axis=1))) <= 1e-14


def test_metrics_that_are_alike():
    """Regions of the plane have the plane's, the sphere has its own."""
    assert disk().alike(plane()) and plane().alike(box((0, 0), (1, 1))) and L.alike(disk())
    assert not sphere().alike(space(3)) and not disk().alike(space(3)) and Sphere().alike(sphere())


@pytest.mark.parametrize("domain", [L, punched((-1.0, -1.0), (2.0, 2.0), (0.3, 0.2), 0.6), disk(1.3, (0.5, 0.5))])
def test_inside_is_not_outside(domain):
    """Everywhere, walls and corners included; sides that lie level with points too."""
    rng = np.random.default_rng(0)
    w = np.concatenate([rng.uniform(-1.5, 2.5, (400, 2)), np.round(rng.uniform(-1.0, 2.0, (200, 2)) * 2.0) / 2.0])
    w = np.concatenate([w, domain.retract(w[:200])])
    assert np.array_equal(domain.inside(w), domain.outside(w) <= 0.0)
    assert 100 < domain.inside(w).sum() < 700


def test_a_polygon_of_many_sides_encloses_as_its_wall_says():
    """A star of 301 corners and three loops of comb teeth, against the sign of the distance to all sides."""
    turns = 2.0 * math.pi * np.arange(301) / 301
    radius = 1.0 + 0.3 * np.cos(7.0 * turns) + 0.02 * np.cos(150.0 * turns)
    star = Corners(tuple(zip((radius * np.cos(turns)).tolist(), (radius * np.sin(turns)).tolist(), strict=True)))
    teeth = [(float(k), 0.0 if k % 2 else 5.0) for k in range(9, -1, -1)]
    comb = Corners(((0.0, -1.0), (9.0, -1.0), *teeth))
    rng = np.random.default_rng(1)
    for curve, low, high in ((star, -1.5, 1.5), (comb, -2.0, 10.0)):
        w = rng.uniform(low, high, (3000, 2))
        assert np.array_equal(curve.encloses(w), curve.wall(w)[0] < 0.0)
        assert 300 < curve.encloses(w).sum() < 2700


def test_the_widest_angle_between_walls():
    """Inwards of the L's corner 3 pi/2, of a square 1; outwards of a hole with corners 2 pi less theirs; else pi."""
    square = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    assert L.widest == pytest.approx(1.5 * math.pi, rel=1e-14)
    assert polygon(*square).widest == disk().widest == annulus(0.2, 1.0).widest == sphere().widest == math.pi
    assert Planar(Ring(5.0), (Corners(square),)).widest == pytest.approx(1.5 * math.pi, rel=1e-14)
    turns = 2.0 * math.pi * np.arange(9) / 9
    nine = Corners(tuple(zip(np.cos(turns).tolist(), np.sin(turns).tolist(), strict=True)))
    np.testing.assert_allclose(nine.angles, 7.0 / 9.0 * math.pi, rtol=1e-13)
    arrow = Corners(((0.0, 0.0), (1.0, -1.0), (0.0, 2.0), (-1.0, -1.0)))
    assert arrow.angles[0] == pytest.approx(1.5 * math.pi) and arrow.angles.sum() == pytest.approx(2.0 * math.pi)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Ring(-1.0), "Ring radius"),
        (lambda: Corners(((0, 0), (1, 0))), "at least 3"),
        (lambda: Corners(((0, 0), (0, 1), (1, 0))), "counterclockwise"),
        (lambda: annulus(2.0, 1.0), "reaches beyond"),
        (lambda: Planar(Ring(1.0), (Ring(0.2, (0.9, 0.0)),)), "reaches beyond"),
        (lambda: disk(1.0, (1.0,)), "not a point of the plane"),
        (lambda: sphere().retract(np.zeros((1, 3))), "no nearest point"),
    ],
)
def test_doors(make, word):
    """What the message names."""
    with pytest.raises(ValueError, match=word):
        make()


def test_methods_that_need_a_box_say_so():
    """Also Flow.grid itself."""
    flow = Flow(Energy(Potential.quadratic(1.0)), disk(), Uniform(disk()), 1.0)
    with pytest.raises(Refused, match="is no box"):
        solve(flow, Muscl(cells=8))
    with pytest.raises(Refused, match="has no grid"):
        flow.grid(8)
