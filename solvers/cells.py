"""This file owns how a flow begins on cells: exact averages of its law, and which flows cells cannot take."""

import math

import numpy as np

from wflow.arrays import Array
from wflow.compiled import available
from wflow.domain import Box, Domain
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.flow import Flow, Window
from wflow.law import Atoms
from wflow.measure import Density
from wflow.terms import Risk

OUTSIDE = 1e-6
"""Most mass that may lie outside a window at the start; it is scaled away."""
SHEETS_APART = 1e-9
"""Share of a frozen axis by which its atoms may miss the middles of its two cells."""
AXES = 3
COARSE = 2
COMPILED = 1 << 14
"""Cells from which kernels are taken where numba is installed: its import then pays within some hundred steps."""


def compiled(cells: int) -> bool:
    """Whether a grid of so many cells is stepped by compiled kernels."""
    return cells >= COMPILED and available()


def lent(values: Array, shape: tuple[int, ...]) -> Array:
    """A view that cannot be written: shared and own arrays are then of one type to numba, and compiled for once."""
    view = values.reshape(shape)
    view.flags.writeable = False
    return view


def averages_of(flow: Flow, cells: int, window: Window | None) -> Density:
    """Cell averages of the law; what lies outside a window (at most 1e-6) is scaled away. Refused for more."""
    grid = flow.grid(cells, window)
    values = flow.initial.averages(grid)
    outside = 1.0 - float(values.sum()) * grid.cell_volume
    if abs(outside) > OUTSIDE:
        sides = zip(grid.domain.lower, grid.domain.upper, strict=True)
        bounds = " x ".join(f"{low:g}..{high:g}" for low, high in sides)
        raise Refused(f"window: {bounds} leaves {outside:.3g} of the mass outside, allowed: {OUTSIDE:g}; widen it")
    return Density(grid, np.maximum(values, 0.0) / (1.0 - outside))


def box_of(flow: Flow, window: Window | None) -> Domain:
    """The domain, or the window of one that is infinite."""
    return flow.grid(COARSE, window).domain if isinstance(flow.domain, Box) else flow.domain


def space_order(flow: Flow, smooth: float, layer: float) -> float:
    """The order in W2 for how the start ends, of a method that smears ends over a width d = h^layer.

    Where the density ends like (distance)^q the layer has the mass d^(1 + q), moved by d: W2 = d^((3 + q)/2), with
    q = -1 at an atom and 0 at a jump (where that equals `smooth`, the rest of the mass adds a logarithm). Heat smooths
    at once: only an atom's place in its cell is lost, O(h). A power makes an edge of its own, which the method knows.
    Beside a corner that juts in, of an angle omega > pi, heat leaves rho = a + b r^(pi/omega) cos(pi phi/omega), of
    which the slope is missed by h^(pi/omega) and, tested with functions that bend as much, rho by the square of it.
    Without heat no density is smoother than V makes it (`_bent`).
    Source: Grisvard 1985, Elliptic Problems in Nonsmooth Domains, Pitman.
    """
    q = flow.initial.edge
    if flow.energy.temperature > 0.0:
        if (omega := flow.domain.widest) > math.pi:
            smooth = min(smooth, 2.0 * math.pi / omega)
        return min(smooth, 1.0) if q < 0.0 else smooth
    if flow.energy.power is not None and q > 0.0:
        return smooth
    return min(smooth, layer * (3.0 + q) / 2.0, _bent(flow.energy, layer))


def _bent(energy: Energy, layer: float) -> float:
    """The order that bends of V leave: min(layer p, p - 1/2), on data, V being like (w - k)_+^p at a knot k.

    d log rho/dt = V'' along the way. So mass that crosses a knot gets a bend of rho of the power p - 1. Where V'(k)
    changes its sign mass turns at the knot: it was beyond for a time like the root of how far it came, and has a bend
    of the power p - 3/2. Both move on: smeared over a width d = h^layer they leave errors d^p and d^(p - 1/2) of the
    distribution function over that width, W2 = d^(p + 1/2) and d^p. Where V' stays 0 at the knot none crosses, and rho
    gets a bend of the power p - 2 there (p = 2: a jump), which stands, over a width h: W2 = h^(p - 1/2). With p < 2 a
    gap opens: V' = -a (w - k)^(p - 1) beyond k and 0 before it take what is at k away at once, and of the mass O(h) of
    its cell some goes to the wrong side: 1/2, in any scheme (all derived). Where V' itself jumps nothing is declared.
    """
    powers = [term.neuron.activation.breaks for term in energy.terms if isinstance(term, Risk)]
    left = [min(layer * p, p - 0.5) if p >= 2.0 else 0.5 for p in powers if p > 1.0]
    return min(left, default=math.inf)


def refusal_of_cells(flow: Flow, window: Window | None, axes: int = AXES) -> str | None:
    """Why a grid of cells with at most `axes` axes cannot take this flow, in one sentence; None if it can."""
    domain = flow.domain
    if domain.dim > axes:
        return f"the domain has {domain.dim} axes; cells take at most {axes}, use particles"
    if domain.dim == 1 and domain.periodic[0] and not domain.is_circle:
        return f"the periodic axis has length {domain.lengths[0]:g}, not 2 pi; scale it to the circle"
    if not flow.initial.has_averages:
        return "the initial law gives no cell masses; give one with a cdf, a product of such laws, or use particles"
    if domain.bounded and window is not None:
        return f"window {window} belongs to an infinite axis and this domain is bounded; leave the window out"
    if window is None and not _windowed(flow):
        return "an infinite axis needs a window; set Flow(window=(lower, upper)) or the solver's own"
    return _refusal_of_sheets(flow, window)


def _refusal_of_sheets(flow: Flow, window: Window | None) -> str | None:
    """Mass on a frozen axis that is not where its two cells stand for it, which no refinement would mend."""
    still = [axis for axis in range(flow.domain.dim) if axis not in flow.domain.moving]
    if not still:
        return None
    cut, law = flow.grid(2, window).domain, flow.initial
    for axis in still:
        across = law.marginals[axis] if law.marginals else law
        sheets = np.array([cut.lower[axis], cut.upper[axis]]) @ [[0.75, 0.25], [0.25, 0.75]]
        there = f"sheets at {sheets[0]:g} and {sheets[1]:g}"
        if not isinstance(across, Atoms):
            return (
                f"axis {axis} is frozen and the initial law has no Atoms there but a {type(across).__name__}, which "
                f"cells gather on {there} at any resolution; use particles, or a Product with Atoms on that axis"
            )
        places = across.points[across.weights > 0.0, 0]
        off = np.abs(places[:, None] - sheets).min(axis=1)
        if off.max() > SHEETS_APART * cut.lengths[axis]:
            return (
                f"axis {axis} is frozen with mass at {places[off.argmax()]:g}, and cells put it on {there}; "
                "for sheets a = +-A let the axis, or its window, reach from -2 A to 2 A"
            )
    return None


def _windowed(flow: Flow) -> bool:
    """Every infinite axis has an entry in the flow's window."""
    entries = flow.window or (None,) * flow.domain.dim
    return all(np.isfinite(n) or e is not None for n, e in zip(flow.domain.lengths, entries, strict=True))
