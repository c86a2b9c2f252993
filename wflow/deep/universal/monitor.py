"""This file owns the monitor of universal approximation: what features span and how dense w_1 lies, network by network.

The convergence theorems rest on two properties that training keeps for all finite times if the start has them: the
law of w_1 has full support (labels cover R^p, by degree), so that first features span L2(P_X), and with
bidirectional diversity so do those behind.   Source: Nguyen & Pham 2020, arXiv:2001.11443.
Both are measured at a resolution: distances of fixed targets at bounded norms, the largest hole of the weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.arrays import Array, count, positive, shaped, weights_of_mass_one
from wflow.caps import largest_cap
from wflow.deep.gradient import gradient
from wflow.deep.loop import DeepTrajectory
from wflow.deep.network import Network
from wflow.deep.universal.span import Span
from wflow.deep.universal.targets import Target, line_targets, plane_targets, tabled
from wflow.holes import largest_hole

NORMS = (10.0, 100.0, 1000.0)
"""Of readouts, for targets of norm 1."""
REACH = 2.0
FIRST, LAST = 0, 1


@dataclass(frozen=True, eq=False)
class Seen:
    """Of one network: distances (2, norms, targets), first and last hidden layer, relative; numerical ranks (2,); the
    radius of the largest hole of w_1 in the box; the angle of the largest cap of directions that no w_1 has, nan where
    inputs have one column.
    """

    distances: Array
    ranks: tuple[int, int]
    hole: float
    cap: float


@dataclass(frozen=True, eq=False)
class Monitor:
    """inputs (n, p) of weights (n,): P_X.   targets: of which distances are taken.   norms: bounds of readouts.

    lower, upper: (p,), the box of w_1 whose holes are looked for.   neurons: so many drawn by their masses with the
    seed where a layer has more; None: all, that is the law itself. Holes and caps count nodes of mass 0 as well: they
    are where the law was sampled.
    """

    inputs: Array
    weights: Array
    targets: Sequence[Target]
    lower: Array
    upper: Array
    norms: Sequence[float] = NORMS
    neurons: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        inputs = shaped("Monitor inputs", self.inputs, (None, None))
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "weights", weights_of_mass_one("Monitor weights", self.weights, len(inputs)))
        for name in ("lower", "upper"):
            object.__setattr__(self, name, shaped(f"Monitor {name}", getattr(self, name), (inputs.shape[1],)))
        for bound in self.norms:
            positive("Monitor norms", bound)
        if self.neurons is not None:
            count("Monitor neurons", self.neurons)
        if not self.targets or not self.norms:
            raise ValueError("Monitor: no targets or no norms; give at least one of each")

    @cached_property
    def table(self) -> Array:
        """Targets at the inputs, (n, t)."""
        return tabled(self.targets, self.inputs)

    def spans(self, net: Network) -> tuple[Span, Span]:
        """Of the first and of the last hidden layer; ValueError for a network of other inputs."""
        p, asked = self.inputs.shape[1], net.first.shape[1]
        if p != asked:
            raise ValueError(
                f"Monitor: inputs of {p} columns, a network of {asked}; give the monitor inputs like its data"
            )
        after = net.fields(self.inputs).after
        return self._span(after[0], net.masses[0]), self._span(after[-1], net.masses[-1])

    def _span(self, features: Array, masses: Array) -> Span:
        if self.neurons is None or len(masses) <= self.neurons:
            return Span(features, masses, self.weights)
        drawn = np.random.default_rng(self.seed).choice(len(masses), self.neurons, p=masses / masses.sum())
        return Span(features[:, drawn], np.full(self.neurons, 1.0 / self.neurons), self.weights)

    def seen(self, net: Network) -> Seen:
        """Everything, of one network."""
        spans = self.spans(net)
        found = np.array([[span.distance(self.table, bound) for bound in self.norms] for span in spans])
        w = net.first[np.any(net.first != 0.0, axis=1)]
        cap = largest_cap(w).radius if w.shape[1] > 1 else math.nan
        hole = largest_hole(net.first, self.lower, self.upper).radius
        return Seen(found, (spans[0].rank, spans[1].rank), hole, cap)


def watch(run: DeepTrajectory, monitor: Monitor) -> tuple[Seen, ...]:
    """At each saved time."""
    return tuple(monitor.seen(net) for net in run.networks)


def last_speeds(run: DeepTrajectory) -> Array:
    """max over c of |d_t w_L(t, c)| at the saved times: the theorem's mode of convergence asks that it tends to 0."""
    flow = run.flow
    return np.array([
        flow.speeds.at(t)[-1] * np.max(np.abs(gradient(net, flow.data, flow.loss).last))
        for t, net in zip(run.times, run.networks, strict=True)
    ])  # fmt: skip


def greatest_speeds(run: DeepTrajectory) -> Array:
    """The greatest |d_t w_i(t)| of all layers, in the L2 of each with its bias, at the saved times: 0 at rest."""
    flow = run.flow
    squares = [gradient(net, flow.data, flow.loss).squares(net.masses) for net in run.networks]
    return np.array([np.max(flow.speeds.at(t) * np.sqrt(s)) for t, s in zip(run.times, squares, strict=True)])


def line_monitor(cells: int = 256, reach: float = REACH) -> Monitor:
    """Inputs (x, 1), x the middles of equal cells of [-1, 1]; the twenty of the line; w_1 in [-reach, reach]^2.

    At least 11 cells: on fewer a target vanishes, the narrow hat or a wave that has its zeros at all middles.
    """
    x = _middles(count("line_monitor cells", cells, least=11))
    box = np.full(2, positive("line_monitor reach", reach))
    return Monitor(np.column_stack([x, np.ones(cells)]), np.full(cells, 1.0 / cells), line_targets(), -box, box)


def plane_monitor(cells: int = 20, reach: float = REACH) -> Monitor:
    """Inputs (x_1, x_2, 1) on cells^2 middles of [-1, 1]^2; the twenty of the plane; w_1 in [-reach, reach]^3.

    At least 5 a side: on fewer a wave has its zeros at all middles, or a hat none.
    """
    side = _middles(count("plane_monitor cells", cells, least=5))
    x = np.stack([g.ravel() for g in np.meshgrid(side, side, indexing="ij")], axis=1)
    box = np.full(3, positive("plane_monitor reach", reach))
    weights = np.full(len(x), 1.0 / len(x))
    return Monitor(np.column_stack([x, np.ones(len(x))]), weights, plane_targets(), -box, box)


def _middles(n: int) -> Array:
    """Exactly symmetric about 0."""
    return np.asarray((2.0 * np.arange(n) + 1.0 - n) / n)
