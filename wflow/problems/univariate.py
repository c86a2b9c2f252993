"""This file owns noisy regression of one input by ReLU neurons: data of a line, weight decay, and a temperature."""

from collections.abc import Sequence

from wflow.activation import activation
from wflow.arrays import finite, positive, shaped
from wflow.data import Data
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.internal import Entropy
from wflow.knots import noiseless, noisy_fit
from wflow.law import Gaussian
from wflow.neuron import RidgeNeuron
from wflow.problems.problem import Problem
from wflow.terms import Potential, Risk


def univariate_relu(
    inputs: Sequence[float] = (-2.0, -1.0, 0.0, 1.0, 2.0),
    targets: Sequence[float] = (0.5, -1.0, 1.0, -0.5, 1.0),
    lam: float = 0.1,
    temperature: float = 0.02,
    spread: float = 0.5,
    horizon: float = 5.0,
) -> Problem:
    """Neurons a relu(w x + b) learn y(x): F = mean (f_pi - y)^2/2 + lam int |(a, w, b)|^2/2 dpi + T Ent(pi).

    inputs, targets: the data; temperature: T >= 0; spread: standard deviation of the Gaussian start; lam > 0.
    T > 0: the minimiser is one Gibbs law, of which f, its second derivative and inf F are in closed form but for one
    concave problem in as many numbers as data (wflow.knots). T = 0: minimisers are piecewise linear, with at most three
    knots on the interval between neighbouring inputs; inf F is that of lam |nu| for charges nu on angles. There neurons
    gather on the kinks of V at the inputs, across which explicit steps go to and fro (docs/knots.md).
    """
    x = shaped("inputs", inputs, (None,))
    data = Data(x[:, None], shaped("targets", targets, (len(x),)))
    t = float(finite("temperature", temperature))
    if not t >= 0.0:
        raise ValueError(f"temperature: {temperature!r} is not allowed; give a number >= 0 (0: no noise)")
    neuron = RidgeNeuron(activation("relu"), inputs=1, bias=True, outer=True)
    risk, decay = Risk(neuron, data), Potential.quadratic(positive("lam", lam))
    energy = Energy(risk, decay, Entropy(t)) if t else Energy(risk, decay)
    if t:
        fit = noisy_fit(data, lam, t)
        lowest = fit.lower
        note = f"one minimiser, inf F = {lowest:.8g}; its network bends everywhere, as T -> 0 in knots alone"
    else:
        lowest = noiseless(data, lam).bracket.lower
        note = f"inf F = {lowest:.8g}: a piecewise linear network, at most three knots on [x_i, x_(i+1)]"
    return Problem(
        Flow(energy, neuron.domain, Gaussian(0.0, positive("spread", spread), dim=neuron.dim), horizon),
        "Shevchenko, Kungurtsev & Mondelli 2022, JMLR 23(130), arXiv:2111.02278 (setting); formulas derived here",
        note,
        limit_reason="T > 0: the minimiser, F being strictly convex (cited: Hu, Ren, Siska & Szpruch 2021)",
        lowest=lowest,
    )
