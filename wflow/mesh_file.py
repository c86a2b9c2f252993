"""This file owns mesh files of others: Gmsh's .msh and .xdmf, read by meshio (the extra `mesh`) into a Region."""

import contextlib
import io
import re
import struct
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np

from wflow.arrays import Array
from wflow.errors import Refused
from wflow.mesh import Numbers
from wflow.triangulated import Region

_LEVEL = 1e-9
"""Heights, of the extent, that count as one."""
_LOWER = ("vertex", "line")
_GROUPS = re.compile(rb"^\$(PhysicalNames|Entities)\b.*?^\$End\1[^\n]*\n", re.DOTALL | re.MULTILINE)
_BAD = (
    ValueError, LookupError, TypeError, ArithmeticError, AttributeError, AssertionError, EOFError, RuntimeError,
    MemoryError, struct.error, ParseError,
)  # fmt: skip
"""What readers raise at files that are not what they say they are."""


def region(path: str | Path) -> Region:
    """The region of the plane whose triangles are in a file: Gmsh's .msh (2.2, 4.0, 4.1, text or binary) or .xdmf.

    Units and origin are the file's; a constant third coordinate is left out. Points and lines, nodes of no triangle and
    names of groups are passed over, all triangles taken together, one of several groups once: version 2.2 lists it for
    each of them. An .xdmf file may lie beside an .h5 file, and may be
    a time series, whose mesh is taken.

    Raises OSError where there is no such file; ValueError for what is no such mesh, for other cells than triangles with
    straight sides, for triangles in space, and as Region does; Refused without the extra `mesh`.
    """
    target = Path(path)
    where = f"region {target.name}"
    points, blocks = _read(target, where)
    kinds = {kind for kind, _ in blocks if not kind.startswith(_LOWER)}
    for kind in sorted(kinds - {"triangle"}):
        raise ValueError(f"{where}: it holds {_named(kind)}")
    if not kinds:
        raise ValueError(f"{where}: it holds no triangles; mesh the surface (gmsh -2) and save all elements")
    cells = _once(np.concatenate([numbers for kind, numbers in blocks if kind == "triangle"]))
    places = _flat(points, cells, where)
    try:
        return Region(places, cells)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _once(cells: Numbers) -> Numbers:
    """Without triangles between corners of an earlier one."""
    _, first = np.unique(np.sort(cells, axis=1), axis=0, return_index=True)
    return np.asarray(cells[np.sort(first)])


def _named(kind: str) -> str:
    """What is wrong with cells of that kind, and what to do."""
    if kind.startswith("triangle"):
        return f"curved triangles ({kind}), of second or higher order; save it with Mesh.ElementOrder = 1"
    if kind.startswith("quad"):
        return f"quadrilaterals ({kind}); mesh it without Recombine, as triangles"
    return f"cells of another kind ({kind}); save the triangles of a surface alone"


def _flat(points: Array, cells: Numbers, where: str) -> Array:
    """(s, 2) of points (s, 2 or 3) whose heights, as far as they are corners, are one."""
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise ValueError(f"{where}: points of shape {points.shape}; give two coordinates, or three")
    if cells.min() < 0 or cells.max() >= len(points):
        raise ValueError(f"{where}: triangles name points {cells.min()}..{cells.max()} of {len(points)}")
    extent = np.ptp(points[cells.ravel()], axis=0)
    if points.shape[1] == 3 and extent[2] > _LEVEL * extent.max():
        raise ValueError(
            f"{where}: its heights differ by {extent[2]:.3g}; regions lie in a plane z = constant, "
            "of surfaces there is sphere() alone"
        )
    return np.ascontiguousarray(points[:, :2], dtype=np.float64)


def _read(path: Path, where: str) -> tuple[Array, list[tuple[str, Numbers]]]:
    """Points, and numbers of the corners of cells by their kind."""
    if path.suffix not in _READERS:
        raise ValueError(f"{where}: the suffix {path.suffix!r} is not allowed; allowed: {', '.join(_READERS)}")
    if not path.is_file():
        raise FileNotFoundError(f"{where}: there is no file {path}; give the path of a mesh")
    if find_spec("meshio") is None or (path.suffix == ".xdmf" and find_spec("h5py") is None):
        raise Refused(f"{where}: files of meshes are read by meshio and h5py; pip install 'wflow[mesh]'")
    import meshio

    try:
        with contextlib.redirect_stderr(io.StringIO()):  # meshio tells what it fills in, such as tags of groups
            points, blocks = _READERS[path.suffix](path)
    except (meshio.ReadError, *_BAD) as error:
        raise ValueError(f"{where}: this is no mesh that meshio reads ({error}); save it anew") from error
    return np.asarray(points, dtype=np.float64), [(block.type, np.asarray(block.data)) for block in blocks]


def _gmsh(path: Path) -> tuple[Any, Any]:
    """Without the groups, which are not asked for: meshio fails where some cells are in one and others in none.

    Source: github.com/nschloe/meshio/issues/1388.
    """
    import meshio

    with TemporaryDirectory() as folder:
        bare = Path(folder, path.name)
        bare.write_bytes(_GROUPS.sub(b"", path.read_bytes()))
        found = meshio.gmsh.read(bare)
    return found.points, found.cells


def _xdmf(path: Path) -> tuple[Any, Any]:
    import meshio

    if b'"Collection"' in path.read_bytes():
        with meshio.xdmf.TimeSeriesReader(path) as series:
            points, cells = series.read_points_cells()
            return points, cells
    found = meshio.xdmf.read(path)
    return found.points, found.cells


_READERS: dict[str, Callable[[Path], tuple[Any, Any]]] = {".msh": _gmsh, ".xdmf": _xdmf}
