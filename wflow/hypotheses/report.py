"""This file owns the report: every hypothesis of the theorem that speaks of a problem, and what follows from them.

hold      each hypothesis is proved, consistent at the stated resolution, or one that is always supposed
fail      one is refuted or not satisfied: the theorem promises nothing, and forbids nothing
silent    no theorem speaks of the flow, or pi_t does not converge, or nothing fails and it is not seen to converge
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wflow.duality import bracket, unknown
from wflow.errors import Refused
from wflow.hypotheses.antecedent import antecedent
from wflow.hypotheses.bounded import boundedness
from wflow.hypotheses.degree import homogeneity, linearity
from wflow.hypotheses.null import null_modes_row, span_row
from wflow.hypotheses.outcome import REACHED
from wflow.hypotheses.regularity import gradient, loss, sard, smoothness
from wflow.hypotheses.setting import Setting, no_network, setting_of
from wflow.hypotheses.support import support
from wflow.hypotheses.verdicts import Hypothesis, argued, compared
from wflow.measure import SignedParticles
from wflow.problems.problem import Problem
from wflow.trajectory import Trajectory

Overall = Literal["hold", "fail", "silent"]
_LEAST = 1e-9


@dataclass(frozen=True)
class Report:
    """A problem's class and its hypotheses, the antecedent first; rows with needed = False are told beside."""

    problem: str
    setting: Setting
    rows: tuple[Hypothesis, ...]

    @property
    def antecedent(self) -> Hypothesis | None:
        """pi_t converges; None where no run was asked for."""
        return next((row for row in self.rows if row.topic == "antecedent"), None)

    @property
    def failing(self) -> tuple[str, ...]:
        """Topics of the needed hypotheses that fail, the antecedent apart."""
        return tuple(row.topic for row in self.rows if row.needed and row.fails and row is not self.antecedent)

    @property
    def verdict(self) -> Overall:
        """Of the whole."""
        first = self.antecedent
        if self.setting.kind == "none" or first is None or first.fails:
            return "silent"
        if self.failing:
            return "fail"
        return "silent" if first.verdict == "not reached" else "hold"

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self.setting.kind == "none":
            return f"theorem silent: {self.setting.reason}"
        first, failing = self.antecedent, ", ".join(self.failing)
        seen = "pi_t does not converge" if first is not None and first.fails else "pi_t is not seen to converge"
        if self.verdict == "silent":
            return f"theorem silent: {seen}" + (f"; hypotheses fail besides ({failing})" if failing else "")
        if self.verdict == "fail":
            unseen = first is not None and first.verdict == "not reached"
            return f"hypotheses fail: {failing}" + (f"; {seen}" if unseen else "")
        assumed = [row.topic for row in self.rows if row.needed and row.verdict == "supposed"]
        return "hypotheses hold at the resolution stated" + (f"; supposed: {', '.join(assumed)}" if assumed else "")

    def __str__(self) -> str:
        lines = [f"{self.problem}: {self.sentence}", f"  class: {self.setting.kind} ({self.setting.theorem})"]
        return "\n".join([*lines, *(f"  {row}" for row in self.rows)])


def report(problem: Problem, run: Trajectory | None = None) -> Report:
    """The hypotheses of Chizat & Bach for a problem, on a run of its flow saved at `saved_times(horizon)`.

    Without a run only what needs none: flows that are no network's, of which one sentence is said. Raises Refused where
    a run is needed, ValueError for a run of another flow.
    """
    name = problem.name or "problem"
    if run is None:
        why = no_network(problem.flow)
        if why is None:
            raise Refused(
                f"report: {name} is a network's flow; solve it with times=saved_times(horizon) and give the run"
            )
        return Report(name, Setting("none", why), ())
    if run.flow.energy is not problem.flow.energy:
        raise ValueError(f"report run: it is of another flow than {name}; solve problem.flow")
    setting = setting_of(run.flow)
    return Report(name, setting, tuple(_rows(problem, run, setting)))


def _rows(problem: Problem, run: Trajectory, setting: Setting) -> Iterator[Hypothesis]:
    yield antecedent(run, setting)
    if no_network(run.flow) is not None:
        return
    match setting.kind:
        case "2-homogeneous":
            yield homogeneity(run, 2.0)
        case "partially 1-homogeneous":
            yield linearity(run)
        case "charges":
            yield argued("degree", "psi is 2-homogeneous on the cone", "proved", setting.reason)
        case "none":
            yield argued("degree", "some direction of w is homogeneous", "not satisfied", setting.reason)
    yield from support(problem, run, setting)
    yield loss(run)
    yield smoothness(run)
    yield gradient(run)
    yield sard(run, setting)
    yield from boundedness(run, setting)
    if setting.kind != "none" and (beyond := span_row(run)) is not None:
        yield beyond
    if (hidden := null_modes_row(run, setting)) is not None:
        yield hidden
    yield reached(problem, run)


def reached(problem: Problem, run: Trajectory) -> Hypothesis:
    """The conclusion, told beside: the share of F(0) - inf F that may be left, where inf F has a lower bound."""
    start, end = float(run.energies[0]), float(run.energies[-1])
    claim, lowest, words = "F comes to its minimum", problem.lowest, "min F is known"
    if lowest is None and problem.minimiser is not None:
        lowest, words = 0.0, "min F = 0 is known"
    if lowest is None:
        found = bracket(run.flow, run.final)
        if found is None:
            reason = f"min F is not known, F = {end:.2g}; no bound: {unknown(run.flow, run.final)}"
            return argued("conclusion", claim, "supposed", reason, needed=False)
        lowest, words = found.lower, f"F - inf F <= {found.gap:.2g} (proved, rounding included)"
    if start - lowest <= _LEAST * _size(run):
        return argued("conclusion", claim, "consistent", f"the start is a minimum already; {words}", needed=False)
    share = (end - lowest) / (start - lowest)
    row = compared("conclusion", claim, share, REACHED, f"share of F(0) - inf F left at most; {words}", needed=False)
    return row if not row.fails else Hypothesis(claim, "not reached", share, REACHED, row.reason, "conclusion", False)


def _size(run: Trajectory) -> float:
    """|F| with all mass in the first place: what a share of it is small against."""
    start = run.measures[0]
    charge = np.sum(np.abs(start.weights), keepdims=True)
    return abs(run.flow.energy.explicit(SignedParticles(run.flow.domain, start.points[:1], charge)))
