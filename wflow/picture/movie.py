"""This file owns the animation: one flow by several methods, moving together on one axis."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from wflow.arrays import Array
from wflow.law import Law
from wflow.measure import Measure
from wflow.picture.curves import distances, log_or_linear, w2_label
from wflow.picture.measures import Drawing, Exact, density_axis, exact_curve, show_exact
from wflow.picture.style import Runs, canvas, legend, named, run_styles, styled, writable
from wflow.trajectory import Trajectory

FRAMES = 60
_MILLISECONDS = 90
_COLOURS = 96


@styled
def animation(runs: Runs, path: str | Path, exact: Exact | None = None, reference: Law | Measure | None = None) -> Path:
    """A GIF of at most 60 frames: the densities with their ticks above, W2 to `reference` (else F) over time below.

    The frames are saved times that all runs share. Raises ValueError for another suffix than .gif or for fewer than
    two shared times, OSError where the file cannot be written.
    """
    target = Path(path)
    if target.suffix != ".gif":
        raise ValueError(f"path: {target.name!r} does not end in .gif, the one format of animations")
    movie = _Movie.of(named(runs), exact, reference)
    with writable(target):
        first, *rest = movie.frames()
        first.save(target, save_all=True, append_images=rest, duration=_MILLISECONDS, loop=0)
    return target


def common_times(runs: Sequence[Trajectory]) -> list[float]:
    """At most 60 saved times that all runs share, the first and the last among them."""
    shared = [t for t in runs[0].times if all(np.min(np.abs(run.times - t)) <= 1e-9 * max(1.0, t) for run in runs)]
    if len(shared) < 2:
        raise ValueError("animation: the runs share fewer than two saved times; pass the same solve(times=...) to each")
    chosen = np.unique(np.linspace(0, len(shared) - 1, min(len(shared), FRAMES)).round().astype(int))
    return [float(shared[i]) for i in chosen]


@dataclass(frozen=True, eq=False)
class _Movie:
    """What moves on a figure; everything else is drawn once."""

    figure: Figure
    upper: Axes
    runs: dict[str, Trajectory]
    times: list[float]
    drawings: list[Drawing]
    curves: list[tuple[Line2D, Array, Array]]
    known: tuple[Line2D, Exact] | None
    title: Text

    @classmethod
    def of(cls, runs: dict[str, Trajectory], exact: Exact | None, reference: Law | Measure | None) -> "_Movie":
        times = common_times(list(runs.values()))
        figure = canvas(7.2, 5.6)
        upper, lower = figure.subplots(2, 1, height_ratios=[2.2, 1.0])
        drawings = density_axis(upper, runs, [run.at(t) for run in runs.values() for t in times])
        known = (exact_curve(upper), exact) if exact is not None else None
        curves = _curves(lower, runs, reference)
        legend(figure, upper)
        title = upper.set_title(f"t = {times[-1]:.3g}", fontsize=11)
        return cls(figure, upper, runs, times, drawings, curves, known, title)

    def frames(self) -> Iterator[Image.Image]:
        """One image a time, all with the colours of the first."""
        surface: Any = FigureCanvasAgg(self.figure)  # matplotlib gives it no types
        moving = [artist for d in self.drawings for artist in (d.curve, d.ticks)]
        moving += [marker for marker, _, _ in self.curves] + ([self.known[0]] if self.known else [])
        for artist in (*moving, self.title):
            artist.set_animated(True)
        surface.draw()
        still = surface.copy_from_bbox(self.figure.bbox)
        palette: Image.Image | None = None
        for t in self.times:
            self._move(t)
            surface.restore_region(still)
            for artist in (*moving, self.title):
                artist.draw(surface.get_renderer())
            image = Image.fromarray(np.asarray(surface.buffer_rgba())[..., :3])
            palette = palette or image.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE)
            yield image.quantize(palette=palette, dither=Image.Dither.NONE)

    def _move(self, t: float) -> None:
        for drawing, run in zip(self.drawings, self.runs.values(), strict=True):
            drawing.show(run.at(t))
        if self.known is not None:
            show_exact(self.known[0], self.upper, self.known[1](t))
        for marker, at, values in self.curves:
            marker.set_data([t], [np.interp(t, at, values)])
        self.title.set_text(f"t = {t:.3g}")


def _curves(
    axes: Axes, runs: dict[str, Trajectory], reference: Law | Measure | None
) -> list[tuple[Line2D, Array, Array]]:
    """W2 or F over time, with one marker a run that will walk along."""
    found = []
    for run, style in zip(runs.values(), run_styles(runs), strict=True):
        at, values = distances(run, reference) if reference is not None else (run.times, run.energies)
        axes.plot(at, values, **{**style.drawn, "marker": ""})
        (marker,) = axes.plot([], [], style.marker, color=style.colour)
        found.append((marker, at, values))
    axes.set_yscale(log_or_linear([values for _, _, values in found])[0])
    axes.set(xlabel="time t", ylabel="energy F" if reference is None else w2_label(runs))
    return found
