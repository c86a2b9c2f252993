"""This file owns pictures of implicit bias: magnitudes and active neurons in time, errors by width, heat maps."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.picture.style import KNOWN, canvas, legend, styled

_COLOURS = ("#0072B2", "#D55E00", "#009E73")
_SMALL = 1e-5
"""Magnitudes below it are drawn there."""
Course = tuple[Sequence[float], Sequence[Sequence[float]], Sequence[float]]
"""Times, |c_j| of every neuron at each, and F."""


@styled
def magnitudes_in_time(table: Mapping[str, Mapping[str, Course]]) -> Figure:
    """A row a teacher: |c_j| of every neuron in time, a panel a model, and F of all models."""
    models = list(next(iter(table.values())))
    figure = canvas(3.2 * (len(models) + 1), 2.7 * len(table))
    panels = figure.subplots(len(table), len(models) + 1, squeeze=False)
    for row, (case, runs) in zip(panels, table.items(), strict=True):
        for axes, colour, (model, (times, sizes, energies)) in zip(row, _COLOURS, runs.items(), strict=False):
            axes.plot(times, np.maximum(sizes, _SMALL), color=colour, linewidth=0.6, alpha=0.6)
            axes.set(
                xscale="log", yscale="log", ylim=(_SMALL, 2.0), title=f"{model}: {case}" if len(table) > 1 else model
            )
            axes.title.set_fontsize(9.0)
            row[-1].plot(times, energies, color=colour, label=model)
        row[0].set_ylabel("|c_j|, each neuron")
        row[-1].set(xscale="log", yscale="log", ylabel="F")
    for axes in panels[-1]:
        axes.set_xlabel("time t")
    panels[0, -1].legend(loc="best", fontsize=8.0)
    return figure


@styled
def active_in_time(table: Mapping[str, Sequence[tuple[Sequence[float], ...]]]) -> Figure:
    """A panel a width, a line a seed: neurons above 1 % and 10 % of the largest |c_j| in time, and F on the data."""
    figure = canvas(3.6 * len(table), 3.8)
    for axes, (title, runs) in zip(np.ravel(figure.subplots(1, len(table), squeeze=False)), table.items(), strict=True):
        beside = axes.twinx()
        for k, (times, hundredth, tenth, train) in enumerate(runs):
            names = ("_", "_") if k else ("> 1 % of the largest", "> 10 %")
            axes.plot(times, hundredth, color=_COLOURS[0], label=names[0])
            axes.plot(times, tenth, color=_COLOURS[1], label=names[1])
            beside.plot(times, train, color=KNOWN, linewidth=0.9, linestyle=":")
        axes.set(title=title, xlabel="time t", xscale="log", ylim=(0, None))
        beside.set_yscale("log")
        beside.grid(visible=False)
    figure.axes[0].set_ylabel("active neurons")
    axes.plot([], [], color=KNOWN, linestyle=":", label="F on the data (right)")
    legend(figure, axes)
    return figure


@styled
def by_width(
    sizes: Sequence[int], panels: Mapping[str, Mapping[str, tuple[Array, Array]]], data: int, dim: int
) -> Figure:
    """A column a teacher: test error (above) and path norm (below) by width: medians over seeds, quartiles shaded."""
    figure = canvas(4.8 * len(panels), 7.0)
    for column, (title, models) in zip(figure.subplots(2, len(panels), squeeze=False).T, panels.items(), strict=True):
        for colour, (model, tables) in zip(_COLOURS, models.items(), strict=False):
            for axes, values in zip(column, tables, strict=True):
                low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
                axes.plot(sizes, middle, color=colour, marker="o", markersize=4.0, label=model)
                axes.fill_between(sizes, low, high, color=colour, alpha=0.2, linewidth=0.0)
        for axes, what in zip(column, ("test error E (f - f*)^2", "path norm"), strict=True):
            axes.axvline(data, color=KNOWN, linestyle="--", linewidth=1.0)
            axes.axvline(data / (dim + 1), color=KNOWN, linestyle=":", linewidth=1.0)
            axes.set(xlabel="neurons m", ylabel=what, xscale="log", yscale="log")
        column[0].set_title(f"{title}, n = {data} (dashed), n/(d+1) (dotted)", fontsize=10.0)
    figure.axes[0].legend(loc="best", fontsize=8.0)
    return figure


@styled
def heat_maps(data: Sequence[int], sizes: Sequence[int], maps: Mapping[str, Array], dim: int) -> Figure:
    """A map a model: test error over n (rows) and m (columns), one colour scale; m = n and m = n/(d+1) as lines."""
    figure = canvas(4.2 * len(maps), 3.9)
    low, high = (float(f([f(values) for values in maps.values()])) for f in (np.min, np.max))
    scale = LogNorm(max(low, 1e-7), min(high, 10.0))
    panels = np.ravel(figure.subplots(1, len(maps), squeeze=False))
    for axes, (model, values) in zip(panels, maps.items(), strict=True):
        image = axes.pcolormesh(np.arange(len(sizes) + 1), np.arange(len(data) + 1), values, norm=scale, cmap="viridis")
        place = np.interp(data, sizes, np.arange(len(sizes)) + 0.5, left=np.nan, right=np.nan)
        axes.plot(place, np.arange(len(data)) + 0.5, color="white", linestyle="--", linewidth=1.2)
        place = np.interp(np.array(data) / (dim + 1), sizes, np.arange(len(sizes)) + 0.5, left=np.nan, right=np.nan)
        axes.plot(place, np.arange(len(data)) + 0.5, color="white", linestyle=":", linewidth=1.2)
        axes.set_xticks(np.arange(len(sizes)) + 0.5, [str(m) for m in sizes], fontsize=8.0)
        axes.set_yticks(np.arange(len(data)) + 0.5, [str(n) for n in data], fontsize=8.0)
        axes.set(title=model, xlabel="neurons m")
        axes.grid(visible=False)
    panels[0].set_ylabel("data n")
    figure.colorbar(image, ax=list(panels), label="test error E (f - f*)^2")
    return figure


@styled
def nearness(points: Mapping[str, Sequence[tuple[int, float]]], lines: Mapping[str, float]) -> Figure:
    """What is apart by m, every seed, with its fitted slope; slopes -1 and -2 beside, dashed and dotted."""
    figure = canvas(6.4, 4.4)
    axes = figure.subplots()
    for colour, (name, rows) in zip(_COLOURS, points.items(), strict=False):
        m, values = np.array(rows, dtype=float).T
        axes.plot(m, values, "o", color=colour, alpha=0.7, label=f"{name}: slope {lines[name]:.2f}")
        start = float(np.exp(np.mean(np.log(values[m == m.min()]))))
        for power, dash in ((-1.0, "--"), (-2.0, ":")):
            axes.plot(np.unique(m), start * (np.unique(m) / m.min()) ** power, dash, color=KNOWN, linewidth=1.0)
    axes.plot([], [], "--", color=KNOWN, label="slope -1")
    axes.plot([], [], ":", color=KNOWN, label="slope -2")
    axes.set(xlabel="neurons m", ylabel="sup over time", xscale="log", yscale="log")
    axes.legend(loc="best", fontsize=9.0)
    return figure
