"""This file owns the network simplex method for transport, compiled: integer masses along the arcs of a tree.

Sources are nodes 0 .. m-1, targets m .. 2m-1, and 2m is a root to which a dear arc joins what has no better way yet.
The masses that a basis moves run along a spanning tree; a node with its parent names an arc, `up` if mass runs to the
parent. Heights h make the arcs of the tree tight, h_head - h_tail = cost. An arc of cost + h_tail - h_head < 0 enters,
the first to run empty leaves. Arcs of no mass point to the root (the tree is strongly feasible), so nothing cycles
where masses tie; masses are integers, so they balance exactly.
Source: Cunningham 1976, Math. Programming 11, 105-116 (the rule of what leaves); Kiraly & Kovacs 2012, Acta Univ.
Sapientiae Informatica 4, 67-118 (blocks of arcs).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.compiled import kernel

Indices = NDArray[np.int64]
_NONE = -1
_MOST = np.int64(2**62)
_BLOCK = 4.0
"""Arcs looked at before a pivot, in roots of their number (measured)."""


class Arcs(NamedTuple):
    """From sources to targets (numbered from 0), and what a unit of mass costs there."""

    tail: Indices
    head: Indices
    cost: Array

    def ordered(self, order: Indices) -> "Arcs":
        return Arcs(self.tail[order], self.head[order], self.cost[order])


class Tree(NamedTuple):
    """Per node (2m + 1,): parent, first child, siblings on both sides, depth; its arc's mass, whether up; height."""

    parent: Indices
    child: Indices
    after: Indices
    before: Indices
    depth: Indices
    mass: Indices
    up: NDArray[np.bool_]
    height: Array


def planted(supply: Indices, demand: Indices, arcs: Arcs) -> Tree:
    """A strongly feasible tree: arcs are filled in their order as far as masses go, the rest goes by the root.

    supply, demand (m,), of one sum; nodes without mass stay out of the tree. Heights are not set.
    """
    m = len(supply)
    parent, child, after, before = np.full((4, 2 * m + 1), _NONE, np.int64)
    depth, mass = np.zeros((2, 2 * m + 1), np.int64)
    tree = Tree(parent, child, after, before, depth, mass, np.zeros(2 * m + 1, np.bool_), np.zeros(2 * m + 1))
    _plant(tree, np.concatenate([supply, demand]), arcs.tail, m + arcs.head)
    return tree


def settle(tree: Tree, arcs: Arcs, least: float) -> int:
    """Pivots until no arc's cost + h_tail - h_head is below -least; returns their number."""
    block = min(max(int(_BLOCK * len(arcs.tail) ** 0.5), 1), len(arcs.tail))
    return int(_settle(tree, arcs.tail, len(tree.parent) // 2 + arcs.head, arcs.cost, least, block))


def tight(tree: Tree, cost: Array) -> None:
    """Set heights and depths; cost (2m + 1,) of each node's arc."""
    _tight(tree, cost)


@kernel
def _attach(tree: Tree, node: int, parent: int) -> None:
    eldest = tree.child[parent]
    tree.parent[node], tree.before[node], tree.after[node] = parent, _NONE, eldest
    if eldest >= 0:
        tree.before[eldest] = node
    tree.child[parent] = node


@kernel
def _detach(tree: Tree, node: int) -> None:
    before, after = tree.before[node], tree.after[node]
    if before >= 0:
        tree.after[before] = after
    else:
        tree.child[tree.parent[node]] = after
    if after >= 0:
        tree.before[after] = before


@kernel
def _next(tree: Tree, node: int, top: int) -> int:
    """The node that follows below `top`, parents first; `top` after the last."""
    if tree.child[node] >= 0:
        return int(tree.child[node])
    while node != top and tree.after[node] < 0:
        node = tree.parent[node]
    return int(node if node == top else tree.after[node])


@kernel
def _plant(tree: Tree, rest: Indices, tail: Indices, head: Indices) -> None:
    """rest (2m,): masses, used up."""
    root = len(rest)
    m = root // 2
    massive = rest > 0
    for k in range(len(tail)):
        x, y = tail[k], head[k]
        # whoever is used up has a parent, and is met no more: what is filled is a forest
        if tree.parent[x] < 0 and tree.parent[y] < 0 and rest[x] > 0 and rest[y] > 0:
            moved = min(rest[x], rest[y])
            rest[x] -= moved
            rest[y] -= moved
            node, other = (x, y) if rest[x] == 0 else (y, x)
            _attach(tree, node, other)
            tree.mass[node], tree.up[node] = moved, node == x
    for node in range(root):
        if massive[node] and tree.parent[node] < 0:
            _attach(tree, node, root)
            tree.mass[node], tree.up[node] = rest[node], node < m or rest[node] == 0


@kernel
def _tight(tree: Tree, cost: Array) -> None:
    root = len(tree.parent) - 1
    node = _next(tree, root, root)
    while node != root:
        parent = tree.parent[node]
        tree.depth[node] = tree.depth[parent] + 1
        tree.height[node] = tree.height[parent] + (-cost[node] if tree.up[node] else cost[node])
        node = _next(tree, node, root)


@kernel
def _leaving(tree: Tree, x: int, y: int) -> tuple[int, int, int, bool]:
    """Where the ways from x and y to the root meet, the mass that the cycle can turn, and whose arc then leaves.

    Mass runs x to y, from there up to the meeting place and down to x. Of arcs that run empty together the last from
    the meeting place on leaves. The last entry: it lies on the way from x.
    """
    meet, other = x, y
    while meet != other:
        if tree.depth[meet] >= tree.depth[other]:
            meet = tree.parent[meet]
        else:
            other = tree.parent[other]
    least, out, first = _MOST, _NONE, True
    node = x
    while node != meet:
        if tree.up[node] and tree.mass[node] < least:
            least, out = tree.mass[node], node
        node = tree.parent[node]
    node = y
    while node != meet:
        if not tree.up[node] and tree.mass[node] <= least:
            least, out, first = tree.mass[node], node, False
        node = tree.parent[node]
    return meet, int(least), out, first


@kernel
def _turn(tree: Tree, node: int, meet: int, mass: int) -> None:
    """Add mass to the arcs that go up on the way, and take it from those that go down."""
    while node != meet:
        tree.mass[node] += mass if tree.up[node] else -mass
        node = tree.parent[node]


@kernel
def _pivot(tree: Tree, x: int, y: int, cost: float) -> None:
    """Source x sends to target y, at a reduced cost < 0; below the arc that leaves the tree hangs by that arc now."""
    meet, moved, out, first = _leaving(tree, x, y)
    _turn(tree, x, meet, -moved)
    _turn(tree, y, meet, moved)
    top, parent = (x, y) if first else (y, x)
    node, mass, up = top, moved, first
    while True:
        above, next_mass, next_up = tree.parent[node], tree.mass[node], not tree.up[node]
        _detach(tree, node)
        _attach(tree, node, parent)
        tree.mass[node], tree.up[node] = mass, up
        if node == out:
            break
        parent, node, mass, up = node, above, next_mass, next_up
    change = -cost if first else cost
    node = top
    while True:
        tree.height[node] += change
        tree.depth[node] = tree.depth[tree.parent[node]] + 1
        node = _next(tree, node, top)
        if node == top:
            break


@kernel
def _settle(tree: Tree, tail: Indices, head: Indices, cost: Array, least: float, block: int) -> int:
    """The lowest arc of each block enters."""
    k, idle, pivots = 0, 0, 0
    while idle < len(tail):
        lowest, at = -least, _NONE
        for _ in range(block):
            reduced = cost[k] + tree.height[tail[k]] - tree.height[head[k]]
            if reduced < lowest:
                lowest, at = reduced, k
            k = k + 1 if k + 1 < len(tail) else 0
        if at >= 0:
            _pivot(tree, tail[at], head[at], lowest)
            idle, pivots = 0, pivots + 1
        else:
            idle += block
    return pivots
