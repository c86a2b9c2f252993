"""This file owns the animation of a geodesic: mass on its way from one measure to another, as a density on cells."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from wflow.arrays import Array, count
from wflow.errors import Refused
from wflow.geodesics import Geodesic
from wflow.grid import Grid
from wflow.picture.style import canvas, styled, writable

_MILLISECONDS = 60
_PAUSE = 10
"""Frames for which the ends stand still."""
_PATHS = 150
_FAINT, _MARGIN = 1e-3, 0.1
_COLOURS = 128


@styled
def journey(path: Geodesic, grid: Grid, file: str | Path, frames: int = 40) -> Path:
    """A GIF of a geodesic on two axes: its density at s = 0, .., 1, and the ways of some 150 atoms, drawn by mass.

    Raises ValueError for another suffix than .gif, Refused for another number of axes, OSError where the file cannot
    be written.
    """
    target = Path(file)
    if target.suffix != ".gif":
        raise ValueError(f"file: {target.name!r} does not end in .gif, the one format of animations")
    if grid.domain.dim != 2:
        raise Refused(f"picture.journey: the grid has {grid.domain.dim} axes; it draws two")
    with writable(target):
        first, *rest = _images(path, grid, count("frames", frames, least=2))
        first.save(target, save_all=True, append_images=rest, duration=_MILLISECONDS, loop=0)
    return target


def _images(path: Geodesic, grid: Grid, frames: int) -> Iterator[Image.Image]:
    """One image a frame, all with the colours of the first."""
    densities = [path.density(s, grid).values.reshape(grid.shape) for s in np.linspace(0.0, 1.0, frames)]
    figure, drawn, title = _drawn(path, grid, densities)
    surface: Any = FigureCanvasAgg(figure)  # matplotlib gives it no types
    palette: Image.Image | None = None
    for k, values in enumerate(densities):
        drawn.set_array(values.T)
        title.set_text(f"s = {k / (frames - 1):.2f}")
        surface.draw()
        image = Image.fromarray(np.asarray(surface.buffer_rgba())[..., :3])
        palette = palette or image.quantize(_COLOURS, Image.Quantize.MEDIANCUT)
        frame = image.quantize(palette=palette, dither=Image.Dither.NONE)
        for _ in range(_PAUSE if k in (0, frames - 1) else 1):
            yield frame


def _drawn(path: Geodesic, grid: Grid, densities: list[Array]) -> tuple[Figure, Any, Any]:
    """The figure, the map that changes, and the title."""
    figure = canvas(5.6, 4.8)
    axes = figure.subplots()
    top = max(float(values.max()) for values in densities)
    look: dict[str, Any] = {"cmap": "magma", "vmin": 0.0, "vmax": top, "rasterized": True}
    drawn = axes.pcolormesh(grid.edges(0), grid.edges(1), densities[0].T, **look)
    for k in _some(path.weights):
        ends = np.stack([path.start[k], path.end[k]])
        axes.plot(ends[:, 0], ends[:, 1], color="white", linewidth=0.4, alpha=0.35)
    figure.colorbar(drawn, ax=axes, label="density (per unit area)")
    axes.set(xlabel="w_1", ylabel="w_2", aspect="equal")
    axes.set(xlim=_limits(path, grid, 0), ylim=_limits(path, grid, 1))
    title = axes.set_title("s = 0.00", fontsize=11)
    return figure, drawn, title


def _limits(path: Geodesic, grid: Grid, axis: int) -> tuple[float, float]:
    """What the mass needs of an axis, and a margin."""
    seen = path.weights >= _FAINT * path.weights.max()
    places = np.concatenate([path.start[seen, axis], path.end[seen, axis]])
    low, high = float(places.min()), float(places.max())
    margin = _MARGIN * (high - low) + 2.0 * float(grid.widths[axis])
    return max(low - margin, grid.domain.lower[axis]), min(high + margin, grid.domain.upper[axis])


def _some(weights: Array) -> Array:
    """Atoms at equal shares of the mass."""
    return np.unique(np.searchsorted(np.cumsum(weights), (np.arange(_PATHS) + 0.5) / _PATHS))
