"""This file owns exchanges of mass along the lines of a grid as compiled sweeps: solvers._lines for large grids.

Importing it imports numba. Lines go in strips of WIDTH neighbours, so that the recurrence along a line runs in vectors
across its strip, all in a core's cache. A strip is (n, WIDTH); cells lie as (before, n, after), and a strip's lines are
neighbours in `after`, or in `before` where there is but one after. What is left of a last strip is idle: rates 0.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from wflow import elementary
from wflow.arrays import Array
from wflow.compiled import inlined, kernel
from wflow.elementary import expm1

_kernel = partial(kernel, uses=(elementary,))
WIDTH = 16
_FARTHEST = 700.0


class Rates(NamedTuple):
    """What decides the exchange along an axis; cells (before, n, after), faces n - 1 or, where cyclic, n.

    warm: temperatures at the faces, or (1, 1, 1) for one temperature;   cold: 1/warm;   share: dt/h^2
    """

    potential: Array
    warm: Array
    cold: Array
    share: float
    cyclic: bool


class Cells(NamedTuple):
    """V, rho, xi = V + U'(rho) and log rho, in one shape."""

    potential: Array
    rho: Array
    driving: Array
    log: Array


class Factors(NamedTuple):
    """L U of every line as in solvers._lines, by strips: (strips, n, WIDTH) each.

    down, up: what a cell hands on and takes back, each over its pivot; shrink: 1/pivot. On circles the last cell is
    eliminated from the others: response is their answer to it, the last row of `shrink` its own, and the last two of
    `down` and `up` are bare rates.
    """

    down: Array
    up: Array
    shrink: Array
    response: Array


@inlined
def _both_rates(rise: float, warm: float, cold: float) -> tuple[float, float]:
    """T B(d/T) and T B(-d/T), d = jump(V).

    B(y) = y/(e^y - 1) and B(-y) = B(y) + y for y >= 0: neither loses a digit.
    """
    slope = rise * cold
    y = abs(slope)
    near = min(y, _FARTHEST)
    small = near / expm1(near) if y > 0.0 else 1.0
    up, down = warm * small, warm * (small + y)
    return (up, down) if slope > 0.0 else (down, up)


@inlined
def _strips(before: int, after: int) -> int:
    """How many strips hold the lines."""
    return before * ((after + WIDTH - 1) // WIDTH) if after > 1 else (before + WIDTH - 1) // WIDTH


@_kernel
def _gather(cells: Array, s: int, strip: Array) -> None:
    before, n, after = cells.shape
    if after == 1:
        first = s * WIDTH
        for i in range(n):
            for w in range(WIDTH):
                strip[i, w] = cells[first + w, i, 0] if first + w < before else 0.0
        return
    across = (after + WIDTH - 1) // WIDTH
    b, first = s // across, s % across * WIDTH
    for i in range(n):
        for w in range(WIDTH):
            strip[i, w] = cells[b, i, first + w] if first + w < after else 0.0


@_kernel
def _scatter(strip: Array, s: int, cells: Array) -> None:
    before, n, after = cells.shape
    if after == 1:
        first = s * WIDTH
        for i in range(n):
            for w in range(min(WIDTH, before - first)):
                cells[first + w, i, 0] = strip[i, w]
        return
    across = (after + WIDTH - 1) // WIDTH
    b, first = s // across, s % across * WIDTH
    for i in range(n):
        for w in range(min(WIDTH, after - first)):
            cells[b, i, first + w] = strip[i, w]


@_kernel
def factored(rates: Rates) -> Factors:
    """For many steps at one V."""
    before, n, after = rates.potential.shape
    count = _strips(before, after)
    factors = _room(count, n, rates.cyclic)
    strip, warm, cold = np.zeros((n, WIDTH)), np.ones((n, WIDTH)), np.ones((n, WIDTH))
    for s in range(count):
        _factor(rates, s, strip, warm, cold, factors, s)
    return factors


@_kernel
def solved(factors: Factors, cyclic: bool, right: Array) -> Array:
    """x (before, n, after) for the right side of the same shape."""
    x, strip = np.empty_like(right), np.zeros(factors.down.shape[1:])
    for s in range(len(factors.down)):
        _gather(right, s, strip)
        _solve(factors, s, cyclic, strip)
        _scatter(strip, s, x)
    return x


@_kernel
def swept(rates: Rates, right: Array) -> Array:
    """The same with factors that are used once: they never leave the cache."""
    before, n, after = right.shape
    x, factors = np.empty_like(right), _room(1, n, rates.cyclic)
    strip, warm, cold = np.zeros((n, WIDTH)), np.ones((n, WIDTH)), np.ones((n, WIDTH))
    for s in range(_strips(before, after)):
        _factor(rates, s, strip, warm, cold, factors, 0)
        _gather(right, s, strip)
        _solve(factors, 0, rates.cyclic, strip)
        _scatter(strip, s, x)
    return x


@_kernel
def work(rates: Rates, rho: Array, driving: Array, log: Array, temperature: float) -> float:
    """Sum over faces of J h force dt/h^2: J dt/h = out rho_left - back rho_right, h force = -jump(xi + T log rho).

    The jump of log rho is 0 beside an empty cell, whose flux is given in full elsewhere.
    """
    before, n, after = rho.shape
    # rows of cells: one a line where cells of a line are neighbours, else one a cell of a line
    single, faces = after == 1, n if rates.cyclic else n - 1
    shape = (before, n) if single else (before * n, after)
    v, across = rates.potential, (before, faces) if single else (before * faces, after)
    cells = Cells(v.reshape(shape), rho.reshape(shape), driving.reshape(shape), log.reshape(shape))
    warm, cold = _spread(rates.warm, across), _spread(rates.cold, across)
    own = 0 if len(warm) == 1 else 1
    total = 0.0
    for b in range(before):
        if single:
            w, c = warm[own * b], cold[own * b]
            total += _row_work(_cut(cells, b, 0, n - 1), _cut(cells, b, 1, n), w, c, temperature)
            if rates.cyclic:
                last, first = _cut(cells, b, n - 1, n), _cut(cells, b, 0, 1)
                total += _row_work(last, first, w[n - 1 :], c[n - 1 :], temperature)
        else:
            for i in range(faces):
                left, right = _cut(cells, b * n + i, 0, after), _cut(cells, b * n + (i + 1) % n, 0, after)
                face = own * (b * faces + i)
                total += _row_work(left, right, warm[face], cold[face], temperature)
    return total * rates.share


@_kernel
def _spread(field: Array, shape: tuple[int, int]) -> Array:
    """At the faces as rows, or the one row that stands for all."""
    return np.full((1, shape[1]), field[0, 0, 0]) if field.size == 1 else field.copy().reshape(shape)


@_kernel
def _cut(rows: Cells, i: int, start: int, stop: int) -> Cells:
    v, rho, xi, log = rows
    return Cells(v[i, start:stop], rho[i, start:stop], xi[i, start:stop], log[i, start:stop])


@_kernel
def _row_work(left: Cells, right: Cells, warm: Array, cold: Array, temperature: float) -> float:
    v, rho, xi, log = left
    v_right, rho_right, xi_right, log_right = right
    total = 0.0
    for k in range(len(v)):
        out, back = _both_rates(v_right[k] - v[k], warm[k], cold[k])
        jump = log_right[k] - log[k] if rho[k] > 0.0 and rho_right[k] > 0.0 else 0.0
        total += (back * rho_right[k] - out * rho[k]) * (xi_right[k] - xi[k] + temperature * jump)
    return total


@_kernel
def _room(count: int, n: int, cyclic: bool) -> Factors:
    down, up, shrink = np.zeros((count, n, WIDTH)), np.zeros((count, n, WIDTH)), np.zeros((count, n, WIDTH))
    return Factors(down, up, shrink, np.zeros((count, n if cyclic else 0, WIDTH)))


@_kernel
def _temperatures(warm: Array, s: int, strip: Array) -> None:
    if warm.size == 1:
        strip[:] = warm[0, 0, 0]
    else:
        _gather(warm, s, strip)


@_kernel
def _exchange(left: Array, right: Array, warm: Array, cold: Array, share: float, out: Array, back: Array) -> None:
    for w in range(WIDTH):
        forth, back_again = _both_rates(right[w] - left[w], warm[w], cold[w])
        out[w], back[w] = share * forth, share * back_again


@_kernel
def _factor(rates: Rates, s: int, strip: Array, warm: Array, cold: Array, factors: Factors, place: int) -> None:
    """Factors of strip s. Sums of columns are 1, and more at both ends where the last cell is taken out."""
    down, up, shrink, response = factors.down[place], factors.up[place], factors.shrink[place], factors.response[place]
    n, cyclic = len(down), rates.cyclic
    _gather(rates.potential, s, strip)
    _temperatures(rates.warm, s, warm)
    _temperatures(rates.cold, s, cold)
    for i in range(n if cyclic else n - 1):
        _exchange(strip[i], strip[(i + 1) % n], warm[i], cold[i], rates.share, down[i], up[i])
    head = n - 1 if cyclic else n
    kept = np.ones(WIDTH)
    if cyclic:
        kept += up[n - 1]
    for i in range(head - 1):
        _eliminate(kept, down[i], up[i], shrink[i])
    if cyclic:
        kept += down[n - 2]
    shrink[head - 1] = 1.0 / kept
    if cyclic:
        response[:] = 0.0
        response[0] = down[n - 1]
        response[n - 2] += up[n - 2]
        _substitute(down, up, shrink, response, head)
        shrink[n - 1] = 1.0 / (1.0 + response[:head].sum(axis=0))


@_kernel
def _eliminate(kept: Array, down: Array, up: Array, shrink: Array) -> None:
    """One cell of each line: `kept` is the sum of its column, and becomes that of the next."""
    for w in range(WIDTH):
        inverse = 1.0 / (kept[w] + down[w])
        kept[w] = 1.0 + up[w] * (kept[w] * inverse)
        down[w] *= inverse
        up[w] *= inverse
        shrink[w] = inverse


@_kernel
def _substitute(down: Array, up: Array, shrink: Array, x: Array, head: int) -> None:
    """L, then U; every term has one sign."""
    for i in range(head - 1):
        for w in range(WIDTH):
            x[i + 1, w] += down[i, w] * x[i, w]
    for w in range(WIDTH):
        x[head - 1, w] *= shrink[head - 1, w]
    for i in range(head - 2, -1, -1):
        for w in range(WIDTH):
            x[i, w] = shrink[i, w] * x[i, w] + up[i, w] * x[i + 1, w]


@_kernel
def _solve(factors: Factors, place: int, cyclic: bool, x: Array) -> None:
    down, up, shrink, response = factors.down[place], factors.up[place], factors.shrink[place], factors.response[place]
    n = len(x)
    if not cyclic:
        _substitute(down, up, shrink, x, n)
        return
    _substitute(down, up, shrink, x, n - 1)
    for w in range(WIDTH):
        x[n - 1, w] = (x[n - 1, w] + up[n - 1, w] * x[0, w] + down[n - 2, w] * x[n - 2, w]) * shrink[n - 1, w]
    for i in range(n - 1):
        for w in range(WIDTH):
            x[i, w] += response[i, w] * x[n - 1, w]
