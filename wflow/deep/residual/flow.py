"""This file owns the initial value problem of a residual network."""

from dataclasses import dataclass, field

import numpy as np

from wflow.arrays import Array, positive, shaped
from wflow.data import Data
from wflow.deep.residual.gradient import ResidualGradient, gradient, risk
from wflow.deep.residual.net import ResidualNet
from wflow.loss import HalfSquare, Loss, check_loss


@dataclass(frozen=True, eq=False)
class ResidualFlow:
    """d_t pi_s = div_w(pi_s grad_w V_s), pi(0) that of the start, 0 <= t <= horizon: the gradient flow of

        F(pi) = E l(g.z_1(x) + b, y) + (ridge/2) int |w|^2 dpi,   z_s' = int psi(z_s; w) dpi_s(w),  z_0 = x

    in the conditional distance COT_2^2(pi, rho) = int_0^1 W2^2(pi_s, rho_s) ds, which keeps the marginal in s: atoms
    of a layer stay there, w_lj' = -grad V_l(w_lj).   rate: xi >= 0 of the readout, (g, b)' = -xi dF/d(g, b); 0: fixed.
    dF/dt = -int |grad V|^2 dpi - xi |dF/d(g, b)|^2.
    Source: Barboni, Peyre & Vialard 2024, arXiv:2403.12887 (the distance); the identity in docs/resnet.md.
    """

    data: Data
    start: ResidualNet
    horizon: float
    loss: Loss = field(default_factory=HalfSquare)
    ridge: float = 0.0
    rate: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.data, Data):
            raise TypeError(f"ResidualFlow data: got {type(self.data).__name__}; pass Data(inputs, targets)")
        if not isinstance(self.start, ResidualNet):
            raise TypeError(f"ResidualFlow start: got {type(self.start).__name__}; pass a ResidualNet")
        positive("ResidualFlow horizon", self.horizon)
        for name in ("ridge", "rate"):
            if not float(shaped(f"ResidualFlow {name}", getattr(self, name), ())) >= 0.0:
                raise ValueError(f"ResidualFlow {name}: {getattr(self, name)} is negative; give 0 or more")
        check_loss("ResidualFlow", self.loss, self.data.targets)
        got, wanted = self.data.inputs.shape[1], self.start.dim
        if got != wanted:
            raise ValueError(f"ResidualFlow: states have {wanted} axes, the data {got}; pad the inputs with zeros")

    def speeds_at(self, t: float) -> Array:
        """The rate of the readout, and the ridge, at any time."""
        return np.array([self.rate, self.ridge])

    def gradient(self, net: ResidualNet) -> ResidualGradient:
        """F and its gradient."""
        return gradient(net, self.data, self.loss, self.ridge)

    def value(self, net: ResidualNet) -> float:
        """F."""
        return risk(net, self.data, self.loss, self.ridge)

    def square(self, g: ResidualGradient) -> float:
        """-dF/dt."""
        return g.square(self.start.masses) + self.rate * g.square_of_readout()
