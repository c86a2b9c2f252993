"""This file owns the coupling of a finite network with its limit: how far they are, neuron by neuron."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.deep.flow import DeepFlow
from wflow.deep.loop import DeepTrajectory, solve
from wflow.deep.network import Network
from wflow.deep.solver import DeepSolver


@dataclass(frozen=True, eq=False)
class Distance:
    """How far two runs come apart up to the end, each number its largest over the saved times.

    sup: max over layers and neurons of |dw - dw'|, dw what a weight has changed by: the D_T of the coupling theorem.
    rms: (sum over layers of the mean over its neurons of |dw - dw'|^2)^(1/2). Biases are a layer of their own in both.
    prediction: root mean square over the data, by their weights.
    """

    sup: float
    rms: float
    prediction: float


def coupled(flow: DeepFlow, finite: DeepSolver, limit: DeepSolver, times: Sequence[float], dt: float) -> Distance:
    """A sampled network by `finite` against the limit at its own labels by `limit`, whose nodes are Watched.

    Changes are compared, so that weights that are random given the labels (Independent) are compared by what the limit
    says of them; where labels determine all weights the starts are the same and it is the distance itself.
    """
    net, watched = (solve(flow, method, dt=dt, times=times) for method in (finite, limit))
    return distance(net, watched)


def distance(net: DeepTrajectory, limit: DeepTrajectory) -> Distance:
    """Of two runs with the same saved times; the network's neurons are the last nodes of each layer of the limit.

    So it may have as many: descent by samples and the flow, from one start.
    """
    if not np.allclose(net.times, limit.times):
        raise ValueError("distance: the runs were saved at different times; give both the same times")
    few = [n > m for n, m in zip(net.final.widths, limit.final.widths, strict=False)]
    if net.final.depth != limit.final.depth or any(few):
        raise ValueError(
            f"distance: a network of widths {net.final.widths} has no place in a limit of {limit.final.widths} nodes; "
            "give the limit on Watched(rule, sample), sample that of the network"
        )
    data, found = net.flow.data, []
    for here, there in zip(net.networks, limit.networks, strict=True):
        squares = list(_squares(net.networks[0], here, limit.networks[0], there))
        gap = here.predict(data.inputs) - there.predict(data.inputs)
        largest = max(float(square.max()) for square in squares)
        found.append((largest**0.5, sum(float(s.mean()) for s in squares) ** 0.5, float(data.weights @ gap**2) ** 0.5))
    sup, rms, prediction = np.max(found, axis=0)
    return Distance(float(sup), float(rms), float(prediction))


def _squares(start: Network, end: Network, limit_start: Network, limit_end: Network) -> Iterator[Array]:
    """|dw - dw'|^2 of each layer, one number a neuron or pair (all coordinates of w_1 together), then of its biases."""
    kept = [slice(m - n, None) for n, m in zip(start.widths, limit_start.widths, strict=True)]
    yield np.sum((end.first - start.first - (limit_end.first - limit_start.first)[kept[0]]) ** 2, axis=1)
    for i, (before, after) in enumerate(zip(start.middle, end.middle, strict=True)):
        block = kept[i], kept[i + 1]
        theirs = limit_end.middle[i].block(*block).values() - limit_start.middle[i].block(*block).values()
        yield (after.values() - before.values() - theirs) ** 2
    yield (end.last - start.last - (limit_end.last - limit_start.last)[kept[-1]]) ** 2
    for i, (a, b) in enumerate(zip(start.biases, end.biases, strict=True)):
        c, d = limit_start.biases[i], limit_end.biases[i]
        if a is not None and b is not None and c is not None and d is not None:
            yield (b - a - (d - c)[kept[i]]) ** 2
