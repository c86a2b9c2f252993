"""This file owns pictures of trained networks: accuracies by regulariser, sharpness by step, minima, escapes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.picture.style import KNOWN, canvas, styled

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v")


@styled
def regularisers(tables: Mapping[str, Mapping[str, Sequence[Array]]], chance: float) -> Figure:
    """A panel each: accuracy on rows learnt and on the test, by regulariser; a dot a seed, a bar at the mean.

    tables: panel -> regulariser -> (train (seeds,), test (seeds,)).
    """
    figure = canvas(12.0 if len(tables) > 2 else 9.0, 6.8 if len(tables) > 2 else 4.2)
    rows = max(1, len(tables) // 2)
    panels = np.ravel(figure.subplots(rows, -(-len(tables) // rows), sharey=True))
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        for k, parts in enumerate(table.values()):
            for side, (values, colour) in enumerate(zip(parts, _COLOURS, strict=False)):
                at = k + 0.3 * (side - 0.5)
                axes.plot(np.full(len(values), at), values, "o", color=colour, alpha=0.5, markersize=4.0)
                axes.hlines(np.mean(values), at - 0.13, at + 0.13, color=colour, linewidth=2.5)
        axes.axhline(chance, color=KNOWN, linestyle="--", linewidth=1.0)
        axes.set(title=name, ylim=(0.0, 1.03))
        axes.set_xticks(range(len(table)), list(table))
    for side, label in enumerate(("rows learnt", "test")):
        panels[0].plot([], [], "o-", color=_COLOURS[side], label=label, markersize=4.0)
    panels[0].plot([], [], "--", color=KNOWN, label="chance", linewidth=1.0)
    panels[0].legend(loc="center left")
    for axes in panels[:: -(-len(tables) // rows)]:
        axes.set_ylabel("accuracy")
    return figure


@styled
def sharpness_by_step(tables: Mapping[str, tuple[Mapping[float, Sequence[float]], float]]) -> Figure:
    """A panel each: sharpness of minima by step, a dot a start, beside 2/eta and the sharpness of the start.

    tables: panel -> (step -> sharpness of each run, mean sharpness of the starts).
    """
    figure = canvas(5.2 * len(tables) + 0.4, 4.4)
    for axes, (name, (found, first)) in zip(
        np.ravel(figure.subplots(1, len(tables), sharey=True)), tables.items(), strict=True
    ):
        steps = np.array(sorted(found))
        for step in steps:
            axes.plot(np.full(len(found[step]), step), found[step], "o", color=_COLOURS[0], alpha=0.6, markersize=5.0)
        axes.plot([], [], "o", color=_COLOURS[0], label="minima found")
        span = np.array([0.8 * steps[0], 1.25 * steps[-1]])
        axes.plot(span, 2.0 / span, "--", color=KNOWN, label="2/eta")
        axes.axhline(first, color=_COLOURS[1], linestyle=":", linewidth=1.4, label="at the start")
        axes.set(title=name, xlabel="step eta", xscale="log", yscale="log")
        axes.set_xticks(steps, [f"{step:g}" for step in steps])
        axes.set_yticks([1, 2, 4, 10, 20, 40], ["1", "2", "4", "10", "20", "40"])
        axes.minorticks_off()
    figure.axes[0].set_ylabel("sharpness, the largest eigenvalue of H")
    figure.axes[0].legend(loc="best")
    return figure


@styled
def minima(tables: Mapping[str, tuple[Array, float]]) -> Figure:
    """A column each. Above: non-uniformity over sharpness with a line of the slope. Below: the largest stable step.

    tables: title -> ((models, 6): a, s, accuracy, eta over the largest eta stable in mean square, batch, step; slope of
    log s in log a). Colour by step, marker by batch.
    """
    figure = canvas(5.6 * len(tables) + 0.4, 8.4)
    axes = figure.subplots(2, len(tables), squeeze=False)
    for (upper, lower), (name, (found, slope)) in zip(axes.T, tables.items(), strict=True):
        a, s, _, ratio, batch, step = found.T
        _models(upper, a, s, batch, step)
        _models(lower, _apart(step, batch), ratio, batch, step)
        ends = np.array([a.min(), a.max()])
        middle = np.exp(np.mean(np.log(s)) - slope * np.mean(np.log(a)))
        upper.plot(ends, middle * ends**slope, color=KNOWN, linewidth=1.4)
        upper.set(title=name, xlabel="sharpness a", xscale="log", yscale="log")
        upper.title.set_fontsize(10.5)
        for axis in (upper.xaxis, upper.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("{x:g}")
        upper.tick_params(which="minor", labelsize=8.0)
        lower.axhline(1.0, color=KNOWN, linestyle="--", linewidth=1.0)
        lower.set(xlabel="step eta", ylim=(0.0, None))
        _keys(upper, np.unique(step), np.unique(batch))
    axes[0, 0].set_ylabel("non-uniformity s")
    axes[1, 0].set_ylabel("eta over the largest stable in mean square")
    return figure


def _apart(step: Array, batch: Array) -> Array:
    """Steps, with batches beside each other."""
    sizes, steps = np.unique(batch), np.unique(step)
    wide = 0.6 * float(np.min(np.diff(steps), initial=steps[0]))
    return np.asarray(step + wide * ((np.searchsorted(sizes, batch) + 0.5) / len(sizes) - 0.5))


def _models(axes: Axes, x: Array, y: Array, batch: Array, step: Array) -> None:
    """A dot each."""
    for k, eta in enumerate(np.unique(step)):
        for j, size in enumerate(np.unique(batch)):
            here = (step == eta) & (batch == size)
            axes.plot(
                x[here], y[here], _MARKERS[j % len(_MARKERS)], color=_COLOURS[k % len(_COLOURS)],
                alpha=0.5, markersize=4.0, linewidth=0.0,
            )  # fmt: skip


def _keys(axes: Axes, steps: Array, batches: Array) -> None:
    """What colours and markers mean."""
    for k, eta in enumerate(steps):
        axes.plot([], [], "s", color=_COLOURS[k % len(_COLOURS)], label=f"eta = {eta:g}", markersize=5.0)
    for j, size in enumerate(batches):
        axes.plot([], [], _MARKERS[j % len(_MARKERS)], color=KNOWN, label=f"B = {size:g}", markersize=4.0)
    axes.legend(loc="lower right", fontsize=8.0, ncols=2)


@styled
def escapes(
    losses: Mapping[int, Array],
    moves: Sequence[tuple[int, float, Mapping[str, float], Mapping[str, float]]],
    threshold: float,
    step: float,
) -> Figure:
    """Left: F by steps of batches from one minimum; right: sharpness and non-uniformity, before to after.

    losses: batch -> F before each step.   moves: batch, step, state before, state after.
    """
    figure = canvas(11.0, 4.6)
    left, right = figure.subplots(1, 2)
    colours = dict(zip(losses, _COLOURS, strict=False))
    for batch, values in losses.items():
        left.plot(values, color=colours[batch], label=f"B = {batch}", linewidth=1.2)
    left.axhline(threshold, color=KNOWN, linestyle="--", linewidth=1.0, label="left")
    left.set(title=f"one minimum, eta = {step:g}", xlabel="steps of batches", ylabel="F of all rows", yscale="log")
    left.legend(loc="best", fontsize=9.0)
    for k, eta in enumerate(sorted({move[1] for move in moves})):
        for batch, _, before, after in (move for move in moves if move[1] == eta):
            ends = [(state["sharpness"], state["nonuniformity"]) for state in (before, after)]
            right.plot(*np.transpose(ends), color=colours[batch], linewidth=0.8, alpha=0.6)
            right.plot(*ends[1], _MARKERS[k], color=colours[batch], markersize=5.0)
            right.plot(*ends[0], _MARKERS[k], color="#000000", markersize=4.0)
        right.plot([], [], _MARKERS[k], color=KNOWN, label=f"eta = {eta:g}", markersize=5.0)
    right.plot([], [], "o", color="#000000", label="before, by all rows", markersize=4.0)
    right.set(title="before and after", xlabel="sharpness a", ylabel="non-uniformity s")
    right.legend(loc="best", fontsize=9.0)
    return figure
