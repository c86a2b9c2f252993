"""This file owns pictures of sizes |w| of neurons: beside networks, by blocks of inputs, over two clouds' widths."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.measure import Measure
from wflow.picture.style import KNOWN, canvas, legend, styled
from wflow.trajectory import Trajectory

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_FLOOR = 1e-6
"""Risks below it are drawn there."""
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


@styled
def blocks(flow: Trajectory, network: tuple[Sequence[float], Sequence[float], Sequence[Array]]) -> Figure:
    """Left: R of a flow of (a, b, r_1, r_2) (line) and of a network (dots); middle, a > 0, and right, a < 0: mean r_i.

    network: times, risks R, and (a, b, r_1, r_2) (m, 4) of its neurons. R of the flow is 2 F.
    """
    figure = canvas(11.0, 4.0)
    left, *others = figure.subplots(1, 3)
    times, risks, neurons = network
    left.plot(flow.times, 2.0 * flow.energies, color=KNOWN, label="flow")
    left.plot(times, risks, "o", color=KNOWN, fillstyle="none", label="network")
    for sign, title, axes in zip((1.0, -1.0), ("a > 0", "a < 0"), others, strict=True):
        for k, colour in zip((2, 3), _COLOURS, strict=False):
            line, dots = (
                [w[sign * w[:, 0] > 0.0, k].mean() for w in clouds_of]
                for clouds_of in ([pi.points for pi in flow.measures], neurons)
            )
            axes.plot(flow.times, line, color=colour, label=f"r_{k - 1}")
            axes.plot(times, dots, "o", color=colour, fillstyle="none")
        axes.set(xlabel="time t", ylabel="mean length", title=title, ylim=(0.0, None))
    left.set(xlabel="time t", ylabel="R = E (f - y)^2", ylim=(0.0, None))
    left.legend()
    others[0].legend()
    return figure


@styled
def phases(
    ends: Mapping[str, Sequence[tuple[float, float, float, float]]],
    known: Sequence[tuple[float, float, float]],
    threshold: float,
) -> Figure:
    """Over delta: R at the end of flows (left), mean of |w| -+ its deviation (right), a colour a kind of flow.

    ends: delta, R, mean, deviation.   known: delta, R and radius of the best single one, dashed.   threshold: of delta.
    """
    figure = canvas(9.6, 4.4)
    left, right = figure.subplots(1, 2)
    for k, (colour, (name, rows)) in enumerate(zip(_COLOURS, ends.items(), strict=False)):
        delta, risk, middle, half = np.array(rows, dtype=float).T
        left.plot(delta, np.maximum(risk, _FLOOR), "o-", color=colour, markersize=4.0, label=name)
        right.errorbar(delta + 0.004 * (k - 1), middle, half, fmt="o", color=colour, capsize=2.5, markersize=4.0)
    delta, risk, radius = np.array(known, dtype=float).T
    for axes, values in ((left, risk), (right, radius)):
        axes.plot(delta, values, "--", color=KNOWN, linewidth=1.2, label="best single radius, d = infinity")
        axes.axvline(threshold, color=KNOWN, linewidth=0.8, linestyle=":")
    left.set(xlabel="delta", ylabel="R at the end", yscale="log")
    right.set(xlabel="delta", ylabel="|w|: mean and deviation", ylim=(0.0, None))
    legend(figure, left)
    return figure


def _size(pi: Measure) -> tuple[float, float]:
    """Mean and standard deviation of |w|."""
    sizes: Array = np.linalg.norm(pi.points, axis=1)
    middle = float(pi.weights @ sizes)
    return middle, float(np.sqrt(pi.weights @ (sizes - middle) ** 2))
