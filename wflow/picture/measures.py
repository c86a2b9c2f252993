"""This file owns pictures of measures on one axis: cells, quantiles, modes and particles side by side."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wflow.arrays import Array
from wflow.domain import TURN, Domain
from wflow.errors import Refused
from wflow.fourier import FourierDensity
from wflow.law import Law
from wflow.measure import Density, Measure, Quantiles
from wflow.mesh_density import MeshDensity
from wflow.picture.style import (
    KNOWN,
    Runs,
    Style,
    canvas,
    density_label,
    legend,
    named,
    parameter_axis,
    run_styles,
    styled,
)
from wflow.trajectory import Trajectory

TICKS = 100
_FINE = 400
_EACH_BIN = 10
_TAIL = 5e-4

Exact = Callable[[float], Law | None]


def one_axis(runs: dict[str, Trajectory]) -> Domain:
    """The common one-dimensional domain of some runs, else Refused."""
    domains = {run.flow.domain for run in runs.values()}
    if len(domains) > 1 or next(iter(domains)).dim != 1:
        raise Refused(f"picture: densities share one axis, these runs live on {domains}; draw `neurons` instead")
    return domains.pop()


def outline(pi: Measure) -> tuple[Array, Array]:
    """A measure as a polyline x (k,), density (k,); particles: masses of equal groups over their widths."""
    match pi:
        case FourierDensity():
            x = np.linspace(0.0, TURN, _FINE + 1)
            return x, pi.density(x[:, None])
        case Density():
            return _stairs(pi.grid.edges(), pi.values)
        case MeshDensity():
            return _segments(pi)
        case Quantiles():
            edges = np.concatenate([pi.edges[:1], pi.edges[0] + np.cumsum(pi.gaps)])
            return _stairs(*_turned(pi.domain, edges, 1.0 / (len(pi.gaps) * pi.gaps)))
    return _grouped(pi)


def _stairs(edges: Array, heights: Array) -> tuple[Array, Array]:
    return np.repeat(edges, 2)[1:-1], np.repeat(heights, 2)


def _segments(pi: MeshDensity) -> tuple[Array, Array]:
    """The cells from left to right, each a constant or a slope."""
    ends = pi.mesh.corners[:, :, 0]
    if pi.domain.periodic[0]:
        ends = (
            ends
            - pi.domain.lengths[0] * np.floor((ends.mean(axis=1) - pi.domain.lower[0]) / pi.domain.lengths[0])[:, None]
        )
    heights = np.broadcast_to(pi.values, ends.shape)
    along = np.argsort(ends, axis=1)
    ends, heights = np.take_along_axis(ends, along, axis=1), np.take_along_axis(heights, along, axis=1)
    order = np.argsort(ends[:, 0])
    return ends[order].ravel(), heights[order].ravel()


def _turned(domain: Domain, edges: Array, heights: Array) -> tuple[Array, Array]:
    """On the circle: lifted pieces laid out twice, cut to one turn from 0."""
    if not domain.is_circle:
        return edges, heights
    first = edges - TURN * np.floor(edges[0] / TURN)
    edges, heights = np.concatenate([first[:-1] - TURN, first]), np.tile(heights, 2)
    inside = (edges[1:] > 0.0) & (edges[:-1] < TURN)
    return np.clip(np.append(edges[:-1][inside], edges[1:][inside][-1]), 0.0, TURN), heights[inside]


def _grouped(pi: Measure) -> tuple[Array, Array]:
    """Middles and mean densities of groups of some ten particles; none for fewer than two groups."""
    groups = min(60, len(pi.points) // _EACH_BIN)
    if groups < 2:
        return np.zeros(0), np.zeros(0)
    x, weights = _sorted(pi)
    if pi.domain.is_circle:  # close the turn with the first particle
        x, weights = np.append(x, x[0] + TURN), np.append(weights, weights[0])
    middle_mass = np.cumsum(weights) - 0.5 * weights
    levels = np.linspace(middle_mass[0], middle_mass[-1], groups + 1)
    edges = np.interp(levels, middle_mass, x)
    wide = np.diff(edges) > 0.0
    middles = 0.5 * (edges[1:] + edges[:-1])[wide]
    return pi.domain.wrap(middles[:, None])[:, 0], np.diff(levels)[wide] / np.diff(edges)[wide]


def _sorted(pi: Measure) -> tuple[Array, Array]:
    place = pi.domain.wrap(pi.points)[:, 0]
    order = np.argsort(place, kind="stable")
    return place[order], pi.weights[order]


def rug(pi: Measure) -> Array:
    """At most 100 positions of particles or quantile edges, of equal mass apart; none for cells and modes."""
    if isinstance(pi, Density | MeshDensity | FourierDensity):
        return np.zeros(0)
    m = len(pi.points)
    kept = np.unique(np.linspace(0, m - 1, min(m, TICKS)).round().astype(int))
    return np.asarray(_sorted(pi)[0][kept])


def window(domain: Domain, measures: Sequence[Measure]) -> tuple[float, float]:
    """The part of the axis to show: all of a bounded one, else all but 0.1 % of the mass of each measure."""
    if domain.bounded:
        return domain.lower[0], domain.upper[0]
    ends = []
    for pi in measures:
        x, weights = _sorted(pi)
        total = np.cumsum(weights)
        low, high = np.searchsorted(total, [_TAIL, pi.mass - _TAIL])
        ends.append((x[low], x[min(high, len(x) - 1)]))
    low, high = min(a for a, _ in ends), max(b for _, b in ends)
    margin = 0.05 * max(high - low, 1e-9)
    return low - margin, high + margin


class Drawing:
    """One run on a density axis: a curve (markers alone for particles) and a row of ticks below zero."""

    def __init__(self, axes: Axes, name: str, style: Style, place: int, level: float, atomic: bool) -> None:
        self.level = level
        (self.curve,) = axes.plot([], [], label=name, **{**style.drawn, "markersize": 5})
        self.curve.set_markevery((0.01 + 0.035 * place, 0.15))
        if atomic:
            self.curve.set(linestyle="none", markevery=1)
        self.ticks = Line2D([], [], color=style.colour, marker="|", markersize=9, linestyle="none", markeredgewidth=1)
        axes.add_line(self.ticks)

    def show(self, pi: Measure) -> None:
        """Draw this measure in place of the one before."""
        x, height = outline(pi)
        self.curve.set_data(x, height)
        at = rug(pi)
        self.ticks.set_data(at, np.full(len(at), self.level))


def density_axis(axes: Axes, runs: dict[str, Trajectory], shown: Sequence[Measure]) -> list[Drawing]:
    """An axis ready for these measures, with one empty drawing a run."""
    domain = one_axis(runs)
    top = 1.08 * max((float(np.max(h)) for h in (outline(pi)[1] for pi in shown) if len(h)), default=1.0)
    rows = [not isinstance(run.final, Density | MeshDensity | FourierDensity) for run in runs.values()]
    axes.set_ylim(-top * (0.03 + 0.07 * sum(rows)), top)
    axes.axhline(0.0, color="black", linewidth=0.8)
    parameter_axis(axes, domain, window(domain, shown))
    axes.set_ylabel(density_label(domain))
    axes.set_yticks([tick for tick in axes.get_yticks() if 0.0 <= tick <= top])
    levels = -top * (0.07 * np.cumsum(rows) - 0.02)
    return [
        Drawing(axes, name, style, place, levels[place], run.final.atomic)
        for place, ((name, run), style) in enumerate(zip(runs.items(), run_styles(runs), strict=True))
    ]


def exact_curve(axes: Axes) -> Line2D:
    """The empty dashed line of the exact answer."""
    (line,) = axes.plot([], [], color=KNOWN, linestyle="--", linewidth=1.4, label="exact", zorder=5)
    return line


def show_exact(line: Line2D, axes: Axes, law: Law | None) -> None:
    """Draw a law's density, or nothing where none is known."""
    x = np.linspace(*axes.get_xlim(), _FINE + 1)
    known = law is not None and law.has_density
    line.set_data(x, law.density(x[:, None])) if known and law is not None else line.set_data([], [])


@styled
def densities(runs: Runs, times: Sequence[float], exact: Exact | None = None) -> Figure:
    """One panel a time, all runs on one axis: cells and modes as lines, quantiles as lines with ticks at their edges,
    particles as markers (groups of equal mass over their widths) with ticks at the particles (at most 100).
    """
    runs = named(runs)
    shown = [run.at(t) for run in runs.values() for t in times]
    columns = 2 if len(times) == 4 else min(len(times), 3)
    lines = -(-len(times) // columns)
    figure = canvas((7.2, 8.6, 10.4)[columns - 1], 0.6 + 3.4 * lines)
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for axes, t in zip(panels, times, strict=False):
        for drawing, run in zip(density_axis(axes, runs, shown), runs.values(), strict=True):
            drawing.show(run.at(t))
        if exact is not None:
            show_exact(exact_curve(axes), axes, exact(t))
        axes.set_title(f"t = {t:g}", fontsize=11)
        if axes is not panels[0]:
            axes.set_ylabel("")
    for axes in panels[len(times) :]:
        axes.set_axis_off()
    legend(figure, panels[0])
    return figure
