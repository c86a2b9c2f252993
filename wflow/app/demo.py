"""This file owns `wflow demo`: a flow of the circle theorem, and the null mode for which its conclusion fails."""

from collections.abc import Sequence
from pathlib import Path

from wflow import picture
from wflow.app.progress import Report as Progress
from wflow.app.report import write_report
from wflow.app.verify import Report, verify

MOVIE = "circle.gif"
CASES = (
    {"activation": "cos_minus_sin", "b": 2.0, "modes": {1: 0.5, 3: 0.3}, "horizon": 20.0},
    {"activation": "relu", "modes": {3: 0.5}, "horizon": 20.0},
)
"""No null mode: W2 to the uniform law falls. Mode 3 is null for relu: zero risk, and nothing moves."""


def demonstrate(progress: Progress, workers: int = 2) -> list[Report]:
    """Verify both cases by every method."""
    return [verify(["circle_teacher"], case, quick=True, workers=workers, progress=progress) for case in CASES]


def write_demo(reports: Sequence[Report], folder: Path) -> list[Path]:
    """The report and the animation of the first case; their paths."""
    first = reports[0]
    problem = first.problems[0]
    runs = {str(o.solver): run for o in first.of(problem) if (run := o.trajectory(problem)) is not None}
    movie = picture.animation(runs, folder / MOVIE, reference=problem.limit)
    return [write_report(folder, reports, "wflow demo"), movie]
