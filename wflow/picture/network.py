"""This file owns pictures of networks that learn data: the fit, the neurons, the risk."""

import numpy as np
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.data import Data
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.measure import Measure
from wflow.picture.style import Runs, canvas, legend, named, run_styles, styled


@styled
def fit(data: Data, runs: Runs) -> Figure:
    """Data with one input and the networks at the end of each run, f_pi(x) = int psi(x; w) dpi(w)."""
    if data.inputs.shape[1] != 1:
        raise Refused(f"picture.fit: the data have {data.inputs.shape[1]} inputs; a curve needs one")
    figure = canvas()
    axes = figure.subplots()
    axes.scatter(data.inputs[:, 0], data.targets, s=14, color="#888888", label="data")
    low, high = float(data.inputs.min()), float(data.inputs.max())
    x = np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), 400)[:, None]
    runs = named(runs)
    for (name, run), style in zip(runs.items(), run_styles(runs), strict=True):
        term = run.flow.energy.risk
        if term is None:
            raise Refused(f"picture.fit: the energy of {name!r} has no Risk term, so there is no network to draw")
        y = term.predict_at(x, run.final)
        axes.plot(x[:, 0], y, **{**style.drawn, "marker": ""}, label=f"{name}, t = {run.times[-1]:g}")
    axes.set(xlabel="input x", ylabel="target y, prediction f(x)")
    legend(figure, axes)
    return figure


@styled
def neurons(measure: Measure, start: Measure | None = None) -> Figure:
    """Parameters w of a network in the plane, d = 2 or 3, colour (d = 3) for the outer weight a of w = (a, v, c).

    Grey crosses: where they started.
    """
    dim = measure.domain.dim
    if dim not in (2, 3):
        raise Refused(f"picture.neurons: w has {dim} entries; a plane with colour shows 2 or 3")
    figure = canvas()
    axes = figure.subplots()
    if start is not None:
        x, y = _plane(start)
        axes.scatter(x, y, s=14, marker="x", linewidths=0.8, color="#999999", label="start")
    sizes = 16.0 + 24.0 * measure.weights / max(float(np.max(np.abs(measure.weights))), 1e-300)
    x, y = _plane(measure)
    if dim == 3:
        a = measure.points[:, 0]
        bound = max(float(np.max(np.abs(a))), 1e-300)
        dots = axes.scatter(
            x, y, c=a, s=sizes, cmap="PuOr", vmin=-bound, vmax=bound, edgecolors="black", linewidths=0.4
        )
        figure.colorbar(dots, ax=axes, label="outer weight a")
        axes.set(xlabel="inner weight v", ylabel="bias c")
    else:
        axes.scatter(x, y, s=sizes, color="#D55E00", label="neurons")
        axes.set(xlabel="first parameter", ylabel="second parameter")
    legend(figure, axes)
    return figure


def _plane(pi: Measure) -> tuple[Array, Array]:
    return pi.points[:, -2], pi.points[:, -1]


@styled
def risk(runs: Runs) -> Figure:
    """R = E (f_pi - y)^2 over time, both axes logarithmic (t = 0 at the left edge): R = 2 F for the half square."""
    figure = canvas()
    axes = figure.subplots()
    runs = named(runs)
    for (name, run), style in zip(runs.items(), run_styles(runs), strict=True):
        values = np.array([_risk_of(run.flow.energy, pi) for pi in run.measures])
        seen = values > 0.0
        axes.plot(run.times[seen], values[seen], label=name, markevery=max(1, len(values) // 8), **style.drawn)
    first = min(float(run.times[1]) for run in runs.values() if len(run.times) > 1)
    axes.set_yscale("log")
    axes.set_xscale("symlog", linthresh=first)
    axes.set(xlabel="time t", ylabel=r"risk $R = E\,(f - y)^2$")
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
