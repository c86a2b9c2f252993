"""This file owns the picture of positive numbers over time on logarithmic axes: panels of named lines and levels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wflow.picture.style import KNOWN, canvas, styled

_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#882255",
    "#999933",
    "#661100",
    "#888888",
)
_DASHES: tuple[Any, ...] = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Panel:
    """lines: (name, style) -> (times, values); those of one name share a colour, those of one style their dashes.

    levels: name -> a value known beforehand; dashes are those of the styles, in their order, where there are several.
    """

    title: str
    value: str
    lines: Mapping[tuple[str, str], tuple[Sequence[float], Sequence[float]]]
    levels: Mapping[str, float] = field(default_factory=dict)


@styled
def over_time(panels: Sequence[Panel], *, columns: int = 2) -> Figure:
    """One figure, a panel each, colours named once below; time 0 is left out."""
    rows = -(-len(panels) // columns)
    names = list(dict.fromkeys(name for panel in panels for name, _ in panel.lines))
    figure = canvas(5.4 * columns, 4.0 * rows + 0.3 * -(-len(names) // 3))
    grid = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    colours = {name: _COLOURS[k % len(_COLOURS)] for k, name in enumerate(names)}
    for axes, panel in zip(grid, panels, strict=False):
        _drawn(axes, panel, colours)
    handles = [Line2D([], [], color=colours[name], label=name) for name in names]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9.0)
    return figure


def _drawn(axes: Axes, panel: Panel, colours: Mapping[str, str]) -> None:
    """Lines, levels, and a legend of styles and levels."""
    styles = {style: _DASHES[k % len(_DASHES)] for k, style in enumerate(dict.fromkeys(s for _, s in panel.lines))}
    for (name, style), (times, values) in panel.lines.items():
        t, found = np.array(times), np.array(values)
        axes.plot(t[t > 0.0], found[t > 0.0], linestyle=styles[style], linewidth=1.5, color=colours[name])
    handles = [Line2D([], [], color=KNOWN, linestyle=dashes, label=style) for style, dashes in styles.items() if style]
    for k, (name, level) in enumerate(panel.levels.items(), 0 if len(styles) > 1 else 1):
        dashes = _DASHES[k % len(_DASHES)]
        handles.append(axes.axhline(level, color="black", linestyle=dashes, linewidth=0.9, label=name))
    axes.set(title=panel.title, xlabel="t", ylabel=panel.value, xscale="log", yscale="log")
    if handles:
        axes.legend(handles=handles, loc="best", fontsize=8.0)
