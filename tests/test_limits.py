"""Bounds of a density: what they say of cells, how F sees them, who takes them, and U* below them by brute force."""

import math

import numpy as np
import pytest

from solvers.jko import Spline
from solvers.jko._price import Price
from wflow import (
    Box,
    Congestion,
    Density,
    Energy,
    Entropy,
    Flow,
    Grid,
    Obstacle,
    Particles,
    Potential,
    Power,
    Refused,
    Uniform,
    box,
    circle,
    interval,
    solve,
)
from wflow.app.methods import FURTHER, METHODS
from wflow.limits import joint_bound, thinnest

SQUARE = box((0.0, 0.0), (1.0, 1.0))


def test_limits_are_the_least_of_all():
    """A disc, a wall with a door, and congestion: 0 inside, else the largest density."""
    grid = Grid(SQUARE, (40, 40))
    wall = [Obstacle.block((0.45, -1.0), (0.55, 0.4)), Obstacle.block((0.45, 0.6), (0.55, 2.0))]
    bound = joint_bound([Congestion(3.0), *wall, Obstacle.disc((0.2, 0.5), 0.1)], grid)
    x, y = grid.centres.T
    shut = (np.hypot(x - 0.2, y - 0.5) < 0.1) | ((abs(x - 0.5) < 0.05) & (abs(y - 0.5) > 0.1))
    np.testing.assert_array_equal(bound, np.where(shut, 0.0, 3.0))
    assert np.all(np.isinf(joint_bound([], grid)))


@pytest.mark.parametrize(
    ("obstacle", "thickness"),
    [
        (Obstacle.disc((0.5, 0.5), 0.2), 0.4),
        (Obstacle.block((0.4, 0.2), (0.6, 0.9)), 0.2),
        (Obstacle.block((0.5, 0.0), (0.51, 0.9)), 0.01),
        (Obstacle.block((-1.0, -1.0), (0.1, 0.3)), 0.1),
    ],
    ids=["disc", "wall", "one row of cells", "corner"],
)
def test_obstacles_are_as_thick_as_their_deepest_point(obstacle, thickness):
    """Twice the radius of the largest disc inside: no more, and less by at most two cells; the thinnest counts."""
    grid = Grid(SQUARE, (100, 100))
    assert thickness - 0.022 <= thinnest([obstacle], grid) <= thickness + 1e-12
    both = thinnest([Obstacle.disc((0.8, 0.1), 0.03), Obstacle.disc((0.2, 0.6), 0.2)], grid)
    assert 0.06 - 0.022 <= both <= 0.06
    assert thinnest([Congestion(2.0)], grid) == math.inf


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("axis", [0, 1])
def test_walls_of_long_cells_have_a_thickness(axis, rows):
    """On cells four times as long as wide: no thicker than their rows of them, no thinner than a cell; it was < 0."""
    grid = Grid(box((0.0, 0.0), (4.0, 1.0)), (20, 20))
    w = grid.widths[axis]
    low, high = [-1.0, -1.0], [5.0, 2.0]
    low[axis], high[axis] = 4 * w, (4 + rows) * w
    assert 0.05 - 1e-12 <= thinnest([Obstacle.block(low, high)], grid) <= rows * w + 1e-12


@pytest.mark.parametrize("centre", [0.1, 2.0 * math.pi - 0.1, 6.6, -0.1])
def test_obstacles_go_round_periodic_axes(centre):
    """A disc at the seam of a circle, and of one axis of a cylinder: cells by their distance the short way round."""
    apart = np.angle(np.exp(1j * (Grid(circle(), (50,)).centres[:, 0] - centre)))
    bound = Obstacle.disc([centre], 0.4).bound(Grid(circle(), (50,)))
    np.testing.assert_array_equal(bound == 0.0, np.abs(apart) < 0.4)
    grid = Grid(Box((0.0, 0.0), (2.0 * math.pi, 1.0), (True, False)), (50, 20))
    apart = np.angle(np.exp(1j * (grid.centres[:, 0] - centre)))
    shut = Obstacle.disc([centre, 0.0], 0.4).bound(grid) == 0.0
    np.testing.assert_array_equal(shut, np.hypot(apart, grid.centres[:, 1]) < 0.4)


def test_energies_are_infinite_above_a_limit():
    """To a share of 1e-8; below it F is that of the other terms."""
    grid = Grid(interval(0.0, 1.0), (4,))
    energy = Energy(Potential.linear(1.0), Congestion(2.0), Obstacle.disc([0.125], 0.1))
    full = Density(grid, np.array([0.0, 2.0, 2.0, 0.0]))
    assert energy.value(full) == energy.smooth(full) == pytest.approx(0.5)
    near = Density(grid, np.array([0.0, 2.0 + 1e-9, 2.0 - 1e-9, 0.0]))
    above = Density(grid, np.array([0.0, 2.0 + 1e-7, 2.0 - 1e-7, 0.0]))
    assert math.isfinite(energy.value(near)) and energy.value(above) == math.inf
    assert energy.value(Density(grid, np.array([1e-6, 2.0, 2.0 - 1e-6, 0.0]))) == math.inf
    with pytest.raises(Refused, match="Particles has no cells"):
        energy.value(Particles(interval(0.0, 1.0), np.array([[0.5]])))


def test_methods_that_do_not_see_limits_refuse_them():
    """Each method of the house that takes the flow without them; in words that name a method that sees them."""
    plain = Flow(Energy(Potential.quadratic(1.0), Entropy(0.1)), interval(-1.0, 1.0), Uniform(interval(-1.0, 1.0)), 1.0)
    limited = Energy(*plain.energy.terms, *plain.energy.internal, Congestion(2.0))
    crowded = Flow(limited, plain.domain, plain.initial, 1.0)
    took = [method for method in (*METHODS, *FURTHER) if method.refusal(plain) is None]
    assert len(took) >= 8
    for method in took:
        reason = method.refusal(crowded)
        assert reason is None if type(method) is Spline else "use jko.Spline" in reason, method
    with pytest.raises(Refused, match="limits the density"):
        solve(crowded, next(m for m in took if type(m) is not Spline), steps=1)


def test_wrong_limits_are_named():
    """By the argument, the value and the remedy."""
    with pytest.raises(ValueError, match="Congestion most"):
        Congestion(0.0)
    with pytest.raises(ValueError, match="Obstacle radius"):
        Obstacle.disc((0.0, 0.0), -1.0)
    with pytest.raises(ValueError, match="not below upper"):
        Obstacle.block((0.0, 1.0), (1.0, 0.5))
    with pytest.raises(ValueError, match="2 terms Congestion"):
        Energy(Congestion(1.0), Congestion(2.0))
    with pytest.raises(ValueError, match="one truth value for each row"):
        joint_bound([Obstacle(lambda w: w[:, 0])], Grid(SQUARE, (4, 4)))
    for alone in (Obstacle.disc([0.5], 0.3), Obstacle.block([0.1], [0.6])):
        with pytest.raises(ValueError, match="it has 1 axes, the domain 2"):
            alone.bound(Grid(SQUARE, (8, 8)))


@pytest.mark.parametrize("thin", [Obstacle.block([0.49], [0.51]), Obstacle.disc([2.0], 0.5)], ids=["thin", "outside"])
def test_obstacles_that_hold_no_cell_are_refused(thin):
    """A wall between the middles of two cells: mass went on as if it were not there."""
    domain = interval(0.0, 1.0)
    flow = Flow(Energy(Potential.linear(1.0), Congestion(2.0), thin), domain, Uniform(domain), 1.0)
    with pytest.raises(Refused, match="the middle of no cell is inside"):
        solve(flow, Spline(50), steps=1)


def test_a_start_above_a_limit_is_refused():
    """By its cell."""
    domain = interval(0.0, 1.0)
    flow = Flow(Energy(Potential.linear(1.0), Congestion(1.5), Obstacle.disc([0.5], 0.2)), domain, Uniform(domain), 1.0)
    with pytest.raises(Refused, match=r"initial: its average is 1 > 0"):
        solve(flow, Spline(16), steps=1)


def test_an_obstacle_alone_is_no_bound():
    """Without entropy, power and congestion mass may pile up: refused."""
    domain = interval(0.0, 1.0)
    flow = Flow(Energy(Potential.linear(1.0), Obstacle.disc([0.5], 0.2)), domain, Uniform(domain), 1.0)
    assert "Congestion" in Spline(16).refusal(flow)


TERMS = {
    "entropy": (Entropy(0.3),),
    "power": (Power(2.5, 0.7),),
    "both": (Entropy(0.2), Power(2.0, 0.4)),
    "centre": (),
}


@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS)
def test_conjugates_are_suprema(terms):
    """U*(q) = sup_{0 <= r <= bound} q r - U(r) on 220000 points of [0, bound], and its slope.

    Bounds of 0 (an obstacle), 1.3 and none; the derivative of the sum by central differences.
    """
    draw = np.random.default_rng(4)
    q, field = draw.normal(0.3, 0.5, size=(2, 30, 1))
    bound = np.where(np.arange(30) % 3 == 0, 0.0, np.where(np.arange(30) % 3 == 1, 1.3, 6.0 if not terms else np.inf))
    centre = None if terms else np.minimum(draw.uniform(0.0, 2.0, size=(30, 1)), bound[:, None])
    price = Price(terms, field, bound[:, None], centre, 0.8)

    def own(r, k):
        total = np.zeros_like(r) if terms else 0.4 * (r - centre[k, 0]) ** 2
        for term in terms:
            if isinstance(term, Entropy):
                total = total + term.temperature * np.where(r > 0.0, r * np.log(np.maximum(r, 1e-300)), 0.0)
            else:
                total = total + term.strength * r**term.exponent / (term.exponent - 1.0)
        return total

    total, rho, bend = price(q + field)
    best, where = np.empty(30), np.empty(30)
    for k in range(30):
        top = min(bound[k], 5000.0)
        r = np.union1d(np.linspace(0.0, top, 200001), top * np.geomspace(1e-12, 1.0, 20001))
        gains = q[k, 0] * r - own(r, k)
        best[k], where[k] = gains.max(), r[gains.argmax()]
    assert total == pytest.approx(best.sum(), abs=1e-5)
    np.testing.assert_allclose(rho[:, 0], where, rtol=2e-3, atol=1e-5)
    step = 1e-6
    ahead, behind = price(q + field + step), price(q + field - step)
    assert (ahead[0] - behind[0]) / (2 * step) == pytest.approx(rho.sum(), rel=1e-6)
    smooth = np.abs(rho[:, 0] - bound) > 1e-3
    slope = (ahead[1] - behind[1])[smooth] / (2 * step)
    np.testing.assert_allclose(slope, bend[smooth], rtol=1e-5, atol=1e-8)
    if not terms:
        held = np.minimum(draw.uniform(0.0, 2.0, size=(30, 1)), bound[:, None])
        assert price.pulled(held) == pytest.approx(sum(float(own(held[k], k)[0]) for k in range(30)), rel=1e-12)
