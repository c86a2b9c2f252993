"""This file owns regularity: what derivatives psi and V have, judged for the activation and the law of x together."""

import math

from wflow.hypotheses.verdicts import Hypothesis
from wflow.trajectory import Trajectory


def smoothness(run: Trajectory) -> Hypothesis:
    """psi differentiable in w with locally Lipschitz derivative, into L^2 of x: not so where sigma' jumps.

    For x ~ N(0, I_2) two directions at an angle e differ in their half planes on a sector of chance e/pi, so that
    |dpsi - dpsi'| = O(e^(1/2)): Hoelder 1/2 and no better (derived). The paper meets ReLU by another parametrisation.
    """
    claim = "psi has a locally Lipschitz derivative"
    energy = run.flow.energy
    # on data the second derivative of V may jump: sigma' is Lipschitz still; of ReLU's closed kernel the third does
    if energy.jumps >= 2.0 if energy.risk is not None else energy.jumps > 3.0:
        return Hypothesis(claim, "proved", math.nan, math.nan, "sigma' is Lipschitz, or the kernel smooth")
    return Hypothesis(
        claim, "not satisfied", math.nan, math.nan,
        "sigma' jumps: dpsi is Hoelder 1/2 in L^2(x); the theorem for relu needs a smoother parametrisation",
    )  # fmt: skip
