"""This file owns pictures of numbers: W2 and F in time, the energy ledger, orders of convergence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from wflow.arrays import Array
from wflow.duality import bounds, log_sobolev
from wflow.law import Law
from wflow.measure import Measure
from wflow.picture.style import (
    KNOWN,
    WIDTH,
    Runs,
    Style,
    canvas,
    legend,
    named,
    run_styles,
    styled,
    styles,
)
from wflow.trajectory import Trajectory
from wflow.transport import w2

Reference = Law | Measure | Callable[[float], Law | Measure | None]
_MOST_TIMES = 65


def distances(run: Trajectory, reference: Reference) -> tuple[Array, Array]:
    """Times (k,) and W2 (k,) to a law, or to a law in time where it is known, at no more than 65 saved times."""
    chosen = np.unique(np.linspace(0, len(run.times) - 1, min(len(run.times), _MOST_TIMES)).round().astype(int))
    fixed = isinstance(reference, Law | Measure)
    found = []
    for i in chosen:
        there = reference if isinstance(reference, Law | Measure) else reference(float(run.times[i]))
        if there is not None:
            found.append((float(run.times[i]), w2(run.measures[i], there)))
    if not found:
        raise ValueError("reference: it is None at every saved time; pass a law, or a function that knows one")
    times, values = np.array(found).T
    return times, values if fixed else np.asarray(values)


def w2_label(runs: Mapping[str, Trajectory]) -> str:
    """What W2 is measured in on the domain of these runs."""
    on_circle = next(iter(runs.values())).flow.domain.is_circle
    return "W2 (radian)" if on_circle else "W2 (units of w)"


def log_or_linear(rows: Sequence[Array]) -> tuple[Literal["log", "linear"], list[Array]]:
    """The scale that these values take, and the values to show: on a log axis, 0 where they vanish to rounding."""
    rounding = 1e-13 * max((float(np.nanmax(np.append(np.abs(row), 0.0))) for row in rows), default=0.0)
    if rounding == 0.0 or any(np.nanmin(np.append(row, 0.0)) < -rounding for row in rows):
        return "linear", list(rows)
    return "log", [np.where(np.abs(row) <= rounding, 0.0, row) for row in rows]


def curve(axes: Axes, times: Array, values: Array, label: str, style: Style) -> None:
    """A curve with some eight markers, elsewhere for each curve; values that are nan or exactly 0 are left out."""
    seen = np.isfinite(values) & (values != 0.0)
    every = max(1, int(np.sum(seen)) // 8)
    first = 2 * len(axes.get_lines()) % every
    axes.plot(times[seen], values[seen], label=label, markevery=(first, every), **style.drawn)


@styled
def w2_curves(runs: Runs, reference: Reference, *, levels: Mapping[str, float] | None = None) -> Figure:
    """W2 to a law (or to exact(t)) over time, log axis; `levels`: predicted values, dashed across."""
    figure = canvas()
    axes = figure.subplots()
    runs = named(runs)
    for (name, run), style in zip(runs.items(), run_styles(runs), strict=True):
        curve(axes, *distances(run, reference), name, style)
    axes.set_yscale("log")
    for place, (name, level) in enumerate((levels or {}).items()):
        axes.axhline(level, color=KNOWN, linestyle=(0, (4, 2 + 2 * place)), linewidth=1.2, label=name)
    axes.set_xlabel("time t")
    axes.set_ylabel(w2_label(runs))
    legend(figure, axes)
    return figure


@styled
def energies(runs: Runs, *, least: float = 0.0) -> Figure:
    """F - least over time, on a log axis if it is nowhere below zero; runs whose energy is undefined are left out."""
    figure = canvas()
    axes = figure.subplots()
    runs = named(runs)
    above = [run.energies - least for run in runs.values()]
    scale, shown = log_or_linear(above)
    for (name, run), values, style in zip(runs.items(), shown, run_styles(runs), strict=True):
        if np.isfinite(values).any():
            curve(axes, run.times, values, name, style)
    axes.set_yscale(scale)
    axes.set_xlabel("time t")
    axes.set_ylabel("energy F" if least == 0.0 else f"energy F - ({least:.4g})")
    legend(figure, axes)
    return figure


@styled
def ledger(runs: Runs) -> Figure:
    """Left: F(0) - F(t) (line) and what was dissipated by t (markers). Right: how far the two ledgers part.

    A minimising movement dissipates at most what the energy loses: its legend says so.
    """
    figure = canvas(WIDTH * 1.3, 4.0)
    books, gaps = figure.subplots(1, 2)
    runs = named(runs)
    for place, ((name, run), style) in enumerate(zip(runs.items(), run_styles(runs), strict=True)):
        lost = run.energies[0] - run.energies
        label = f"{name} (at most the line)" if run.solver.variational else name
        books.plot(run.times, lost, color=style.colour, linestyle=style.line, linewidth=style.width)
        every = max(1, len(lost) // 10)
        some = slice(place * every // len(runs), None, every)
        books.plot(run.times[some], run.dissipated[some], style.marker, color=style.colour, mfc="white", label=label)
        curve(gaps, run.times, np.abs(lost - run.dissipated), name, replace(style, width=1.8))
    gaps.set_yscale("log")
    books.set(xlabel="time t", ylabel="energy", title="F(0) - F(t): lines; dissipated: markers")
    gaps.set(xlabel="time t", ylabel="| F(0) - F(t) - dissipated |", title="the difference")
    for axes in (books, gaps):
        axes.title.set_fontsize(11)
    legend(figure, books)
    return figure


@styled
def order_plot(
    steps_or_resolutions: Sequence[float] | Array,
    errors: Mapping[str, Sequence[float] | Array],
    declared: float | Mapping[str, float],
    *,
    across: str = "step",
    error: str = "error",
) -> Figure:
    """Errors (k,) against steps or resolutions (k,), log-log; dashed: the declared slope through the finest error.

    A method of order p has slope p in the step and -p in the resolution. `across` and `error` label the axes; a name
    that begins with a solver's, as "Muscl(cells=64)", takes that solver's colour.
    """
    figure = canvas()
    axes = figure.subplots()
    x = np.asarray(steps_or_resolutions, dtype=np.float64)
    looks = styles([name.split("(")[0] for name in errors])
    for style, (name, values) in zip(looks, errors.items(), strict=True):
        y = np.asarray(values, dtype=np.float64)
        slope = declared if isinstance(declared, int | float) else declared[name]
        finest = np.argmin(x) if slope > 0.0 else np.argmax(x)
        axes.plot(x, y, color=style.colour, marker=style.marker, label=f"{name} (dashed: slope {slope:.3g})")
        axes.plot(x, y[finest] * (x / x[finest]) ** slope, color="black", linestyle="--", linewidth=0.9, zorder=4)
    axes.set(xscale="log", yscale="log", xlabel=across, ylabel=error)
    axes.set_xticks(x, [f"{v:g}" for v in x])
    axes.xaxis.set_minor_locator(NullLocator())
    legend(figure, axes)
    return figure


@styled
def numbers(
    lines: Mapping[str, tuple[Array, Array]], *, known: Sequence[str] = (), across: str = "time t", value: str
) -> Figure:
    """Numbers (k,) over time (k,), a curve a name, on a log axis where all are above zero; `known` ones dashed.

    `across` and `value` label the axes. A name that begins with a solver's takes that solver's colour.
    """
    figure = canvas()
    axes = figure.subplots()
    scale, shown = log_or_linear([values for _, values in lines.values()])
    looks = styles([name.split("(")[0] for name in lines])
    for (name, (times, _)), values, style in zip(lines.items(), shown, looks, strict=True):
        if name in known:
            style = replace(style, colour=KNOWN, line="--", marker="", width=1.4)
        curve(axes, np.asarray(times), values, name, style)
    axes.set(yscale=scale, xlabel=across, ylabel=value)
    legend(figure, axes)
    return figure


@styled
def relaxation(run: Trajectory, least: float, *, known: Callable[[Array], Array] | None = None) -> Figure:
    """F - inf F along a run at a temperature, between the gap that is proved and the log-Sobolev bound; log axis.

    least: inf F. Where no gap or no constant is known (wflow.duality) its curve is missing. known: F - inf F in closed
    form, a function of times.
    """
    figure = canvas()
    axes = figure.subplots()
    found, lsi = bounds(run), log_sobolev(run.flow)
    lines = {"F - inf F": (run.times, run.energies - least)}
    if found is not None:
        lines["gap, T KL(pi | Gibbs(V[pi])): proved"] = (found.times, np.array([b.gap for b in found.brackets]))
    if lsi is not None:
        start = float(run.energies[0]) - least
        lines[f"log-Sobolev bound, rho = {lsi.constant:.3g}"] = (run.times, lsi.bound(run.times, start))
    for (name, (times, values)), style in zip(lines.items(), styles(list(lines)), strict=True):
        curve(axes, times, values, name, style)
    if known is not None:
        axes.plot(run.times, known(run.times), color=KNOWN, linestyle="--", linewidth=1.2, label="closed form")
    axes.set(yscale="log", xlabel="time t", ylabel="energy above inf F")
    legend(figure, axes)
    return figure
