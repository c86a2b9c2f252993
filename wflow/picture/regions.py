"""This file owns pictures and the animation of flows on domains with a shape: regions of the plane and the sphere."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from wflow.arrays import positive
from wflow.domain import Domain
from wflow.errors import Refused
from wflow.measure import Measure
from wflow.mesh_density import MeshDensity
from wflow.picture.movie import common_times
from wflow.picture.sheet import Sheet, sheet
from wflow.picture.style import canvas, pixels, styled, writable
from wflow.shapes import Sphere
from wflow.trajectory import Trajectory

_MILLISECONDS = 90
_COLOURS = 200
_PER_AREA = "density (per unit area)"
_FLAT = 1e-12
_SIDE, _LEAST, _MOST = 3.6, 2.2, 5.0


@styled
def regions(
    run: Trajectory,
    particles: Trajectory | None = None,
    times: Sequence[float] | None = None,
    *,
    axis: int = 2,
    one_scale: bool = False,
    root: float = 1.0,
) -> Figure:
    """A density on a mesh of two axes, or particles, at some times (start and end), walls drawn; one colour bar each.

    Where rho is linear in each triangle its colours are blended within it and jump between. On the sphere each time is
    a row: the sides of + and - the given axis, in Lambert's equal-area projection. At most 400 particles of the run
    itself, or of another of the same flow on top. one_scale: the same colours at all times. root: colours by
    rho^(1/root), so that thin densities beside a peak are seen. Raises Refused for other runs.
    """
    domain = _domain(run, particles)
    shown = list(times) if times is not None else [float(run.times[0]), float(run.times[-1])]
    round_ = isinstance(domain, Sphere)
    rows, columns = (len(shown), 2) if round_ else (1, len(shown))
    wide, high = _panel(run.final, domain)
    figure = canvas(1.2 + (wide + 1.0) * columns, 0.7 + high * rows)
    figure.set_layout_engine("compressed")
    panels = figure.subplots(rows, columns, squeeze=False)
    names = run.flow.energy.names(domain.dim)
    seen = [_seen(run, particles, t) for t in shown]
    highest = _top([pi for pi, _ in seen])
    for k, (t, (pi, cloud)) in enumerate(zip(shown, seen, strict=True)):
        pair = list(panels[k] if round_ else panels[:, k])
        drawn = sheet(pair, domain, pi, highest if one_scale else _top([pi]), names, axis)
        _rooted(drawn, root)
        drawn.show(pi, cloud)
        title = f"t = {t:g}, {pair[0].get_title()}" if round_ else f"t = {t:g}"
        pair[0].set_title(title, fontsize=10 if round_ else 11, pad=2.0 if round_ else None)
        if drawn.colours is not None:
            figure.colorbar(drawn.colours, ax=pair[-1], label=_PER_AREA, shrink=0.85)
    return figure


@styled
def film(
    run: Trajectory, path: str | Path, particles: Trajectory | None = None, *, axis: int = 2, root: float = 1.0
) -> Path:
    """A GIF of at most 60 frames of the same: the density with one scale of colours above, the energy F below.

    The frames are saved times, with particles those that both runs share. Raises ValueError for another suffix than
    .gif or for fewer than two times, Refused as `regions`, OSError where the file cannot be written.
    """
    target = Path(path)
    if target.suffix != ".gif":
        raise ValueError(f"path: {target.name!r} does not end in .gif, the one format of animations")
    times = common_times([run] if particles is None else [run, particles])
    with writable(target):
        first, *rest = _frames(run, particles, times, axis, root)
        first.save(target, save_all=True, append_images=rest, duration=_MILLISECONDS, loop=0)
    return target


def _frames(
    run: Trajectory, particles: Trajectory | None, times: Sequence[float], axis: int, root: float
) -> Iterator[Image.Image]:
    """One image a time, all with the colours of the first, the last, and the one whose density is largest."""
    figure, drawn, marker, title = _film(run, particles, times, axis, root)
    densest = max(times, key=lambda t: _top([_seen(run, particles, t)[0]]))

    def image(t: float) -> NDArray[np.uint8]:
        drawn.show(*_seen(run, particles, t))
        marker.set_data([t], [np.interp(t, run.times, run.energies)])
        title.set_text(f"t = {t:.3g}")
        return pixels(figure)

    kinds = Image.fromarray(np.concatenate([image(t) for t in (times[0], densest, times[-1])]))
    palette = kinds.quantize(_COLOURS, Image.Quantize.MEDIANCUT)
    for t in times:
        yield Image.fromarray(image(t)).quantize(palette=palette, dither=Image.Dither.NONE)


def _film(
    run: Trajectory, particles: Trajectory | None, times: Sequence[float], axis: int, root: float
) -> tuple[Figure, Sheet, Any, Any]:
    """The figure, what draws on it, the marker on the curve of F, and the title."""
    domain = _domain(run, particles)
    round_ = isinstance(domain, Sphere)
    wide, high = _panel(run.final, domain)
    figure = canvas(8.4 if round_ else 2.0 + wide, 2.2 + high)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.6, 1.0]).ravel()
    pair = list(upper.subplots(1, 2 if round_ else 1, squeeze=False).ravel())
    all_seen = [_seen(run, particles, t)[0] for t in times]
    drawn = sheet(pair, domain, all_seen[0], _top(all_seen), run.flow.energy.names(domain.dim), axis)
    _rooted(drawn, root)
    if drawn.colours is not None:
        upper.colorbar(drawn.colours, ax=pair[-1], label=_PER_AREA)
    axes = lower.subplots()
    axes.plot(run.times, run.energies, color="#0072B2")
    (marker,) = axes.plot([], [], "o", color="#0072B2")
    axes.set(xlabel="time t", ylabel="energy F")
    return figure, drawn, marker, upper.suptitle("t = 0", fontsize=11)


def _rooted(drawn: Sheet, root: float) -> None:
    """Colours by the root of what is shown, on the scale that is there."""
    positive("root", root)
    for artist in drawn.artists:
        if isinstance(artist, ScalarMappable) and root != 1.0:
            artist.set_norm(PowerNorm(1.0 / root, *artist.get_clim()))


def _panel(pi: Measure, domain: Domain) -> tuple[float, float]:
    """Inches of a panel that has the shape of the domain."""
    if isinstance(domain, Sphere):
        return 3.2, 3.6
    ends = pi.mesh.nodes if isinstance(pi, MeshDensity) else np.array([domain.lower, domain.upper])
    aspect = float(np.divide(*np.ptp(ends, axis=0))) if np.all(np.isfinite(ends)) else 1.0
    return float(np.clip(_SIDE * aspect, _LEAST, _MOST)), float(np.clip(_SIDE / aspect, _LEAST, _SIDE))


def _domain(run: Trajectory, particles: Trajectory | None) -> Domain:
    """That of the run, or Refused."""
    domain = run.final.domain
    drawable = isinstance(run.final, MeshDensity) or run.final.atomic
    if not drawable or domain.intrinsic != 2 or (domain.dim != 2 and not isinstance(domain, Sphere)):
        raise Refused(
            f"picture.regions: {run.solver} holds no density on a mesh of two axes or of the sphere, and no particles "
            "there; draw `maps` or `densities`"
        )
    if particles is not None and not (particles.final.atomic and particles.final.domain.alike(domain)):
        raise Refused(f"picture.regions: {particles.solver} moves no particles on {domain}; leave it out")
    return domain


def _seen(run: Trajectory, particles: Trajectory | None, t: float) -> tuple[MeshDensity | None, Measure | None]:
    """The density and the particles at a time."""
    pi = run.at(t)
    if isinstance(pi, MeshDensity):
        return pi, None if particles is None else particles.at(t)
    return None, pi


def _top(shown: Sequence[MeshDensity | None]) -> float:
    """The largest density, of a uniform one a little more."""
    return max((float(pi.values.max()) for pi in shown if pi is not None), default=1.0) * (1.0 + _FLAT)
