"""Semi-discrete transport across gaps, what makes its steps few and short: the matrix, its order, cells kept, leaps.

Judges: dense linear algebra, the hull, the mean slope of a staircase counted by hand, Phi.
"""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu
from scipy.spatial import Delaunay

from wflow import Particles, plane
from wflow.compiled import available

if not available():
    pytest.skip("numba, the extra `fast`, is not installed: the cells are compiled", allow_module_level=True)

from tests.parted_cells import dual, strips, unit
from wflow.atom_clusters import nested
from wflow.dissection import elimination, halves
from wflow.dual_ascent import ascent
from wflow.laguerre_dual import solved, start
from wflow.raised import EVENING, amiss, lowered, raised
from wflow.semidiscrete import semidiscrete
from wflow.stiff_newton import _UNIFORM, _stairs


def uniform(m, seed=0):
    """Atoms in the order of halves."""
    x = np.random.default_rng(seed).random((m, 2))
    return x[nested(x)]


# The matrix


def edges(x):
    """Of the Delaunay triangulation, each once."""
    corners = Delaunay(x).simplices
    pairs = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=1)
    return np.unique(pairs, axis=0).astype(np.int64)


def fill(pairs, order):
    """Entries of the factor of the graph's Laplacian (+ 1) in this order."""
    m = len(order)
    place = np.argsort(order)
    i, j = place[pairs.T]
    one = coo_array((-np.ones(len(i)), (i, j)), shape=(m, m))
    matrix = (one + one.T).tocsc()
    matrix.setdiag(1.0 - np.asarray(matrix.sum(axis=0)))
    options = {"SymmetricMode": True}
    return splu(matrix.tocsc(), permc_spec="NATURAL", diag_pivot_thresh=0.0, options=options).L.nnz


@pytest.mark.slow
def test_dissection_fills_m_log_m():
    """4 m log m entries at most at m = 1000 and 16000, where the order of halves itself fills ever more of them."""
    ratios = []
    for m in (1000, 16_000):
        x = uniform(m)
        pairs = edges(x)
        order = elimination(pairs, m)
        assert np.array_equal(np.sort(order), np.arange(m))
        assert fill(pairs, order) <= 4.0 * m * np.log(m)
        ratios.append(fill(pairs, np.arange(m)) / fill(pairs, order))
    assert ratios[1] > ratios[0] > 1.3


def test_what_parts_the_halves_comes_last():
    """Without the last nodes in the order no edge leads from one half to the other; a tenth of the nodes is enough."""
    m = 3000
    pairs = edges(uniform(m))
    kept = np.ones(m, bool)
    kept[elimination(pairs, m)[-m // 10 :]] = False
    middle = halves(m, 1)[1]
    across = (pairs.min(axis=1) < middle) & (pairs.max(axis=1) >= middle)
    assert across.any()
    assert not np.any(across & kept[pairs].all(axis=1))


@pytest.mark.parametrize("m", [2, 3, 7, 200])
def test_the_laplacian_is_inverted(m):
    """Against dense least squares: walls of weights 1e-6 to 1, some atoms without any, which stay."""
    rng = np.random.default_rng(m)
    x = uniform(m, m)
    pairs = edges(x) if m > 3 else np.array([[0, k] for k in range(1, m)], np.int64)
    pairs = pairs[~np.any(pairs == m // 2, axis=1)] if m > 3 else pairs
    w = 10.0 ** rng.uniform(-6.0, 0.0, len(pairs))
    i, j = pairs.T
    exact = rng.normal(size=m)
    exact -= exact[0]
    if m > 3:
        exact[m // 2] = 0.0
    flow = w * (exact[i] - exact[j])
    right = np.bincount(i, flow, m) - np.bincount(j, flow, m)
    np.testing.assert_allclose(solved(pairs, w, right), exact, atol=1e-8)


# Cells kept


@pytest.mark.parametrize("shift", [1e-3, -1e-3, 0.03, -0.03])
def test_cells_that_nothing_has_touched_stand(shift):
    """Five of 400 atoms move, up (they hide others) or down (the hidden rise again): all integrals are the hull's."""
    rho = np.random.default_rng(1).random((12, 12))
    phi, rng = dual(uniform(400), rho), np.random.default_rng(2)
    before = 2e-3 * rng.random(400)
    moved = rng.choice(400, 5, replace=False)
    before[moved] += max(-shift, 0.0)
    near = phi.cells(before)
    g = before.copy()
    g[moved] += shift
    found, exact = phi.cells(g, near), phi.cells(g)
    if abs(shift) < 0.01:
        assert found.borders.fresh is not None
        assert np.count_nonzero(found.borders.fresh) < 200
    for name in ("mass", "area", "moment", "cost"):
        np.testing.assert_allclose(getattr(found, name), getattr(exact, name), atol=1e-13)
    assert walls(found) == pytest.approx(walls(exact), abs=1e-11)


def walls(found):
    """Length, and mass, of the walls that are longer than rounding, by their atoms."""
    each = zip(found.pairs, found.length + found.along, found.length, strict=True)
    return {(int(i), int(j)): w for (i, j), w, size in each if size > 1e-11}


def test_overlapping_cells_contain_the_atoms_own():
    """After a wild leap none of the areas is less than the hull's, and what tiles is right."""
    phi, rng = dual(uniform(400), np.ones((12, 12))), np.random.default_rng(3)
    near = phi.cells(np.zeros(400))
    for size in (1e-4, 1e-2, 0.3):
        g = size * rng.random(400)
        found, exact = phi.overlapping(g, near), phi.cells(g)
        assert np.all(found.area >= exact.area - 1e-14)
        if phi.tiling(found):
            np.testing.assert_allclose(found.mass, exact.mass, atol=1e-11)
        else:
            assert found.area.sum() > 1.0 + 1e-11


# Leaps


def solved_strips(m, seed):
    """The dual of m uniform atoms and two strips, and its maximum."""
    phi = dual(uniform(m, seed), strips())
    found, _ = ascent(phi, 1e-9)
    return phi.based(found.phi), np.zeros(m), found


@pytest.mark.slow
def test_the_stairs_mean_slope():
    """x -> x/2 or x/2 + 1/2 jumps by 1/2: strips apart by t more exchange the mass t/(2 1/2) m' l = t in the mean.

    The walls across the gap say so within a factor of 3, at three draws, those of the atoms that are just going over
    included.
    """
    for seed in range(3):
        phi, _, found = solved_strips(2000, seed)
        extra = _stairs(phi, found) - _UNIFORM * found.length / (2.0 * found.apart)
        assert 1.0 / 3.0 < extra.sum() < 3.0
        i, j = found.pairs[extra > 0.0].T
        assert np.all(np.minimum(phi.x[i, 0], phi.x[j, 0]) < 0.55)
        assert np.all(np.maximum(phi.x[i, 0], phi.x[j, 0]) > 0.45)


def test_after_a_leap_no_one_holds_a_hundred():
    """One strip is raised far: some atoms take what many should hold, and are brought down; Phi recovers."""
    phi, best, near = solved_strips(2000, 5)
    g = best + np.where(phi.x[:, 0] > 0.5, 0.005, 0.0)
    leapt, exact = phi.overlapping(g, near), phi.cells(g)
    assert exact.mass.max() > 15.0 * phi.mu[0]
    after, found = lowered(phi, g, leapt, near, 10, 2.5)
    assert not len(amiss(phi, found, 2.5))
    missing = [phi.value(best, near) - phi.value(*one) for one in ((g, exact), (after, found))]
    assert 0.0 < missing[1] < 0.1 * missing[0]
    assert phi.tiling(found)


def test_evening_out_does_not_lower_phi():
    """Of 300 atoms at random potentials: after each sweep Phi is at least what it was, and fewer are off."""
    phi = dual(uniform(300, 5), strips())
    g = start(phi)
    g, found = raised(phi, g, phi.cells(g))
    for _ in range(3):
        before, off = phi.value(g, found), len(amiss(phi, found, 1.6, EVENING))
        g, found = raised(phi, g, found, 1, 1.6, EVENING)
        assert phi.value(g, found) >= before - 1e-15
    assert len(amiss(phi, found, 1.6, EVENING)) < off or off == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_steps_across_a_gap_are_few(seed):
    """10000 uniform atoms, two strips: at most 16 steps, where the stair alone or the uniform law took up to 30."""
    found = semidiscrete(Particles(plane(), np.random.default_rng(seed).random((10_000, 2))), unit(strips(64)))
    assert found.residual <= 1e-8
    assert found.newton <= 16
