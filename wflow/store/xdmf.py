"""This file owns runs on meshes as XDMF: a text that says what is where, and an HDF5 file with the numbers.

    NAME.xdmf   a grid for each saved time, its topology and geometry the same arrays
    NAME.h5     points (s, 3), cells (m, c), density/000000, density/000001, ...

Format: XDMF 3, xdmf.org/index.php/XDMF_Model_and_Format. Needs h5py, the extra `mesh`.
"""

import io
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import escape

from wflow.errors import Refused
from wflow.store.torn import Torn, on_one_mesh
from wflow.store.whole import write_together
from wflow.trajectory import Trajectory

_SIMPLEX = {2: "Polyline", 3: "Triangle", 4: "Tetrahedron"}


def write_xdmf(run: Trajectory, path: str | Path) -> Path:
    """NAME.xdmf and NAME.h5 beside it, their folder made; the path of the first.

    `density` is data of cells where rho is constant in each, else of points, of which each cell has its own. The same
    run gives the same bytes; no file is touched before both are written. Raises ValueError for another suffix than
    .xdmf and for names that XDMF cannot say, Refused for measures that are no densities on one mesh, and without h5py.
    """
    target = Path(path)
    if target.suffix != ".xdmf":
        raise ValueError(f"path: {target.name!r} does not end in .xdmf, the file that says what is in the .h5")
    if ":" in target.stem or target.stem != target.stem.lstrip():
        raise ValueError(f"path: {target.name!r} has a colon, or begins with a space, and readers miss its .h5; rename")
    measures = on_one_mesh("xdmf", run.measures)
    if find_spec("h5py") is None:
        raise Refused(
            "xdmf: its numbers lie in an HDF5 file, written by h5py; pip install 'wflow[mesh]', or `write_vtk`"
        )
    import h5py

    linear = measures[0].linear
    torn, stream = Torn.of(measures[0].mesh, linear), io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["points"], file["cells"] = torn.points, torn.cells
        for k, pi in enumerate(measures):
            file[_name(k)] = pi.values.ravel()
    target.parent.mkdir(parents=True, exist_ok=True)
    numbers = target.with_suffix(".h5")
    text = _text(torn, run.times.tolist(), escape(numbers.name), "Node" if linear else "Cell")
    write_together({numbers: stream.getvalue(), target: text.encode()})
    return target


def _name(k: int) -> str:
    return f"density/{k:06d}"


def _text(torn: Torn, times: list[float], file: str, centre: str) -> str:
    m, corners = torn.cells.shape
    size = m if centre == "Cell" else len(torn.points)
    mesh = (
        f'<Topology TopologyType="{_SIMPLEX[corners]}" NumberOfElements="{m}" NodesPerElement="{corners}">\n'
        f'<DataItem Dimensions="{m} {corners}" NumberType="Int" Precision="8" Format="HDF">{file}:/cells</DataItem>\n'
        f'</Topology>\n<Geometry GeometryType="XYZ">\n'
        f'<DataItem Dimensions="{len(torn.points)} 3" NumberType="Float" Precision="8" Format="HDF">{file}:/points'
        "</DataItem>\n</Geometry>\n"
    )
    grids = [
        f'<Grid Name="flow" GridType="Uniform">\n{mesh}<Time Value="{t!r}"/>\n'
        f'<Attribute Name="density" AttributeType="Scalar" Center="{centre}">\n'
        f'<DataItem Dimensions="{size}" NumberType="Float" Precision="8" Format="HDF">{file}:/{_name(k)}</DataItem>\n'
        "</Attribute>\n</Grid>\n"
        for k, t in enumerate(times)
    ]
    series = f'<Grid Name="run" GridType="Collection" CollectionType="Temporal">\n{"".join(grids)}</Grid>'
    return f'<?xml version="1.0"?>\n<Xdmf Version="3.0">\n<Domain>\n{series}\n</Domain>\n</Xdmf>\n'
