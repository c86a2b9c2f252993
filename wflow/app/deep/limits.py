"""This file owns the rows on limits by quadrature: V3, V4, V11, V12."""

from collections.abc import Iterator

import numpy as np

from solvers.deep import GradientFlow
from wflow.app.deep.check import Check
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.deep.loop import solve
from wflow.deep.nodes import MonteCarlo, Rule, Sobol, Tensor
from wflow.deep.problems import sine_collapse, sine_independent, sine_latent

KNOWN = {0.0: 0.234375, 5.0: 0.096342, 10.0: 0.071414}
"""F of the three-layer limit; 15/64 at 0, the others by an independent program of the project's."""
ERRORS = {6: 3.3e-3, 8: 1.0e-3, 12: 1.0e-4, 16: 1.5e-5}
"""sup over the data of the prediction at t = 10 by so many nodes a coordinate against 24, likewise."""


def values(quick: bool) -> Iterator[Certificate]:
    """At three times, 14 x 14 and 14 nodes."""
    horizon = 5.0 if quick else 10.0
    flow = sine_independent(horizon).flow
    rule, dt = (Tensor(10), 0.25) if quick else (Tensor(14), 0.05)
    run = solve(flow, GradientFlow(rule), dt=dt, times=[t for t in KNOWN if 0.0 < t <= horizon])
    for t, energy in zip(run.times, run.energies, strict=True):
        known = KNOWN[float(t)]
        yield Certificate(f"three layers, F({t:g})", "equal", float(energy), known, 1e-4 * known)


def convergence(quick: bool) -> Iterator[Certificate]:
    """Errors of rules against 24 nodes a coordinate, as they were found by an independent program."""
    flow = sine_independent(10.0).flow

    def prediction(n: int) -> Array:
        return solve(flow, GradientFlow(Tensor(n)), dt=0.05, times=[10.0]).final.predict(flow.data.inputs)

    truth = prediction(24)
    for n, known in ERRORS.items():
        error = float(np.abs(prediction(n) - truth).max())
        yield Certificate(f"quadrature, {n} nodes against 24, prediction at 10", "at most", error, 1.1 * known)


def stated(quick: bool) -> Iterator[Certificate]:
    """|value - truth| over the error that each rule states of it, truth by 14 nodes a coordinate; at most 4 of them."""
    flow = sine_collapse(3, horizon=0.5).flow

    def prediction(rule: Rule) -> Array:
        return solve(flow, GradientFlow(rule), dt=0.25, times=[0.5]).final.predict(flow.data.inputs)

    truth = prediction(Tensor(14))
    for rule in (Tensor(4), Sobol(64), MonteCarlo(64)):
        found = rule.estimate(prediction)
        off = float(np.max(np.abs(found.value - truth) / found.error))
        claim = f"{type(rule).__name__}: off by so many stated errors ({found.meaning}), {found.error.max():.1e}"
        yield Certificate(claim, "at most", off, 4.0)


def long_runs(quick: bool) -> Iterator[Certificate]:
    """To t = 300 by 10 x 10 and 12 nodes."""
    for loss in ("half_square", "tanh_square", "cauchy"):
        flow = sine_independent(300.0, loss).flow
        run = solve(flow, GradientFlow(Tensor((10, 12))), dt=0.05)
        yield Certificate(f"three layers, {loss}, F(300)", "at most", float(run.energies[-1]), 5e-4)
        risen = float(np.max(np.diff(run.energies)))
        yield Certificate(f"three layers, {loss}, F rises between saved times by", "at most", risen, 0.0)


def plateau(quick: bool) -> Iterator[Certificate]:
    """Independent starts of depth 4 stay on a plateau from which correlated ones come away."""
    rules: tuple[Rule, Rule] = Tensor((10, 1, 12)), Tensor(7)
    problems = sine_collapse(4, horizon=300.0), sine_latent(4, horizon=300.0)
    runs = [solve(p.flow, GradientFlow(r), dt=0.1, times=[300.0]) for p, r in zip(problems, rules, strict=True)]
    ends = [float(run.energies[-1]) for run in runs]
    yield Certificate("L = 4, independent (collapsed), F(300)", "equal", ends[0], 0.0486, 0.0005)
    yield Certificate("L = 4, F(300) of latent over independent start", "at most", ends[1] / ends[0], 0.5)


LIMITS = (
    Check("V3", "GradientFlow", values),
    Check("V4", "GradientFlow", convergence, slow=True),
    Check("rules", "GradientFlow", stated),
    Check("V11", "GradientFlow", long_runs, slow=True),
    Check("V12", "GradientFlow", plateau, slow=True),
)
