"""This file owns the initial value problem of a multilayer network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from wflow.arrays import Array, positive
from wflow.data import Data
from wflow.deep.network import Network
from wflow.deep.nodes import Rule
from wflow.deep.rates import Rate, Rates
from wflow.loss import HalfSquare, Loss, check_loss


@runtime_checkable
class Start(Protocol):
    """What becomes a network once nodes are chosen: an embedding."""

    @property
    def depth(self) -> int:
        """L."""

    def network(self, nodes: Rule) -> Network:
        """The start on the nodes of a rule or a sample."""


@dataclass(frozen=True, eq=False)
class DeepFlow:
    """d_t w_i = -xi_i(t) G_i, i = 1 .. L, w(0) = start, 0 <= t <= horizon: the gradient flow of F = E l.

    In the Hilbert space L2(P_1; R^p) x L2(P_1 x P_2) x .. x L2(P_{L-1}), with |.|^2 weighted by 1/xi_i:
    dF/dt = - sum_i xi_i |G_i|^2. From L = 3 on it is no flow of a measure on one space of parameters.
    start: a Network, or an embedding, which the nodes of a method make one.   rates: xi_1 .. xi_L, all 1 if left out.
    Source: Nguyen & Pham 2020, arXiv:2001.11443; for the identity docs/multilayer.md.
    """

    data: Data
    start: Network | Start
    horizon: float
    loss: Loss = field(default_factory=HalfSquare)
    rates: Rates | Sequence[Rate] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.data, Data):
            raise TypeError(f"DeepFlow data: got {type(self.data).__name__}; pass Data(inputs, targets)")
        if not isinstance(self.start, Network | Start):
            raise TypeError(f"DeepFlow start: got {type(self.start).__name__}; pass a Network or an embedding")
        positive("DeepFlow horizon", self.horizon)
        check_loss("DeepFlow", self.loss, self.data.targets)
        depth = self.start.depth
        given = Rates.equal(depth) if self.rates is None else self.rates
        rates = given if isinstance(given, Rates) else Rates(given)
        if len(rates.layers) != depth:
            raise ValueError(f"DeepFlow rates: {len(rates.layers)} for {depth} layers of weights; give one a layer")
        object.__setattr__(self, "rates", rates)

    @property
    def speeds(self) -> Rates:
        """The rates, as Rates."""
        assert isinstance(self.rates, Rates)
        return self.rates

    def speeds_at(self, t: float) -> Array:
        """(L,)."""
        return self.speeds.at(t)

    def network(self, nodes: Rule | None) -> Network:
        """The start on these nodes (None: it is a network). ValueError where inputs do not fit, or nodes miss."""
        if isinstance(self.start, Network):
            if nodes is not None:
                raise ValueError(f"nodes: {nodes!r}, but the start is a network, which has its own; leave nodes out")
            net = self.start
        else:
            if nodes is None:
                raise ValueError("nodes: none, but the start is an embedding; give a rule or Sampled(width, seed)")
            net = self.start.network(nodes)
        wanted, got = net.first.shape[1], self.data.inputs.shape[1]
        if wanted != got:
            raise ValueError(f"DeepFlow: w_1 takes {wanted} inputs, the data have {got}; give data of {wanted} columns")
        return net
