"""This file owns the picture of networks of many inputs beside the flow of their sizes |w|."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.measure import Measure
from wflow.picture.style import canvas, legend, styled
from wflow.trajectory import Trajectory

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
Dots = tuple[Sequence[float], Sequence[float], Sequence[Measure]]
"""Times, risks R and networks."""


@styled
def clouds(flows: Mapping[str, Trajectory], networks: Mapping[str, Dots]) -> Figure:
    """Left: R in time of flows of r = |w| (lines) and of networks in R^d (dots); right: mean of |w| -+ its deviation.

    A network has the colour of the flow of its name. R of a flow is 2 F.
    """
    figure = canvas(9.6, 4.4)
    left, right = figure.subplots(1, 2)
    for colour, (name, run) in zip(_COLOURS, flows.items(), strict=False):
        middle, half = np.transpose([_size(pi) for pi in run.measures])
        left.plot(run.times, 2.0 * run.energies, color=colour, label=f"{name}: flow")
        right.plot(run.times, middle, color=colour)
        right.fill_between(run.times, middle - half, middle + half, color=colour, alpha=0.2, linewidth=0.0)
        if name in networks:
            times, risks, measures = networks[name]
            look: dict[str, Any] = {"color": colour, "markersize": 5.0, "fillstyle": "none"}
            left.plot(times, risks, "o", label=f"{name}: network", **look)
            place, width = np.transpose([_size(pi) for pi in measures])
            right.errorbar(times, place, width, fmt="o", capsize=3.0, linewidth=1.0, **look)
    left.set(xlabel="time t", ylabel="R = E (f - y)^2", ylim=(0.0, None))
    right.set(xlabel="time t", ylabel="|w|: mean and deviation", ylim=(0.0, None))
    legend(figure, left)
    return figure


def _size(pi: Measure) -> tuple[float, float]:
    """Mean and standard deviation of |w|."""
    sizes: Array = np.linalg.norm(pi.points, axis=1)
    middle = float(pi.weights @ sizes)
    return middle, float(np.sqrt(max(pi.weights @ (sizes - middle) ** 2, 0.0)))
