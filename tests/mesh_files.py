"""Gmsh's files as Gmsh writes them, made here by the format's description: points, lines and groups beside triangles.

Source: Gmsh reference manual, "MSH file format" (4.1) and "MSH file format version 2 (Legacy)".
"""

from pathlib import Path

import numpy as np

from wflow.arrays import Array
from wflow.mesh import Numbers

_HEAD = '$MeshFormat\n{} 0 8\n$EndMeshFormat\n$PhysicalNames\n2\n1 1 "wall"\n2 2 "inside"\n$EndPhysicalNames\n'


def placed(nodes: Array) -> Array:
    """(s, 3) with height 0."""
    return nodes if nodes.shape[1] == 3 else np.column_stack([nodes, np.zeros(len(nodes))])


def write_msh2(path: Path, nodes: Array, cells: Numbers, kind: int = 2) -> Path:
    """Version 2.2: a point, a line and the cells, of Gmsh's kind (2 triangle, 3 quadrangle, 9 curved triangle)."""
    points = "\n".join(f"{k} {x!r} {y!r} {z!r}" for k, (x, y, z) in enumerate(placed(nodes).tolist(), 1))
    a, b = (cells[0, :2] + 1).tolist()
    rows = [f"1 15 2 0 1 {a}", f"2 1 2 1 1 {a} {b}"]
    rows += [f"{k} {kind} 2 2 1 " + " ".join(map(str, row)) for k, row in enumerate((cells + 1).tolist(), 3)]
    text = f"$Nodes\n{len(nodes)}\n{points}\n$EndNodes\n$Elements\n{len(rows)}\n" + "\n".join(rows) + "\n$EndElements\n"
    path.write_text(_HEAD.format("2.2") + text)
    return path


def write_msh4(path: Path, nodes: Array, cells: Numbers, kind: int = 2) -> Path:
    """Version 4.1: the same in blocks; nodes have tags 10, 20, 30, ..."""
    box = " ".join(repr(x) for x in (*placed(nodes).min(axis=0).tolist(), *placed(nodes).max(axis=0).tolist()))
    first = " ".join(map(repr, placed(nodes)[0].tolist()))
    entities = f"$Entities\n1 1 1 0\n1 {first} 0 \n1 {box} 1 1 0 \n1 {box} 1 2 1 1 \n$EndEntities\n"
    tags = "\n".join(str(10 * k + 10) for k in range(len(nodes)))
    points = "\n".join(f"{x!r} {y!r} {z!r}" for x, y, z in placed(nodes).tolist())
    nodes_ = f"$Nodes\n1 {len(nodes)} 10 {10 * len(nodes)}\n2 1 0 {len(nodes)}\n{tags}\n{points}\n$EndNodes\n"
    names = 10 * cells + 10
    a, b = names[0, :2].tolist()
    rows = [f"{k} " + " ".join(map(str, row)) + " " for k, row in enumerate(names.tolist(), 3)]
    elements = f"$Elements\n3 {len(rows) + 2} 1 {len(rows) + 2}\n0 1 15 1\n1 {a} \n1 1 1 1\n2 {a} {b} \n"
    elements += f"2 1 {kind} {len(rows)}\n" + "\n".join(rows) + "\n$EndElements\n"
    path.write_text(_HEAD.format("4.1") + entities + nodes_ + elements)
    return path


def write_xdmf(path: Path, nodes: Array, cells: Numbers) -> Path:
    """XDMF 3 with its numbers in the text."""
    points = "\n".join(" ".join(map(repr, row)) for row in nodes.tolist())
    corners = "\n".join(" ".join(map(str, row)) for row in cells.tolist())
    kind = {2: "XY", 3: "XYZ"}[nodes.shape[1]]
    path.write_text(
        f"""<?xml version="1.0"?><Xdmf Version="3.0"><Domain><Grid Name="mesh" GridType="Uniform">
<Topology TopologyType="Triangle" NumberOfElements="{len(cells)}" NodesPerElement="3">
<DataItem Dimensions="{len(cells)} 3" NumberType="Int" Precision="8" Format="XML">{corners}</DataItem></Topology>
<Geometry GeometryType="{kind}">
<DataItem Dimensions="{len(nodes)} {nodes.shape[1]}" NumberType="Float" Precision="8" Format="XML">{points}</DataItem>
</Geometry></Grid></Domain></Xdmf>"""
    )
    return path
