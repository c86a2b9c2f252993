r"""Can SGD leave a minimum at which gradient descent stays for ever?    Slides: SGD stability, the example of escape.

Claim: f = (f_1 + f_2)/2, f_1 = min(x^2, (x - 1)^2/10), f_2 = min(x^2, 19 (x - 1)^2/10), is 0 at x = 0 and x = 1.

    x <- x - eta f_i'(x): near 1 the distance is multiplied by 1 - eta a_i, a_i = .2 or 3.8; near 0 by 1 - 2 eta
    descent: 1 - 2 eta at both, stable up to eta = 1                                                        [derived]
    SGD at 1: in mean square iff (1 - 2 eta)^2 + 3.24 eta^2 <= 1, eta <= .552486                             [derived]
    almost surely iff mean log|1 - eta a_i| < 0, eta < .559472 (a strip about eta = 5 apart)                 [proved]
    eta = .7: SGD leaves at exp(.178) a step, all of 1000 paths; from 1e-5 away in 59 steps        [measured]

Sharpness f'' = 2 is the same at 0 and 1; what differs is how much the f_i disagree about it. Between the two
thresholds P(ever |x - 1| >= r) <= (|x_0 - 1|/r)^theta, theta from 2 down to 0.
"""

from collections.abc import Callable

import numpy as np

from wflow import picture
from wflow.stability import Valleys, WithoutReplacement, almost_sure_rates, exit_times, exits, largest_rate, paths

# Problem
TOY, ETA, RADIUS, STEPS = Valleys(), 0.7, 0.3, 2000
A = TOY.curvatures
SQUARE, ALMOST = largest_rate(A.mean(), A.std(), WithoutReplacement(2)), almost_sure_rates(A)[0][1]


# Solve
def staying(eta: float, seed: int | None = 0) -> int:
    """How many of 1000 paths from 1.001 (of descent: the one) are within RADIUS of 1 for all STEPS."""
    runs = 1 if seed is None else 1000
    left = exit_times(TOY, eta, distance=1e-3, radius=RADIUS, steps=STEPS, runs=runs, seed=seed)
    return int(np.sum(np.isinf(left)))


def grows(eta: float) -> bool:
    """Whether the mean of (x - 1)^2 grows over ten steps near 1."""
    return bool(np.mean((paths(TOY, np.full(50_000, 1 + 1e-6), eta, steps=10, seed=1)[-1] - 1) ** 2) > 1e-12)


# Check
def first(true: Callable[[float], bool], low: float = 0.3, high: float = 1.2) -> float:
    """The eta from which on it is true, by halving."""
    for _ in range(12):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if true(middle) else (middle, high)
    return 0.5 * (low + high)


# Picture: 200 paths of SGD and descent from 1.001, x and |x - 1| by steps
# What would refute this
def refutation(eta: float = ETA) -> tuple[bool, float, float]:
    """One of 1000 paths that stays, or a threshold (SGD in mean square, descent) off by more than 2 %."""
    seen = first(grows), first(lambda rate: staying(rate, None) == 0)
    value, limit = max(abs(seen[0] / SQUARE - 1), abs(seen[1] - 1), float(staying(eta))), 0.02
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.4f}, {limit})")
    return value > limit, value, limit


# Exercise: from which eta on do most of 1000 paths leave?
def exercise() -> tuple[float, float]:
    return ALMOST, first(lambda rate: staying(rate) < 500)


if __name__ == "__main__":
    law = exits(A, ETA, RADIUS / 1e-5, STEPS)
    times = exit_times(TOY, ETA, distance=1e-5, radius=RADIUS, steps=STEPS, runs=1000, seed=2)
    print(f"from 1e-5: {times.mean():.2f} steps, exactly {np.arange(1, STEPS + 1) @ law:.2f}")
    print(f"thresholds: {SQUARE:.6f} in mean square, {ALMOST:.6f} almost surely; staying at .7: {staying(ETA)} of 1000")
    curves = {"SGD, batch 1": paths(TOY, np.full(200, 1.001), ETA, steps=80, seed=3)}
    curves["gradient descent"] = paths(TOY, np.full(1, 1.001), ETA, steps=80, seed=None)
    print(picture.save(picture.descents(curves, (0.0, 1.0)), "results/demos/sgd_escape.png"))
    refutation()
    print("exercise: predicted {:.4f}, found {:.4f}".format(*exercise()))

# References: [1] Wu, Ma & E 2018, NeurIPS 31. [2] Asmussen & Albrecher 2010, Ruin Probabilities, ch. IV.
# [3] Mulayoff & Michaeli 2024, COLT, PMLR 247.    Next lesson: stability_diagram.py
