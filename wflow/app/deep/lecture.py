"""This file owns the rows on the lecture's own net, (0.10), and on its Theorem 6, 'a network with L < 5'.

The limit of depth L from independent starts is a chain of width one through layers 2 .. L - 2, ends trained or frozen.
As a function it is as near as one likes to a net of depth four; as a flow it is not one.
"""

from collections.abc import Iterator

import numpy as np

from solvers.deep import GradientFlow
from wflow.app.deep.check import Check, mean_square, slope
from wflow.app.deep.collapsing import drawn
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.deep.best_fit import best_depth_four
from wflow.deep.collapse import collapse
from wflow.deep.flow import DeepFlow
from wflow.deep.loop import solve
from wflow.deep.network import Network
from wflow.deep.nodes import Tensor
from wflow.deep.problems import lecture_chain

DEPTHS = (5, 6, 8)
SIZES = {64: 16, 256: 12}
FINE = np.column_stack([np.linspace(-1.0, 1.0, 201), np.ones(201)])
"""Inputs on which functions are compared."""


def chain(depth: int, frozen: bool) -> tuple[DeepFlow, Network]:
    """The limit at t = 4 by 12 nodes a coordinate, and its flow."""
    flow = lecture_chain(depth, frozen).flow
    return flow, solve(flow, GradientFlow(Tensor(12)), dt=0.1, times=[4.0]).final


def fit_error(depth: int, frozen: bool, nodes: int) -> float:
    """Root mean square distance of the limit at t = 4 to the best fitted net of depth four with so many w_3."""
    return best_depth_four(chain(depth, frozen)[1], FINE, nodes=nodes).rms


def parting(depth: int, frozen: bool, span: float = 0.1) -> float:
    """By what share of its change a depth-four net that starts as the same function comes to move differently."""
    flow, net = chain(depth, frozen)
    fit = best_depth_four(net, FINE).network
    ends = 0.0 if frozen else 1.0
    theirs = DeepFlow(flow.data, fit, span, rates=(ends, 1.0, 1.0, ends))
    ours = DeepFlow(flow.data, net, span, rates=flow.rates)
    changes: list[Array] = []
    for one, dt in ((ours, 0.02), (theirs, 2e-4)):  # weights of a least-squares fit are large, and stiff
        run = solve(one, GradientFlow(), dt=dt, times=[span])
        changes.append(run.final.predict(FINE) - run.networks[0].predict(FINE))
    return float(np.linalg.norm(changes[0] - changes[1]) / np.linalg.norm(changes[0]))


def width_one(quick: bool) -> Iterator[Certificate]:
    """Finite nets against the chain, and the translation of their middle layers."""
    for depth in DEPTHS:
        for frozen in (False, True):
            flow, net = chain(depth, frozen)
            limit, rows = net.predict(FINE), []
            for n, seeds in SIZES.items():
                found = []
                for run in drawn(flow, n, seeds, 0.2):
                    seen = collapse(run.networks[0], run.final, flow.data.inputs)
                    off = float(np.sqrt(np.mean((run.final.predict(FINE) - limit) ** 2)))
                    found.append([seen.translations[0], off])
                rows.append(mean_square(found))
            ends = "frozen" if frozen else "trained"
            for name, column in zip(
                ("S(w_2) along c_2", "prediction off the chain"), zip(*rows, strict=True), strict=True
            ):
                claim = f"L = {depth}, ends {ends}: {name}, slope in n"
                yield Certificate(claim, "equal", slope(list(SIZES), column), -0.5, 0.25)


def theorem_six(quick: bool) -> Iterator[Certificate]:
    """Distance in function space to depth four, and what it does not say of the flow."""
    for depth in DEPTHS:
        for frozen in (False, True):
            ends = "frozen" if frozen else "trained"
            name = f"L = {depth}, ends {ends}: limit to the best fitted depth-4 net, rms"
            yield Certificate(f"{name}, 2 nodes", "at least", fit_error(depth, frozen, 2), 0.01)
            yield Certificate(f"{name}, 8 nodes", "at most", fit_error(depth, frozen, 8), 1e-3)
            yield Certificate(f"{name}, 40 nodes", "at most", fit_error(depth, frozen, 40), 1e-10)
            claim = f"L = {depth}, ends {ends}: flows of these two equal functions part, of the change"
            yield Certificate(claim, "at least", parting(depth, frozen), 0.1)


LECTURE = (
    Check("(0.10)", "GradientFlow", width_one, slow=True),
    Check("Theorem 6", "GradientFlow", theorem_six, slow=True),
)
