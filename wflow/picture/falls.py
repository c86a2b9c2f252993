"""This file owns the picture of numbers that fall with a width: a panel a group, lines by name, a slope."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from wflow.picture.style import KNOWN, canvas, styled

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = "os^Dvx"


@styled
def falls(
    groups: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], *, slope: float, size: str, value: str
) -> Figure:
    """groups: title -> name -> (size, value) pairs. The dashed line has the slope that theory says."""
    figure = canvas(4.8 * len(groups), 4.4)
    for axes, (title, lines) in zip(
        np.ravel(figure.subplots(1, len(groups), sharey=True)), groups.items(), strict=True
    ):
        for k, (name, pairs) in enumerate(lines.items()):
            n, found = np.array(sorted(pairs), dtype=float).T
            look = {"color": _COLOURS[k % len(_COLOURS)], "marker": _MARKERS[k % len(_MARKERS)]}
            axes.plot(n, found, label=name, markersize=4.0, linewidth=1.4, **look)
        first = max(max(v for _, v in pairs) for pairs in lines.values())
        axes.plot(n, 1.3 * first * (n / n[0]) ** slope, "--", color=KNOWN, label=f"slope {slope:g}")
        axes.set(title=title, xlabel=size, xscale="log", yscale="log")
        axes.set_xticks(n, [f"{k:g}" for k in n])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.legend(loc="best", fontsize=8.0)
    figure.axes[0].set_ylabel(value)
    return figure
