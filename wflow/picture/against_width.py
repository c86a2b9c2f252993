"""This file owns pictures of what was measured of each seed against width, several quantities side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.picture.style import canvas, styled

Points = Mapping[str, Sequence[tuple[float, float]]]
Spectra = Mapping[str, tuple[Array, Array]]


@styled
def against_width(panels: Mapping[str, Points], spectra: Spectra | None = None) -> Figure:
    """By panel and name: (width, value) of every seed as dots, root mean squares joined, and their slope in the legend.

    Both axes are logarithmic; values must be positive.   spectra: by name, numbers of a kernel over their mean at the
    start and at the end, falling from left to right in a panel of their own.
    """
    count = len(panels) + (spectra is not None)
    figure = canvas(4.9 * count, 4.9)
    places = np.atleast_1d(figure.subplots(1, count))
    for axes, (title, rows) in zip(places, panels.items(), strict=False):
        for k, (name, points) in enumerate(rows.items()):
            _of_seeds(axes, name, points, _style(k, len(rows)), "os^Dv"[k % 5])
        ticks = sorted({n for points in rows.values() for n, _ in points})
        axes.set(title=title, xlabel="width n", xscale="log", yscale="log")
        axes.set_xticks(ticks, [f"{n:g}" for n in ticks])
        axes.minorticks_off()
        low, high = axes.get_ylim()
        axes.set_ylim(low * (low / high) ** (0.09 * len(rows)), high)  # room for the legend
        axes.legend(loc="lower left", fontsize=8)
    if spectra is not None:
        _falling(places[-1], spectra)
    return figure


def _style(k: int, count: int) -> Any:
    """The colour of the k-th name."""
    return matplotlib.colormaps["viridis"](0.9 * k / max(count - 1, 1))


def _of_seeds(axes: Axes, name: str, points: Sequence[tuple[float, float]], colour: Any, marker: str) -> None:
    """Dots of seeds, their root mean square by width."""
    width, value = np.array(sorted(points)).T
    ticks = np.unique(width)
    level = np.array([np.sqrt(np.mean(value[width == n] ** 2)) for n in ticks])
    slope = np.polyfit(np.log(ticks), np.log(level), 1)[0] if len(ticks) > 1 else np.nan
    axes.plot(width, value, ".", color=colour, alpha=0.5, markersize=4.0)
    axes.plot(ticks, level, marker + "-", color=colour, label=f"{name}: slope {slope:.2f}", markersize=5.0)


def _falling(axes: Axes, spectra: Spectra) -> None:
    """Numbers of kernels by their place, dotted at the start."""
    for k, (name, (before, after)) in enumerate(spectra.items()):
        place, colour = np.arange(1, len(before) + 1), _style(k, len(spectra))
        axes.plot(place, before[::-1], ":", color=colour)
        axes.plot(place, after[::-1], "-", color=colour, label=name)
    axes.set(title="spectrum of the last layer's kernel, widest n", xlabel="number, from the largest", yscale="log")
    axes.set_ylabel(r"$\lambda/(\mathrm{tr}\,K/P)$; dotted: at the start")
    axes.legend(loc="lower left", fontsize=8)
