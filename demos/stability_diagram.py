r"""Which minima are stable under SGD, and which edge of their region do eta and B move?       Slides: (0.15) to (0.19).

Claim: mean a and deviation s of the n curvatures at the minimum decide on one axis; on several they do not.

    E x'^2 = [(1 - eta a)^2 + eta^2 c s^2] E x^2,   c = (n - B)/(B (n - 1))                                   [derived]
    stable iff c s^2 <= a (2/eta - a): half an ellipse in the box a <= 2/eta, s <= 1/(eta c^(1/2))             [derived]
    on d axes: iff C -> E M C M, M = I - eta mean_batch H_i, has radius <= 1; a <= 2/eta is necessary, but of s only
    eta s c^(1/2) <= d^(1/2): H_i = v_i v_i^T, v = (3, 0) twice, (2, +-4), eta = 1/9, B = 1 is stable with eta s =
    1.0887, radius (155 + 27409^(1/2))/324 = .98937                                                             [proved]

The slides' box is not necessary, then; their sufficient condition is right, and is T(I) <= I for the map T of C.
"""

from itertools import combinations

import numpy as np

from wflow import picture, stability
from wflow.stability import WithoutReplacement, WithReplacement, moments, placed

# Problem
N, SHARP, SPREAD = 8, np.arange(0.1, 2.2, 0.25), np.linspace(0.0, 2.4, 13)


# Solve
def growth(a: float, s: float, batch: int, runs: int = 8000) -> tuple[float, float]:
    """Growth of E x^2 a step at eta = 1, over three steps of many runs, and its standard error."""
    draw = WithoutReplacement(N, batch)
    seen = moments(placed(a, s, N), 1.0, draw, np.eye(1), steps=3, runs=runs, seed=1)
    step = seen.mean[-1] ** (1 / 3)
    return step, step * seen.error[-1] / seen.mean[-1] / 3


# Check
def enumerated(a: np.ndarray, eta: float, batch: int) -> float:
    """The factor of E x^2 as the mean over all batches."""
    return float(np.mean([(1 - eta * a[list(chosen)].mean()) ** 2 for chosen in combinations(range(len(a)), batch)]))


# Picture: places of the plane seen stable or not for four B, and edges of random problems of rank one
# What would refute this
def refutation(replaced: bool = False) -> tuple[bool, float, float]:
    """The factor off its enumeration by more than 1e-12, for some B."""
    rng, draw = np.random.default_rng(0), WithReplacement if replaced else WithoutReplacement
    cases = [(rng.exponential(size=N), rng.exponential(), batch) for batch in range(1, N + 1) for _ in range(3)]
    value = max(
        abs(enumerated(a, eta, b) - stability.factor(eta, a.mean(), a.std(), draw(N, b))) for a, eta, b in cases
    )
    print(f"refuted: {'yes' if value > 1e-12 else 'no'} ({value:.1e}, 1e-12)")
    return bool(value > 1e-12), float(value), 1e-12


# Exercise: B = 2 in place of 1. By which factor does the largest stable s at a = 1/eta grow? (And with eta halved?)
def exercise() -> tuple[float, float]:
    tops = [growth(1.0, 1.0, b, 200_000)[0] ** -0.5 for b in (1, 2)]  # at a = 1/eta the factor is eta^2 c s^2
    return (2 * (N - 1) / (N - 2)) ** 0.5, tops[1] / tops[0]


if __name__ == "__main__":
    panels = {}
    for b in (1, 2, 4, N):
        seen = [(a, s, *growth(a, s, b)) for a in SHARP for s in SPREAD if s <= a * (N - 1) ** 0.5]
        rows, sharp = [(a, s, g, 4 * e) for a, s, g, e in seen], np.linspace(0, 2, 201)
        panels[f"B = {b} of {N}"] = rows, sharp, stability.widest(1.0, sharp, WithoutReplacement(N, b))
    rng, p = np.random.default_rng(1), stability.beyond_the_box()
    edges = [stability.edge(stability.scattered(rng, 4, 2), WithoutReplacement(4)) for _ in range(200)]
    proved = stability.radius(p.curvatures, p.eta, p.draw)
    print(f"eta s = {p.eta * p.curvatures.nonuniformity:.4f}, radius in [{proved.lower:.9f}, {proved.upper:.9f}]")
    dots = {"random, d = 2, B = 1": (np.array([e.sharpness for e in edges]), np.array([e.spread for e in edges]))}
    own = stability.edge(p.curvatures, p.draw)
    dots["the proved example"] = np.array([own.sharpness]), np.array([own.spread])
    print(picture.save(picture.stability(panels, dots), "results/demos/stability_diagram.png"))
    refutation()
    print("exercise: predicted {:.4f}, found {:.4f}".format(*exercise()))

# References: [1] Wu, Ma & E 2018, NeurIPS 31. [2] Mulayoff & Michaeli 2024, COLT, PMLR 247.
# [3] Collatz 1942, Math. Z. 48; Wielandt 1950, Math. Z. 52.    Next lesson: sharpness_table.py
