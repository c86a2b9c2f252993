"""This file owns pictures of an energy along paths between two measures."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.picture.style import canvas, legend, styled, styles

_COLUMNS = 4


@styled
def profiles(panels: Mapping[str, Mapping[str, Array]]) -> Figure:
    """F at equal distances along paths from s = 0 to 1: one panel a title, in it one curve (k,) a kind of path.

    The curves of one kind have one colour; each panel has its own vertical axis.
    """
    kinds = list(dict.fromkeys(kind for curves in panels.values() for kind in curves))
    looks = dict(zip(kinds, styles(kinds), strict=True))
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = canvas(2.0 + 2.3 * columns, 0.8 + 1.9 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for place, (panel, (title, curves)) in enumerate(zip(axes, panels.items(), strict=False)):
        for kind, values in curves.items():
            drawn = {**looks[kind].drawn, "marker": "", "linewidth": 1.8}
            panel.plot(np.linspace(0.0, 1.0, len(values)), values, label=kind, **drawn)
        panel.set_title(title, fontsize=10)
        panel.tick_params(labelsize=8)
        panel.ticklabel_format(axis="y", useOffset=False)
        panel.set_ylabel("energy F" if place % columns == 0 else "")
        panel.set_xlabel("s (share of the path)" if place >= len(panels) - columns else "")
    for panel in axes[len(panels) :]:
        panel.set_axis_off()
    legend(figure, axes[0])
    return figure
