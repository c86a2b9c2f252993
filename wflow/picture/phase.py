"""This file owns pictures of momentum: numbers over time beside the law of places and velocities."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.errors import Refused
from wflow.measure import Density, Particles
from wflow.picture.curves import curve, log_or_linear
from wflow.picture.style import KNOWN, canvas, legend, styled, styles

_POINTS = 400


@styled
def phase_space(
    lines: Mapping[str, tuple[Array, Array]],
    cells: Mapping[str, Density],
    clouds: Mapping[str, Particles] | None = None,
    *,
    known: Sequence[str] = (),
    value: str,
) -> Figure:
    """Numbers over time (a curve a name, `known` ones dashed), and densities of (w, v) with particles on top.

    cells and clouds: by the title of a panel. Raises Refused for a density that has not two axes.
    """
    for name, density in cells.items():
        if density.domain.dim != 2:
            raise Refused(f"picture.phase_space: {name!r} has {density.domain.dim} axes; give densities of (w, v)")
    figure = canvas(5.2 + 3.8 * len(cells), 4.2)
    first, *panels = np.atleast_1d(figure.subplots(1, 1 + len(cells)))
    scale, shown = log_or_linear([values for _, values in lines.values()])
    for (name, (times, _)), values, style in zip(lines.items(), shown, styles(list(lines)), strict=True):
        if name in known:
            style = replace(style, colour=KNOWN, line="--", marker="", width=1.4)
        curve(first, np.asarray(times), values, name, style)
    first.set(yscale=scale, xlabel="time t", ylabel=value)
    for axes, (name, density) in zip(panels, cells.items(), strict=True):
        grid, look = density.grid, {"cmap": "viridis", "rasterized": True}
        drawn: Any = axes.pcolormesh(grid.edges(0), grid.edges(1), density.values.reshape(grid.shape).T, **look)
        figure.colorbar(drawn, ax=axes, label="density of (w, v)")
        if clouds and name in clouds:
            pi = clouds[name]
            some = pi.domain.wrap(pi.points)[:: max(1, len(pi.points) // _POINTS)]
            axes.scatter(*some.T, s=5, color="white", linewidths=0.0, alpha=0.7)
        axes.set(xlabel="place w", ylabel="velocity v", ylim=_seen(density), title=name)
        axes.title.set_fontsize(11)
    legend(figure, first)
    return figure


def _seen(density: Density) -> tuple[float, float]:
    """Velocities but for a thousandth of the mass at each end, and a margin."""
    across = np.cumsum(density.weights.reshape(density.grid.shape).sum(axis=0))
    edges = density.grid.edges(1)
    low, high = edges[np.searchsorted(across, 1e-3)], edges[np.searchsorted(across, 1.0 - 1e-3) + 1]
    return 1.3 * float(low), 1.3 * float(high)
