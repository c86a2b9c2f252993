"""This file owns the picture of charges: where masses of both signs begin, go and end."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.errors import Refused
from wflow.measure import Measure, SignedParticles
from wflow.picture.measures import window
from wflow.picture.plane import NEGATIVE, POSITIVE
from wflow.picture.style import Runs, canvas, legend, named, parameter_axis, styled
from wflow.trajectory import Trajectory

Places = NDArray[np.intp]
_MOST = 3
_MEET = 0.01
_KNOWN: dict[str, Any] = {"marker": "D", "facecolors": "none", "edgecolors": "black", "linewidths": 1.3}
_AREA = 160.0


@styled
def charges(runs: Runs, known: SignedParticles | None = None, names: tuple[str, ...] = ()) -> Figure:
    """At most three runs of signed particles on one or two axes, a panel each: paths, and dots at the end.

    One axis: position across, s sqrt(mass) up, the radius of the cone on either sheet; ticks: starts; small dots: ends,
    large ones: charges that have met, as one. Two axes: the plane, the area of a dot its mass. known: charges to
    compare with, as diamonds. Raises Refused for other runs.
    """
    shown = dict(list(named(runs).items())[:_MOST])
    for name, run in shown.items():
        if not isinstance(run.final, SignedParticles) or run.final.domain.dim > 2:
            raise Refused(f"picture.charges: {name!r} does not hold signed particles on one or two axes")
    figure = canvas(7.2 if len(shown) == 1 else 4.6 * len(shown), 4.4)
    panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    for axes, (name, run) in zip(panels, shown.items(), strict=True):
        (_on_one_axis if run.final.domain.dim == 1 else _on_two_axes)(axes, run, known)
        if len(shown) > 1:
            axes.set_title(name, fontsize=11)
    if next(iter(shown.values())).final.domain.dim == 2 and names:
        for axes in panels:
            axes.set(xlabel=names[0], ylabel=names[1])
    legend(figure, panels[0])
    return figure


def _on_one_axis(axes: Axes, run: Trajectory, known: SignedParticles | None) -> None:
    """(position, s sqrt(mass))."""
    place = _lines(run, np.stack([pi.points[:, 0] for pi in run.measures]), 0)
    heights = np.stack([_signed_roots(pi) for pi in run.measures])
    end, domain = run.final, run.final.domain
    for colour, label, mine in _sheets(end):
        axes.plot(place[:, mine], heights[:, mine], color=colour, linewidth=0.8, alpha=0.6)
        x = domain.wrap(end.points)[mine, 0]
        axes.scatter(x, heights[-1, mine], s=14, color=colour, zorder=3)
        axes.scatter(*_summed(end, mine), s=36, color=colour, zorder=3, label=f"{label}, end, summed where they meet")
        axes.plot(
            domain.wrap(run.measures[0].points)[mine, 0], heights[0, mine], "|", color=colour, markersize=7, zorder=2
        )
    if known is not None:
        axes.scatter(domain.wrap(known.points)[:, 0], _signed_roots(known), zorder=4, s=70, label="minimiser", **_KNOWN)
    axes.axhline(0.0, color="black", linewidth=0.8)
    parameter_axis(axes, domain, window(domain, []) if domain.bounded else _ends(run))
    axes.set_ylabel("root of the mass, with its sign")


def _on_two_axes(axes: Axes, run: Trajectory, known: SignedParticles | None) -> None:
    """The plane of positions."""
    x, y = (_lines(run, np.stack([pi.points[:, k] for pi in run.measures]), k) for k in (0, 1))
    end = run.final
    at, largest = end.domain.wrap(end.points), float(np.max(np.abs(end.weights)))
    for colour, label, mine in _sheets(end):
        axes.plot(x[:, mine], y[:, mine], color=colour, linewidth=0.7, alpha=0.5)
        area = 2.0 + _AREA * np.abs(end.weights[mine]) / largest
        axes.scatter(
            at[mine, 0], at[mine, 1], s=area, color=colour, alpha=0.85, linewidths=0.0, zorder=3, label=f"{label}, end"
        )
    begun = end.domain.wrap(run.measures[0].points)
    axes.plot(*begun.T, "+", color="#777777", markersize=5, markeredgewidth=0.8, label="start", zorder=2)
    if known is not None:
        place = known.domain.wrap(known.points)
        axes.scatter(place[:, 0], place[:, 1], zorder=4, s=70, label="minimiser", **_KNOWN)
    axes.set(xlabel="first parameter", ylabel="second parameter", aspect="equal")


def _sheets(pi: Measure) -> list[tuple[str, str, Places]]:
    """Colour, name and indices of the charges of each sign that occurs."""
    sheets = ((POSITIVE, "positive", pi.weights > 0.0), (NEGATIVE, "negative", pi.weights < 0.0))
    return [(colour, name, np.flatnonzero(mine)) for colour, name, mine in sheets if np.any(mine)]


def _signed_roots(pi: Measure) -> Array:
    return np.asarray(np.sign(pi.weights) * np.sqrt(np.abs(pi.weights)))


def _summed(pi: Measure, mine: Places) -> tuple[Array, Array]:
    """Barycentres and s sqrt(mass) of groups of charges with gaps of at most a hundredth of all places between them."""
    x = pi.domain.wrap(pi.points)[mine, 0]
    order = np.argsort(x, kind="stable")
    x, weights = x[order], pi.weights[mine][order]
    first = np.flatnonzero(np.diff(x, prepend=-np.inf) > _MEET * float(np.ptp(pi.domain.wrap(pi.points)[:, 0])))
    total = np.add.reduceat(weights, first)
    return np.add.reduceat(weights * x, first) / total, np.sign(total) * np.sqrt(np.abs(total))


def _lines(run: Trajectory, place: Array, axis: int) -> Array:
    """Coordinates (k, m) of paths on one turn, nan where a path leaves at one end and enters at the other."""
    domain = run.final.domain
    if not domain.periodic[axis]:
        return place
    low, length = domain.lower[axis], float(domain.lengths[axis])
    turned = low + np.mod(place - low, length)
    jumped = np.abs(np.diff(turned, axis=0, prepend=turned[:1])) > 0.5 * length
    return np.where(jumped, np.nan, turned)


def _ends(run: Trajectory) -> tuple[float, float]:
    """All places that were visited, and a little more."""
    x = np.concatenate([pi.points[:, 0] for pi in run.measures])
    margin = 0.05 * max(float(np.ptp(x)), 1e-9)
    return float(x.min()) - margin, float(x.max()) + margin
