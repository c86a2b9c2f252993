"""This file owns the picture of hypothesis reports: a matrix of verdicts, a row a topic, a column a problem."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wflow.hypotheses import Hypothesis, Report
from wflow.picture.style import canvas, styled

_COLOURS = {
    "proved": "#009E73",
    "consistent": "#8FD3BC",
    "supposed": "#DDDDDD",
    "not reached": "#F0E3B0",
    "refuted": "#D55E00",
    "not satisfied": "#E9A06B",
    "hold": "#009E73",
    "fail": "#D55E00",
    "silent": "#888888",
}
_DARK = ("proved", "refuted", "hold", "fail", "silent")
_WORST = ("refuted", "not satisfied", "not reached", "supposed", "consistent", "proved")
_OVERALL = {"hold": "hypotheses hold", "fail": "hypotheses fail", "silent": "theorem silent"}
VERDICT = "the whole"


@styled
def verdicts(reports: Mapping[str, Report]) -> Figure:
    """A cell for each topic of each report, by the names in `reports`; what is told beside is pale and in brackets.

    ValueError for none. Rows of one topic, such as both signs of the support, share a cell: the worst is shown.
    """
    if not reports:
        raise ValueError("verdicts reports: got none; pass a mapping from names to reports")
    topics = _topics(reports)
    figure = canvas(1.9 + 1.55 * len(reports), 1.1 + 0.38 * (len(topics) + 1))
    axes = figure.add_subplot()
    for column, report in enumerate(reports.values()):
        for line, topic in enumerate(topics):
            own = [row for row in report.rows if topic_of(row) == topic]
            if own:
                worst = min(own, key=lambda row: (not row.needed, _WORST.index(row.verdict)))
                _cell(axes, column, line, worst.verdict, worst.verdict, 1.0 if worst.needed else 0.35)
        _cell(axes, column, len(topics) + 0.15, report.verdict, _OVERALL[report.verdict], 1.0)
    lines = [*range(len(topics)), len(topics) + 0.15]
    needed = {topic_of(row) for report in reports.values() for row in report.rows if row.needed}
    axes.set_yticks(lines, [*(topic if topic in needed else f"({topic})" for topic in topics), VERDICT])
    axes.set_xticks(range(len(reports)), list(reports))
    axes.set(xlim=(-0.5, len(reports) - 0.5), ylim=(len(topics) + 0.65, -0.5))
    axes.xaxis.tick_top()
    axes.grid(False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def topic_of(row: Hypothesis) -> str:
    """Its topic, without the sheet."""
    return "support" if row.topic.startswith("support") else row.topic


def _topics(reports: Mapping[str, Report]) -> Sequence[str]:
    """Every topic in the order of the longest report that has it; conclusions last."""
    found: dict[str, None] = {}
    for report in sorted(reports.values(), key=lambda one: -len(one.rows)):
        found.update(dict.fromkeys(topic_of(row) for row in report.rows))
    return sorted(found, key=lambda topic: topic == "conclusion")


def _cell(axes: Axes, column: int, line: float, kind: str, text: str, alpha: float) -> None:
    axes.add_patch(Rectangle((column - 0.48, line - 0.45), 0.96, 0.9, color=_COLOURS[kind], alpha=alpha, linewidth=0))
    white = kind in _DARK and alpha == 1.0
    axes.text(column, line, text, ha="center", va="center", fontsize=9.5, color="white" if white else "black")
