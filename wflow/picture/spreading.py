"""This file owns the picture of a density that spreads in the plane: maps on one scale, and a cut beside a law."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.errors import Refused
from wflow.law import Law
from wflow.measure import Density
from wflow.picture.style import KNOWN, canvas, legend, styled, styles
from wflow.trajectory import Trajectory

_FINE = 400
_FAINT = 1e-3
"""Of the largest density: what is less is left out of the window."""
_ROOM = 1.15


@styled
def spreading(run: Trajectory, times: Sequence[float], exact: Callable[[float], Law | None] | None = None) -> Figure:
    """A density on two axes at some times: maps with one scale of colours, and the row of cells that holds the largest.

    The cut is a line of steps for each time; dashed, the law exact(t) on the same line. Raises Refused for a run that
    holds no density on two axes.
    """
    shown = [run.at(t) for t in times]
    densities = [pi for pi in shown if isinstance(pi, Density) and pi.domain.dim == 2]
    if len(densities) < len(shown):
        raise Refused(f"picture.spreading: {run.solver} holds no density on two axes; draw `regions` or `densities`")
    names = run.flow.energy.names(2)
    figure = canvas(1.6 + 2.6 * len(times), 6.2)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.0, 1.05]).ravel()
    panels = upper.subplots(1, len(times), squeeze=False, sharex=True, sharey=True).ravel()
    window, top = _window(densities), max(float(pi.values.max()) for pi in densities)
    for axes, pi, t in zip(panels, densities, times, strict=True):
        edges = pi.grid.edges(0), pi.grid.edges(1)
        drawn = axes.pcolormesh(*edges, _square(pi).T, cmap="magma", vmin=0.0, vmax=top, rasterized=True)
        axes.set(xlim=window[0], ylim=window[1], aspect="equal", xlabel=names[0], title=f"t = {t:g}")
        axes.title.set_fontsize(11)
    panels[0].set_ylabel(names[1])
    upper.colorbar(drawn, ax=list(panels), label="density (per unit area)")
    cut = lower.subplots()
    _cut(cut, densities, times, exact, window[0])
    cut.set(xlim=window[0], xlabel=names[0], ylabel="density through the peak\n(per unit area)")
    legend(figure, cut)
    return figure


def _square(pi: Density) -> Array:
    return np.reshape(pi.values, pi.grid.shape)


def _cut(
    axes: Axes,
    densities: Sequence[Density],
    times: Sequence[float],
    exact: Callable[[float], Law | None] | None,
    ends: tuple[float, float],
) -> None:
    """Along the first axis, through the largest value of the first density."""
    row = int(np.unravel_index(int(densities[0].values.argmax()), densities[0].grid.shape)[1])
    edges = densities[0].grid.edges(1)
    line = np.linspace(*ends, _FINE + 1)
    points = np.column_stack([line, np.full(len(line), 0.5 * (edges[row] + edges[row + 1]))])
    for pi, t, style in zip(densities, times, styles([f"t = {t:g}" for t in times]), strict=True):
        axes.stairs(_square(pi)[:, row], pi.grid.edges(0), color=style.colour, linewidth=1.8, label=f"t = {t:g}")
        if exact is not None and (law := exact(t)) is not None:
            axes.plot(line, law.density(points), color=KNOWN, linestyle="--", linewidth=1.3, zorder=5)
    if exact is not None:
        axes.plot([], [], color=KNOWN, linestyle="--", linewidth=1.3, label="exact")


def _window(densities: Sequence[Density]) -> list[tuple[float, float]]:
    """On both axes where any of them is more than faint, and a little room."""
    ends = []
    for axis in (0, 1):
        sides = []
        for pi in densities:
            held = np.flatnonzero(_square(pi).max(axis=1 - axis) > _FAINT * pi.values.max())
            edges = pi.grid.edges(axis)
            sides += [edges[held[0]], edges[held[-1] + 1]]
        middle, half = 0.5 * (min(sides) + max(sides)), 0.5 * (max(sides) - min(sides))
        ends.append((float(middle - _ROOM * half), float(middle + _ROOM * half)))
    return ends
