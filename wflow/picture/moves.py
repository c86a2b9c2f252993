"""This file owns the picture of what single steps move: densities before and after, and how far each quantile goes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.domain import Domain
from wflow.errors import Refused
from wflow.measure import Quantiles
from wflow.picture.measures import outline, window
from wflow.picture.style import canvas, density_label, legend, parameter_axis, run_styles, styled
from wflow.trajectory import Trajectory

_KNOWN: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 1.1, "zorder": 5}


@styled
def moves(steps: Mapping[str, Trajectory], predicted: Mapping[str, Array] | None = None) -> Figure:
    """One step of each run, all from the same start, on quantiles: left the densities, right the maps x -> y - x.

    The optimal map on one axis takes each quantile to its own: y - x is how far that of x goes. predicted: the same
    (m,) at the quantiles of the start by a formula, dashed. Raises Refused for runs that hold no quantiles.
    """
    for name, run in steps.items():
        if not isinstance(run.final, Quantiles):
            raise Refused(f"picture.moves: {name!r} holds no quantiles; draw `densities`, or `journey` on two axes")
    start = next(iter(steps.values())).measures[0]
    assert isinstance(start, Quantiles)
    x = start.domain.wrap(start.points)[:, 0]
    order = np.argsort(x, kind="stable")
    figure = canvas(10.0, 4.2)
    left, right = figure.subplots(1, 2)
    left.plot(*outline(start), color="black", linewidth=1.4, linestyle=":", label="start")
    for (name, run), style in zip(steps.items(), run_styles(steps), strict=True):
        end = run.final
        assert isinstance(end, Quantiles)
        left.plot(*outline(end), color=style.colour, linewidth=1.8, label=name)
        right.plot(x[order], (end.edges - start.edges)[order], color=style.colour, linewidth=3.2)
        if predicted is not None:
            right.plot(x[order], predicted[name][order], **_KNOWN)
    if predicted is not None:
        left.plot([], [], label="derived", **_KNOWN)
    domain: Domain = start.domain
    for axes in (left, right):
        parameter_axis(axes, domain, window(domain, [start]))
    unit = "radian" if domain.is_circle else "units of w"
    left.set(ylim=(0.0, None), ylabel=density_label(domain), title="density before and after one step")
    right.set(ylabel=f"displacement y - x ({unit})", title="where a step takes the mass at x")
    for axes in (left, right):
        axes.title.set_fontsize(11)
    legend(figure, left)
    return figure
