"""This file owns the study of how near networks stay to random features as m grows, n fixed (the slides' Theorem 7).

Both by the same steps of gradient descent from the same start, a = 0, s = 0; random features in closed form after any
number of steps. sup over saved times and 10^4 points of the sphere of |f - f_features|, and how far b has gone.
The theorem says poly(n)/m with a power that is not explicit, so slopes in log m are held against -1, and no bound is
drawn. A sketch says more: |a| = O(1/m) when the data are fitted, after a time O(1/m), so b moves by O(m^-2), and the
kernels of both differ by O(|a|^2) of themselves: slopes -2.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.small import train
from wflow.app.studies.bias import NETWORK, Case, even
from wflow.app.studies.intervals import Line, power
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.certificates import Certificate
from wflow.implicit.diagnostics import apart, moved, sphere_points
from wflow.implicit.features import RandomFeatures

DIM, DATA, SEEDS, SIZES = 10, 20, 5, (100, 200, 400, 800, 1600, 3200)
ENOUGH, POINTS = 1e-6, 10_000
_SAVED, _PACE, _STEPS = 7, 0.5, 20_000
"""The bound moves little at these widths: half of it serves the whole run."""
WHAT = {"apart": "sup |f - f_features|", "moved": "sup max_j |b_j - b_j(0)|"}


def cells(quick: bool) -> list[Cell]:
    """Every width and seed; one seed for a quick study."""
    return [{"neurons": m, "seed": seed} for seed in range(1 if quick else SEEDS) for m in SIZES]


def measure(neurons: int, seed: int) -> Record:
    """At steps equispaced on a log axis: how far functions and inner weights are apart."""
    case = Case.of("single", DIM, DATA, neurons, NETWORK, seed)
    exact = RandomFeatures.on_data(case.start, case.data)
    dt, x = _PACE / float(np.max(exact.rates)), sphere_points(POINTS, DIM, seed=seed)
    now, done, rows, energy = case.start, 0, [], np.inf
    for steps in np.unique(np.round(even(_STEPS, 20.0, _SAVED)).astype(int)):
        found = train(now, case.data, enough=ENOUGH, horizon=(steps - done) * dt, dt=dt)
        now, done, energy = found.measure, done + found.steps, found.energy
        beside = exact.after(done, dt)
        rows.append((done, apart(now, beside, x), float(np.max(moved(now, case.start)))))
        if found.reached:
            break
    return {
        "steps": [r[0] for r in rows], "apart": [r[1] for r in rows], "moved": [r[2] for r in rows], "train": energy,
    }  # fmt: skip


def slope(entries: Sequence[Entry], name: str) -> Line:
    """log sup over time by log m, all seeds."""
    return power([e["neurons"] for e in entries], [max(e[name]) for e in entries])


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """All are fitted; both slopes are at most -1, as the theorem says; both fall at the sketch's rate."""
    yield Certificate("largest F on the data at the end", "at most", max(e["train"] for e in entries), ENOUGH)
    for name, words in WHAT.items():
        found = slope(entries, name)
        claim = f"{words}, slope in log m {found.slope:.3f} (95 %: {found.low:.3f} to {found.high:.3f}); its high"
        yield Certificate(claim, "at most", found.high, -1.0)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Both by m, with lines of slope -1 and -2."""
    from wflow.picture import nearness, save

    points = {words: [(e["neurons"], max(e[name])) for e in entries] for name, words in WHAT.items()}
    lines = {words: slope(entries, name).slope for name, words in WHAT.items()}
    return save(nearness(points, lines), path)


NEARNESS = Study(
    "nearness", "how near do networks stay to random features as they widen?", cells, measure, claims, draw
)
