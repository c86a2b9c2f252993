"""What a repair after a map costs beyond the sum: a bound whatever the potential, and near with the right one."""

import math

import numpy as np
import pytest

from wflow.cross_term import Repair, Steered
from wflow.knothe import squared_bound
from wflow.relayed import carried_cost, joined_cost, relayed
from wflow.repaired import Boxes, repaired_bound
from wflow.spline.lattice import Sides

WALLS, TORUS = Sides(False, False), Sides(True, True)


def middles(n, h):
    return np.meshgrid((np.arange(n) + 0.5) * h, (np.arange(n) + 0.5) * h, indexing="ij")


def band(n, low, high):
    density = np.zeros((n, n))
    density[low:high, n // 4 : 3 * n // 4] = 1.0
    return density / density.sum()


@pytest.mark.parametrize("wrong", [0.0, 1.0, -3.0])
@pytest.mark.parametrize("jitter", [0.0, 0.6])
def test_whatever_the_potential_it_is_a_bound(wrong, jitter):
    """A block shifted by 6 cells from maps that go nearly all of the way and scatter; W2^2 = 36 h^2.

    Potentials: that of the map, none, and three times its opposite with waves besides. Never below.
    """
    n, h = 32, 0.1
    start, target = band(n, 4, 14), band(n, 10, 20)
    starts = np.argwhere(start > 0.0) + 0.5
    x, y = middles(n, h)
    for seed in range(4):
        draw = np.random.default_rng([11, seed])
        ends = starts + np.array([5.9, 0.0]) + jitter * draw.normal(size=starts.shape)
        boxes = Boxes(starts, ends, start[start > 0.0])
        phi = (1.0 - wrong) * -5.9 * h * x + abs(wrong) * 0.05 * np.sin(7.0 * x + 5.0 * y + seed)
        for sides in (WALLS, TORUS):
            bound = repaired_bound(boxes, target, (h, h), sides, phi)
            assert bound >= 36.0 * h * h * (1.0 - 1e-9)
            assert bound <= repaired_bound(boxes, target, (h, h), sides) * (1.0 + 1e-12)


@pytest.mark.parametrize("turned", [False, True])
def test_a_repair_across_the_way_costs_its_square(turned):
    """A block sent 3 cells on and a wave aside, s = .7 sin in cells, which the repair undoes: W2^2 = 9 h^2.

    C1 = 9 + <s^2> = 9.25, C2 at least .25, and the potential -3 h x misses s: 9.25 + .25 + 2 .5 .5 = 10 in all, by the
    triangle inequality 12.5. The flux costs a fifth more than the wave's square. The same with axes turned.
    """
    n, h = 48, 0.05
    start, target = band(n, 6, 30), band(n, 9, 33)
    starts = np.argwhere(start > 0.0) + 0.5
    aside = 0.7 * np.sin(2.0 * math.pi * (starts[:, 1] - 12.0) / 12.0)
    ends, masses = starts + np.stack([np.full(len(starts), 3.0), aside], axis=1), start[start > 0.0]
    x, _ = middles(n, h)
    if turned:
        starts, ends, start, target, x = starts[:, ::-1], ends[:, ::-1], start.T, target.T, x.T
    boxes = Boxes(np.ascontiguousarray(starts), np.ascontiguousarray(ends), masses)
    alone = repaired_bound(boxes, target, (h, h), WALLS) / h**2
    steered = repaired_bound(boxes, target, (h, h), WALLS, -3.0 * h * x) / h**2
    assert squared_bound(start, target, (h, h), (False, False)) == pytest.approx(9.0 * h * h, rel=1e-9)
    assert alone >= 12.4
    assert 9.0 <= steered <= 10.6


def test_the_cross_term_is_that_of_paths():
    """Phi = a.x + x.K x/2 as a spline, a displaced block: - 2 int (x - y).(z - y) of a repair that is a translation.

    u = grad Phi + e with e constant: the bound is 2 int Phi d(a - b) + 2 |e| |d| + |K| |d|^2 for paths of length |d|;
    the term itself - 2 (mean grad Phi + e).d. Equal but for `spread` where e and d are opposite and K d = |K| d.
    """
    n, h = 24, 0.1
    before, after = band(n, 6, 10), band(n, 8, 12)
    x, y = middles(n, h)
    d, e = np.array([2.0 * h, 0.0]), np.array([-0.3, 0.0])
    for bend in (-0.7, 0.4):
        # a quadratic spline with nodal coefficients of a quadratic is that quadratic and a constant
        phi = 0.2 * x + 0.5 * bend * x * x - 0.1 * y
        steered = Steered.of(phi, (h, h), WALLS)
        slope = np.stack([0.2 + bend * x, np.full_like(x, -0.1)])
        came, costs = before, before * float(d @ d)
        back = came * (slope + e[:, None, None])
        spread = float((came * (bend * h) ** 2).sum()) / 12.0  # of grad Phi within cells, which u has not
        bound = steered.cross(came, back, Repair(before, after, costs, 0.0, 0.0))
        true = -2.0 * float((back[0] * d[0]).sum() + (back[1] * d[1]).sum())
        rest = 2.0 * math.hypot(0.3, math.sqrt(spread)) * float(d[0])
        assert bound >= true - 1e-12
        falls = 2.0 * float(((0.2 * x + 0.5 * bend * x * x) * (before - after)).sum())
        assert bound == pytest.approx(falls + rest + abs(bend) * float(d @ d), rel=1e-9)
        if bend > 0.0:
            assert bound == pytest.approx(true, rel=1e-2)


def test_relays_leave_regions_with_what_they_are_to_have():
    """Random islands on 30 x 20 cells: masses stay, none is negative, and each region but the largest ends right."""
    draw = np.random.default_rng(12)
    for _ in range(10):
        region = np.full((30, 20), -1)
        for k in range(9):
            i, j = 3 * k + 1, int(draw.integers(0, 14))
            region[i : i + 2, j : j + int(draw.integers(1, 7))] = k
        a, b = (np.where(region >= 0, draw.random((30, 20)), 0.0) for _ in range(2))
        b *= a.sum() / b.sum()
        now = relayed(a, b, region, (0.1, 0.2))
        assert now.min() >= 0.0
        assert now.sum() == pytest.approx(a.sum(), rel=1e-12)
        off = [abs(float((now - b)[region == k].sum())) for k in range(9)]
        assert sum(one > 1e-9 for one in off) == 0


def test_mass_goes_through_a_large_region_and_not_across_it():
    """Islands at both ends of a long block, one with m too much and one with as much too little.

    Carried straight it would cost m 40^2 h^2; it is given to the block, which gives as much at its other end: two ways
    of two cells. The nearest way of all: no plan between islands and block is shorter than two cells each.
    """
    region, a, b = np.full((48, 5), -1), np.zeros((48, 5)), np.zeros((48, 5))
    region[2:4, 2], region[5:43, :], region[44:46, 2] = 0, 1, 2
    a[region == 0], a[region == 1], a[region == 2] = 0.02, 1.0, 0.01
    b[region == 0], b[region == 1], b[region == 2] = 0.01, 1.0, 0.02
    now = relayed(a, b, region, (0.1, 0.1))
    cost = carried_cost(a - now, (0.1, 0.1))
    assert 0.04 * 0.2**2 * (1.0 - 1e-9) <= cost <= 0.04 * 0.35**2
    assert cost <= joined_cost(a - now, (0.1, 0.1)) * (1.0 + 1e-12)
    np.testing.assert_array_equal(now[region == -1], 0.0)


def test_thin_bridges_carry_no_flux():
    """Two blocks joined by a bridge of 1e-5 of their density; a hundredth is to pass: what is thin is leapt over."""
    n, h = 32, 0.05
    start, target = np.zeros((n, n)), np.zeros((n, n))
    start[4:12, 8:24], start[12:16, 15], start[16:24, 8:24] = 1.01, 1e-5, 0.99
    target[4:12, 8:24], target[12:16, 15], target[16:24, 8:24] = 0.99, 1e-5, 1.01
    start, target = start / start.sum(), target / target.sum()
    starts = np.argwhere(start > 0.0) + 0.5
    boxes = Boxes(starts, starts, start[start > 0.0])
    through = repaired_bound(boxes, target, (h, h), WALLS)
    leapt = repaired_bound(boxes, target, (h, h), WALLS, thin=1e-2)
    assert leapt < 0.5 * through
    assert leapt >= 0.01 * (4.0 * h) ** 2 * 0.98  # a hundredth of all goes four cells at least
