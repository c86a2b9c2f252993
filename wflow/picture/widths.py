"""This file owns the picture of errors against width: of single networks and of their mean."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from wflow.picture.style import KNOWN, canvas, styled

Rows = Mapping[str, Sequence[tuple[float, float, float]]]


@styled
def widths(single: Rows, mean: Rows) -> Figure:
    """Left: rms of single networks, guide N^(-1/2); right: error of their mean, guide 1/N; two bars each.

    By name: (width, error, its standard error). Names "f: ..." are filled, others open; a colour a kind.
    """
    figure = canvas(10.4, 5.2)
    left, right = figure.subplots(1, 2)
    _panel(left, single, -0.5, "rms of single networks")
    _panel(right, mean, -1.0, "error of the mean over seeds")
    return figure


def _panel(axes: Axes, rows: Rows, slope: float, title: str) -> None:
    kinds = list(dict.fromkeys(name.split(": ")[-1] for name in rows))
    for name, row in rows.items():
        width, error, bar = np.array(row).T
        k = kinds.index(name.split(": ")[-1])
        colour = matplotlib.colormaps["viridis"](0.85 * k / max(len(kinds) - 1, 1))
        look: dict[str, Any] = {"marker": "os^Dv"[k % 5], "markersize": 5.0, "linewidth": 1.3, "color": colour}
        face = colour if name.startswith("f") else "white"
        low = np.minimum(2.0 * bar, 0.9 * error)  # a bar through zero has no end on a log axis
        axes.errorbar(width, error, [low, 2.0 * bar], label=name, markerfacecolor=face, **look)
    ticks = sorted({n for row in rows.values() for n, _, _ in row})
    guide = np.array([ticks[0], ticks[-1]])
    first = [row[0][1] for row in rows.values()]
    for height, label in ((max(first), f"slope {slope:g}"), (min(first), None)):
        axes.plot(guide, 1.3 * height * (guide / guide[0]) ** slope, ":", color=KNOWN, label=label)
    axes.set(title=title, xlabel="width N", ylabel="error", xscale="log", yscale="log")
    axes.set_xticks(ticks, [f"{n:g}" for n in ticks])
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()
    low, high = axes.get_ylim()
    axes.set_ylim(low * (low / high) ** (0.05 * len(rows)), high)  # room for the legend
    axes.legend(loc="lower left", fontsize=7.5, ncols=1 + (len(rows) > 4))
