"""This file owns what a method for residual networks is: a frozen value with `init` and `step`, and its promises."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from wflow.deep.residual.flow import ResidualFlow
from wflow.deep.residual.gradient import ResidualGradient
from wflow.deep.residual.net import ResidualNet


@dataclass(frozen=True, eq=False)
class ResidualState:
    """The time, the network, the steps taken, and the gradient there if it is known.

    crossed: how many atoms JKO steps gave to others than themselves, since 0.
    """

    time: float
    network: ResidualNet
    count: int = 0
    gradient: ResidualGradient | None = None
    crossed: int = 0

    def energy(self, flow: ResidualFlow) -> float:
        """F."""
        return flow.value(self.network) if self.gradient is None else self.gradient.value

    def known(self, flow: ResidualFlow) -> ResidualGradient:
        """The gradient, as the step before left it."""
        return flow.gradient(self.network) if self.gradient is None else self.gradient

    def tally(self) -> float:
        """Atoms that changed partners."""
        return float(self.crossed)

    def tallied(self, tally: float) -> "ResidualState":
        """The same with so many."""
        return replace(self, crossed=int(tally))


@dataclass(frozen=True, eq=False)
class ResidualStep:
    """dissipated: int -dF/dt dt by the method's quadrature (a JKO step: COT^2/(2 tau)).   residual: of an iteration."""

    state: ResidualState
    dissipated: float
    residual: float = 0.0


class ResidualSolver(ABC):
    """Base of the methods, frozen dataclasses."""

    order: ClassVar[float]
    """Of the error in the step, in the L2(pi) of atoms."""
    descends: ClassVar[bool] = True
    """F falls at every step; the loop looks."""
    variational: ClassVar[bool] = False
    """F_{k+1} + dissipated <= F_k, an inequality; the loop looks at it."""

    def refusal(self, flow: ResidualFlow) -> str | None:
        """One sentence why this flow cannot be taken, or None."""
        return None

    def init(self, flow: ResidualFlow) -> ResidualState:
        """The start."""
        return ResidualState(0.0, flow.start)

    @abstractmethod
    def step(self, flow: ResidualFlow, state: ResidualState, dt: float) -> ResidualStep:
        """One step of length dt."""
