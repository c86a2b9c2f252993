"""This file owns pictures of what lies between two networks: loss and error along a way, barriers by width."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.picture.style import KNOWN, canvas, styled

_COLOURS = ("#D55E00", "#56B4E9", "#009E73", "#CC79A7")
_LINES = ("-", "--", "-", ":")


@styled
def ways(panels: Mapping[str, Mapping[str, tuple[Array, Array]]], *, ends: tuple[str, str]) -> Figure:
    """A column each: F of the rows learnt (above) and test error (below) along alpha; mean, least and largest of seeds.

    panels: title -> kind -> (F (seeds, points), error (seeds, points)); ends: what is at alpha = 0 and 1.
    """
    figure = canvas(3.3 * len(panels) + 0.6, 6.4)
    axes = figure.subplots(2, len(panels), sharex=True, sharey="row", squeeze=False)
    for column, (title, kinds) in zip(axes.T, panels.items(), strict=True):
        for k, (kind, parts) in enumerate(kinds.items()):
            for one, values in zip(column, parts, strict=True):
                _band(one, values, k, kind)
        column[0].set_title(title)
        column[1].set_xlabel(f"alpha (0: {ends[0]}, 1: {ends[1]})")
    seeds = {len(values) for kinds in panels.values() for parts in kinds.values() for values in parts}
    axes[0, 0].fill_between([], [], color=KNOWN, alpha=0.15, label=f"all {max(seeds)} seeds; lines: their mean")
    axes[0, 0].set_ylabel("F of the rows learnt")
    axes[1, 0].set_ylabel("test error, share of rows")
    axes[0, 0].legend(loc="upper left", fontsize=9.0)
    return figure


def _band(axes: Axes, values: Array, k: int, label: str) -> None:
    """Mean over seeds with the span from least to largest."""
    alphas = np.linspace(0.0, 1.0, values.shape[1])
    colour = _COLOURS[k % len(_COLOURS)]
    axes.fill_between(alphas, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0.0)
    axes.plot(alphas, values.mean(axis=0), _LINES[k % len(_LINES)], color=colour, label=label)


@styled
def barriers(panels: Mapping[str, Mapping[str, Array]], *, split: int) -> Figure:
    """A column each: the first `split` tables above (barriers), the rest below (distances), by m; dots and means.

    panels: title -> name -> (runs, 2): m and a value.
    """
    figure = canvas(5.0 * len(panels) + 0.4, 7.0)
    axes = figure.subplots(2, len(panels), sharex=True, squeeze=False)
    for column, (title, tables) in zip(axes.T, panels.items(), strict=True):
        for k, (name, found) in enumerate(tables.items()):
            _powers(column[int(k >= split)], found, k, name)
        column[0].set(title=title, ylabel="barrier of F (dots: pairs, lines: means)")
        column[1].set(xlabel="neurons m", ylabel="W2 of neurons, rms of f")
        for one in column:
            one.legend(loc="best", fontsize=9.0)
    return figure


def _powers(axes: Axes, found: Array, k: int, label: str) -> None:
    """One quantity by m on logarithmic axes."""
    colour = (*_COLOURS, "#0072B2")[k % 5]
    sizes = np.unique(found[:, 0])
    middle = [float(np.mean(found[found[:, 0] == m, 1])) for m in sizes]
    seen = found[found[:, 1] > 0.0]  # a barrier may be 0
    axes.plot(*seen.T, "o", color=colour, alpha=0.35, markersize=3.5)
    axes.plot(sizes, middle, "-", color=colour, label=label)
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(sizes, [f"{m:g}" for m in sizes])
    axes.set_xticks([], minor=True)
