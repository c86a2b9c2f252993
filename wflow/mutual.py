"""This file owns lists of neighbours made mutual, compiled: whoever is said to border i hears of i.

Where few have been asked anew, the lists of all others stand, but for what they are told.
"""

import numpy as np
from numpy.typing import NDArray

from wflow.clipping import Indices
from wflow.compiled import kernel


@kernel
def among(i: int, of: Indices, first: int, end: int) -> bool:
    """i is in of[first:end]."""
    for k in range(first, end):  # noqa: SIM110
        if of[k] == i:
            return True
    return False


@kernel
def told(
    start: Indices, other: Indices, asked: Indices, counts: Indices, found: Indices, empty: NDArray[np.bool_]
) -> tuple[Indices, Indices, NDArray[np.bool_]]:
    """start, other with what has been found for those asked, each pair both ways; and who has heard of it only now.

    Of those asked what they knew is forgotten, but who is found empty is empty, and its neighbours are on the way to
    those that cover it. The last are (m,): i knows a wall with j and j does not, so that j has not heard of i, or i
    not of who took the wall from both.
    """
    m, room = len(empty), len(found)
    first, place = np.zeros(len(asked) + 1, np.int64), np.full(m, -1)
    for s in range(len(asked)):
        first[s + 1] = first[s] + counts[s]
        if not empty[asked[s]]:
            place[asked[s]] = s
            room += start[asked[s] + 1] - start[asked[s]]
    news, of, n = np.empty(room, np.int64), np.empty(room, np.int64), 0
    for s in range(len(asked)):
        i = asked[s]
        if empty[i]:
            continue
        for k in range(first[s], first[s + 1]):
            j, t = found[k], place[found[k]]
            if not (among(i, found, first[t], first[t + 1]) if t >= 0 else among(i, other, start[j], start[j + 1])):
                news[n], of[n], n = j, i, n + 1
        for k in range(start[i], start[i + 1]):
            if place[other[k]] < 0 and not among(other[k], found, first[s], first[s + 1]):
                news[n], of[n], n = i, other[k], n + 1
    new, alone = np.zeros(m + 1, np.int64), np.zeros(m, np.bool_)
    for k in range(n):
        new[news[k] + 1] += 1
        alone[news[k]] = alone[of[k]] = True
    for i in range(m):
        new[i + 1] += new[i] + (counts[place[i]] if place[i] >= 0 else start[i + 1] - start[i])
    at, every = new[:m].copy(), np.empty(new[m], np.int64)
    for i in range(m):
        t = place[i]
        for k in range(first[t] if t >= 0 else start[i], first[t + 1] if t >= 0 else start[i + 1]):
            every[at[i]] = found[k] if t >= 0 else other[k]
            at[i] += 1
    for k in range(n):
        every[at[news[k]]] = of[k]
        at[news[k]] += 1
    # in order, so that what is found does not depend on who was asked first
    for s in asked:
        every[new[s] : new[s + 1]].sort()
    for k in range(n):
        every[new[news[k]] : new[news[k] + 1]].sort()
    return new, every, alone
