"""This file owns the rows on the coupling of finite networks with their limit: V5, and descent by samples in eps."""

from collections.abc import Iterator

import numpy as np

from solvers.deep import GradientDescent, GradientFlow, StochasticGradient
from wflow.app.deep.check import Check, mean_square, slope
from wflow.certificates import Certificate
from wflow.deep.coupling import coupled, distance
from wflow.deep.flow import DeepFlow
from wflow.deep.loop import solve
from wflow.deep.network import Network
from wflow.deep.nodes import Sampled, Tensor, Watched
from wflow.deep.problems import sine_independent
from wflow.deep.solver import DeepSolver

SIZES = {32: 24, 64: 24, 128: 16, 256: 12, 512: 8, 1024: 6}
STEPS = (0.1, 0.05, 0.025, 0.0125, 0.00625)


def apart(n: int, seed: int, horizon: float, dt: float = 0.1, nodes: int = 14) -> list[float]:
    """sup, rms and prediction distance of one sampled network of width n and the limit at its labels."""
    sample, flow = Sampled(n, seed), sine_independent(horizon).flow
    times = [horizon * k / 3.0 for k in (1, 2, 3)]
    found = coupled(flow, GradientFlow(sample), GradientFlow(Watched(Tensor(nodes), sample)), times, dt)
    return [found.sup, found.rms, found.prediction]


def widths(quick: bool) -> Iterator[Certificate]:
    """Slopes in the width at T = 3 (quick: two widths, T = 1)."""
    sizes, horizon, nodes = ({16: 12, 64: 8}, 1.0, 8) if quick else (SIZES, 3.0, 14)
    rows = []
    for n, seeds in sizes.items():
        rows.append(mean_square([apart(n, 1000 * n + s, horizon, nodes=nodes) for s in range(seeds)]))
    sup, rms, prediction = (list(column) for column in zip(*rows, strict=True))
    levelled = [d / np.sqrt(np.log(n)) for d, n in zip(sup, sizes, strict=True)]
    width = 0.2 if quick else 0.08
    yield Certificate(f"coupling, T = {horizon:g}: rms, slope in n", "equal", slope(list(sizes), rms), -0.5, width)
    if not quick:
        found = slope(list(sizes), prediction)
        yield Certificate("coupling, T = 3: prediction, slope in n", "equal", found, -0.5, 0.12)
        claim = "coupling, T = 3: sup over (log n)^(1/2), slope in n"
        yield Certificate(claim, "equal", slope(list(sizes), levelled), -0.5, 0.1)


def from_flow(net: Network, method: DeepSolver, eps: float) -> list[float]:
    """sup, rms and prediction distance of descent with that step from the flow of the same network, to t = 1."""
    flow, times = DeepFlow(sine_independent().flow.data, net, 1.0), [0.5, 1.0]
    runs = [solve(flow, how, dt=dt, times=times) for how, dt in ((method, eps), (GradientFlow(), 0.05))]
    found = distance(*runs)
    return [found.sup, found.rms, found.prediction]


def of_width_32() -> Network:
    """A sampled network, on which descent is held against the flow."""
    start = sine_independent().flow.start
    assert not isinstance(start, Network)
    return start.network(Sampled(32, 1))


def steps(quick: bool) -> Iterator[Certificate]:
    """Slopes in eps: 1/2 by samples, 1 on all data."""
    net, seeds = of_width_32(), 4 if quick else 24
    sizes = STEPS[:3] if quick else STEPS
    noisy = [mean_square([from_flow(net, StochasticGradient(seed=s), eps) for s in range(seeds)]) for eps in sizes]
    plain = [from_flow(net, GradientDescent(), eps) for eps in sizes]
    width = 0.25 if quick else 0.1
    found = slope(sizes, [row[1] for row in noisy])
    yield Certificate("descent by samples against the flow, rms, slope in eps", "equal", found, 0.5, width)
    found = slope(sizes, [row[1] for row in plain])
    yield Certificate("descent on all data against the flow, rms, slope in eps", "equal", found, 1.0, 0.1)


COUPLED = (
    Check("V5", "GradientFlow", widths),
    Check("eps", "StochasticGradient", steps),
)
