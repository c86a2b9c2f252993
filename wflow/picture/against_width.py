"""This file owns pictures of what was measured of each seed against width, several quantities side by side."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from wflow.picture.style import canvas, styled

Points = Mapping[str, Sequence[tuple[float, float]]]


@styled
def against_width(panels: Mapping[str, Points]) -> Figure:
    """By panel and name: (width, value) of every seed as dots, root mean squares joined, and their slope in the legend.

    Both axes are logarithmic; values must be positive.
    """
    figure = canvas(4.9 * len(panels), 4.9)
    for axes, (title, rows) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True):
        for k, (name, points) in enumerate(rows.items()):
            width, value = np.array(sorted(points)).T
            ticks = np.unique(width)
            level = np.array([np.sqrt(np.mean(value[width == n] ** 2)) for n in ticks])
            slope = np.polyfit(np.log(ticks), np.log(level), 1)[0] if len(ticks) > 1 else np.nan
            colour = matplotlib.colormaps["viridis"](0.9 * k / max(len(rows) - 1, 1))
            axes.plot(width, value, ".", color=colour, alpha=0.5, markersize=4.0)
            axes.plot(
                ticks, level, "os^Dv"[k % 5] + "-", color=colour, label=f"{name}: slope {slope:.2f}", markersize=5.0
            )
        axes.set(title=title, xlabel="width n", xscale="log", yscale="log")
        axes.set_xticks(ticks, [f"{n:g}" for n in ticks])
        axes.minorticks_off()
        low, high = axes.get_ylim()
        axes.set_ylim(low * (low / high) ** (0.09 * len(rows)), high)  # room for the legend
        axes.legend(loc="lower left", fontsize=8)
    return figure
