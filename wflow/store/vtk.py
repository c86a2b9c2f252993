"""This file owns runs on meshes as XML files of VTK, which ParaView opens: a .vtu for each saved time, a .pvd for all.

Format: the VTK user's guide, "VTK XML file formats"; arrays in base64, little-endian, after their length in 8 bytes.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from wflow.mesh_density import MeshDensity
from wflow.store.torn import Torn, densities
from wflow.store.whole import write_whole
from wflow.trajectory import Trajectory

_SIMPLEX = {2: 3, 3: 5, 4: 10}
"""VTK's numbers of the line, the triangle and the tetrahedron."""
_NUMBERS = {"f8": "Float64", "i8": "Int64", "u1": "UInt8"}


def write_vtk(run: Trajectory, path: str | Path) -> Path:
    """NAME.pvd and NAME-0000.vtu, NAME-0001.vtu, ... beside it, their folder made; the path of the first.

    `density` is data of cells where rho is constant in each, else of points, of which each cell has its own.
    Raises ValueError for another suffix than .pvd, Refused for measures that are no densities on meshes.
    """
    target = Path(path)
    if target.suffix != ".pvd":
        raise ValueError(f"path: {target.name!r} does not end in .pvd, the file that lists the times")
    measures = densities("vtk", run.measures)
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for k, (t, pi) in enumerate(zip(run.times.tolist(), measures, strict=True)):
        name = f"{target.stem}-{k:04d}.vtu"
        write_whole(target.with_name(name), vtu(pi))
        lines.append(f'<DataSet timestep="{t!r}" part="0" file={quoteattr(name)}/>')
    write_whole(target, _file("Collection", "<Collection>\n" + "\n".join(lines) + "\n</Collection>"))
    return target


def vtu(pi: MeshDensity) -> bytes:
    """One density as an unstructured grid."""
    torn = Torn.of(pi.mesh, pi.linear)
    m, corners = torn.cells.shape
    numbers = {
        "connectivity": torn.cells.ravel(),
        "offsets": np.arange(1, m + 1) * corners,
        "types": np.full(m, _SIMPLEX[corners], dtype=np.uint8),
    }
    body = [
        f'<Piece NumberOfPoints="{len(torn.points)}" NumberOfCells="{m}">',
        _section("Points", {"points": torn.points}),
        _section("Cells", numbers),
        _section("PointData" if pi.linear else "CellData", {"density": pi.values.ravel()}),
        "</Piece>",
    ]
    return _file("UnstructuredGrid", "<UnstructuredGrid>\n" + "\n".join(body) + "\n</UnstructuredGrid>")


def _section(name: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    return f"<{name}>\n" + "\n".join(_array(key, array) for key, array in arrays.items()) + f"\n</{name}>"


def _array(name: str, array: NDArray[Any]) -> str:
    kind = _NUMBERS[array.dtype.str[1:]]
    parts = f' NumberOfComponents="{array.shape[1]}"' if array.ndim > 1 else ""
    data = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()
    text = base64.b64encode(len(data).to_bytes(8, "little") + data).decode("ascii")
    return f'<DataArray type="{kind}" Name="{name}"{parts} format="binary">{text}</DataArray>'


def _file(kind: str, body: str) -> bytes:
    head = f'<VTKFile type="{kind}" version="1.0" byte_order="LittleEndian" header_type="UInt64">'
    return f'<?xml version="1.0"?>\n{head}\n{body}\n</VTKFile>\n'.encode()
