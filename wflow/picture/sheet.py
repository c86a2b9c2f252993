"""This file owns how a density on triangles is drawn, in a region of the plane or on the two sides of the sphere.

A drawing is made once and shows one measure after the other: stills show one each, an animation all of them.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, PathPatch, Polygon
from matplotlib.path import Path as Outline
from matplotlib.tri import Triangulation

from wflow.arrays import Array
from wflow.curves import Corners, Curve, Ring
from wflow.domain import Domain
from wflow.measure import Measure
from wflow.mesh import Mesh, Numbers
from wflow.mesh_density import MeshDensity
from wflow.shapes import Planar, Sphere

WALL = "black"
COLOURS = "magma"
_POINTS = 400
_MARGIN = 0.04
_RIM = math.sqrt(2.0)
"""Radius of a hemisphere in Lambert's equal-area projection of the unit sphere."""
_LABELS, _ROOM = 1.03 * _RIM, 1.25 * _RIM
"""How far out the labels of a hemisphere stand, and what it takes in all."""
_GREY = "#8899AA"
_LATITUDES, _MERIDIANS = (30.0, 60.0), 12


class Sheet(Protocol):
    """What draws measures of one domain on one or two axes."""

    def show(self, pi: MeshDensity | None, cloud: Measure | None) -> None:
        """Draw these in place of those before; None: there is none of this kind."""

    @property
    def colours(self) -> Any:
        """Of which a colour bar is made; None where no density is drawn."""

    @property
    def artists(self) -> list[Any]:
        """What changes."""


class Triangles:
    """Triangles of one projection on one axis: flat colours where rho is constant in each, else blended."""

    def __init__(self, axes: Axes, corners: Array, some: Numbers, linear: bool, top: float) -> None:
        """corners (k, 3, 2) of the triangles `some` (k,) of a mesh; top: the largest density shown."""
        self.some, self.linear = some, linear
        x, y = corners.reshape(-1, 2).T
        net = Triangulation(x, y, np.arange(len(x)).reshape(-1, 3))
        look: dict[str, Any] = {"cmap": COLOURS, "vmin": 0.0, "vmax": top, "rasterized": True}
        blank = np.zeros(len(x) if linear else len(corners))
        if linear:
            self.drawn = axes.tripcolor(net, blank, shading="gouraud", **look)
        else:
            self.drawn = axes.tripcolor(net, facecolors=blank, **look)

    def show(self, pi: MeshDensity) -> None:
        """Colours of this density."""
        values = pi.values[self.some]
        self.drawn.set_array(values.ravel() if self.linear else values[:, 0])


class Region:
    """A density on a mesh of the plane, the walls of its domain, and particles."""

    def __init__(self, axes: Axes, domain: Domain, first: MeshDensity | None, top: float, names: Sequence[str]) -> None:
        self.triangles = None
        if first is not None:
            every = np.arange(first.mesh.size)
            self.triangles = Triangles(axes, first.mesh.corners, every, first.linear, top)
        (self.dots,) = axes.plot([], [], "o", markersize=3.2, **_dot(first is not None))
        ends = first.mesh.nodes if first is not None else np.array([domain.lower, domain.upper])
        _walls(axes, domain, ends)
        low, high = ends.min(axis=0), ends.max(axis=0)
        beyond = _MARGIN * float((high - low).max())
        axes.set(xlim=(low[0] - beyond, high[0] + beyond), ylim=(low[1] - beyond, high[1] + beyond), aspect="equal")
        axes.set(xlabel=names[0], ylabel=names[1])
        axes.grid(visible=False)

    def show(self, pi: MeshDensity | None, cloud: Measure | None) -> None:
        """Protocol of a sheet."""
        if self.triangles is not None and pi is not None:
            self.triangles.show(pi)
        self.dots.set_data(*(some_of(cloud).T if cloud is not None else ([], [])))

    @property
    def colours(self) -> Any:
        return None if self.triangles is None else self.triangles.drawn

    @property
    def artists(self) -> list[Any]:
        return [*([self.colours] if self.triangles else []), self.dots]


class Hemispheres:
    """A density on a mesh of the sphere on both sides of an axis, in Lambert's equal-area projection.

    Left the side of +axis, right that of -axis, each as seen from outside; areas are those of the sphere.
    """

    def __init__(
        self, pair: Sequence[Axes], first: MeshDensity | None, top: float, names: Sequence[str], axis: int
    ) -> None:
        self.axis = axis
        self.sides: list[tuple[float, Triangles | None, Any]] = []
        for axes, sign in zip(pair, (1.0, -1.0), strict=True):
            rim = _globe(axes, names, axis, sign)
            triangles = None if first is None else _side(axes, first, top, axis, sign)
            if triangles is not None:
                triangles.drawn.set_clip_path(rim)
            (dots,) = axes.plot([], [], "o", markersize=3.2, **_dot(first is not None))
            self.sides.append((sign, triangles, dots))

    def show(self, pi: MeshDensity | None, cloud: Measure | None) -> None:
        """Protocol of a sheet."""
        points = some_of(cloud) if cloud is not None else np.zeros((0, 3))
        for sign, triangles, dots in self.sides:
            if triangles is not None and pi is not None:
                triangles.show(pi)
            dots.set_data(*lambert(points[sign * points[:, self.axis] >= 0.0], self.axis, sign).T)

    @property
    def colours(self) -> Any:
        triangles = self.sides[0][1]
        return None if triangles is None else triangles.drawn

    @property
    def artists(self) -> list[Any]:
        return [
            artist for _, triangles, dots in self.sides for artist in ([triangles.drawn] if triangles else []) + [dots]
        ]


def lambert(points: Array, axis: int, sign: float) -> Array:
    """(n, 2) places of points (n, 3) of the unit sphere, seen from sign times the axis: areas are kept.

    sqrt(2/(1 + c)) (u, v) with c the coordinate along the line of sight and u, v those across it, u to the right; on
    the far side u is turned, as for who walks round. The hemisphere is the disk of radius 2^(1/2).
    Source: Snyder 1987, Map projections (USGS paper 1395), chapter 24.
    """
    across = np.stack([sign * points[:, (axis + 1) % 3], points[:, (axis + 2) % 3]], axis=1)
    c = sign * points[:, axis]
    return np.asarray(across * np.sqrt(2.0 / np.maximum(1.0 + c, 1e-12))[:, None])


def sheet(
    pair: Sequence[Axes], domain: Domain, first: MeshDensity | None, top: float, names: Sequence[str], axis: int = 2
) -> Sheet:
    """The drawing of a domain: on the sphere on two axes, else on the first."""
    if isinstance(domain, Sphere):
        return Hemispheres(pair, first, top, names, axis)
    return Region(pair[0], domain, first, top, names)


def some_of(cloud: Measure) -> Array:
    """At most 400 of the points (n, d), evenly by their number, angles within one turn."""
    points = cloud.domain.wrap(cloud.points)
    return np.asarray(points[np.unique(np.linspace(0, len(points) - 1, min(len(points), _POINTS)).round().astype(int))])


def _dot(on_density: bool) -> dict[str, Any]:
    return {
        "markerfacecolor": "none" if on_density else "#D55E00",
        "markeredgecolor": "white" if on_density else "black",
        "markeredgewidth": 0.7 if on_density else 0.3,
    }


def _side(axes: Axes, first: MeshDensity, top: float, axis: int, sign: float) -> Triangles:
    """The triangles that reach to this side; the rim cuts them."""
    mesh: Mesh = first.mesh
    heights = sign * mesh.corners[:, :, axis]
    some = np.flatnonzero(heights.max(axis=1) > 0.0)
    corners = lambert(mesh.corners[some].reshape(-1, 3), axis, sign).reshape(-1, 3, 2)
    return Triangles(axes, corners, some, first.linear, top)


def _walls(axes: Axes, domain: Domain, ends: Array) -> None:
    if isinstance(domain, Planar):
        for curve in (domain.outer, *domain.holes):
            axes.add_patch(_wall(curve))
        return
    low, high = (np.where(np.isfinite(side), side, end) for side, end in (
        (np.asarray(domain.lower), ends.min(axis=0)), (np.asarray(domain.upper), ends.max(axis=0)),
    ))  # fmt: skip
    for k in (0, 1):
        for side, exists in ((low, np.isfinite(domain.lower[k])), (high, np.isfinite(domain.upper[k]))):
            if exists:
                line = np.stack([low, high], axis=0)
                line[:, k] = side[k]
                axes.plot(*line.T, color=WALL, linewidth=1.2, linestyle=":" if domain.periodic[k] else "-")


def _wall(curve: Curve) -> Any:
    look: dict[str, Any] = {"fill": False, "edgecolor": WALL, "linewidth": 1.2, "zorder": 3}
    if isinstance(curve, Ring):
        return Circle(curve.centre, curve.radius, **look)
    if isinstance(curve, Corners):
        return Polygon(np.asarray(curve.points), closed=True, joinstyle="miter", **look)
    (a, b), (c, d) = curve.ends
    return PathPatch(Outline([(a, b), (c, b), (c, d), (a, d), (a, b)]), linestyle=":", **look)


def _globe(axes: Axes, names: Sequence[str], axis: int, sign: float) -> Circle:
    """The rim, parallels at 30 and 60 degrees, meridians, and where the other two coordinates point."""
    rim = Circle((0.0, 0.0), _RIM, fill=False, edgecolor=WALL, linewidth=1.2, zorder=4)
    axes.add_patch(rim)
    look: dict[str, Any] = {"linewidth": 0.6, "alpha": 0.7, "zorder": 3}
    for latitude in _LATITUDES:
        radius = math.sqrt(2.0 - 2.0 * math.sin(math.radians(latitude)))
        axes.add_patch(Circle((0.0, 0.0), radius, fill=False, edgecolor=_GREY, **look))
    for k in range(_MERIDIANS):
        angle = 2.0 * math.pi * k / _MERIDIANS
        axes.plot([0.0, _RIM * math.cos(angle)], [0.0, _RIM * math.sin(angle)], color=_GREY, **look)
    # "inner weight b_1" is b_1
    right, up, ahead = (names[(axis + k) % 3].split()[-1] for k in (1, 2, 3))
    for x, y, text in ((sign, 0, f"+{right}"), (-sign, 0, f"-{right}"), (0, 1, f"+{up}"), (0, -1, f"-{up}")):
        side = {0: "center", 1: "left", -1: "right"}[int(x)]
        axes.text(_LABELS * x, (_LABELS + 0.05) * y, text, ha=side, va="center", fontsize=9)
    axes.set(xlim=(-_ROOM, _ROOM), ylim=(-_ROOM, _ROOM), aspect="equal")
    axes.set_axis_off()
    axes.set_title(f"seen from {'+' if sign > 0.0 else '-'}{ahead}", fontsize=10, pad=2.0)
    return rim
