r"""In which sense is the risk of a network convex in its measure, and in which not?   Slides: (0.8)-(0.9).

Claim: F is convex along mixtures, for every activation; along W2 geodesics only where V is convex in w, hardly ever.

    R(pi) = int int k dpi dpi - 2 int g dpi + C,    k = E psi psi',  g = E y psi,  C = E y^2,    F = R / 2     [derived]
    mixture   pi_s = (1 - s) a + s b:                       F'' = E (f_b - f_a)^2 >= 0                         [proved]
    geodesic  pi_s = (w + s v)_# gamma, v = w' - w:         F'' = E (df/ds)^2 + int v . Hess V[pi_s] v dgamma  [derived]
    F convex along all geodesics  <=>  w -> E (psi(x; u) - y) psi(x; w) convex for every u                     [derived]
    psi = sigma(w x + c): for linear sigma Hess V = 0, so yes; z^2: iff E y (x, 1)(x, 1)^T <= 0                [derived]
    psi = a sigma(w x + c): never, since at a = 0 Hess V has zeros on its diagonal but not beside it           [derived]

The slides' (0.9) lacks the 2. Gradient descent moves mass, as geodesics do: convexity along mixtures does not help it.
"""

import numpy as np

from wflow import Energy, Gaussian, RidgeNeuron, Risk, activation, picture
from wflow.activation import ONE_PARAMETER, PARAMETERLESS
from wflow.data import Data, uniform_inputs
from wflow.geodesics import FOUND, ROUNDING, Mixture, bend, mixtures, most_bent, profile, reason_for_convexity

# Problem
NAMES = sorted([*PARAMETERLESS, *ONE_PARAMETER])
DATA = uniform_inputs([-2.0], [2.0], 16).with_targets(lambda x: np.sin(2 * x[:, 0]) + 0.5)
ALONG, LIFTED = Gaussian(0.0, 1.5, dim=2), Gaussian(0.0, 1.5, dim=3)  # where neurons (w, c) and (a, w, c) stand


# Solve
def energy(name: str, data: Data = DATA, outer: bool = False) -> Energy:
    return Energy(Risk(RidgeNeuron(activation(name), bias=True, outer=outer), data))


# Check
def expanded(factor: float = 2.0) -> float:
    F, pi = energy("tanh"), next(mixtures(ALONG, 1, seed=0)).second
    psi, y = F.terms[0].neuron.value(DATA.inputs, pi.points), DATA.targets
    k, g = psi.T @ (DATA.weights[:, None] * psi), psi.T @ (DATA.weights * y)
    return abs(2 * F.value(pi) - (pi.weights @ k @ pi.weights - factor * g @ pi.weights + DATA.weights @ y**2))


def unbent(around: Gaussian, outer: bool) -> list[str]:
    """The activations for which no geodesic of 100 bends down."""
    return [name for name in NAMES if most_bent(energy(name, outer=outer), around, seed=0)[1] > -FOUND]


# Picture: F along the most bent geodesic of each activation, and along the mixture of the same ends


# What would refute this
def refutation(factor: float = 2.0) -> tuple[bool, float, float]:
    """A mixture along which F bends down, an expansion of R that is off, or others than `linear` without a geodesic."""
    least = min(bend(energy(name), path) for name in NAMES for path in mixtures(ALONG, 100, seed=0))
    value, limit = max(-least, expanded(factor)), ROUNDING
    refuted = bool(value > limit or unbent(ALONG, False) != ["linear"] or unbent(LIFTED, True))
    print(f"refuted: {'yes' if refuted else 'no'} ({value:.1e}, {limit})")
    return refuted, value, limit


# Exercise: learn y = -1 instead. For which activations is F convex along geodesics now, and why?
def exercise() -> tuple[list[str], list[str]]:
    below = {name: energy(name, DATA.with_targets(lambda x: -np.ones(len(x)))) for name in NAMES}
    found = [n for n, F in below.items() if reason_for_convexity(F) and most_bent(F, ALONG, seed=1)[1] > -ROUNDING]
    return ["linear", "quadratic", "relu", "relu_squared", "softplus"], found  # sigma >= 0 convex, or sigma'' = 0


if __name__ == "__main__":
    panels = {}
    for name in NAMES:
        path, least = most_bent(energy(name), ALONG, seed=0)
        outer = most_bent(energy(name, outer=True), LIFTED, seed=0)[1]
        print(f"{name:14} least F'' h^2 on 100 geodesics: sigma {least:9.1e}, a sigma {outer:9.1e}")
        both = [path, Mixture(path.at(0), path.at(1))]
        panels[name] = dict(zip(("geodesic", "mixture"), (profile(energy(name), p, 40) for p in both), strict=True))
    print(f"R expanded as above is off by {expanded():.0e}, without the factor 2 by {expanded(1):.1f}")
    print(picture.save(picture.profiles(panels), "results/demos/convex_in_mixtures.png"))
    refutation()
    print("exercise: predicted {}, found {}".format(*exercise()))

# References: [1] McCann 1997, Adv. Math. 128(1) (displacement convexity). [2] Ambrosio, Gigli & Savare 2008, Gradient
# Flows, Birkhauser. [3] Chizat & Bach 2018, NeurIPS, arXiv:1805.09545.    Next lesson: displacement_convexity.py
