"""This file owns pictures of SGD at a minimum: the plane of sharpness and non-uniformity, and the escape of paths."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.picture.style import KNOWN, canvas, styled

_STABLE, _UNSTABLE, _OPEN = "#0072B2", "#D55E00", "#AAAAAA"
_DOTS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LEAST = 1e-5
"""The axis of shares begins there."""
Panel = tuple[Sequence[tuple[float, float, float, float]], Array, Array]
"""Places (eta a, eta s, growth, half width of its interval), and the predicted edge, eta s over eta a."""


@styled
def stability(panels: Mapping[str, Panel], edges: Mapping[str, tuple[Array, Array]]) -> Figure:
    """Left: places seen to be stable or not, and the predicted edge, a panel each; right: edges of random problems.

    edges: by name, eta a and eta s c^(1/2) of problems at their largest stable eta. The box is dashed.
    """
    figure = canvas(12.6, 6.2)
    parts = figure.subfigures(1, 2, width_ratios=(3, 2), squeeze=False)
    left, right = parts[0]
    columns = 2 if len(panels) > 1 else 1
    grid = left.subplots(-(-len(panels) // columns), columns, sharex=True, sharey=True, squeeze=False)
    for axes, (name, (places, sharp, edge)) in zip(grid.ravel(), panels.items(), strict=False):
        _places(axes, np.array(places, dtype=np.float64))
        full = bool(np.all(np.isinf(edge[np.isfinite(sharp) & ~np.isnan(edge)])))
        if full:
            axes.axvline(2.0, color=KNOWN, linestyle="--")
        else:
            axes.plot(sharp, edge, "--", color=KNOWN, label="predicted edge")
        axes.set_title(name, fontsize=10.0)
    top = max(row[1] for places, _, _ in panels.values() for row in places)
    grid[0, 0].set(xlim=(0.0, 2.2), ylim=(-0.08, 1.04 * top))
    for axes in grid[:, 0]:
        axes.set_ylabel(r"$\eta s$")
    for axes in grid[-1]:
        axes.set_xlabel(r"$\eta a$")
    left.legend(*_named(grid.ravel().tolist()), loc="outside upper center", ncols=4, fontsize=9.0)
    _edges(right.subplots(), edges)
    return figure


def _named(panels: Sequence[Axes]) -> tuple[list[object], list[str]]:
    """The handles of all panels, each name once."""
    found: dict[str, object] = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    return list(found.values()), list(found)


def _places(axes: Axes, places: Array) -> None:
    a, s, growth, half = places.T
    for name, where, colour, marker in (
        ("seen stable", growth < 1.0 - half, _STABLE, "o"),
        ("seen unstable", growth > 1.0 + half, _UNSTABLE, "x"),
        ("not decided", np.abs(growth - 1.0) <= half, _OPEN, "s"),
    ):
        if np.any(where):
            axes.plot(a[where], s[where], marker, color=colour, markersize=4.5, label=name, linestyle="")


def _edges(axes: Axes, edges: Mapping[str, tuple[Array, Array]]) -> None:
    for colour, marker, (name, (a, s)) in zip(_DOTS, "o^sv", edges.items(), strict=False):
        axes.plot(a, s, marker, color=colour, markersize=4.0, alpha=0.8, label=name, linestyle="")
    sharp = np.linspace(0.0, 2.0, 201)
    axes.plot(sharp, np.sqrt(sharp * (2.0 - sharp)), color=KNOWN, label="one axis")
    axes.plot([0.0, 2.0, 2.0], [1.0, 1.0, 0.0], "--", color=KNOWN, label="the slides' box")
    axes.set(xlim=(0.0, 2.2), ylim=(0.0, 1.3), xlabel=r"$\eta a$", ylabel=r"$\eta s\, c^{1/2}$")
    axes.set_title("at the largest stable eta", fontsize=10.0)
    axes.legend(loc="lower center", fontsize=9.0)


@styled
def escape(
    shares: Mapping[float, tuple[float, float, float]],
    exact: tuple[Array, Array],
    thresholds: Mapping[str, float],
    times: Array,
    rate: float,
) -> Figure:
    """Left: share of paths that leave over eta (share, low, high), its exact law, thresholds; right: times by distance.

    times: rows of distance, mean, standard error, exact mean.   rate: Lyapunov's, the slope is 1 over it.
    """
    figure = canvas(10.4, 4.4)
    left, right = figure.subplots(1, 2)
    eta, (share, low, high) = np.array(list(shares)), np.array(list(shares.values())).T
    seen = share > 0.0
    bars = [(share - low)[seen], (high - share)[seen]]
    left.errorbar(eta[seen], share[seen], bars, fmt="o", color=_STABLE, capsize=3.0, label="SGD")
    left.plot(eta[~seen], high[~seen], "v", color=_STABLE, fillstyle="none", label="none left: upper end")
    drawn = exact[1] > 0.1 * _LEAST
    left.plot(exact[0][drawn], exact[1][drawn], color=KNOWN, linewidth=1.2, label="exact")
    for dash, (name, at) in zip(("--", ":"), thresholds.items(), strict=False):
        left.axvline(at, color=_UNSTABLE, linestyle=dash, label=f"{name}: {at:.4f}")
    left.set(xlabel=r"$\eta$", ylabel="share of paths that leave", yscale="log", ylim=(0.7 * _LEAST, 2.0))
    left.legend(loc="lower right", fontsize=9.0)
    distance, mean, error, known = times[np.argsort(times[:, 0])].T
    right.errorbar(distance, mean, 2.0 * error, fmt="o", color=_STABLE, capsize=3.0, label="SGD, mean")
    right.plot(distance, known, color=KNOWN, linewidth=1.2, label="exact mean")
    slope = known[-1] + np.log(distance[-1] / distance) / rate
    right.plot(distance, slope, ":", color=_UNSTABLE, label=f"slope 1/{rate:.4f}")
    right.set(
        xlabel="distance from the minimum at first", ylabel="steps until it leaves", xscale="log", ylim=(0.0, None)
    )
    right.legend(loc="best", fontsize=9.0)
    return figure


@styled
def descents(curves: Mapping[str, Array], minima: Sequence[float]) -> Figure:
    """Left: x over steps, thin lines for many paths (steps + 1, runs); right: the distance from 1 of the same, log."""
    figure = canvas(10.4, 4.2)
    left, right = figure.subplots(1, 2)
    for colour, (name, x) in zip((_UNSTABLE, _STABLE), curves.items(), strict=False):
        wide = 0.5 if x.shape[1] > 1 else 2.0
        for axes, drawn in ((left, x), (right, np.maximum(np.abs(x - 1.0), 1e-16))):
            axes.plot(drawn, color=colour, linewidth=wide, alpha=0.3 if wide < 1.0 else 1.0, zorder=wide)
            axes.plot([], [], color=colour, label=name)
    for level in minima:
        left.axhline(level, color=KNOWN, linestyle="--", linewidth=1.0)
    left.set(xlabel="step", ylabel="x")
    right.set(xlabel="step", ylabel="|x - 1|", yscale="log")
    right.legend(loc="center right", fontsize=9.0)
    return figure
