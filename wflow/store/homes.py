"""This file owns where measures live as arrays: boxes, grids, regions of the plane, the sphere, and meshes of them."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wflow.curves import Corners, Curve, Ring
from wflow.domain import Box, Domain
from wflow.grid import Grid
from wflow.mesh import Mesh
from wflow.shapes import Planar, Sphere
from wflow.store.archive import Arrays
from wflow.triangulated import Region

Home = Grid | Mesh | Domain
_BOX = ("lower", "upper", "periodic", "frozen")
_MESH = ("nodes", "cells", "vertices")
_REGION = {"region_nodes": "nodes", "region_cells": "cells"}
_CURVES = {kind.__name__: kind for kind in (Ring, Corners)}


def stored(home: Home) -> Arrays:
    """lower, upper, periodic, frozen (d,) of a box, or the JSON text `place`; shape (d,) of a grid; a mesh's arrays.

    A Region is its triangles, region_nodes (s, 2) and region_cells (m, 3): the file it came from is not asked again.

    TypeError for a domain of another kind.
    """
    if isinstance(home, Grid):
        return _domain(home.domain) | {"shape": np.array(home.shape)}
    if isinstance(home, Mesh):
        return _domain(home.domain) | {name: getattr(home, name) for name in _MESH}
    return _domain(home)


def read(arrays: Mapping[str, NDArray[Any]]) -> Home | None:
    """What `stored` gave, None where there is no domain."""
    if "place" in arrays:
        domain: Domain = _place(json.loads(str(arrays["place"])), arrays)
    elif "lower" in arrays:
        domain = Box(*(tuple(arrays[name].tolist()) for name in _BOX))
    else:
        return None
    if "nodes" in arrays:
        return Mesh(domain, *(arrays[name] for name in _MESH))
    if "shape" in arrays:
        assert isinstance(domain, Box)
        return Grid(domain, tuple(arrays["shape"].tolist()))
    return domain


def same(a: Home | None, b: Home | None) -> bool:
    """Whether two homes are equal; meshes by their arrays, since one that is made again is another object."""
    if isinstance(a, Mesh) and isinstance(b, Mesh) and a is not b:
        return a.domain == b.domain and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in _MESH)
    return a == b


def _domain(domain: Domain) -> Arrays:
    if isinstance(domain, Box):
        return {name: np.array(getattr(domain, name)) for name in _BOX}
    # numbers in JSON are printed so that they come back with their bits
    place = {"place": np.array(json.dumps(_described(domain)))}
    if isinstance(domain, Region):
        return place | {entry: getattr(domain, field) for entry, field in _REGION.items()}
    return place


def _described(domain: Domain) -> dict[str, Any]:
    if isinstance(domain, Sphere):
        return {"kind": "Sphere"}
    if isinstance(domain, Region):
        return {"kind": "Region"}
    if isinstance(domain, Planar):
        return {
            "kind": "Planar", "outer": _curve(domain.outer), "holes": [_curve(hole) for hole in domain.holes],
        }  # fmt: skip
    raise TypeError(
        f"pack: measures on {domain} cannot be stored; use a box, a region between rings and corners, or the sphere"
    )


def _curve(curve: Curve) -> dict[str, Any]:
    # a curve of one's own may be a ring by birth
    if type(curve) is Ring:
        return {"kind": "Ring", "radius": float(curve.radius), "centre": curve.centre}
    if type(curve) is Corners:
        return {"kind": "Corners", "points": curve.points}
    raise TypeError(f"pack: a region within {type(curve).__name__} cannot be stored; use {' or '.join(_CURVES)}")


def _place(described: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Domain:
    if described["kind"] == "Sphere":
        return Sphere()
    if described["kind"] == "Region":
        return Region(*(arrays[entry] for entry in _REGION))
    outer, holes = described["outer"], described["holes"]
    return Planar(_closed(outer), tuple(_closed(hole) for hole in holes))


def _closed(described: Mapping[str, Any]) -> Curve:
    fields = {name: _tuples(value) for name, value in described.items() if name != "kind"}
    curve: Curve = _CURVES[described["kind"]](**fields)
    return curve


def _tuples(value: Any) -> Any:
    """Lists of JSON as the tuples that they were."""
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value
