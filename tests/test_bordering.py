"""The cell of an atom that had none, found from a seed: that of all bisectors, and at once near where it is."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull, HalfspaceIntersection

from wflow.compiled import available

if not available():
    pytest.skip("numba, the extra `fast`, is not installed: walks are compiled", allow_module_level=True)

from wflow.bordering import _known, area, linked, polygon

N, BOX = 16, (0.0, 0.0, 16.0, 16.0)


def lattice(hidden):
    """Atoms at the middles of N x N unit squares, which are their cells, and one of depth `hidden` that has no links.

    x (N^2 + 1, 2), phi of those cells as sums of two, and links of each atom to its four neighbours.
    """
    k = np.arange(N * N)
    x = np.vstack([np.stack([k // N, k % N], axis=1) + 0.5, [5.7, 8.6]])
    phi = 0.5 * np.sum(x**2, axis=1)
    phi[-1] += hidden
    beside = [[j for j, there in ((i - N, i >= N), (i - 1, i % N > 0), (i + 1, i % N < N - 1), (i + N, i < N * (N - 1)))
               if there] for i in k]  # fmt: skip
    start = np.append(0, np.cumsum([len(of) for of in beside] + [0]))
    return x, np.stack([phi, 0.0 * phi], axis=1), linked(start, np.concatenate(beside))


def rooms(m):
    """What a polygon is made in."""
    room, names = np.zeros((2, m + 16, 2)), np.zeros((2, m + 16), np.int64)
    room[0, :4] = [[0.0, 0.0], [16.0, 0.0], [16.0, 16.0], [0.0, 16.0]]
    names[0, :4] = -1
    return room, names


def test_a_seed_s_neighbours_leave_nothing_far():
    """Each cut by a neighbour of the seed is a lattice step away: three steps round the seed hold the rest."""
    x, phi, links = lattice(0.0)
    room, names = rooms(len(x))
    seed = 5 * N + 8
    n, side, cuts, _ = _known(N * N, x, phi, links, seed, room, names)
    assert n >= 3
    assert cuts == 5
    assert np.max(np.abs(room[side, :n] - x[seed])) <= 3.0


@pytest.mark.parametrize("seed", [5 * N + 8, 0, 15 * N + 3], ids=["near", "corner", "far"])
def test_the_cell_does_not_depend_on_the_seed(seed):
    """Voronoi: the rectangle cut by all bisectors, to rounding, which a walk from any seed finds; none, if too deep."""
    x, phi, links = lattice(0.0)
    room, names = rooms(len(x))
    n, side, _ = polygon(N * N, x, phi, links, seed, BOX, room, names)
    found = area(room[side], n)
    lines = np.column_stack([x[:-1] - x[-1], phi[-1, 0] - phi[:-1, 0]])
    walls = np.array([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [1.0, 0.0, -16.0], [0.0, 1.0, -16.0]])
    cell = HalfspaceIntersection(np.vstack([lines, walls]), x[-1])
    assert found == pytest.approx(ConvexHull(cell.intersections).volume, rel=1e-12)
    x, phi, links = lattice(1.0)
    assert polygon(N * N, x, phi, links, seed, BOX, room, names)[0] == 0
