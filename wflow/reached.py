"""This file owns how far a run has come: all that its continuation depends on, and what can keep it."""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from wflow.measure import Measure
from wflow.mesh_density import MeshDensity
from wflow.part import Part
from wflow.solver import Remembered, State


@dataclass(frozen=True, eq=False)
class Kept:
    """What is kept of a run at a saved time, linked to what was kept before it.

    step: the smallest since the saved time before (inf at the first).   residual: the largest since then.
    dual: of the last step.   fallbacks, coarse: steps since then by a method of lower order, at a coarse resolution.
    """

    measure: Measure
    time: float
    energy: float
    dissipated: float
    step: float
    residual: float
    edge: float
    dual: float = math.nan
    fallbacks: float = 0.0
    coarse: float = 0.0
    before: "Kept | None" = None


@dataclass(frozen=True, eq=False)
class Reached:
    """A run after one of its steps: solved on from here, it ends with the same bits as if it had never stopped.

    plan: what is run (solver, pace, saved times), in words that another run does not have.   energy: F here, where the
    solver promises that it falls, else at the start.   dissipated: since 0.   smallest, residual: of the steps since
    the last saved time (inf, 0 where there are none), as are fallbacks and coarse, numbers of steps.   dual: of the
    last one.
    """

    plan: str
    state: State
    energy: float
    dissipated: float
    smallest: float
    residual: float
    last: Kept
    dual: float = math.nan
    fallbacks: float = 0.0
    coarse: float = 0.0

    @property
    def at_saved_time(self) -> bool:
        """Nothing was done since the last saved time."""
        return math.isinf(self.smallest)

    @property
    def kept(self) -> list[Kept]:
        """(k,) what was kept, from time 0 on."""
        links: list[Kept] = []
        link: Kept | None = self.last
        while link is not None:
            links.append(link)
            link = link.before
        return links[::-1]


def parted(found: Reached, part: Part) -> Reached:
    """A run on a whole mesh as the rank of a part of it holds it: the rows of its cells.

    Entries of the state's memory with a row a cell are cut as the densities are. Raises ValueError for another mesh.
    """
    if isinstance(pi := found.state.measure, MeshDensity) and pi.mesh.size != part.whole.size:
        raise ValueError(f"store: it keeps a run on {pi.mesh.size} cells; this run has {part.whole.size}")

    def cut(pi: Measure) -> Measure:
        return MeshDensity(part, pi.values[part.own]) if isinstance(pi, MeshDensity) else pi

    def rows(entry: Remembered) -> Remembered:
        cells = isinstance(entry, np.ndarray) and len(entry) == part.whole.size
        return entry[part.own] if cells else entry  # type: ignore[index]

    last: Kept | None = None
    for kept in found.kept:
        last = replace(kept, measure=cut(kept.measure), before=last)
    assert last is not None
    memory = {name: rows(entry) for name, entry in found.state.memory.items()}
    state = replace(found.state, measure=cut(found.state.measure), memory=memory)
    return replace(found, state=state, last=last)


class Store(Protocol):
    """Where a run may be kept so that `solve` continues it. `wflow.store.Checkpoints` is one on a disk."""

    def latest(self) -> Reached | None:
        """The furthest that is kept of this run, None at its beginning."""

    def offer(self, now: Reached) -> None:
        """Told after every step and at every saved time; keeps some of them."""

    def keep(self, now: Reached) -> None:
        """Told where the run is interrupted or fails: `now` is its last good step."""
