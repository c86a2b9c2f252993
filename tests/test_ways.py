"""Straight ways beside closed cells: past a disc and a corner they are let through, through a wall not."""

import math

import numpy as np
import pytest

from solvers.jko import Spline
from wflow import Congestion, Energy, Flow, NotConverged, Obstacle, Potential, Product, box, interval, solve
from wflow.steps import Steps
from wflow.ways import barred, meeting

WALLS, TORUS = (False, False), (True, True)


def disc(n, radius):
    x, y = np.indices((n, n)) + 0.5
    return np.hypot(x - n / 2, y - n / 2) < radius


def test_chords_of_a_disc_can_go_round():
    """Chords of length up to half the radius, anywhere on the rim, all directions: none is barred; long ones are."""
    n, radius = 60, 16.0
    closed, middle = disc(n, radius), n / 2
    angles = np.linspace(0.0, 2.0 * math.pi, 73)[:-1]
    half = math.asin(0.25)
    rim = radius + 1.0
    starts = middle + rim * np.stack([np.cos(angles - half), np.sin(angles - half)], axis=1)
    ends = middle + rim * np.stack([np.cos(angles + half), np.sin(angles + half)], axis=1)
    assert not np.any(barred(closed, starts, ends, WALLS))
    # through the middle of a wall that is as long as the room nobody goes round
    across = np.array([[10.5, 30.5]]), np.array([[13.5, 30.5]])
    wall = np.zeros((n, n), dtype=bool)
    wall[11:13] = True
    assert np.all(barred(wall, *across, WALLS))


def test_ways_meet_a_disc_where_their_distance_to_its_middle_says_so():
    """Random ways of up to 12 cells beside a disc of radius 12: met a cell inside the radius, missed a cell outside."""
    n, radius = 60, 12.0
    draw = np.random.default_rng(4)
    starts = draw.uniform(8.0, 52.0, size=(2000, 2))
    ends = starts + draw.uniform(-8.0, 8.0, size=starts.shape)
    way = ends - starts
    share = np.clip(np.sum((n / 2 - starts) * way, axis=1) / np.sum(way * way, axis=1), 0.0, 1.0)
    away = np.hypot(*(starts + share[:, None] * way - n / 2).T)
    met = meeting(disc(n, radius), starts, ends, WALLS)
    assert np.all(met[away < radius - 1.0]) and not np.any(met[away > radius + 1.0])
    assert 300 < met.sum() < 1700
    np.testing.assert_array_equal(meeting(np.zeros((n, n), dtype=bool), starts, ends, WALLS), False)


@pytest.mark.parametrize("thick", [1, 2])
def test_a_wall_lets_through_at_its_door_only(thick):
    """A wall of one or two rows with a door: straight ways of 4 cells pass in the door and beside it, not elsewhere."""
    n = 40
    closed = np.zeros((n, n), dtype=bool)
    closed[20 : 20 + thick] = True
    closed[:, 18:22] = False
    y = np.arange(n) + 0.5
    starts, ends = np.stack([np.full(n, 18.5), y], axis=1), np.stack([np.full(n, 22.5), y], axis=1)
    shut = barred(closed, starts, ends, WALLS)
    assert not np.any(shut[18:22])
    assert np.all(shut[:12]) and np.all(shut[28:])


def test_ways_that_meet_nothing_are_open():
    """No closed cell on the way; and ways that stop in front of the wall."""
    closed = np.zeros((30, 30), dtype=bool)
    closed[15] = True
    starts = np.array([[3.5, 3.5], [10.5, 4.5]])
    assert not np.any(barred(closed, starts, starts + np.array([[4.0, 2.0], [3.9, 1.0]]), WALLS))
    assert not np.any(barred(np.zeros((30, 30), dtype=bool), starts, starts + 10.0, WALLS))
    assert barred(closed, np.zeros((0, 2)), np.zeros((0, 2)), WALLS).shape == (0,)


def test_an_end_inside_counts_as_the_nearest_open_cell():
    """A way into the rim of a disc is open, one into the far half of a wall is not."""
    closed = np.zeros((30, 30), dtype=bool)
    closed[14:18] = True
    starts = np.array([[12.5, 15.5], [12.5, 15.5]])
    ends = np.array([[14.9, 15.5], [17.2, 15.5]])
    np.testing.assert_array_equal(barred(closed, starts, ends, WALLS), [False, True])


def test_ways_go_on_over_the_seam():
    """On a torus the answer does not depend on where it is cut: a wall with a door, turned by any number of cells."""
    n = 24
    closed = np.zeros((n, n), dtype=bool)
    closed[12:14] = True
    closed[:, 3:6] = False
    draw = np.random.default_rng(8)
    starts = draw.uniform(0.0, n, size=(300, 2))
    starts = starts[~closed[*np.floor(starts).astype(int).T]]
    ends = starts + draw.uniform(-4.0, 4.0, size=starts.shape)
    first = barred(closed, starts, ends, TORUS)
    assert 5 < first.sum() < len(starts) - 5
    for turn in ((7, 0), (0, 20), (13, 5)):
        # starts are brought back into the first period, ends go with them
        moved = np.mod(starts + turn, n)
        again = barred(np.roll(closed, turn, axis=(0, 1)), moved, moved + (ends - starts), TORUS)
        np.testing.assert_array_equal(again, first)


@pytest.mark.slow
def test_nobody_passes_a_wall_that_hangs_on_a_block():
    """From floor to ceiling, .03 thick, joined to a block .34 thick: no step takes mass to the other side.

    The block makes the obstacle count as thick; a quarter of that is three times the wall.
    """
    room, side = box((0.0, 0.0), (1.0, 1.0)), interval(0.0, 1.0)
    walls = Obstacle.block((0.485, -1.0), (0.515, 2.0)), Obstacle.block((0.45, -1.0), (0.80, 0.34))
    energy = Energy(Potential.linear((-1.0, 0.0)), Congestion(8.0), *walls)
    left, above = (Steps(side, np.array(ends), np.array([1.0])) for ends in ((0.04, 0.44), (0.4, 1.0)))
    flow = Flow(energy, room, Product(left, above), 0.5)
    with pytest.raises(NotConverged, match="cannot go round"):
        solve(flow, Spline(50), steps=10)
