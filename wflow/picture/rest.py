"""This file owns the picture of where networks of several activations come to rest."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from wflow.picture.style import KNOWN, canvas, styled

TINY = 1e-18
"""Where zeros stand on a logarithmic axis."""


@styled
def at_rest(table: Mapping[str, Sequence[tuple[float, float]]], predicted: Mapping[str, float]) -> Figure:
    """By name: (lambda_min/(tr K/P), F) of every run at rest, beside the F that is predicted (0 stands at the foot)."""
    figure = canvas(10.4, 4.9)
    left, right = figure.subplots(1, 2)
    names = list(table)
    for k, name in enumerate(names):
        independence, loss = np.maximum(np.abs(np.array(table[name])), TINY).T
        left.plot(np.full(len(loss), k), independence, "o", color="C0", alpha=0.6)
        right.plot(np.full(len(loss), k), loss, "o", color="C0", alpha=0.6, label=None if k else "measured, each seed")
        right.plot(
            k, max(predicted[name], TINY), "_", color=KNOWN, markersize=26.0,
            label=None if k else "least squares over all features",
        )  # fmt: skip
    left.set(title="independence of last features, $\\lambda_{min}/(tr K/P)$", yscale="log")
    right.set(title="loss F where $|\\nabla F| \\leq 10^{-8}$", yscale="log")
    for axes in (left, right):
        axes.set_xticks(range(len(names)), names, rotation=20)
    right.legend(loc="center left", fontsize=8)
    return figure
