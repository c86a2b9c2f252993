"""This file owns exact transport between masses at the middles of one grid's cells, proved: what emd2 computes.

W2^2 = min over plans = max of mu.f + nu.g over f_x + g_y <= |x - y|^2. The network simplex method (wflow.simplex) works
on few arcs: those that the c-transform, exact and linear in the cells (wflow.spline.envelope), finds cheapest for each
node, and their neighbours. When it is done the c-transform looks at all pairs: either some source has a cheaper target,
and the arcs are chosen anew, or the potentials are feasible everywhere and prove the plan. Potentials begin as those of
a grid of half as many cells.
Source: Schmitzer 2016, J. Math. Imaging Vis. 56, 238-259 (sparse problems, from coarse to fine; our proof of optimality
is the c-transform instead of shielding).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from wflow.arrays import Array
from wflow.errors import NotConverged, Refused
from wflow.measure import Density
from wflow.simplex import Arcs, Tree, planted, settle, tight
from wflow.spline.envelope import transformed
from wflow.spline.lattice import Sides

Indices = NDArray[np.int64]
_AXES = 2
_UNITS = 2.0**61
_COARSEST = 12
_ROUNDS = 200
_LEAST, _ALLOWED = 1e-13, 1e-12
"""Of the largest cost: what an arc must save to be taken, and by how much a potential may be off in the end."""
_DEAR, _NEVER = 4.0, 100.0


@dataclass(frozen=True, eq=False)
class Nodal:
    """An optimal plan between the masses of cells at their middles, scaled to one, and its proof.

    lower <= W2^2 <= squared to rounding: what the potentials f, g (m,) prove, feasible for all pairs of cells, and what
    the plan costs, in which masses (k,) go from the cells `source` (k,) to `target` (k,); k < 2 m.
    """

    squared: float
    lower: float
    source: Indices
    target: Indices
    masses: Array
    f: Array
    g: Array


def nodal(a: Density, b: Density) -> Nodal:
    """Exact transport between two densities on one grid of two axes, walls or periodic, as masses at cells' middles.

    Not W2 of the piecewise constant densities, to which `w2` is nearer: a step between nodes costs h^2, however mass
    lies in its cells, so that W2^2 is above by O(h^2) where mass moves far, and a way d below h costs h d instead of
    d^2. Memory is linear in the cells; time grows like their number to the power 1.5 to 2.5. Needs numba.
    Raises Refused for two grids, other axes and other measures, NotConverged without a proof.
    """
    _admit(a, b)
    grid = a.grid
    h0, h1 = grid.widths
    pull = 2.0, 2.0 * float(h1 / h0) ** 2
    problem = _Problem(_integers(a), _integers(b), pull, Sides(*grid.domain.periodic))
    tree = problem.solved()
    f, g = problem.potentials(tree)
    node = np.flatnonzero((tree.parent >= 0) & (tree.parent < 2 * grid.size) & (tree.mass > 0))
    x, y = problem.ends(tree, node)
    masses = tree.mass[node] / _UNITS
    value = float(masses @ problem.cost(x, y))
    lower = float(problem.mu.ravel() / _UNITS @ f.ravel() + problem.nu.ravel() / _UNITS @ g.ravel())
    unit = float(h0) ** 2
    return Nodal(unit * value, unit * lower, x, y, masses, unit * f.ravel(), unit * g.ravel())


def _admit(a: Density, b: Density) -> None:
    """Raise Refused unless both are densities on one grid of two axes that move."""
    for name, pi in (("first", a), ("second", b)):
        if not isinstance(pi, Density):
            raise Refused(f"nodal: the {name} measure is {type(pi).__name__}; pass a Density, or use w2")
    if a.domain != b.domain or a.grid.shape != b.grid.shape:
        raise Refused(f"nodal: the densities live on two grids ({a.grid} and {b.grid}); average them on one, or use w2")
    if a.domain.dim != _AXES or any(a.domain.frozen):
        raise Refused(f"nodal: {a.domain} has not two axes along which mass moves; use w2")


def _integers(pi: Density) -> Indices:
    """Masses (n0, n1) as integers that sum to 2^61; the largest takes what rounding leaves."""
    weights = pi.weights / pi.weights.sum()
    whole = np.rint(weights * _UNITS).astype(np.int64)
    whole[np.argmax(whole)] += int(_UNITS) - int(whole.sum())
    return whole.reshape(pi.grid.shape)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Integer masses mu, nu (n0, n1) at cost sum_a pull_a d_a^2/2, d the steps from node to node, the short way."""

    mu: Indices
    nu: Indices
    pull: tuple[float, float]
    sides: Sides

    @property
    def most(self) -> float:
        """A bound of the cost between two nodes."""
        n0, n1 = self.mu.shape
        return float(0.5 * (self.pull[0] * n0 * n0 + self.pull[1] * n1 * n1))

    def cost(self, x: Indices, y: Indices) -> Array:
        """From nodes x to nodes y (k,)."""
        out = np.zeros(len(x))
        n1 = self.mu.shape[1]
        for axis, (p, n, q) in enumerate(zip(divmod(x, n1), self.mu.shape, divmod(y, n1), strict=True)):
            away = np.abs(p - q)
            away = np.minimum(away, n - away) if self.sides[axis] else away
            out += 0.5 * self.pull[axis] * away**2
        return out

    def solved(self) -> Tree:
        """An optimal tree, proved so by the c-transform."""
        g = self.begun()
        tree: Tree | None = None
        gap = math.inf
        for _ in range(_ROUNDS):
            f, towards = self.transform(g, self.nu)
            if tree is not None:
                gap = float(np.max((-tree.height[: f.size] - f.ravel())[self.mu.ravel() > 0]))
                if gap <= _ALLOWED * self.most and self.arrived(tree):
                    return tree
            back, whence = self.transform(f, self.mu)
            arcs = self.arcs(towards, whence)
            if tree is None:
                slack = arcs.cost - f.ravel()[arcs.tail] - back.ravel()[arcs.head]
                order = np.argsort(slack, kind="stable")
                tree = planted(self.mu.ravel(), self.nu.ravel(), arcs.ordered(order))
                self.tighten(tree)
            settle(tree, arcs, _LEAST * self.most)
            self.tighten(tree)
            g = tree.height[g.size : 2 * g.size].reshape(g.shape)
        raise NotConverged(
            f"nodal: after {_ROUNDS} rounds a potential is still off by {gap:.3g} squared cells; "
            "use w2, or merge cells",
            gap,
        )

    def arrived(self, tree: Tree) -> bool:
        """No mass goes by the root."""
        return not bool(np.any(tree.mass[tree.parent == len(tree.parent) - 1] > 0))

    def begun(self) -> Array:
        """Potentials (n0, n1) of the targets from a grid of half as many cells an axis, or 0."""
        shape = self.mu.shape
        if max(shape) <= _COARSEST:
            return np.zeros(shape)
        half = tuple((n + 1) // 2 for n in shape)
        p0, p1 = (p * (n / k) ** 2 for p, n, k in zip(self.pull, shape, half, strict=True))
        coarse = _Problem(_merged(self.mu, half), _merged(self.nu, half), (p0, p1), self.sides)
        _, g = coarse.potentials(coarse.solved())
        ratio = [n / k for n, k in zip(shape, half, strict=True)]
        return np.asarray(zoom(g, ratio, order=1, mode="nearest", grid_mode=True))

    def transform(self, values: Array, mass: Indices) -> tuple[Array, Indices]:
        """min over nodes y with mass of cost - values_y, and the node where; places are lifted."""
        kept = np.where(mass > 0, -values, _NEVER * self.most)
        least, places = transformed(kept, self.pull, self.sides)
        return least, places

    def potentials(self, tree: Tree) -> tuple[Array, Array]:
        """f, g (n0, n1) with f_x + g_y <= cost for all nodes, each the c-transform of the other where that has mass."""
        size = self.mu.size
        f, _ = self.transform(tree.height[size : 2 * size].reshape(self.mu.shape), self.nu)
        g, _ = transformed(-f, self.pull, self.sides)
        return f, g

    def ends(self, tree: Tree, node: Indices) -> tuple[Indices, Indices]:
        """Source and target, both from 0, of the nodes' arcs."""
        size, parent = self.mu.size, tree.parent[node]
        return np.where(node < size, node, parent), np.where(node < size, parent, node) - size

    def tighten(self, tree: Tree) -> None:
        """Heights from the root, anew: no rounding is carried on."""
        size = self.mu.size
        cost = np.full(2 * size + 1, _DEAR * self.most)
        node = np.flatnonzero((tree.parent >= 0) & (tree.parent < 2 * size))
        cost[node] = self.cost(*self.ends(tree, node))
        tight(tree, cost)

    def arcs(self, towards: Indices, whence: Indices) -> Arcs:
        """From each source to its node and that one's neighbours, and the same seen from each target."""
        x, y = self.near(towards, self.mu, self.nu)
        q, p = self.near(whence, self.nu, self.mu)
        size = self.mu.size
        tail, head = np.divmod(np.unique(np.concatenate([x * size + y, p * size + q])), size)
        return Arcs(tail, head, self.cost(tail, head))

    def near(self, places: Indices, here: Indices, there: Indices) -> tuple[Indices, Indices]:
        """Pairs of nodes with mass: each of `here`, and the up to nine of `there` round its place."""
        node = np.flatnonzero(here)
        n0, n1 = here.shape
        around = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
        i, j = (places[axis].ravel()[node][:, None] + around[:, axis] for axis in range(_AXES))
        i, j = (np.mod(k, n) if turns else k for k, n, turns in zip((i, j), (n0, n1), self.sides, strict=True))
        inside = (i >= 0) & (i < n0) & (j >= 0) & (j < n1)
        to = np.where(inside, i * n1 + j, 0)
        kept = inside & (there.ravel()[to] > 0)
        return np.broadcast_to(node[:, None], to.shape)[kept], to[kept]


def _merged(mass: Indices, shape: tuple[int, ...]) -> Indices:
    """Sums over the blocks of a coarser grid."""
    for axis, n in enumerate(shape):
        first = [math.ceil(k * mass.shape[axis] / n) for k in range(n)]
        mass = np.add.reduceat(mass, first, axis=axis)
    return mass
