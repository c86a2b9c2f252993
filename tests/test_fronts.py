"""The Laplacian of a planar graph, solved front by front. Judges: dense linear algebra, and a thread's exact answer."""

import numpy as np
import pytest

from wflow.compiled import available

if not available():
    pytest.skip("numba, the extra `fast`, is not installed: the fronts are compiled", allow_module_level=True)

from wflow.atom_clusters import nested
from wflow.dissection import dissected, elimination, halves
from wflow.errors import NotConverged
from wflow.fronts import heights, solution
from wflow.laguerre_dual import solved


def lattice(n, rng):
    """Edges of n x n nodes with one diagonal each, in the order of halves, and weights."""
    at = np.arange(n * n).reshape(n, n)
    pairs = [(at[1:], at[:-1]), (at[:, 1:], at[:, :-1]), (at[1:, 1:], at[:-1, :-1])]
    pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in pairs])
    x = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), axis=-1).reshape(-1, 2)
    place = np.argsort(nested(x.astype(float)))
    return place[pairs], rng.random(len(pairs))


def laplacian(pairs, w, excess):
    """Dense."""
    matrix = np.diag(excess)
    for (i, j), one in zip(pairs, w, strict=True):
        matrix[[i, j], [j, i]] -= one
        matrix[[i, j], [i, j]] += one
    return matrix


@pytest.mark.parametrize("n", [1, 2, 3, 5, 12, 25])
def test_agrees_with_dense_solution(n):
    """Fronts of all widths, up to some 40 nodes of their own; excess at a few nodes."""
    rng = np.random.default_rng(n)
    pairs, w = lattice(n, rng)
    excess = np.where(rng.random(n * n) < 0.1, rng.random(n * n), 0.0)
    excess[0] += 0.5
    right = rng.normal(size=n * n)
    u = solution(pairs, w, excess, right, *dissected(pairs, n * n))
    np.testing.assert_allclose(u, np.linalg.solve(laplacian(pairs, w, excess), right), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("thread", [1e-8, 1e-20, 1e-200])
def test_a_cloud_hangs_on_a_thread(thread):
    """A cloud of walls of order 1, tied to the first node by one of weight e: a flow of 1 through it takes 1/e.

    Diagonals less what is eliminated would lose the thread at 1e-16.
    """
    pairs, w = lattice(6, np.random.default_rng(0))
    pairs, w = pairs + 1, w + 0.1
    pairs, w = np.vstack([pairs, [[0, 20]]]), np.append(w, thread)
    right = np.zeros(37)
    right[[0, 5]] = -1.0, 1.0
    np.testing.assert_allclose(solved(pairs, w, right)[1:], 1.0 / thread, rtol=1e3 * thread + 1e-13)


def test_what_is_tied_to_nothing_is_said():
    """Two clouds without a wall between them."""
    pairs, w = lattice(3, np.random.default_rng(1))
    with pytest.raises(NotConverged, match="do not tie all atoms"):
        solved(np.concatenate([pairs, pairs + 9]), np.append(w, w), np.append(np.ones(9), -np.ones(9)))


def test_parts_follow_their_halves():
    """Each part is a block's: as many as a binary tree has, the last one the root's; its halves stand before it."""
    m = 400
    pairs, _ = lattice(20, np.random.default_rng(2))
    order, first = dissected(pairs, m)
    assert np.array_equal(order, elimination(pairs, m))
    assert len(first) == 2**7
    assert first[-1] == m
    depth = 6
    block = np.searchsorted(halves(m, depth), order, side="right") - 1
    height = heights(len(first) - 1)
    assert height[:7].tolist() == [0, 0, 1, 0, 0, 1, 2]
    assert height[-1] == depth
    # the nodes of a part lie in one block of its height
    for k in np.flatnonzero(np.diff(first)):
        assert len(np.unique(block[first[k] : first[k + 1]] >> height[k])) == 1
