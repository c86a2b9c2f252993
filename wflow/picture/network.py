"""This file owns pictures of networks that learn data: the fit as a curve or a surface, and the risk."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from wflow.arrays import Array
from wflow.data import Columns, Data
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.measure import Measure
from wflow.picture.style import Runs, canvas, legend, named, run_styles, styled
from wflow.terms import Risk
from wflow.trajectory import Trajectory

_FINE, _MESH = 400, 80
_MARGIN = 0.05
_TRAIN: dict[str, Any] = {"s": 14, "color": "#888888", "label": "rows to learn"}
_TEST: dict[str, Any] = {"s": 22, "facecolors": "none", "edgecolors": "black", "linewidths": 0.8, "label": "held out"}


@styled
def fit(data: Data, runs: Runs, held_out: Data | None = None, columns: Columns | None = None) -> Figure:
    """Data with one input and the networks at the end of each run, f_pi(x) = int psi(x; w) dpi(w).

    Hollow: rows held out. With `columns` both axes are those of the table, in its units.
    """
    if data.inputs.shape[1] != 1:
        raise Refused(f"picture.fit: the data have {data.inputs.shape[1]} inputs; a curve needs one, draw `surface`")
    figure = canvas()
    axes = figure.subplots()
    _scatter(axes, data, columns, _TRAIN)
    if held_out is not None:
        _scatter(axes, held_out, columns, _TEST)
    x = _spread(data.inputs[:, 0], _FINE)[:, None]
    runs = named(runs)
    for (name, run), style in zip(runs.items(), run_styles(runs), strict=True):
        line = Data(x, _term(name, run).predict_at(x, run.final))
        line = line if columns is None else columns.raw(line)
        label = f"{name}, t = {run.times[-1]:g}"
        axes.plot(line.inputs[:, 0], line.targets, **{**style.drawn, "marker": ""}, label=label)
    if columns is None:
        axes.set(xlabel="input x (standardised)", ylabel="target y, prediction f(x) (standardised)")
    else:
        axes.set(xlabel=columns.inputs[0], ylabel=f"{columns.target}: data, prediction")
    legend(figure, axes)
    return figure


def _scatter(axes: Axes, data: Data, columns: Columns | None, look: dict[str, Any]) -> None:
    shown = data if columns is None else columns.raw(data)
    axes.scatter(shown.inputs[:, 0], shown.targets, **look)


def _spread(x: Array, count: int) -> Array:
    """Equispaced numbers a little beyond the range of x."""
    low, high = float(x.min()), float(x.max())
    return np.linspace(low - _MARGIN * (high - low), high + _MARGIN * (high - low), count)


def _term(name: str, run: Trajectory) -> Risk:
    if run.flow.energy.risk is None:
        raise Refused(f"picture: the energy of {name!r} has no Risk term, so there is no network to draw")
    return run.flow.energy.risk


@styled
def surface(data: Data, run: Trajectory, held_out: Data | None = None, columns: Columns | None = None) -> Figure:
    """A network of two inputs at the end of its run, as filled contours, with the rows it learnt on the same colours.

    Round: rows to learn; squares: rows held out. With `columns` axes and colours are in the units of the table.
    """
    if data.inputs.shape[1] != 2:
        raise Refused(f"picture.surface: the data have {data.inputs.shape[1]} inputs; contours need two")
    figure = canvas(7.2, 5.6)
    axes = figure.subplots()
    mesh = np.meshgrid(*(_spread(data.inputs[:, k], _MESH) for k in (0, 1)), indexing="ij")
    at = np.stack([mesh[0].ravel(), mesh[1].ravel()], axis=1)
    sheet = Data(at, _term("run", run).predict_at(at, run.final))
    shown = [part if columns is None else columns.raw(part) for part in (sheet, data, held_out or data)]
    low, high = (float(pick([pick(part.targets) for part in shown[1:]])) for pick in (np.min, np.max))
    x, y, z = (v.reshape(_MESH, _MESH) for v in (*shown[0].inputs.T, shown[0].targets))
    filled = axes.contourf(x, y, z, MaxNLocator(12).tick_values(low, high), cmap="viridis", extend="both")
    looks = [("o", "rows to learn"), ("s", "held out")][: 1 if held_out is None else 2]
    look: dict[str, Any] = {"cmap": "viridis", "vmin": low, "vmax": high, "edgecolors": "white", "linewidths": 0.5}
    for part, (marker, label) in zip(shown[1:], looks, strict=False):
        across, up = part.inputs.T
        axes.scatter(across, up, c=part.targets, marker=marker, s=18, label=label, **look)
    names = ("input x_1 (standardised)", "input x_2 (standardised)") if columns is None else columns.inputs
    target = "y, f(x) (standardised)" if columns is None else columns.target
    axes.set(xlabel=names[0], ylabel=names[1])
    figure.colorbar(filled, ax=axes, label=f"{target}: contours f, points data")
    legend(figure, axes)
    return figure


@styled
def risk(runs: Runs, held_out: Data | None = None) -> Figure:
    """R = E (f_pi - y)^2 over time, both axes logarithmic (t = 0 at the left edge): R = 2 F for the half square.

    Dotted in the same colour: the mean square on rows held out.
    """
    figure = canvas()
    axes = figure.subplots()
    runs = named(runs)
    for (name, run), style in zip(runs.items(), run_styles(runs), strict=True):
        values = np.array([_risk_of(run.flow.energy, pi) for pi in run.measures])
        seen = values > 0.0
        axes.plot(run.times[seen], values[seen], label=name, markevery=max(1, len(values) // 8), **style.drawn)
        if held_out is not None:
            there = [_term(name, run).predict_at(held_out.inputs, pi) - held_out.targets for pi in run.measures]
            square = [float(held_out.weights @ error**2) for error in there]
            label = "the same on rows held out" if run is next(iter(runs.values())) else None
            axes.plot(run.times, square, color=style.colour, linestyle=":", linewidth=1.4, label=label)
    first = min(float(run.times[1]) for run in runs.values() if len(run.times) > 1)
    axes.set_yscale("log")
    axes.set_xscale("symlog", linthresh=first)
    unit = "" if held_out is None else " (1: variance of y)"
    axes.set(xlabel="time t", ylabel=rf"risk $R = E\,(f - y)^2${unit}")
    axes.set_xlim(left=0.0)
    legend(figure, axes)
    return figure


def _risk_of(energy: Energy, pi: Measure) -> float:
    """2 F without the internal term; from the data where the energy has a Risk term."""
    if energy.risk is not None:
        return 2.0 * energy.risk.value(pi)
    if not energy.interacting:
        raise Refused("picture.risk: this energy is no risk (no Risk, no kernel); draw `energies` instead")
    return 2.0 * energy.explicit(pi)
