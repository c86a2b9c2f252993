"""This file owns the picture of where networks of several activations come to rest."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from wflow.picture.style import KNOWN, canvas, styled

ROUNDING = 1e-14
"""Of eigenvalues of a dozen data: below it a number is none."""


@styled
def at_rest(table: Mapping[str, Sequence[tuple[float, float]]], predicted: Mapping[str, float]) -> Figure:
    """By name: (lambda_min/(tr K/P), F) of every run at rest, beside the F that is predicted.

    On logarithmic axes 0 is an arrow at the foot: a prediction of 0, and independence of either sign below rounding.
    """
    figure = canvas(10.4, 4.9)
    left, right = figure.subplots(1, 2)
    names = list(table)
    for k, name in enumerate(names):
        independence, loss = np.array(table[name]).T
        left.plot(np.full(len(loss), k), np.maximum(independence, ROUNDING), "o", color="C0", alpha=0.6)
        right.plot(np.full(len(loss), k), loss, "o", color="C0", alpha=0.6)
    left.axhspan(ROUNDING / 10.0, 2.0 * ROUNDING, color=KNOWN, alpha=0.2, label="0 to rounding")
    foot = 0.03 * min(loss for rows in table.values() for _, loss in rows)
    for k, name in enumerate(names):
        mark, height = ("_", predicted[name]) if predicted[name] > ROUNDING**2 else ("v", foot)
        right.plot(k, height, mark, color=KNOWN, markersize=26.0 if mark == "_" else 7.0)
    right.plot([], [], "o", color="C0", alpha=0.6, label="measured, each seed")
    right.plot([], [], "_", color=KNOWN, markersize=14.0, label="predicted: least squares over all features")
    right.plot([], [], "v", color=KNOWN, label="predicted: 0")
    left.set(ylabel=r"$\lambda_{\mathrm{min}}/(\mathrm{tr}\,K/P)$", title="independence of last features at rest")
    left.set_ylim(ROUNDING / 10.0, 1.0)
    right.set_ylim(foot / 10.0, 10.0)
    right.set(ylabel="loss F", title=r"loss F where $|\nabla F| \leq 10^{-8}$")
    for axes in (left, right):
        axes.set_yscale("log")
        axes.set_xticks(range(len(names)), [name.replace("_", " ") for name in names], rotation=20, ha="right")
        axes.set_xlim(-0.5, len(names) - 0.5)
    left.legend(loc="lower left", fontsize=8)
    right.legend(loc="center left", fontsize=8)
    return figure
