"""This file owns what a hypothesis is: a statement, the verdict on it, and what the verdict rests on.

Numbers at finite m and t prove nothing of a limit: a verdict is one of

    refuted          the run shows the contrary               consistent     with the resolution stated
    proved           by an argument, named                    not satisfied  by an argument, named
    supposed         the theorem assumes it, and so does whoever quotes it; what the run shows of it is measured
    not reached      of convergence and of the conclusion, at the end of this run
"""

import math
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["proved", "consistent", "refuted", "not satisfied", "supposed", "not reached"]
FAILING: tuple[Verdict, ...] = ("refuted", "not satisfied")


@dataclass(frozen=True)
class Hypothesis:
    """One thing that is supposed: the verdict on it, the number measured and its limit, and at which resolution.

    topic: its name in a report.   needed: the theorem supposes it; otherwise it is told beside.
    """

    statement: str
    verdict: Verdict
    measured: float
    limit: float
    reason: str
    topic: str = ""
    needed: bool = True

    @property
    def fails(self) -> bool:
        """Refuted by numbers or not satisfied by an argument."""
        return self.verdict in FAILING

    def __str__(self) -> str:
        numbers = "" if math.isnan(self.measured) else f" {self.measured:.2g}"
        numbers += "" if math.isnan(self.limit) else f" (limit {self.limit:.2g})"
        return f"{self.statement}: {self.verdict}{numbers}; {self.reason}"


def argued(
    topic: str, statement: str, verdict: Verdict, reason: str, *, measured: float = math.nan, needed: bool = True
) -> Hypothesis:
    """A verdict by an argument, without a limit."""
    return Hypothesis(statement, verdict, measured, math.nan, reason, topic, needed)


def compared(
    topic: str, statement: str, measured: float, limit: float, reason: str, *, needed: bool = True
) -> Hypothesis:
    """Consistent where a number is at most its limit, refuted above."""
    verdict: Verdict = "consistent" if measured <= limit else "refuted"
    return Hypothesis(statement, verdict, measured, limit, reason, topic, needed)
