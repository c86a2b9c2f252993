"""Methods for multilayer networks: explicit ones (Runge-Kutta, descent, descent by samples) and the proximal step."""

from solvers.deep.explicit import GradientDescent, GradientFlow, StochasticGradient, raw_rates
from solvers.deep.proximal import Proximal

__all__ = ["GradientDescent", "GradientFlow", "Proximal", "StochasticGradient", "raw_rates"]
