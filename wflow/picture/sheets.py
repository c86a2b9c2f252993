"""This file owns the picture of signed densities: both sheets on an axis, or their difference in the plane."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wflow.errors import Refused
from wflow.measure import SignedParticles
from wflow.picture.measures import window
from wflow.picture.plane import NEGATIVE, POSITIVE
from wflow.picture.style import Runs, canvas, legend, named, parameter_axis, styled
from wflow.signed_density import SignedDensity
from wflow.trajectory import Trajectory

_MOST = 3
_START = "#999999"


@styled
def sheets(runs: Runs, known: SignedParticles | None = None, names: tuple[str, ...] = ()) -> Figure:
    """At most three runs of signed densities on one or two axes, a panel each, at the end.

    One axis: rho_+ upwards and rho_- downwards, dashed at the start; known: charges to compare with, as diamonds on
    zero. Two axes: nu as a map, blue where it is positive. Raises Refused for other runs.
    """
    shown = dict(list(named(runs).items())[:_MOST])
    for name, run in shown.items():
        if not isinstance(run.final, SignedDensity) or run.final.domain.dim > 2:
            raise Refused(f"picture.sheets: {name!r} does not hold signed densities on one or two axes")
    figure = canvas(7.2 if len(shown) == 1 else 4.6 * len(shown), 4.4)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, (name, run) in zip(panels, shown.items(), strict=True):
        (_on_one_axis if run.final.domain.dim == 1 else _on_two_axes)(figure, axes, run)
        if known is not None:
            place = known.domain.wrap(known.points)
            up = place[:, 1] if known.domain.dim == 2 else np.zeros(len(place))
            axes.scatter(
                place[:, 0], up, marker="D", s=60, facecolors="none", edgecolors="black", zorder=4, label="minimiser"
            )
        if len(shown) > 1:
            axes.set_title(name, fontsize=11)
        if run.final.domain.dim == 2:
            axes.set(xlabel=(names or ("first parameter",))[0], ylabel=(names or ("", "second parameter"))[1])
    legend(figure, panels[0])
    return figure


def _on_one_axis(figure: Figure, axes: Axes, run: Trajectory) -> None:
    """rho_+ and -rho_-, filled at the end."""
    first, end = run.measures[0], run.final
    assert isinstance(first, SignedDensity) and isinstance(end, SignedDensity)
    edges = end.grid.edges()
    pairs = ((1.0, first.positive, end.positive), (-1.0, first.negative, end.negative))
    for (sign, begun, ended), colour, label in zip(pairs, (POSITIVE, NEGATIVE), ("positive", "negative"), strict=True):
        if not begun.any():
            continue
        axes.stairs(sign * begun, edges, color=_START, linestyle="--", linewidth=1.2)
        axes.stairs(sign * ended, edges, color=colour, fill=True, alpha=0.75, label=f"{label}, end")
    axes.plot([], [], color=_START, linestyle="--", linewidth=1.2, label="start")
    axes.axhline(0.0, color="black", linewidth=0.8)
    parameter_axis(axes, end.domain, window(end.domain, []))
    axes.set_ylabel("density, with its sign")


def _on_two_axes(figure: Figure, axes: Axes, run: Trajectory) -> None:
    """nu at the end; the root of its size is the colour, that small masses be seen."""
    end = run.final
    assert isinstance(end, SignedDensity)
    height = np.sign(end.values) * np.sqrt(np.abs(end.values))
    most = max(float(np.max(np.abs(height))), 1e-300)
    drawn = axes.pcolormesh(
        end.grid.edges(0), end.grid.edges(1), height.reshape(end.grid.shape).T, cmap="RdBu", vmin=-most, vmax=most,
        rasterized=True,
    )  # fmt: skip
    axes.set_aspect("equal")
    figure.colorbar(drawn, ax=axes, label="root of the density, with its sign")
