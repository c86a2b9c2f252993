"""JKO steps of a network's own risk: 4096 random atoms on the unit square, Gaussian bumps of width 0.08, 64 data.

For each tau: the model of splines alone (evaluations of D, its own gap over its gain, processor time), and the
certified step of `jko.RiskDual` (gap of the true features by the independent search over the gain, the same as the step
sees it, atoms at the end, processor time). Then the noisy network by `jko.SoftMin`, a step on 128 x 128 cells. Tables
of features and compiled code are warm; everything else is counted.
"""

import sys
import time

import numpy as np

from solvers.jko import SoftMin
from wflow import Data, Energy, Particles, Risk, box, problems
from wflow.bump import BumpNeuron
from wflow.compiled import available
from wflow.risk_dual.ascent import climb
from wflow.risk_dual.models import Tabulated
from wflow.risk_dual.movement import Movement
from wflow.risk_dual.step import minimised
from wflow.risk_dual.table import Nodes, sheets

ATOMS, WIDTH, CELLS, LIMIT, TOLERANCE = 4096, 0.08, 128, 100, 1e-6
TAUS = (0.1, 1.0, 10.0, 100.0, 1000.0)


def posed(data: int) -> tuple[Energy, Particles]:
    """Five bumps teach, all atoms uniform at random."""
    rng, square = np.random.default_rng(0), box([0, 0], [1, 1])
    neuron, x = BumpNeuron(WIDTH, square), rng.random((data, 2))
    y = neuron.value(x, rng.random((5, 2))) @ np.full(5, 0.2)
    return Energy(Risk(neuron, Data(x, y))), Particles(square, rng.random((ATOMS, 2)))


def by_splines(movement: Movement) -> tuple[int, float, float]:
    """Evaluations, own gap over the gain, processor seconds."""
    nodes = Nodes.on(movement.domain, [(0.0, 1.0), (0.0, 1.0)], CELLS)
    start = movement.start
    p = movement.predict(start.points, start.weights) - movement.targets
    before = movement.half(p)
    began = time.process_time()
    found = climb(Tabulated(movement, sheets(movement, nodes)), p, lambda dual: 1e-7 * (before - dual), LIMIT)
    return found.evaluations, found.gap / (before - found.best.value), time.process_time() - began


def table(data: int) -> None:
    """One line a tau."""
    energy, start = posed(data)
    print(f"\n{data} data\n| tau | splines: evaluations | gap | s | certified: gap | as seen | atoms | F | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    by_splines(Movement(energy, start, 1.0))
    minimised(Movement(energy, start, 1.0), CELLS, TOLERANCE, LIMIT)
    for tau in TAUS:
        movement = Movement(energy, start, tau)
        evaluations, gap, seconds = by_splines(movement)
        began = time.process_time()
        found = minimised(movement, CELLS, TOLERANCE, LIMIT)
        spent = time.process_time() - began
        print(
            f"| {tau:g} | {evaluations} | {gap:.1e} | {seconds:.2f} | {found.gap:.1e} | {found.own:.1e} "
            f"| {len(found.end.points)} | {energy.value(found.end):.3e} | {spent:.2f} |"
        )


def noisy() -> None:
    """Two steps in the plane of (a, w); the first compiles and makes the heat."""
    flow, solver = problems.two_layer_1d(temperature=0.05, horizon=1.0).flow, SoftMin(128)
    state = solver.step(flow, solver.init(flow), 0.5).state
    began = time.process_time()
    found = solver.step(flow, state, 0.5)
    off = abs(found.state.measure.mass - 1.0)
    spent = time.process_time() - began
    print(f"\nSoftMin(128), two axes: {spent:.2f} s a step, gap {found.residual:.1e}, mass off by {off:.1e}")


if __name__ == "__main__":
    if not available():
        print("numba is missing; pip install 'wflow[fast]'")
        sys.exit(2)
    for count in (64, 256):
        table(count)
    noisy()
