"""Boxes: the short way round, walls that a velocity slides along, and grids whose cells cover them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow import Box, Grid, box, circle, interval, line, torus

TURN = 2.0 * math.pi
ANGLES = st.lists(st.floats(-100, 100), min_size=1, max_size=5)
MIXED = Box((0.0, -1.0, -math.inf), (TURN, 2.0, math.inf), (True, False, False))


def column(numbers):
    """(m, 1)."""
    return np.array(numbers, dtype=float)[:, None]


def test_a_box_of_lists_is_that_of_tuples() -> None:
    """Boxes and grids are keys of caches."""
    again = Box([0.0], np.array([1.0]), [True])  # type: ignore[arg-type]
    assert again == Box((0.0,), (1.0,), (True,)) and hash(again) == hash(Box((0.0,), (1.0,), (True,)))


@pytest.mark.slow
@given(ANGLES)
def test_wrapping_lands_in_the_turn(angles):
    """0 <= wrap(theta) < 2 pi, even for angles a rounding below zero."""
    wrapped = circle().wrap(column([*angles, -1e-300, -1e-17, TURN]))
    assert np.all((wrapped >= 0.0) & (wrapped < TURN))


@given(ANGLES)
def test_wrapping_is_a_whole_number_of_turns(angles):
    """e^{i wrap(theta)} = e^{i theta}, to the rounding of angles up to 100."""
    theta = column(angles)
    np.testing.assert_allclose(np.exp(1j * circle().wrap(theta)), np.exp(1j * theta), rtol=0.0, atol=1e-13)


@given(ANGLES, st.floats(-100, 100))
def test_difference_on_the_circle_is_the_short_way(angles, b):
    """|a - b| <= pi, and e^{i(a - b)} = e^{ia} e^{-ib}."""
    a = column(angles)
    d = circle().difference(a, np.array([b]))
    assert np.max(np.abs(d)) <= math.pi + 1e-12
    np.testing.assert_allclose(np.exp(1j * d), np.exp(1j * (a - b)), rtol=0.0, atol=1e-12)


@given(ANGLES, st.floats(-100, 100), st.floats(-100, 100))
def test_distance_on_the_circle_obeys_the_triangle(angles, b, c):
    """d(a, c) <= d(a, b) + d(b, c)."""
    a, domain = column(angles), circle()
    through = domain.distance(a, np.array([b])) + domain.distance(np.array([[b]]), np.array([c]))
    assert np.all(domain.distance(a, np.array([c])) <= through + 1e-12)


def test_axes_are_treated_each_by_its_kind():
    """A periodic, a walled and an infinite axis: the short way, the plain difference, the plain difference."""
    a, b = np.array([[6.0, 1.5, 40.0]]), np.array([[0.5, -0.5, -40.0]])
    np.testing.assert_allclose(MIXED.difference(a, b), [[5.5 - TURN, 2.0, 80.0]], rtol=1e-15)


def test_retraction_is_the_nearest_point_of_the_box():
    """Walled coordinates are clipped; periodic ones stay lifted; infinite ones stay."""
    w = np.array([[9.0, 3.0, 1e9], [-9.0, -3.0, -1e9]])
    np.testing.assert_array_equal(MIXED.retract(w), [[9.0, 2.0, 1e9], [-9.0, -1.0, -1e9]])


WALLS = [
    ((0.0, 0.5), (-1.0, 2.0), (0.0, 2.0)),
    ((1.0, 0.5), (1.0, -2.0), (0.0, -2.0)),
    ((1.0, 1.0), (1.0, 1.0), (0.0, 0.0)),
    ((0.0, 1.0), (1.0, -1.0), (1.0, -1.0)),
    ((0.5, 0.5), (1.0, -1.0), (1.0, -1.0)),
]


@pytest.mark.parametrize(("w", "velocity", "kept"), WALLS)
def test_a_velocity_slides_along_walls(w, velocity, kept):
    """Of a velocity at a wall only the part that leaves is dropped, axis by axis (unit square)."""
    slid = box([0, 0], [1, 1]).slide(np.array([w]), np.array([velocity]))
    np.testing.assert_array_equal(slid, [kept])


def test_a_turn_has_no_wall():
    """Angle 0 lets every velocity pass."""
    np.testing.assert_array_equal(circle().slide(np.zeros((1, 1)), np.array([[-1.0]])), [[-1.0]])


@pytest.mark.parametrize("domain", [interval(-1.0, 3.0), circle(), torus(2), box([0, 1], [2, 4])], ids=str)
def test_cells_cover_the_domain(domain):
    """m cells of equal volume h_1 ... h_d, m h_1 ... h_d = volume, centres symmetric in the box."""
    grid = Grid(domain, tuple(range(4, 4 + domain.dim)))
    assert grid.size * grid.cell_volume == pytest.approx(float(np.prod(domain.lengths)), rel=1e-14, abs=0.0)
    np.testing.assert_allclose(grid.centres.mean(axis=0), np.asarray(domain.lower) + domain.lengths / 2, rtol=1e-14)


def test_cells_are_raveled_in_c_order():
    """The last axis runs fastest."""
    centres = Grid(box([0, 0], [1, 1]), (2, 2)).centres
    np.testing.assert_array_equal(centres, [[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]])


@pytest.mark.parametrize(
    ("domain", "bounded", "is_circle"),
    [
        (line(), False, False),
        (interval(0, TURN), True, False),
        (circle(), True, True),
        (torus(2), True, False),
        (Box((0.0,), (1.0,), (True,)), True, False),
    ],
    ids=str,
)
def test_only_one_periodic_axis_of_one_turn_is_the_circle(domain, bounded, is_circle):
    """What methods ask of a domain: can a grid cover it, and is it the circle of length 2 pi."""
    assert (domain.bounded, domain.is_circle) == (bounded, is_circle)
