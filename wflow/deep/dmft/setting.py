"""This file owns what is trained in the dynamical mean-field theory: data, depth, gamma0, and equal steps of descent.

A network of `hidden` layers of width N, without biases, started from N(0, 1) weights; mu = 1..P counts data:

    h^1 = W^1 x/sqrt(D)      h^{l+1} = W^{l+1} phi(h^l)/sqrt(N)      f = w . phi(h^L)/(gamma0 N)
    W <- W - rate gamma0^2 N dF/dW      F = (1/2) sum_mu (f_mu - y_mu)^2: the half square loss, summed over the data

For the mean over the data take rate/P. gamma0 = 1 is muP; gamma0 -> 0 is the lazy limit, in which features stand still.
Source: Bordelon & Pehlevan 2022, arXiv:2205.09653.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wflow.arrays import Array, count, finite, positive, shaped


@dataclass(frozen=True, eq=False)
class Setting:
    """inputs (P, D), targets (P,), hidden layers L, gamma0 > 0, rate (eta), and T steps of full gradient descent.

    Raises TypeError or ValueError naming the argument.
    """

    inputs: ArrayLike
    targets: ArrayLike
    hidden: int = 1
    gamma0: float = 1.0
    rate: float = 0.1
    steps: int = 10

    def __post_init__(self) -> None:
        raw = finite("Setting inputs", self.inputs)
        if raw.ndim != 2 or not raw.size:
            raise ValueError(f"Setting inputs: expected shape (P, D), got {raw.shape}; use x[None, :] for one datum")
        inputs = shaped("Setting inputs", raw, (None, None))
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "targets", shaped("Setting targets", self.targets, (len(inputs),)))
        count("Setting hidden", self.hidden)
        positive("Setting gamma0", self.gamma0)
        positive("Setting rate", self.rate)
        count("Setting steps", self.steps)

    @property
    def x(self) -> Array:
        """(P, D)."""
        return np.asarray(self.inputs)

    @property
    def y(self) -> Array:
        """(P,)."""
        return np.asarray(self.targets)

    @property
    def data(self) -> int:
        """P."""
        return len(self.x)

    @property
    def times(self) -> int:
        """T + 1: before the first step, and after each."""
        return self.steps + 1

    @property
    def gram(self) -> Array:
        """Phi^0 = X X^T/D (P, P)."""
        return np.asarray(self.x @ self.x.T / self.x.shape[1])


def checked(name: str, setting: object) -> None:
    """TypeError for anything that is no setting."""
    if not isinstance(setting, Setting):
        raise TypeError(f"{name} setting: got {setting!r}; pass a Setting")
