"""Hypothesis reports: what Chizat & Bach's global convergence supposes of a flow, tested on a run.

verdicts         what a hypothesis is, and the words for what is known of it
setting          which theorem a flow belongs to;  degree: how V scales where a neuron is scaled
antecedent       pi_t converges
caps, balls      the largest part of a sphere or of a box without points, and what random points leave
support          where the start has mass;  densities: where one vanishes
regularity       what derivatives psi and V have;  bounded: phi, infinity and walls;  null: what is not seen
outcome          the conclusion: F -> min F, and gaps
report           all of it for a problem;  plane: the rows for particles w = (a, b_1, b_2)

Source: Chizat & Bach 2018, On the global convergence of gradient descent for over-parameterized models using optimal
transport, NeurIPS, arXiv:1805.09545, Theorems 3.3 and 3.5.
"""

from wflow.hypotheses.antecedent import antecedent, saved_times
from wflow.hypotheses.degree import homogeneity
from wflow.hypotheses.outcome import bounded_gap, conclusion, convergence, gap_of
from wflow.hypotheses.plane import as_printed, balance, chizat_bach, directions, largest_gap
from wflow.hypotheses.regularity import smoothness
from wflow.hypotheses.report import Report, report
from wflow.hypotheses.setting import Setting, no_network, setting_of
from wflow.hypotheses.verdicts import Hypothesis, Verdict

__all__ = [
    "Hypothesis", "Report", "Setting", "Verdict", "antecedent", "as_printed", "balance", "bounded_gap", "chizat_bach",
    "conclusion", "convergence", "directions", "gap_of", "homogeneity", "largest_gap", "no_network", "report",
    "saved_times", "setting_of", "smoothness",
]  # fmt: skip
