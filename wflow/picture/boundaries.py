"""This file owns pictures of classifiers in the plane: which class they say where, and how far from the other."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from wflow.arrays import Array
from wflow.data import Data
from wflow.errors import Refused
from wflow.picture.style import canvas, styled

_MESH, _MARGIN = 240, 0.15
_CLASSES = (("#0072B2", "s", "y = -1"), ("#D55E00", "o", "y = +1"))


@styled
def boundaries(data: Data, classifiers: Mapping[str, Callable[[Array], Array]]) -> Figure:
    """One panel for each f (m, 2) -> (m,): colours by its sign, the line f = 0, dashed f = +-margin, and the data.

    The margin is min_i y_i f(x_i): points on a dashed line are those that hold the boundary.
    Raises Refused for data that are not in the plane, ValueError for no classifiers.
    """
    if data.inputs.shape[1] != 2:
        raise Refused(f"picture.boundaries: the data have {data.inputs.shape[1]} inputs; a map needs two")
    if not classifiers:
        raise ValueError("boundaries classifiers: there is nothing to draw; pass at least one name with a function")
    low, high = data.inputs.min(axis=0), data.inputs.max(axis=0)
    edge = _MARGIN * float(np.max(high - low))
    lines = [np.linspace(a - edge, b + edge, _MESH) for a, b in zip(low, high, strict=True)]
    across, up = np.meshgrid(*lines)
    figure = canvas(3.8 * len(classifiers), 4.4)
    for axes, (name, f) in zip(np.ravel(figure.subplots(1, len(classifiers))), classifiers.items(), strict=True):
        height = f(np.column_stack([across.ravel(), up.ravel()])).reshape(across.shape)
        margin = float(np.min(data.targets * f(data.inputs)))
        axes.contourf(across, up, np.sign(height), [-2.0, 0.0, 2.0], colors=[c[0] for c in _CLASSES], alpha=0.15)
        axes.contour(across, up, height, [0.0], colors="black", linewidths=1.8)
        if margin > 0.0:
            axes.contour(across, up, height, [-margin, margin], colors="black", linewidths=0.9, linestyles="--")
        for sign, (colour, marker, label) in zip((-1.0, 1.0), _CLASSES, strict=True):
            of = data.inputs[data.targets == sign]
            axes.scatter(of[:, 0], of[:, 1], c=colour, marker=marker, s=36, label=label, zorder=3)
        axes.set(title=name, xlabel="input x_1", aspect="equal")
    first = figure.axes[0]
    first.set_ylabel("input x_2")
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure
