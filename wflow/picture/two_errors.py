"""This file owns the picture of errors of residual nets over depth, measured and expected."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from wflow.picture.style import KNOWN, canvas, styled

_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = "*os^Dvx"


@styled
def two_errors(groups: Mapping[str, Mapping[str, Sequence[tuple[float, float, float]]]]) -> Figure:
    """groups: title -> name -> (depth, error, expected); dashed lines are expected, and nothing of them is fitted."""
    figure = canvas(4.8 * len(groups), 4.4)
    panels = np.ravel(figure.subplots(1, len(groups), sharey=True, squeeze=False))
    for axes, (title, lines) in zip(panels, groups.items(), strict=True):
        for k, (name, rows) in enumerate(lines.items()):
            depth, found, expected = np.array(sorted(rows)).T
            look = {"color": _COLOURS[k % len(_COLOURS)], "marker": _MARKERS[k % len(_MARKERS)]}
            axes.plot(depth, found, label=name, markersize=5.0, linewidth=0.0, **look)
            axes.plot(depth, expected, "--", color=look["color"], linewidth=1.2)
        axes.plot([], [], "--", color=KNOWN, label="expected, no fit")
        axes.set(title=title, xlabel="depth L", xscale="log", yscale="log")
        axes.set_xticks(depth, [f"{k:g}" for k in depth])
        axes.minorticks_off()
    panels[0].set_ylabel("|z_L - z(1)|, root mean square")
    panels[0].legend(loc="lower left", fontsize=8.5)
    return figure
