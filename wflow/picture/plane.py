"""This file owns pictures in a plane of parameters: neurons as points, their paths, densities as maps."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.errors import Refused
from wflow.measure import Density, Measure
from wflow.picture.style import KNOWN, Runs, canvas, legend, named, styled
from wflow.trajectory import Trajectory

POSITIVE, NEGATIVE = "#0072B2", "#D55E00"
"""Colours of neurons with a > 0 and a < 0."""
_POINTS = 400
_GREY = ListedColormap(["#5B7C8D"])
"""Of what is closed: in no place of the maps' scale."""
_LEFT_OUT = 1e-3
_PLANE = ("first parameter", "second parameter")


@styled
def neurons(measure: Measure, start: Measure | None = None, names: Sequence[str] = ()) -> Figure:
    """Parameters w of a network in the plane of the last two, d = 2 or 3; colour (d = 3) for the first, outer weight.

    names: d labels. Grey crosses: where they started.
    """
    dim = measure.domain.dim
    if dim not in (2, 3):
        raise Refused(f"picture.neurons: w has {dim} entries; a plane with colour shows 2 or 3")
    labels = list(names) or ["outer weight a", *_PLANE][-dim:]
    figure = canvas()
    axes = figure.subplots()
    if start is not None:
        axes.scatter(*_plane(start), s=14, marker="x", linewidths=0.8, color="#999999", label="start")
    share = measure.weights / max(float(np.max(np.abs(measure.weights))), 1e-300)
    sizes = (0.4 + 0.6 * share) * float(np.clip(6000.0 / len(measure.points), 9.0, 40.0))
    if dim == 3:
        a = measure.points[:, 0]
        bound = max(float(np.max(np.abs(a))), 1e-300)
        look: dict[str, Any] = {"cmap": "PuOr", "vmin": -bound, "vmax": bound, "edgecolors": "black", "linewidths": 0.4}
        figure.colorbar(axes.scatter(*_plane(measure), c=a, s=sizes, **look), ax=axes, label=labels[0])
    else:
        axes.scatter(*_plane(measure), s=sizes, color=NEGATIVE, label="neurons")
    axes.set(xlabel=labels[-2], ylabel=labels[-1])
    legend(figure, axes)
    return figure


def _plane(pi: Measure) -> tuple[Array, Array]:
    return pi.points[:, -2], pi.points[:, -1]


@styled
def paths(runs: Runs, rays: Measure | None = None) -> Figure:
    """The paths of particles (a, b_1, b_2) in the plane of b, one panel a run, dots at the end; colour: the sign of a.

    rays: teachers, dashed from 0 in the direction of their b.
    """
    runs = named(runs)
    for name, run in runs.items():
        if run.flow.domain.dim != 3 or not run.final.atomic:
            raise Refused(f"picture.paths: {name!r} does not move particles (a, b_1, b_2); draw `neurons` or `maps`")
    figure = canvas(1.2 + 3.2 * len(runs), 4.2)
    panels = figure.subplots(1, len(runs), squeeze=False).ravel()
    for axes, (name, run) in zip(panels, runs.items(), strict=True):
        b = np.array([pi.points[:, 1:] for pi in run.measures])
        reach = 1.1 * float(np.max(np.abs(b)))
        for sign, colour, label in ((1.0, POSITIVE, "a > 0"), (-1.0, NEGATIVE, "a < 0")):
            some = sign * run.final.points[:, 0] > 0.0
            axes.plot(b[:, some, 0], b[:, some, 1], color=colour, linewidth=0.6, alpha=0.6)
            axes.scatter(*b[-1, some].T, s=12, color=colour, label=label if some.any() else None, zorder=3)
            if rays is not None:
                _rays(axes, rays.points[sign * rays.points[:, 0] > 0.0, 1:], colour, reach)
        axes.plot([], [], color=KNOWN, linestyle="--", label="directions of the teachers") if rays is not None else None
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="inner weight b_1", title=name)
        axes.title.set_fontsize(11)
    panels[0].set_ylabel("inner weight b_2")
    legend(figure, panels[0])
    return figure


def _rays(axes: Axes, directions: Array, colour: str, reach: float) -> None:
    for u in directions / np.linalg.norm(directions, axis=1, keepdims=True):
        axes.plot([0.0, 2.0 * reach * u[0]], [0.0, 2.0 * reach * u[1]], color=colour, linestyle="--", linewidth=1.2)


@styled
def maps(cells: Trajectory, particles: Trajectory | None = None, times: Sequence[float] | None = None) -> Figure:
    """A density on two moving axes as a map at some times (start and end), one column a sheet of a frozen first axis.

    Particles of another run of the same flow on top (at most 400), on the sheet of their sign of a. Under limits all
    maps have one scale, up to the largest density that is allowed, and closed cells are grey and hatched.
    """
    if not isinstance(cells.final, Density) or len(cells.flow.domain.moving) != 2:
        raise Refused(
            f"picture.maps: {cells.solver} holds no density on two moving axes; draw `neurons` or `densities`"
        )
    shown = list(times) if times is not None else [float(cells.times[0]), float(cells.times[-1])]
    sheets = cells.final.grid.shape[0] if len(cells.final.grid.shape) == 3 else 1
    # with two sheets times are rows and sheets are columns; a single sheet has its times side by side
    rows, columns = (len(shown), sheets) if sheets > 1 else (1, len(shown))
    window, most = _window(cells, shown), _most(cells, shown)
    width, height = 1.6 + 4.2 * min(columns, 2), 0.7 + 3.3 * rows
    if most is not None:  # lengths of both axes are of one room
        (left, right), (low, high) = window
        height = 1.2 + (width - 2.0) / columns * (high - low) / (right - left)
    figure = canvas(width, height)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    names = cells.flow.energy.names(cells.flow.domain.dim)[-2:]
    for (row, column), axes in np.ndenumerate(grid):
        t, sheet = (shown[row], column) if sheets > 1 else (shown[column], 0)
        drawn = _map(axes, cells.at(t), sheet, sheets, most)
        if most is not None:
            axes.set_aspect("equal")
            _closed(axes, cells)
        if particles is not None:
            _dots(axes, particles.at(t), sheet if sheets > 1 else None)
        side = "" if sheets == 1 else ", a < 0" if sheet == 0 else ", a > 0"
        axes.set_title(f"t = {t:g}{side}", fontsize=11)
        axes.set(xlim=window[0], ylim=window[1])
        axes.set_xlabel(names[0] if row == rows - 1 else "")
        axes.set_ylabel(names[1] if column == 0 else "")
        if most is None:
            figure.colorbar(drawn, ax=axes, label="density (per unit area)" if column == columns - 1 else "")
    if most is not None:
        figure.colorbar(drawn, ax=grid.ravel().tolist(), label="density (per unit area)")
    if particles is not None:
        handle = grid[0, 0].scatter([], [], s=14, facecolors="none", edgecolors="black")
        figure.legend([handle], [f"{particles.solver} on {cells.solver}"], loc="outside upper center")
    return figure


def _most(run: Trajectory, times: Sequence[float]) -> float | None:
    """Under limits the largest density that is allowed, where there is one, or seen; None without limits."""
    if not run.flow.energy.limits:
        return None
    assert isinstance(run.final, Density)
    bound = run.flow.energy.bound(run.final.grid)
    finite = bound[np.isfinite(bound) & (bound > 0.0)]
    return (
        float(finite.max())
        if len(finite)
        else max(float(run.at(t).weights.max()) for t in times) / (run.final.grid.cell_volume)
    )


def _closed(axes: Axes, run: Trajectory) -> None:
    """Cells that nobody enters."""
    assert isinstance(run.final, Density)
    grid = run.final.grid
    shut = (run.flow.energy.bound(grid) == 0.0).reshape(grid.shape)
    if not np.any(shut):
        return
    x, y = (0.5 * (edges[1:] + edges[:-1]) for edges in (grid.edges(0), grid.edges(1)))
    axes.pcolormesh(
        grid.edges(0), grid.edges(1), np.ma.masked_array(np.ones(grid.shape), ~shut).T, cmap=_GREY, rasterized=True
    )
    with mpl.rc_context({"hatch.color": "white", "hatch.linewidth": 0.8}):
        axes.contourf(x, y, shut.T.astype(float), levels=[0.5, 1.5], colors="none", hatches=["////"])


def _map(axes: Axes, pi: Measure, sheet: int, sheets: int, most: float | None) -> Any:
    assert isinstance(pi, Density)
    grid, axis = pi.grid, pi.domain.dim - 2
    values = pi.values.reshape(grid.shape)
    if sheets > 1:  # per area of the plane, of the mass on this sheet
        values = values[sheet] * grid.widths[0]
    scale: dict[str, Any] = {} if most is None else {"vmin": 0.0, "vmax": most}
    return axes.pcolormesh(grid.edges(axis), grid.edges(axis + 1), values.T, cmap="magma", rasterized=True, **scale)


def _dots(axes: Axes, pi: Measure, sheet: int | None) -> None:
    points = pi.points if sheet is None else pi.points[(pi.points[:, 0] > 0.0) == (sheet == 1)]
    some = points[np.unique(np.linspace(0, len(points) - 1, min(len(points), _POINTS)).round().astype(int))]
    axes.scatter(some[:, -2], some[:, -1], s=9, facecolors="none", edgecolors="white", linewidths=0.6)


def _window(run: Trajectory, times: Sequence[float]) -> list[tuple[float, float]]:
    """On both axes all but 0.1 % of the mass at each time."""
    ends = []
    for axis in (-2, -1):
        sides = []
        for t in times:
            pi = run.at(t)
            order = np.argsort(pi.points[:, axis], kind="stable")
            total, place = np.cumsum(pi.weights[order]), pi.points[order, axis]
            sides.append(np.interp([_LEFT_OUT, 1.0 - _LEFT_OUT], total, place))
        low, high = float(np.min(sides)), float(np.max(sides))
        ends.append((low - 0.08 * (high - low), high + 0.08 * (high - low)))
    return ends
