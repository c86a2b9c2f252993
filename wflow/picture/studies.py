"""This file owns pictures of studies: chances with intervals, starts, and both orders of two limits."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.picture.style import KNOWN, canvas, legend, styled

_COLOURS = ("#0072B2", "#009E73", "#D55E00", "#CC79A7")
_FLOOR = 1e-13
"""Excesses below it are rounding: drawn there."""
_ROWS = {"markersize": 4.0, "linewidth": 1.5}


@styled
def success(
    chances: Mapping[int, tuple[float, float, float]],
    excess: Mapping[str, Sequence[tuple[int, float]]],
    threshold: float,
) -> Figure:
    """Left: chance of success by number of charges (share, low, high); right: relative excess of every run by start."""
    figure = canvas(9.6, 4.4)
    left, right = figure.subplots(1, 2)
    sizes = np.array(sorted(chances))
    share, low, high = np.array([chances[int(m)] for m in sizes]).T
    left.errorbar(sizes, share, [share - low, high - share], color=_COLOURS[0], marker="o", capsize=3.0)
    left.set(xlabel="charges m", ylabel=f"share of runs with excess <= {threshold:g}", xscale="log", ylim=(-0.03, 1.03))
    left.set_xticks(sizes, [f"{m:g}" for m in sizes])
    left.minorticks_off()
    for k, (name, runs) in enumerate(excess.items()):
        if runs:
            m, e = np.array(runs, dtype=float).T
            shift = 1.0 + 0.06 * (k - 1)
            colour = _COLOURS[k % len(_COLOURS)]
            right.plot(m * shift, np.maximum(e, _FLOOR), "o", color=colour, alpha=0.6, label=name, markersize=4.0)
    right.axhline(threshold, color=KNOWN, linestyle="--")
    right.set(xlabel="charges m", ylabel="(F - inf F)/inf F at the end", xscale="log", yscale="log")
    right.set_xticks(sizes, [f"{m:g}" for m in sizes])
    right.minorticks_off()
    legend(figure, right)
    return figure


@styled
def starts(curves: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float], bool]]) -> Figure:
    """F - inf F (lines) and its proved bound (dotted) of each start: times, excess, gap, whether it is stuck."""
    figure = canvas(9.6, 4.6)
    for axes, stuck in zip(figure.subplots(1, 2), (False, True), strict=True):
        of = [(name, *curve[:3]) for name, curve in curves.items() if curve[3] is stuck]
        for colour, (name, times, excess, gap) in zip(_colours(len(of)), of, strict=True):
            axes.plot(times, np.maximum(excess, _FLOOR), color=colour, label=name, marker="o", **_ROWS)
            axes.plot(times, np.maximum(gap, _FLOOR), color=colour, linestyle=":")
        axes.set(title="stuck" if stuck else "reach the minimum", xlabel="time t", yscale="log")
        if stuck and of:
            axes.set_ylim(0.5 * min(min(excess) for _, _, excess, _ in of), None)
        axes.legend(loc="best", fontsize=9.0)
    figure.axes[0].set_ylabel("F - inf F; dotted: proved bound of it")
    return figure


@styled
def limits(tables: Mapping[str, tuple[Array, Array, Array]]) -> Figure:
    """A panel each: (F(m, t) - inf F)/inf F by t, one curve a number of charges, the largest last."""
    figure = canvas(9.6, 4.6)
    for axes, (name, (sizes, times, excess)) in zip(
        np.ravel(figure.subplots(1, len(tables), sharey=True)), tables.items(), strict=True
    ):
        for colour, m, row in zip(_colours(len(sizes)), sizes, excess, strict=True):
            axes.plot(times[1:], np.maximum(row[1:], _FLOOR), color=colour, marker="o", label=f"m = {m:g}", **_ROWS)
        axes.set(title=name, xlabel="time t", xscale="log", yscale="log")
    figure.axes[0].set_ylabel("(F(m, t) - inf F)/inf F")
    legend(figure, figure.axes[0])
    return figure


@styled
def two_phases(
    runs: Sequence[tuple[int, str, float, Sequence[float], Sequence[float]]],
    angles: Sequence[tuple[int, str, float, float, float]],
    slopes: Mapping[float, float],
    threshold: float,
) -> Figure:
    """Left and middle: relative excess by lam t, least and largest lam; right: angles found by lam.

    runs: d, method, lam, lam t, excess.   angles: d, method, lam, found, optimal.   slopes: by lam, the derived rate of
    the excess in lam t, drawn as a dotted line.
    """
    figure = canvas(12.0, 4.4)
    *panels, right = figure.subplots(1, 3)
    dims, methods = sorted({r[0] for r in runs}), list(dict.fromkeys(r[1] for r in runs))
    for axes, lam in zip(panels, (min(slopes), max(slopes)), strict=True):
        last = 1.0
        for d, method, _, times, excess in (r for r in runs if r[2] == lam):
            name, drawn = f"{method}, d = {d}", [line.get_label() for line in axes.lines]
            look = {"color": _COLOURS[dims.index(d)], "linestyle": ("-", "--")[methods.index(method) % 2]}
            axes.plot(times, np.maximum(excess, _FLOOR), label="_" if name in drawn else name, linewidth=1.2, **look)
            last = max(last, max(times))
        tail = np.array([0.2 * last, last])
        axes.plot(tail, 3e-3 * np.exp(-slopes[lam] * (tail - tail[0])), ":", color=KNOWN, label="derived rate")
        axes.axhline(threshold, color=KNOWN, linewidth=0.8)
        axes.set(title=f"lam = {lam:g}", xlabel="lam dt k", yscale="log", ylim=(1e-9, None))
    panels[0].set_ylabel("(J - J*)/J*")
    panels[0].legend(loc="best", fontsize=8.0)
    for d, method, lam, found, _ in angles:
        shift = 1.0 + 0.05 * (dims.index(d) - 1)
        marker = ("o", "x")[methods.index(method) % 2]
        right.plot(lam * shift, found, marker, color=_COLOURS[dims.index(d)], markersize=5.0, alpha=0.7)
    known = dict(sorted((lam, optimal) for _, _, lam, _, optimal in angles))
    right.plot(list(known), list(known.values()), color=KNOWN, linewidth=0.8, label="optimum")
    right.set(xlabel="lam", ylabel="angle to the teacher", xscale="log", yscale="log")
    right.set_xticks(list(known), [f"{lam:g}" for lam in known])
    right.xaxis.minorticks_off()
    right.legend(loc="best", fontsize=8.0)
    return figure


@styled
def chaos(
    tables: Mapping[str, Mapping[int, tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]]]],
    known: Mapping[str, tuple[Sequence[float], Array]],
) -> Figure:
    """A panel each problem: m E|f_m - f|^2 over time, one curve a size m, and its closed form; right: all at the end.

    tables: by problem and m: times, fluctuation, distance, coupling (mean squares).   known: by problem, times and m
    times the fluctuation.
    """
    figure = canvas(12.6, 4.4)
    *panels, right = figure.subplots(1, len(tables) + 1)
    for axes, (name, sizes) in zip(panels, tables.items(), strict=True):
        for colour, (m, (times, fluctuation, _, _)) in zip(_colours(len(sizes)), sorted(sizes.items()), strict=True):
            axes.plot(times, m * np.array(fluctuation), color=colour, marker="o", label=f"m = {m}", **_ROWS)
        if name in known:
            axes.plot(*known[name], color=KNOWN, linestyle="--", label="closed form")
        axes.set(title=name, xlabel="time t", xscale="log", ylim=(0.0, None), ylabel=r"$m\, E|f_m - f|^2$")
        axes.legend(loc="best", fontsize=8.0)
    for dash, (name, sizes) in zip(("-", "--"), tables.items(), strict=False):
        numbers = sorted(sizes)
        for k, (what, marker) in enumerate((("E |f_m - f|^2", "o"), ("E W2^2", "s"), ("coupling", "^"))):
            ends = [sizes[m][k + 1][-1] for m in numbers]
            look = {"linestyle": dash, "color": _COLOURS[k], "marker": marker}
            right.plot(numbers, ends, label=f"{what}, {name.split('_')[0]}", **look, **_ROWS)
    guide = np.array(numbers, dtype=np.float64)
    highest = max(row[2][-1] for sizes in tables.values() for row in sizes.values())
    right.plot(guide, highest * guide[0] / guide, ":", color=KNOWN, label="slope -1")
    right.set(title="at the end", xlabel="particles m", xscale="log", yscale="log")
    right.set_xticks(guide, [f"{m:g}" for m in guide])
    right.minorticks_off()
    right.set_ylim(bottom=0.03 * right.get_ylim()[0])  # room for the legend
    right.legend(loc="lower left", fontsize=7.0, handlelength=3.5)
    return figure


@styled
def fluctuations(
    curves: Mapping[str, Mapping[int, tuple[Array, Array, Array, int]]],
    known: Mapping[str, tuple[Array, Array]],
    samples: Mapping[str, Mapping[int, tuple[float, float]]],
    levels: Mapping[str, float],
) -> Figure:
    """Left: m E|f_m - f|^2 by time, bars of two standard errors, closed sums dashed; right: E W2^2 of samples by m.

    curves: name -> m -> times, mean, standard error, runs.   known: name -> times, sum.   samples: name -> m ->
    m E W2^2, standard error, with their exact levels.
    """
    figure = canvas(10.4, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for colour, (name, sizes) in zip(_COLOURS, curves.items(), strict=False):
        for k, (m, (times, mean, error, _)) in enumerate(sizes.items()):
            look = {"color": colour, "marker": "osD^v"[k % 5], "linestyle": "", "alpha": 0.8, "markersize": 4.5}
            shift = 1.0 + 0.03 * (k - 1)
            left.errorbar(times[1:] * shift, mean[1:], 2.0 * error[1:], label=f"{name}, m = {m}", **look)
        left.plot(*known[name], "--", color=KNOWN, linewidth=1.2)
    left.plot([], [], "--", color=KNOWN, label="closed sum")
    left.set(xlabel="time t", ylabel="m E|f_m - f|^2", xscale="log", yscale="log")
    left.legend(loc="best", fontsize=8.0)
    for colour, (name, found) in zip(_COLOURS[2:], samples.items(), strict=False):
        sizes_drawn = np.array(list(found))
        mean, error = np.array(list(found.values())).T
        right.errorbar(
            sizes_drawn,
            mean / levels[name],
            2.0 * error / levels[name],
            color=colour,
            marker="o",
            label=name,
            capsize=3.0,
        )
    right.axhline(1.0, color=KNOWN, linestyle="--", linewidth=1.2)
    right.set(xlabel="points m", ylabel="E W2^2 over its exact value", xscale="log")
    ticks = sorted({m for found in samples.values() for m in found})
    right.set_xticks(ticks, [f"{m:g}" for m in ticks])
    right.minorticks_off()
    right.legend(loc="best", fontsize=9.0)
    return figure


def _colours(n: int) -> list[Any]:
    """From dark to light."""
    return [matplotlib.colormaps["viridis"](x) for x in np.linspace(0.0, 0.85, max(n, 1))][:n]
