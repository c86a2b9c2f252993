"""Noisy univariate ReLU regression in closed form: minimisers at any temperature, their knots, and the limit T -> 0.

angles       the law of a neuron's angle, by a quadrature exact on arcs
minimiser    the free energy's minimiser by its dual in n numbers, with a certified gap; paths of temperatures
counted      knots: peaks of f'', located and counted between inputs
sparse       the problem without noise, solved by itself
designed     data of which the answer is known, with as many knots as can be
verdict      the bound on knots, asked of one data set
Source of the setting: Shevchenko, Kungurtsev & Mondelli 2022, JMLR 23(130), arXiv:2111.02278.
"""

from wflow.knots.counted import Knots, Peaks, knots, peaks
from wflow.knots.designed import designed, three_on_closed, two_inside
from wflow.knots.minimiser import NoisyFit, at_dual, noisy_fit, path
from wflow.knots.sparse import Noiseless, noiseless, predictions
from wflow.knots.verdict import MOST_CLOSED, MOST_INSIDE, Verdict, verdict

__all__ = [
    "MOST_CLOSED", "MOST_INSIDE",
    "Knots", "Noiseless", "NoisyFit", "Peaks", "Verdict", "at_dual", "designed", "knots", "noiseless", "noisy_fit",
    "path", "peaks", "predictions", "three_on_closed", "two_inside", "verdict",
]  # fmt: skip
