"""Certificates of global optimality: rigorous brackets of inf F at a measure, and optima found without any flow.

field, branch, series, bounded, arcwise              lower bounds of min V, rounding included
    filters, waves                                       V as a trigonometric polynomial
ball, teachers                                       ReLU teachers in R^d: a search over the ball of their span
observed, conjugates                                 what an energy sees of a measure; convex conjugates
mixtures, fenchel, gibbs, quadratic, homogeneous     lower bounds of inf F from a dual vector, each with its proof
log_sobolev                                          how fast F falls at a temperature
active_set, sliding, independent                     an optimum without a flow
over_time                                            which of them applies, and along a run
"""

from wflow.duality.bracket import Bracket
from wflow.duality.fenchel import variation_bracket
from wflow.duality.gibbs import gibbs_bracket
from wflow.duality.homogeneous import charge_bracket, charge_of, ridge_bracket, span_distance
from wflow.duality.independent import Optimum, independent
from wflow.duality.log_sobolev import LogSobolev, log_sobolev
from wflow.duality.mixtures import mixture_bracket
from wflow.duality.over_time import Bounds, bounds, bracket, unknown
from wflow.duality.quadratic import quadratic_bracket
from wflow.duality.teachers import teacher_bracket

__all__ = [
    "Bounds", "Bracket", "LogSobolev", "Optimum", "bounds", "bracket", "charge_bracket", "charge_of",
    "gibbs_bracket", "independent", "log_sobolev", "mixture_bracket", "quadratic_bracket", "ridge_bracket",
    "span_distance", "teacher_bracket", "unknown", "variation_bracket",
]  # fmt: skip
