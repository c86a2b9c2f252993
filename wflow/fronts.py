"""This file owns the solution of a planar graph's Laplacian, compiled: elimination front by front, nothing subtracted.

    sum_j w_ij (u_i - u_j) + e_i u_i = r_i,        w_ij >= 0, e_i >= 0.

With node k gone the others have w_ij + w_ik w_kj/d, e_i + w_ik e_k/d and r_i + w_ik r_k/d, d = e_k + sum_j w_kj: again
such a system, and each of its numbers is a sum of what is not negative, right to rounding however unlike the w are. A
difference, the diagonal less what is eliminated, would be lost where a cloud of nodes hangs on the others by a thread.

Nodes go in the order of wflow.dissection, part by part. A part's front is its own nodes and its border, the later ones
that it or its halves have met: a dense matrix, to which its halves have left what they had on theirs.
Source: Duff & Reid 1983, ACM Trans. Math. Softw. 9, 302-325 (fronts); O'Cinneide 1993, Numer. Math. 65, 109-120 (sums
of positive terms).
"""

import numpy as np

from wflow.arrays import Array
from wflow.clipping import Indices
from wflow.compiled import kernel

Graph = tuple[Indices, Indices, Array]
"""start, other, w: the later neighbours of each node, and the weights of the edges to them."""
_AT_ONCE = 4
"""Nodes of a front that are eliminated together: what is left of it is read and written once for all of them."""


@kernel
def upward(place: Indices, pairs: Indices, w: Array) -> Graph:
    """The graph with edges pairs (e, 2) of weights w (e,), its nodes renamed by their places in the order."""
    start = np.zeros(len(place) + 1, np.int64)
    for i, j in pairs:
        start[min(place[i], place[j]) + 1] += 1
    start = np.cumsum(start)
    at, other, weights = start.copy(), np.empty(len(pairs), np.int64), np.empty(len(pairs))
    for k in range(len(pairs)):
        i, j = place[pairs[k, 0]], place[pairs[k, 1]]
        low = min(i, j)
        other[at[low]], weights[at[low]] = max(i, j), w[k]
        at[low] += 1
    return start, other, weights


@kernel
def heights(parts: int) -> Indices:
    """Of each part in the tree of halves, those that have none being 0: its second half comes just before it."""
    height, k = np.zeros(parts, np.int64), 0
    for leaf in range(1, (parts + 1) // 2 + 1):
        of = 0
        while leaf >> of << of == leaf and k < parts:
            height[k] = of
            k, of = k + 1, of + 1
    return height


@kernel
def borders(first: Indices, height: Indices, start: Indices, other: Indices) -> tuple[Indices, Indices]:
    """Of each part, one after the other, the later nodes that it meets: begin (parts + 1,), and the nodes in order."""
    parts = len(height)
    begin, seen = np.zeros(parts + 1, np.int64), np.full(len(start) - 1, -1)
    nodes = np.empty(8 * len(start) + 64, np.int64)
    for s in range(parts):
        end, total = first[s + 1], begin[s]
        most = total + start[end] - start[first[s]]
        for child in (s - 2 ** height[s], s - 1):
            most += begin[child + 1] - begin[child] if height[s] else 0
        if most > len(nodes):
            more = np.empty(2 * most, np.int64)
            more[:total] = nodes[:total]
            nodes = more
        for k in range(start[first[s]], start[end]):
            if other[k] >= end and seen[other[k]] != s:
                nodes[total], seen[other[k]] = other[k], s
                total += 1
        for child in (s - 2 ** height[s], s - 1):
            for k in range(begin[child], begin[child + 1] if height[s] else begin[child]):
                if nodes[k] >= end and seen[nodes[k]] != s:
                    nodes[total], seen[nodes[k]] = nodes[k], s
                    total += 1
        nodes[begin[s] : total].sort()
        begin[s + 1] = total
    return begin, nodes[: begin[parts]]


@kernel
def _gone(f: Array, e: Array, r: Array, own: int, n: int) -> bool:
    """Eliminate the first `own` nodes of a front: f (n, n) above the diagonal, e, r (n,); False if one stands alone.

    In place: rows f_k of those become w_kj/d, r_k becomes r_k/d.
    """
    for first in range(0, own, _AT_ONCE):
        end = min(first + _AT_ONCE, own)
        for k in range(first, end):
            d = e[k]
            for j in range(k + 1, n):
                d += f[k, j]
            if not 0.0 < d < np.inf:
                return False
            for i in range(k + 1, end):
                share = f[k, i] / d
                for j in range(i + 1, n):
                    f[i, j] += share * f[k, j]
            share = 1.0 / d
            for i in range(k + 1, n):
                e[i] += share * f[k, i] * e[k]
                r[i] += share * f[k, i] * r[k]
            e[k], r[k] = share, share * r[k]
        _outer(f, e, first, end, n)
        for k in range(first, end):
            for j in range(k + 1, n):
                f[k, j] *= e[k]
    return True


@kernel
def _outer(f: Array, e: Array, first: int, end: int, n: int) -> None:
    """f_ij + sum over k of f_ki e_k f_kj, k from first to end, i and j beyond; four rows at once for four k."""
    i = end
    if end - first == _AT_ONCE:
        a, b, c, d = f[first], f[first + 1], f[first + 2], f[first + 3]
        t = e[first:end]
        # all four from the first one's diagonal: what stands below a diagonal is never read
        while i + 4 <= n:
            p, q, r, s = f[i], f[i + 1], f[i + 2], f[i + 3]
            p0, p1, p2, p3 = t[0] * a[i], t[1] * b[i], t[2] * c[i], t[3] * d[i]
            q0, q1, q2, q3 = t[0] * a[i + 1], t[1] * b[i + 1], t[2] * c[i + 1], t[3] * d[i + 1]
            r0, r1, r2, r3 = t[0] * a[i + 2], t[1] * b[i + 2], t[2] * c[i + 2], t[3] * d[i + 2]
            s0, s1, s2, s3 = t[0] * a[i + 3], t[1] * b[i + 3], t[2] * c[i + 3], t[3] * d[i + 3]
            for j in range(i + 1, n):
                w, x, y, z = a[j], b[j], c[j], d[j]
                p[j] += (p0 * w + p1 * x) + (p2 * y + p3 * z)
                q[j] += (q0 * w + q1 * x) + (q2 * y + q3 * z)
                r[j] += (r0 * w + r1 * x) + (r2 * y + r3 * z)
                s[j] += (s0 * w + s1 * x) + (s2 * y + s3 * z)
            i += 4
    for k in range(first, end):
        a = f[k]
        for o in range(i, n):
            share, row = a[o] * e[k], f[o]
            for j in range(o + 1, n):
                row[j] += share * a[j]


@kernel
def _room(first: Indices, height: Indices, begin: Indices) -> tuple[int, int, int]:
    """Nodes of the widest front, numbers of all factors, and of what waits at most, of halves not taken up yet."""
    widest, size, left, deepest = 0, 0, 0, 0
    for s in range(len(height)):
        own, more = first[s + 1] - first[s], begin[s + 1] - begin[s]
        widest, size = max(widest, own + more), size + own * more + own * (own - 1) // 2
        for child in (s - 2 ** height[s], s - 1):
            n = begin[child + 1] - begin[child]
            left -= n * (n + 3) // 2 if height[s] else 0
        left += more * (more + 3) // 2
        deepest = max(deepest, left)
    return widest, size, deepest


@kernel
def eliminated(
    first: Indices, height: Indices, begin: Indices, nodes: Indices, graph: Graph, excess: Array, right: Array
) -> tuple[Array, Array]:
    """u (m,) after the first half of the solution, r/d, and the factors w_kj/d, row by row of each front."""
    (start, other, w), m = graph, len(right)
    widest, size, deepest = _room(first, height, begin)
    u, rows, stack, top, at = np.zeros(m), np.empty(size), np.empty(deepest), 0, 0
    room, e, r, where = np.empty(widest * widest), np.empty(widest), np.empty(widest), np.empty(m, np.int64)
    for s in range(len(height)):
        a, own, border = first[s], first[s + 1] - first[s], nodes[begin[s] : begin[s + 1]]
        n = own + len(border)
        f = room[: n * n].reshape(n, n)
        f[:], e[:n], r[:n] = 0.0, 0.0, 0.0
        for k in range(own):
            where[a + k], e[k], r[k] = k, excess[a + k], right[a + k]
        for k in range(len(border)):
            where[border[k]] = own + k
        for i in range(own):
            for k in range(start[a + i], start[a + i + 1]):
                f[i, where[other[k]]] += w[k]
        for child in (s - 1, s - 2 ** height[s]):
            if height[s]:
                top = _taken(f, e, r, where, nodes[begin[child] : begin[child + 1]], stack, top)
        if not _gone(f, e, r, own, n):
            u[:] = np.nan
            return u, rows
        u[a : a + own] = r[:own]
        for k in range(own):
            rows[at : at + n - k - 1] = f[k, k + 1 :]
            at += n - k - 1
        top = _left(f, e, r, own, n, stack, top)
    return u, rows


@kernel
def _taken(f: Array, e: Array, r: Array, where: Indices, nodes: Indices, stack: Array, top: int) -> int:
    """Add to a front what a half of its part has left on top of the stack, about these nodes; the top then."""
    n = len(nodes)
    at = top - n * (n + 3) // 2
    below = at
    for x in range(n):
        i = where[nodes[x]]
        e[i] += stack[at]
        r[i] += stack[at + 1]
        at += 2
        row = f[i]
        for y in range(x + 1, n):
            row[where[nodes[y]]] += stack[at]
            at += 1
    return below


@kernel
def _left(f: Array, e: Array, r: Array, own: int, n: int, stack: Array, top: int) -> int:
    """Leave on the stack what has become of a front without its own nodes; the top then."""
    for i in range(own, n):
        stack[top], stack[top + 1] = e[i], r[i]
        stack[top + 2 : top + 1 + n - i] = f[i, i + 1 :]
        top += 1 + n - i
    return top


@kernel
def substituted(u: Array, rows: Array, first: Indices, begin: Indices, nodes: Indices) -> None:
    """The second half, in place: u_k + sum_j w_kj/d u_j, from the last node to the first."""
    at = len(rows)
    for s in range(len(first) - 2, -1, -1):
        border = nodes[begin[s] : begin[s + 1]]
        for k in range(first[s + 1] - 1, first[s] - 1, -1):
            at -= first[s + 1] - 1 - k + len(border)
            total, of = u[k], at
            for j in range(k + 1, first[s + 1]):
                total += rows[of] * u[j]
                of += 1
            for j in border:
                total += rows[of] * u[j]
                of += 1
            u[k] = total


def solution(pairs: Indices, w: Array, excess: Array, right: Array, order: Indices, first: Indices) -> Array:
    """u (m,), nan where a node is tied to nothing at all.

    pairs (e, 2), w (e,): the edges; excess, right (m,): e and r; order, first: of wflow.dissection.
    """
    m = len(right)
    place = np.empty(m, np.int64)
    place[order] = np.arange(m)
    graph, height = upward(place, pairs, w), heights(len(first) - 1)
    begin, nodes = borders(first, height, graph[0], graph[1])
    u, rows = eliminated(first, height, begin, nodes, graph, excess[order], right[order])
    substituted(u, rows, first, begin, nodes)
    return np.asarray(u[place])
