"""This file owns `wflow demo`: a flow of the circle theorem, and the null mode for which its conclusion fails."""

from collections.abc import Sequence
from pathlib import Path

from wflow import picture
from wflow.app.progress import Report as Progress
from wflow.app.report import write_report
from wflow.app.verify import Report, verify

MOVIE = "circle.gif"
VISIBLE = {"activation": "cos_minus_sin", "b": 2.0, "modes": {1: 0.5, 3: 0.3}, "horizon": 10.0}
"""No null mode: W2 to the uniform law falls. By t = 20 the density has a hole at pi so narrow that first-order upwind
on 256 cells is not yet in its asymptotic range (order .82 where 1 - .15 is asked)."""
HIDDEN = {"activation": "relu", "modes": {3: 0.5}, "horizon": 10.0}
"""Mode 3 is null for relu: zero risk, and nothing moves; half the resolution shows as much."""


def demonstrate(progress: Progress, workers: int = 2) -> list[Report]:
    """Verify both cases by every method."""
    cases = ((VISIBLE, False), (HIDDEN, True))
    return [verify(["circle_teacher"], case, quick=q, workers=workers, progress=progress) for case, q in cases]


def write_demo(reports: Sequence[Report], folder: Path) -> list[Path]:
    """The report and the animation of the first case; their paths."""
    first = reports[0]
    problem = first.problems[0]
    runs = {str(o.solver): run for o in first.of(problem) if (run := o.trajectory(problem)) is not None}
    movie = picture.animation(runs, folder / MOVIE, reference=problem.limit)
    return [write_report(folder, reports, "wflow demo"), movie]
