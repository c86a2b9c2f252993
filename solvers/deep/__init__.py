"""Methods for multilayer networks: explicit ones (Runge-Kutta, descent, descent by samples) and the proximal step.

Besides descent on weights themselves: with a rate for each layer (`trained`, `rested`), and of many networks of one
width at once (`networks`).
"""

from solvers.deep.explicit import GradientDescent, GradientFlow, StochasticGradient, raw_rates
from solvers.deep.layered import Rest, falls, rested, stochastically_rested, trained
from solvers.deep.proximal import Proximal
from solvers.deep.wide import Networks, networks

__all__ = [
    "GradientDescent",
    "GradientFlow",
    "Networks",
    "Proximal",
    "Rest",
    "StochasticGradient",
    "falls",
    "networks",
    "raw_rates",
    "rested",
    "stochastically_rested",
    "trained",
]
