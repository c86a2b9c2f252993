"""This file owns the picture of positive numbers over time on logarithmic axes: panels of named lines and levels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure

from wflow.picture.style import KNOWN, canvas, styled

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255", "#999933")
_DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Panel:
    """lines: (name, style) -> (times, values); those of one name share a colour, those of one style their dashes.

    levels: name -> a value known beforehand.
    """

    title: str
    value: str
    lines: Mapping[tuple[str, str], tuple[Sequence[float], Sequence[float]]]
    levels: Mapping[str, float] = field(default_factory=dict)


@styled
def over_time(panels: Sequence[Panel], *, columns: int = 2) -> Figure:
    """One figure, a panel each; time 0 is left out."""
    rows = -(-len(panels) // columns)
    figure = canvas(5.6 * columns, 4.2 * rows)
    grid = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    names = list(dict.fromkeys(name for panel in panels for name, _ in panel.lines))
    for axes, panel in zip(grid, panels, strict=False):
        styles = list(dict.fromkeys(style for _, style in panel.lines))
        for (name, style), (times, values) in panel.lines.items():
            t, found = np.array(times), np.array(values)
            axes.plot(
                t[t > 0.0], found[t > 0.0], linestyle=_DASHES[styles.index(style) % len(_DASHES)], linewidth=1.5,
                color=_COLOURS[names.index(name) % len(_COLOURS)], label=f"{name}{', ' if style else ''}{style}",
            )  # fmt: skip
        for k, (name, level) in enumerate(panel.levels.items()):
            axes.axhline(level, color=KNOWN, linestyle=_DASHES[1 + k % 3], linewidth=1.1, label=name)
        axes.set(title=panel.title, xlabel="t", ylabel=panel.value, xscale="log", yscale="log")
        axes.legend(loc="best", fontsize=7.5)
    return figure
