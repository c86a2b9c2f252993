"""This file owns what a problem of the catalogue is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wflow.data import Columns, Data
from wflow.flow import Flow
from wflow.law import Law
from wflow.measure import SignedParticles


def nothing(t: float) -> None:
    """No exact solution is known."""
    return None


@dataclass(frozen=True, eq=False)
class Problem:
    """A flow with what is known of its answer.

    exact(t): the law at time t from the flow's start, or None.   minimiser: a global minimiser of F, or None.
    limit: what theory predicts for t -> infinity, or None.
    second_moment(t): int |w|^2 dpi where that much is known, or None.   held_out: rows that the risk does not see.
    columns: names and units of the table that was learnt, or None.   note: one sentence on what the problem shows.
    coarsest: on several axes, the fewest cells an axis on which the flow is studied.
    lowest: inf F where it is known, or None.   charges: a signed measure that attains it, or None.
    convexity: a lambda > 0 for which F is lambda-convex along W2 geodesics, proved, or None.
    """

    flow: Flow
    source: str
    note: str
    exact: Callable[[float], Law | None] = nothing
    minimiser: Law | None = None
    limit: Law | None = None
    limit_reason: str = "not predicted"
    second_moment: Callable[[float], float] | None = None
    held_out: Data | None = None
    columns: Columns | None = None
    coarsest: int = 32
    lowest: float | None = None
    charges: SignedParticles | None = None
    convexity: float | None = None
    name: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
