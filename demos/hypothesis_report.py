r"""Of which networks does Chizat and Bach's theorem speak, and what is missing where it does not?   Slides: Theorem 3.

Claim: of four networks its hypotheses hold for one, and F comes to its minimum there; for each other one is missing.

    psi(c w) = c^2 psi(w), psi smooth, the start separates, pi_t converges in W2  =>  the limit minimises F    [cited]
    charges: psi = +- r^2 phi(theta) on the cone; separating is that each sign has mass everywhere             [derived]
    m uniform points leave an arc wider than (2 pi/m)(log m + 3) in 5 % of cases: the resolution               [derived]
    neurons on a circle keep one mass each: no direction is homogeneous, and relu does not see odd n >= 3      [proved]
    log(1 + e^-s), s_i = y_i f(x_i), F < min_i omega_i log 2: all s_i > 0 stay, so int |w|^2 dpi -> infinity,  [derived]
    d/dt int |w|^2 dpi = 4 sum omega_i s_i/(1 + e^s_i) > 0, whatever the limit: pi_t does not converge         [derived]

A verdict of numbers is "consistent" or "refuted" at a stated resolution, never "proved"."""

from functools import cache

import numpy as np

from solvers.conic import ConicParticles
from solvers.particles import GradientFlow
from solvers.spectral import Fourier
from wflow import Charged, Data, Flow, Law, Steps, Uniform, circle, margins, picture, problems, solve
from wflow.hypotheses import Report, report, saved_times
from wflow.problems import Problem

# Problem: spikes behind a filter, from charges everywhere or in an arc; relu on the circle; two classes to separate
EVERYWHERE, ARC = Uniform(circle()), Steps(circle(), np.array([1.0, 1.5]), np.ones(1))
SPIKES = problems.deconvolution_1d(filters=3, spikes=2, seed=1, separation=1.5).flow
POINTS = Data(np.array([[0, 0], [0.2, 0.5], [0.9, 0.3], [-0.3, -0.9], [-1, 0.4]]), np.array([1.0, 1, -1, -1, -1]))


def posed(law: Law) -> dict[str, tuple[Flow, object]]:
    classes, charges = margins.both_layers(POINTS, 12), [Charged(one, one) for one in (law, ARC)]
    return {
        "charges\neverywhere": (Flow(SPIKES.energy, circle(), charges[0], 16.0), ConicParticles(24)),
        "charges\nin an arc": (Flow(SPIKES.energy, circle(), charges[1], 16.0), ConicParticles(24)),
        "relu on\nthe circle": (problems.circle_teacher("relu", modes={3: 0.5}).flow, Fourier(16)),
        "separable\nclasses": (Flow(classes.energy, classes.domain, classes.initial, 256.0), GradientFlow(24)),
    }


# Solve
@cache
def reports(law: Law = EVERYWHERE) -> list[Report]:
    runs = {name: solve(flow, method, times=saved_times(flow.horizon)) for name, (flow, method) in posed(law).items()}
    return [report(Problem(run.flow, "", "", name=name), run) for name, run in runs.items()]


# Check
def row(found: Report, topic: str) -> float:
    return next(one.measured for one in found.rows if one.topic == topic)


# Picture: a matrix of verdicts


# What would refute this
def refutation(law: Law = EVERYWHERE) -> tuple[bool, float, float]:
    """Verdicts other than hold, fail, silent, silent, or where they hold more than 1 % of F(0) - inf F left."""
    expected = [one.verdict for one in reports(law)] == ["hold", "fail", "silent", "silent"]
    value, limit = row(reports(law)[0], "conclusion") if expected else np.inf, 0.01
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.2g}, {limit})")
    return value > limit, value, limit


# Exercise: which share of the circle do the charges in the arc of width 1/2 leave empty?
def exercise() -> tuple[float, float]:
    return 1.0 - 0.5 / (2.0 * np.pi), row(reports()[1], "support +") / np.pi


if __name__ == "__main__":
    print("\n\n".join(str(one).replace("\n", " ", 1) for one in reports()))
    print(
        picture.save(picture.verdicts({one.problem: one for one in reports()}), "results/demos/hypothesis_report.png")
    )
    refutation()
    print("exercise: predicted {:.3f}, measured {:.3f}".format(*exercise()))

# References: [1] Chizat & Bach 2018, NeurIPS, arXiv:1805.09545. [2] Chizat 2022, Math. Program. 194, 487-532 (charges).
# [3] Chizat & Bach 2020, COLT, arXiv:2002.04486 (separable classes).    Next lesson: sparse_deconvolution.py
