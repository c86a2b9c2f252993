"""This file owns the rows on global convergence: full support, deeper starts, the control that cannot, the monitor."""

from collections.abc import Iterator

import numpy as np

from solvers.deep import GradientFlow
from wflow.app.deep.check import Check
from wflow.certificates import Certificate
from wflow.deep.loop import DeepTrajectory, solve
from wflow.deep.nodes import Sampled, Tensor, Watched
from wflow.deep.problems import LOSSES, DeepProblem, deep_problem
from wflow.deep.universal import least_risk, line_monitor, plane_monitor, reflected, seen_share, watch
from wflow.holes import largest_hole

SEEN, OTHER = (0, 2), (1,)
"""Of the inputs (x_1, x_2, 1) those that `plane_one_axis` sees, and the other."""
PLATEAU = 0.04858
"""F(300) of independent weights at L = 4 (row V12)."""
BOUNDS = (10.0, 100.0, 1000.0, 10000.0)


def full_support(quick: bool) -> Iterator[Certificate]:
    """w_1 ~ N(0, 4) in R^2, three layers, three losses, to t = 300."""
    for loss in LOSSES:
        run = _run(deep_problem("sine_full_support", horizon=300.0, loss=loss), Tensor((12, 12)), 0.2)
        end, risen = float(run.energies[-1]), float(np.max(np.diff(run.energies)))
        yield Certificate(f"L = 3, w_1 of full support, {loss}: F(300)", "at most", end, 5e-4)
        yield Certificate(f"L = 3, w_1 of full support, {loss}: F rises by", "at most", risen, 0.0)


def deeper(quick: bool) -> Iterator[Certificate]:
    """Latent starts of depth 5 and 6 leave the plateau on which independent weights of depth 4 stay (V12 has 4)."""
    for depth, horizon in ((5, 400.0), (6, 600.0)):
        run = _run(deep_problem("sine_latent", depth=depth, horizon=horizon), Tensor(7), 0.1)
        ratio = float(run.energies[-1]) / PLATEAU
        claim = f"L = {depth} latent: F({horizon:g}) over F(300) of independent weights, L = 4"
        yield Certificate(claim, "at most", ratio, 0.5)


def control(quick: bool) -> Iterator[Certificate]:
    """A start that sees one coordinate of two never goes below inf E l(f(x_1), y); one that sees both does."""
    horizon, rule, dt = (30.0, Tensor((4, 4)), 0.25) if quick else (300.0, Tensor((6, 8)), 0.2)
    monitor = plane_monitor(10 if quick else 20)
    shares = seen_share(monitor.table, monitor.inputs, monitor.weights, SEEN)
    for loss in list(LOSSES)[: 1 if quick else 3]:
        blind, full = (
            _run(deep_problem(name, horizon=horizon, loss=loss), rule, dt)
            for name in ("plane_one_axis", "plane_full_support")
        )
        reflected(blind.flow.data, OTHER)
        bound = least_risk(blind.flow.data, blind.flow.loss, SEEN)
        listens = max(float(np.abs(net.first[:, 1]).max()) for net in blind.networks)
        yield Certificate(f"one coordinate, {loss}: largest weight on the other", "at most", listens, 0.0, 1e-12)
        below = float(np.min(blind.energies)) - bound
        yield Certificate(f"one coordinate, {loss}: least F less inf E l(f(x_1), y)", "at least", below, 0.0)
        near = (float(blind.energies[-1]) - bound) / bound
        yield Certificate(
            f"one coordinate, {loss}: F(T) over its bound, less 1", "at most", near, 0.3 if quick else 0.02
        )
        nearer = min(float(np.min(one.distances - shares)) for one in watch(blind, monitor))
        yield Certificate(f"one coordinate, {loss}: distances less shares not seen", "at least", nearer, 0.0, 1e-12)
        ratio = bound / float(full.energies[-1])
        yield Certificate(
            f"both coordinates, {loss}: bound of one over F(T)", "at least", ratio, 1.2 if quick else 50.0
        )


def monitor(quick: bool) -> Iterator[Certificate]:
    """Full support through training: holes of labels that watch close as they are more, features span as norms grow."""
    many, horizon, dt = (400, 3.0, 0.25) if quick else (1600, 300.0, 0.2)
    watched = Watched(Tensor((8, 8) if quick else (12, 12)), Sampled((many, 1), seed=1))
    run = _run(deep_problem("sine_full_support", horizon=horizon), watched, dt)
    for net, t in zip(run.networks, run.times, strict=True):
        # of a law of full support holes close like (log m/m)^{1/2}, .32 from 100 to 1600, where m is large enough
        holes = [largest_hole(net.first[-many:][:m], [-2.0, -2.0], [2.0, 2.0]).radius for m in (many // 16, many)]
        claim = f"t = {t:g}: hole of {many} labels in [-2, 2]^2 over that of {many // 16}"
        yield Certificate(claim, "at most", holes[1] / holes[0], 0.6)
    seen = line_monitor(64 if quick else 256)
    span = seen.spans(run.final)[0]
    medians = [float(np.median(span.distance(seen.table, bound))) for bound in BOUNDS]
    yield Certificate("the end: median distance to first features, norm 1e4", "at most", medians[-1], 0.05)
    yield Certificate("the same over that of norm 10", "at most", medians[-1] / medians[0], 0.2)


def _run(problem: DeepProblem, rule: Tensor | Watched, dt: float) -> DeepTrajectory:
    """With a few saved times."""
    end = problem.flow.horizon
    times = [t for t in (1.0, 10.0, 30.0, 100.0) if t < end]
    return solve(problem.flow, GradientFlow(rule), dt=dt, times=[*times, end])


CONVERGING = (
    Check("full support", "GradientFlow", full_support, slow=True),
    Check("deeper", "GradientFlow", deeper, slow=True),
    Check("control", "GradientFlow", control),
    Check("monitor", "GradientFlow", monitor),
)
