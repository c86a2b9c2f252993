"""This file owns how pictures look (colours, markers, fonts, axes) and how they leave: `save` and `png_base64`."""

import base64
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from wflow.domain import TURN, Domain
from wflow.trajectory import Trajectory

Runs = Mapping[str, Trajectory] | Sequence[Trajectory] | Trajectory

DPI = 110
WIDTH, HEIGHT = 7.2, 4.2
KNOWN = "#555555"
"""Colour of exact answers and predictions, drawn dashed."""

_LOOK: dict[Any, Any] = {
    "font.size": 11.0,
    "legend.fontsize": 10.0,
    "legend.frameon": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 6.0,
    "svg.hashsalt": "wflow",
}

# The colours of Okabe & Ito 2008 and of P. Tol's muted scheme: told apart by colour-blind eyes.
_SOLVERS = {
    "GradientFlow": ("#D55E00", "o"),
    "DormandPrince": ("#A3320B", "P"),
    "Langevin": ("#E69F00", "s"),
    "StochasticGradient": ("#A6761D", "X"),
    "Upwind": ("#56B4E9", "v"),
    "Muscl": ("#0072B2", "D"),
    "ScharfetterGummel": ("#332288", "s"),
    "Fourier": ("#000000", "*"),
    "Quantile": ("#009E73", "^"),
    "Sdirk2": ("#117733", "<"),
    "Midpoint": ("#66BB88", ">"),
    "Bdf2": ("#2E5D4B", "p"),
    "Exact": ("#7F5539", "d"),
    "Spline": ("#CC79A7", "X"),
    "RiskDual": ("#882255", "<"),
    "Hats": ("#6B4C9A", "H"),
    "Ljko": ("#44AA99", ">"),
    "Entropic": ("#999933", "p"),
    "DG0": ("#AA4499", "h"),
    "DG1": ("#661100", "8"),
    "ConicParticles": ("#DDAA33", "d"),
    "ConicHeun": ("#BB5566", "v"),
    "ConicDescent": ("#004488", "^"),
    "ConicUpwind": ("#888888", "H"),
    "ConicImplicit": ("#997700", "s"),
    "ConicMuscl": ("#225555", "D"),
}
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (6, 2, 1.5, 2)), (0, (1.5, 1.5)))


@dataclass(frozen=True)
class Style:
    """How one run looks in every picture."""

    colour: str
    marker: str
    line: Any = "-"
    width: float = 1.8

    @property
    def drawn(self) -> dict[str, Any]:
        """As keyword arguments of Axes.plot."""
        return {"color": self.colour, "marker": self.marker, "linestyle": self.line, "linewidth": self.width}


def solver_style(name: str) -> Style:
    """The colour and marker that a solver has in every picture; an unlisted name gets a pair by its spelling."""
    mark = zlib.crc32(name.encode())
    pair = (_COLOURS[mark % len(_COLOURS)], _MARKERS[mark // 7 % len(_MARKERS)])
    return Style(*_SOLVERS.get(name, pair))


def styles(solvers: Sequence[str]) -> list[Style]:
    """One style a run: the solver's own, with other lines where it returns; by place where all runs share one solver,
    or where a name is no solver's. Earlier runs have wider lines, so that curves on top of each other are all seen.
    """
    n = len(solvers)
    by_place = (n > 1 and len(set(solvers)) == 1) or not set(solvers) <= set(_SOLVERS)
    found = []
    for i, name in enumerate(solvers):
        base = Style(_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)]) if by_place else solver_style(name)
        again = i if by_place else list(solvers[:i]).count(name)
        found.append(replace(base, line=_LINES[again % len(_LINES)], width=1.6 + 0.7 * min(n - 1 - i, 4)))
    return found


def named(runs: Runs) -> dict[str, Trajectory]:
    """Runs by the name in the legend; ValueError for none, or for two of one name."""
    if isinstance(runs, Mapping):
        found = dict(runs)
    else:
        several = [runs] if isinstance(runs, Trajectory) else list(runs)
        found = {str(run.solver): run for run in several}
        if len(found) < len(several):
            raise ValueError(f"runs: {len(several)} runs have {len(found)} different names; pass a dict of names")
    if not found:
        raise ValueError("runs: there is nothing to draw; pass at least one trajectory")
    return found


def run_styles(runs: Mapping[str, Trajectory]) -> list[Style]:
    """The styles of some named runs."""
    return styles([type(run.solver).__name__ for run in runs.values()])


def styled[**P, R](draw: Callable[P, R]) -> Callable[P, R]:
    """`draw` under the house look; nothing global stays changed."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(_LOOK):
            return draw(*args, **kwargs)

    return inside


def canvas(width: float = WIDTH, height: float = HEIGHT) -> Figure:
    """An empty figure in inches, laid out so that labels do not overlap."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def legend(figure: Figure, axes: Axes) -> None:
    """The labelled artists of one axis, above all axes, over at most 4/5 of the width: a page may draw it smaller."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        widest = max(map(len, labels))
        columns = max(1, min(len(labels), int(0.8 * figure.get_figwidth() / (0.08 * widest + 0.6))))
        figure.legend(handles, labels, loc="outside upper center", ncols=columns)


def parameter_axis(axes: Axes, domain: Domain, window: tuple[float, float]) -> None:
    """The horizontal axis of a one-dimensional domain: angles in radian, or w."""
    if domain.is_circle:
        axes.set_xlim(0.0, TURN)
        axes.set_xticks([0.25 * k * TURN for k in range(5)], ["0", r"$\pi/2$", r"$\pi$", r"$3\pi/2$", r"$2\pi$"])
        axes.set_xlabel(r"angle $\theta$ (radian)")
    else:
        axes.set_xlim(*window)
        axes.set_xlabel("parameter w")


def density_label(domain: Domain) -> str:
    """What a density is measured in."""
    return r"density $\rho$ (per radian)" if domain.is_circle else r"density $\rho$ (per unit of w)"


def save(figure: Figure | Sequence[Figure], path: str | Path) -> Path:
    """Write a figure as .png or .svg, making its folder; the path written. OSError says what stood in the way.

    Several figures stand below one another, in a .png alone.
    """
    target = Path(path)
    if target.suffix not in (".png", ".svg"):
        raise ValueError(f"path: {target.name!r} ends in neither .png nor .svg; name one of these two formats")
    if not isinstance(figure, Figure):
        if target.suffix != ".png":
            raise ValueError(
                f"path: {target.name!r} would hold {len(figure)} figures; save them one by one, or as .png"
            )
        with writable(target):
            _column([pixels(part) for part in figure]).save(target, pnginfo=_made_by_wflow())
        return target
    with writable(target):
        metadata = {"Date": None} if target.suffix == ".svg" else {"Software": "wflow"}
        with matplotlib.rc_context(_LOOK):
            figure.savefig(target, dpi=DPI, metadata=metadata)
    return target


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """(height, width, 3) as it is drawn now."""
    surface: Any = FigureCanvasAgg(figure)  # matplotlib gives it no types
    with matplotlib.rc_context(_LOOK):
        surface.draw()
    return np.asarray(surface.buffer_rgba())[..., :3].copy()


def _column(images: Sequence[NDArray[np.uint8]]) -> Image.Image:
    """Below one another, narrower ones in the middle of white."""
    widest = max(image.shape[1] for image in images)
    rows = []
    for image in images:
        left = (widest - image.shape[1]) // 2
        right = widest - image.shape[1] - left
        rows.append(np.pad(image, [(0, 0), (left, right), (0, 0)], constant_values=255))
    return Image.fromarray(np.concatenate(rows))


def _made_by_wflow() -> PngInfo:
    info = PngInfo()
    info.add_text("Software", "wflow")
    return info


class writable:  # noqa: N801  (reads as the statement that it is)
    """`with writable(path):` makes the folder, and tells an OSError apart from a fault of the picture."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._blocked(error) from error

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise self._blocked(error) from error

    def _blocked(self, error: OSError) -> OSError:
        return OSError(f"picture: {self.path} cannot be written ({error.strerror or error}); choose another folder")


def png_base64(figure: Figure) -> str:
    """The figure as a PNG in base64, for <img src="data:image/png;base64,...">."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": "wflow"})
    return base64.b64encode(stream.getvalue()).decode("ascii")
