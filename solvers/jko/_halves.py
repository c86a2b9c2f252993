"""This file owns how a step that is not found is taken as two halves, and those again."""

from collections.abc import Callable

from wflow.errors import NotConverged
from wflow.solver import State, Step


def by_halves(take: Callable[[State, float], Step], state: State, dt: float, halvings: int) -> Step:
    """A minimising movement of dt, or of its halves where it raises NotConverged, up to so many times.

    What halves dissipated is summed; residual: the larger; dual: that of the last; fallback, coarse: if one was.
    Where halves fail too NotConverged says what stopped the whole step and what the halves.
    """
    try:
        return take(state, dt)
    except NotConverged as error:
        if not halvings:
            raise
        whole = error
    try:
        first = by_halves(take, state, 0.5 * dt, halvings - 1)
        last = by_halves(take, first.state, 0.5 * dt, halvings - 1)
    except NotConverged as half:
        raise NotConverged(f"{whole}. By halves: {half}", half.residual) from half
    assert first.dissipated is not None and last.dissipated is not None
    return Step(
        state.after(dt, last.state.measure),
        first.dissipated + last.dissipated,
        max(first.residual, last.residual),
        dual=last.dual,
        fallback=first.fallback or last.fallback,
        coarse=first.coarse or last.coarse,
    )
