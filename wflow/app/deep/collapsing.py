"""This file owns the rows on depth collapse: V6, V7, V8, the controls V9, and the trap V10."""

from collections.abc import Iterator, Sequence

import numpy as np

from solvers.deep import GradientFlow
from wflow.app.deep.check import Check, mean_square, slope
from wflow.certificates import Certificate
from wflow.deep.collapse import collapse
from wflow.deep.flow import DeepFlow
from wflow.deep.loop import DeepTrajectory, solve
from wflow.deep.nodes import Sampled, Tensor
from wflow.deep.problems import sine_collapse, sine_latent

SIZES = {32: 16, 64: 12, 128: 10, 256: 8, 512: 6}
"""Widths, and how many seeds each."""
MANY = {64: 48, 128: 32, 256: 32, 512: 32}


def drawn(flow: DeepFlow, n: int, seeds: int, dt: float) -> Iterator[DeepTrajectory]:
    """Runs of finite networks, each seed its own."""
    for seed in range(seeds):
        yield solve(flow, GradientFlow(Sampled(n, 1000 * n + seed)), dt=dt, times=[flow.horizon])


def statistics(depth: int, sizes: dict[int, int], dt: float) -> list[list[float]]:
    """Of each width: S of w_2 .. w_{L-1}, spreads of H_2 .. H_{L-2}."""
    flow, rows = sine_collapse(depth).flow, []
    for n, seeds in sizes.items():
        seen = [collapse(run.networks[0], run.final, flow.data.inputs) for run in drawn(flow, n, seeds, dt)]
        rows.append(mean_square([[*one.translations, *one.spreads] for one in seen]))
    return rows


def slopes(sizes: Sequence[int], rows: Sequence[Sequence[float]]) -> list[float]:
    """Of every column."""
    return [slope(sizes, column) for column in zip(*rows, strict=True)]


def _collapse(depth: int, quick: bool) -> Iterator[Certificate]:
    """Slopes in the width."""
    sizes, dt = ({16: 6, 64: 4}, 0.25) if quick else (SIZES, 0.05)
    found = slopes(list(sizes), statistics(depth, sizes, dt))
    axes = ["along c_2", *["over all pairs"] * (depth - 4), f"along c_{depth - 2}"]
    names = [f"S(w_{i}) {axis}" for i, axis in zip(range(2, depth), axes, strict=True)]
    names += [f"spread of H_{i} over neurons" for i in range(2, depth - 1)]
    for name, value in zip(names, found, strict=True):
        yield Certificate(f"L = {depth} independent: {name}, slope in n", "equal", value, -0.5, 0.15 if quick else 0.07)


def four(quick: bool) -> Iterator[Certificate]:
    """Depth 4."""
    yield from _collapse(4, quick)


def five(quick: bool) -> Iterator[Certificate]:
    """Depth 5."""
    yield from _collapse(5, quick)


def predictions(quick: bool) -> Iterator[Certificate]:
    """Off the collapsed limit: a number or two a network, so that slopes need more seeds than statistics of layers.

    From n = 64 on: at 32 squares have a heavy tail at L = 5 (root mean square a third above the median).
    """
    for depth in (4, 5):
        flow, rows = sine_collapse(depth).flow, []
        x = flow.data.inputs
        limit = solve(flow, GradientFlow(Tensor(14)), dt=0.1, times=[flow.horizon]).final.predict(x)
        for n, seeds in MANY.items():
            gaps = [run.final.predict(x) - limit for run in drawn(flow, n, seeds, 0.1)]
            rows.append(float(np.sqrt(np.mean(np.square(gaps)))))
        claim = f"L = {depth}, prediction off the collapsed limit, slope in n"
        yield Certificate(claim, "equal", slope(list(MANY), rows), -0.5, 0.15)


def controls(quick: bool) -> Iterator[Certificate]:
    """Starts that do not collapse: three layers, and correlated ones."""
    sizes, seeds, dt = ((16, 64), 2, 0.25) if quick else ((64, 256), 4, 0.1)
    for name, problem in (
        ("L = 3 independent", sine_collapse(3)), ("L = 4 latent", sine_latent(4)), ("L = 5 latent", sine_latent(5)),
    ):  # fmt: skip
        found = []
        for n in sizes:
            runs = list(drawn(problem.flow, n, seeds, dt))
            seen = [collapse(r.networks[0], r.final, problem.flow.data.inputs).translations[0] for r in runs]
            found.append(mean_square([[s] for s in seen])[0])
        yield Certificate(f"{name}: S(w_2) along c_2, n = {sizes[1]}", "at least", found[1], 0.2)
        claim = f"{name}: the same, slope in n (collapse: -1/2)"
        yield Certificate(claim, "equal", slope(sizes, found), 0.0, 0.2 if quick else 0.1)


def trap(quick: bool) -> Iterator[Certificate]:
    """Centred middle layers: the limit stands still, finite networks move by powers of 1/n."""
    flow = sine_collapse(4, mean=0.0).flow
    limit = solve(flow, GradientFlow(Tensor(6)), dt=0.5, times=[4.0])
    moved = float(abs(limit.energies[1] - limit.energies[0]))
    yield Certificate("centred, the limit: |F(T) - F(0)|", "at most", moved, 0.0, 1e-15)
    sizes, dt = {64: 24, 128: 16, 256: 12, 512: 8}, 0.1
    if quick:
        return
    rows = [mean_square([_movement(run) for run in drawn(flow, n, k, dt)]) for n, k in sizes.items()]
    names = ["F(0) - F(T)", "rms dw_1", "rms dw_2", "rms dw_3", "rms dw_4"]
    wanted = [-1.0, -1.0, -0.5, -0.5, -1.0]
    for name, value, known in zip(names, slopes(list(sizes), rows), wanted, strict=True):
        yield Certificate(f"centred, {name}, slope in n", "equal", value, known, 0.12)


def _movement(run: DeepTrajectory) -> list[float]:
    """F(0) - F(T) and the root mean square of what each layer changed by."""
    a, b = run.networks
    changes = [b.first - a.first, *(q.values() - p.values() for p, q in zip(a.middle, b.middle, strict=True))]
    changes.append(b.last - a.last)
    return [float(run.energies[0] - run.energies[1]), *(float(np.sqrt(np.mean(d**2))) for d in changes)]


COLLAPSING = (
    Check("V6", "GradientFlow", four),
    Check("V7", "GradientFlow", five, slow=True),
    Check("V8", "GradientFlow", predictions, slow=True),
    Check("V9", "GradientFlow", controls, slow=True),
    Check("V10", "GradientFlow", trap),
)
