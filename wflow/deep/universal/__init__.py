"""Is the limit of training global? What features span, how dense weights lie, what a start cannot see, and verdicts."""

from wflow.deep.universal.monitor import Monitor, Seen, line_monitor, plane_monitor, watch
from wflow.deep.universal.span import RANK, Span
from wflow.deep.universal.targets import Target, line_targets, plane_targets
from wflow.deep.universal.theorem import Hypothesis, hypotheses, verdict
from wflow.deep.universal.unseen import least_risk, reflected, seen_share

__all__ = [
    "RANK",
    "Hypothesis",
    "Monitor",
    "Seen",
    "Span",
    "Target",
    "hypotheses",
    "least_risk",
    "line_monitor",
    "line_targets",
    "plane_monitor",
    "plane_targets",
    "reflected",
    "seen_share",
    "verdict",
    "watch",
]
