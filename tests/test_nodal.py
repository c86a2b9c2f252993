"""Exact transport of masses on nodes: POT's emd2, products of lines and circles, translations, and the proof itself."""

import math

import numpy as np
import ot
import pytest

from wflow import Box, Density, Grid, NotConverged, Particles, Refused, box, interval, w2
from wflow.compiled import available

if not available():
    pytest.skip("numba, the extra `fast`, is not installed: the simplex is compiled", allow_module_level=True)

from wflow import nodal as module
from wflow.nodal import nodal

SIDES = [(False, False), (True, False), (True, True)]


def domain(turns=(False, False), lengths=(1.0, 1.0)) -> Box:
    return Box((0.0, 0.0), lengths, turns)


def density(values, on: Box) -> Density:
    grid = Grid(on, values.shape)
    return Density(grid, values.ravel() / (values.sum() * grid.cell_volume))


def bell(n: int, at, s: float, on: Box) -> Density:
    grid = Grid(on, (n, n))
    away = on.difference(grid.centres, np.asarray(at))
    return density(np.exp(-0.5 * np.sum((away / s) ** 2, axis=1)).reshape(n, n), on)


def cost(pi: Density):
    return np.sum(pi.domain.difference(pi.points[:, None], pi.points[None]) ** 2, axis=2)


def emd2(a: Density, b: Density) -> float:
    kept, to = a.weights > 0.0, b.weights > 0.0
    p, q = a.weights[kept] / a.weights.sum(), b.weights[to] / b.weights.sum()
    return float(ot.emd2(p, q, np.ascontiguousarray(cost(a)[np.ix_(kept, to)]), numItermax=10**7))


def pairs(n: int, on: Box):
    """Smooth, rough, lonely, even and unlike: masses that tie, vanish, and have a tail of every size."""
    draw = np.random.default_rng(n)
    rough = [density(draw.random((n, n)), on) for _ in range(2)]
    lonely = [density(draw.random((n, n)) * (draw.random((n, n)) < 0.1), on) for _ in range(2)]
    x = np.hypot(*np.meshgrid(*2 * [np.arange(n) + 0.5 - 0.5 * n], indexing="ij")) / n
    return {
        "bells": (bell(n, (0.4, 0.2), 0.06, on), bell(n, (0.6, 0.3), 0.1, on)),
        "rough": tuple(rough),
        "lonely": tuple(lonely),
        "discs": (density((x < 0.15) * 1.0, on), density((x < 0.3) * 1.0, on)),
        "even": (density(np.ones((n, n)), on), rough[0]),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bells", "rough", "lonely", "discs", "even"])
@pytest.mark.parametrize("turns", SIDES)
def test_is_emd2(name, turns):
    """32^2 cells, squares and not: the value of POT's network simplex, bracketed by ours, to a share of 1e-11."""
    a, b = pairs(32, domain(turns, (1.0, 1.0 if turns[1] else 0.37)))[name]
    found, exact = nodal(a, b), emd2(a, b)
    assert found.squared == pytest.approx(exact, rel=1e-11)
    assert found.lower == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("shape", [(5, 23), (2, 40), (31, 18)])
@pytest.mark.parametrize("turns", SIDES)
def test_any_shape(shape, turns):
    """Odd, thin and two rows: emd2 again."""
    draw = np.random.default_rng(1)
    a, b = (density(draw.random(shape) ** 3, domain(turns, (3.0, 0.5))) for _ in range(2))
    assert nodal(a, b).squared == pytest.approx(emd2(a, b), rel=1e-11)


@pytest.mark.parametrize("name", ["rough", "lonely"])
@pytest.mark.parametrize("turns", SIDES)
def test_the_proof(turns, name):
    """All pairs: f_x + g_y <= cost, tight where the plan goes; its marginals are the masses, and it is a tree's.

    The sum of masses times f and g is the bound, from below; the plan's cost the one from above.
    """
    a, b = pairs(20, domain(turns, (1.0, 0.6)))[name]
    found, c = nodal(a, b), cost(a)
    assert np.all(found.f[:, None] + found.g[None] <= c + 1e-14)
    np.testing.assert_allclose(found.f[found.source] + found.g[found.target], c[found.source, found.target], atol=1e-13)
    for end, pi in ((found.source, a), (found.target, b)):
        np.testing.assert_allclose(np.bincount(end, found.masses, 400), pi.weights, atol=1e-16)
    assert found.squared == pytest.approx(found.masses @ c[found.source, found.target], rel=1e-14)
    assert found.lower == pytest.approx(a.weights @ found.f + b.weights @ found.g, rel=1e-12)
    assert len(found.masses) < 2 * 400
    assert np.all(found.masses > 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize("n", [61, pytest.param(128, marks=pytest.mark.slow)])
def test_products(n, turns):
    """Of products W2^2 is the sum along the axes, of atoms on a line or circle exact: bumps that split and join."""
    x = (np.arange(n) + 0.5) / n
    one = np.exp(-0.5 * ((x - 0.5) / 0.06) ** 2) + 1e-5
    two = np.exp(-0.5 * ((x - 0.3) / 0.05) ** 2) + np.exp(-0.5 * ((x - 0.8) / 0.05) ** 2) + 1e-5
    line = Box((0.0,), (1.0,), (turns,))
    along = [Particles(line, x[:, None], f / f.sum()) for f in (one, two)]
    on = domain((turns, turns))
    found = nodal(density(np.outer(one, two), on), density(np.outer(two, one), on))
    assert found.squared == pytest.approx(2.0 * w2(*along) ** 2, rel=1e-11)
    assert found.lower == pytest.approx(found.squared, rel=1e-11)


def test_translations():
    """By (20, -12) of 96 cells: the squared distance, to rounding; on a torus, of one cell over the seam."""
    on = domain()
    a = bell(96, (0.4, 0.55), 0.03, on)
    b = density(np.roll(a.values.reshape(96, 96), (20, -12), (0, 1)), on)
    assert nodal(a, b).squared == pytest.approx((20.0**2 + 12.0**2) / 96**2, rel=1e-13)
    alone = np.zeros((30, 30))
    alone[2, 3] = 1.0
    ends = (density(np.roll(alone, shift, (0, 1)), domain((True, True))) for shift in ((0, 0), (-9, 4)))
    assert nodal(*ends).squared == pytest.approx((9.0**2 + 4.0**2) / 30**2, rel=1e-13)


def test_nothing_moves():
    """W2(a, a) = 0 exactly, by a plan that stands still, also where all masses tie."""
    for a in (density(np.ones((40, 40)), domain()), pairs(40, domain((True, True)))["rough"][0]):
        found = nodal(a, a)
        assert found.squared == 0.0
        assert abs(found.lower) <= 1e-15
        np.testing.assert_array_equal(found.source, found.target)


def test_arcs_without_mass_point_to_the_root():
    """Cunningham's rule, without which a simplex may cycle: half a square to another half, all masses 2^-9."""
    half = np.arange(32)[:, None] + np.zeros(32) < 16
    a, b = density(half * 1.0, domain()), density(half.T * 1.0, domain())
    tree = module._Problem(*map(module._integers, (a, b)), (2.0, 2.0), module.Sides(False, False)).solved()
    idle = (tree.parent >= 0) & (tree.mass == 0)
    assert idle.sum() > 10
    assert np.all(tree.up[idle])
    assert np.all(tree.mass >= 0)


def test_a_wrong_start_is_mended(monkeypatch):
    """Potentials that say nothing at first: more rounds, the same proof."""
    a, b = pairs(32, domain())["bells"]
    exact = nodal(a, b).squared
    monkeypatch.setattr(module._Problem, "begun", lambda self: np.zeros(self.mu.shape))
    assert nodal(a, b).squared == pytest.approx(exact, rel=1e-12)


def test_rounds_that_run_out_are_reported(monkeypatch):
    """One round cannot prove anything: no answer, and by how much a potential is off."""
    monkeypatch.setattr(module, "_ROUNDS", 1)
    with pytest.raises(NotConverged, match=r"still off by .* squared cells"):
        nodal(*pairs(32, domain())["bells"])


def test_doors():
    """What is no pair of densities on one grid of two axes is refused in words."""
    a = density(np.ones((8, 8)), domain())
    with pytest.raises(Refused, match="two grids"):
        nodal(a, density(np.ones((8, 9)), domain()))
    with pytest.raises(Refused, match="two grids"):
        nodal(a, density(np.ones((8, 8)), box((0.0, 0.0), (1.0, 2.0))))
    with pytest.raises(Refused, match="second measure is Particles"):
        nodal(a, Particles(a.domain, np.zeros((1, 2))))
    flat = Density(Grid(interval(0.0, 1.0), (8,)), np.ones(8))
    with pytest.raises(Refused, match="not two axes"):
        nodal(flat, flat)
    sheets = Box((0.0, 0.0), (1.0, 1.0), (False, False), (True, False))
    with pytest.raises(Refused, match="not two axes"):
        nodal(*2 * [density(np.ones((2, 8)), sheets)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bells", "rough", "lonely", "discs"])
def test_large_grids_are_proved(name):
    """128^2 cells, where a matrix of costs would have 2.7e8 entries: both bounds agree to a share of 1e-9."""
    found = nodal(*pairs(128, domain())[name])
    assert found.lower == pytest.approx(found.squared, rel=1e-9)
    assert math.isfinite(found.squared)
