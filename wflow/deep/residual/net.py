"""This file owns the residual network of m neurons a layer: explicit Euler of z' = int psi(z; w) dpi_s(w)."""

from dataclasses import dataclass, field

import numpy as np

from wflow.activation import Activation, activation
from wflow.arrays import Array, shaped, weights_of_mass_one
from wflow.deep import layers


@dataclass(frozen=True, eq=False)
class Pass:
    """What data see: states z_0 .. z_L (L + 1, n, D), and v.z_l + c of every neuron (L, n, m)."""

    states: Array
    before: Array


@dataclass(frozen=True, eq=False)
class ResidualNet:
    """z_0 = x, z_{l+1} = z_l + (1/L) sum_j p_j u_lj sigma(v_lj.z_l + c_lj), l = 0 .. L - 1, prediction = g.z_L + b.

    atoms: w = (u, v, c) of every layer (L, m, 2 D + 1); with the layer's place s_l = l/L and masses p_j/L they are a
    measure pi on [0, 1] x R^(2D+1) whose marginal in s is uniform over layers.   readout: g (D,).   offset: b.
    masses: p (m,) of sum 1, the same in each layer; 1/m if left out.   More room than the input has: pad x with zeros.
    Raises ValueError where shapes do not fit.
    Source: the scaling of Lu, Ma, Lu, Lu & Ying 2020, arXiv:2003.05508; Ding, Chen, Li & Wright 2021, arXiv:2105.14417.
    """

    atoms: Array
    readout: Array
    activation: Activation = field(default_factory=lambda: activation("tanh"))
    offset: float = 0.0
    masses: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if not isinstance(self.activation, Activation):
            raise TypeError(f"ResidualNet activation: got {self.activation!r}; pass activation(name)")
        readout = shaped("ResidualNet readout", self.readout, (None,))
        atoms = shaped("ResidualNet atoms", self.atoms, (None, None, 2 * len(readout) + 1))
        m = atoms.shape[1]
        masses = np.full(m, 1.0 / m) if self.masses is None else self.masses
        object.__setattr__(self, "atoms", atoms)
        object.__setattr__(self, "readout", readout)
        object.__setattr__(self, "offset", float(shaped("ResidualNet offset", self.offset, ())))
        object.__setattr__(self, "masses", weights_of_mass_one("ResidualNet masses", masses, m))

    @property
    def depth(self) -> int:
        """L."""
        return len(self.atoms)

    @property
    def width(self) -> int:
        """m."""
        return int(self.atoms.shape[1])

    @property
    def dim(self) -> int:
        """D."""
        return len(self.readout)

    def arrays(self) -> dict[str, Array]:
        """What a flow moves, by name."""
        return {"atoms": self.atoms, "readout": self.readout, "offset": np.array(self.offset)}

    def holding(self, arrays: dict[str, Array]) -> "ResidualNet":
        """The same network with these in their place, which are not checked again."""
        return changed(self, arrays["atoms"], arrays["readout"], float(arrays["offset"]))

    def run(self, x: Array) -> Pass:
        """All states at inputs x (n, D), which are not checked: it is done at every stage."""
        states = np.empty((self.depth + 1, *x.shape))
        before = np.empty((self.depth, len(x), self.width))
        states[0], h = x, 1.0 / self.depth
        for i, layer in enumerate(self.atoms):
            u, v, c = parts(layer)
            np.add(states[i] @ v.T, c, out=before[i])
            states[i + 1] = states[i] + layers.values(self.activation, before[i]) @ ((h * self.masses)[:, None] * u)
        return Pass(states, before)

    def predict(self, x: Array) -> Array:
        """(n,), at inputs x (n, D); ValueError for others."""
        states = self.run(shaped("ResidualNet inputs", x, (None, self.dim))).states
        return np.asarray(states[-1] @ self.readout + self.offset)


def parts(w: Array) -> tuple[Array, Array, Array]:
    """u (m, D), v (m, D), c (m,) of parameters (m, 2 D + 1), views."""
    dim = w.shape[-1] // 2
    return w[:, :dim], w[:, dim:-1], w[:, -1]


def changed(net: ResidualNet, atoms: Array, readout: Array, offset: float) -> ResidualNet:
    """Other weights of the same shapes, which are not checked again: it is done at every stage."""
    made = object.__new__(ResidualNet)
    new = {"atoms": atoms, "readout": readout, "offset": offset}
    for name in net.__dataclass_fields__:
        object.__setattr__(made, name, new.get(name, getattr(net, name)))
    return made
