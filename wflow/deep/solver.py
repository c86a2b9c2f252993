"""This file owns what a method for multilayer networks is: a frozen value with `init` and `step`, and its promises."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from wflow.deep.flow import DeepFlow
from wflow.deep.gradient import Gradient, risk
from wflow.deep.network import Network
from wflow.deep.nodes import Rule


@dataclass(frozen=True, eq=False)
class DeepState:
    """Where a method stands: the time, the network, the steps taken, and the gradient there if it is known.

    The next step has the same bits without the gradient. discarded: what recompressions left out in all, in L2(P).
    """

    time: float
    network: Network
    count: int = 0
    gradient: Gradient | None = None
    discarded: float = 0.0

    def energy(self, flow: DeepFlow) -> float:
        """F."""
        return risk(self.network, flow.data, flow.loss) if self.gradient is None else self.gradient.value

    def tally(self) -> float:
        """What was left out."""
        return self.discarded

    def tallied(self, tally: float) -> "DeepState":
        """The same with that."""
        return replace(self, discarded=tally)


@dataclass(frozen=True, eq=False)
class DeepStep:
    """What one step returns.

    dissipated: int sum_i xi_i |G_i|^2 dt by the method's own quadrature (a proximal step: |W - W_k|^2/(2 dt) in the
    metric of the rates), None if it has none.   residual: where an inner iteration stopped.
    """

    state: DeepState
    dissipated: float | None = None
    residual: float = 0.0


class DeepSolver(ABC):
    """Base of the methods. Subclasses are frozen dataclasses; `nodes` is what an embedding is discretised by."""

    order: ClassVar[float]
    """Of the error in the step, in the L2 of the weights."""
    random: ClassVar[bool] = False
    descends: ClassVar[bool] = True
    """F falls at every step, below a stability bound on dt: the loop looks."""
    variational: ClassVar[bool] = False
    """F_{k+1} + dissipated <= F_k, an inequality; the loop looks at it."""

    nodes: Rule | None

    def refusal(self, flow: DeepFlow) -> str | None:
        """One sentence why this flow cannot be taken, or None."""
        return None

    @abstractmethod
    def init(self, flow: DeepFlow) -> DeepState:
        """The start."""

    @abstractmethod
    def step(self, flow: DeepFlow, state: DeepState, dt: float) -> DeepStep:
        """One step of length dt."""
