"""This file owns what networks are to learn, in closed form and by samples: one neuron, the mean of several, a ring.

    single    f* = relu(x_1),                   several   f* = (1/k) sum_l relu(u_l . x), u_l uniform on the sphere
    ring      f* = |(x_1, x_2)|/pi, the mean of relu(u . x) over the unit circle of the first two coordinates
F(0) = E f*^2/2 is 1/4 for one neuron and 1/pi^2 for the ring under N(0, I_d), over d on the sphere (derived).
"""

from typing import Literal

import numpy as np

from wflow.activation import activation
from wflow.arrays import Array, count, shaped
from wflow.data import Data
from wflow.domain import space
from wflow.energy import Energy, population_risk
from wflow.implicit.population import INPUTS, Inputs, PopulationKernel
from wflow.implicit.ring import Ring, ring_target
from wflow.law import Atoms
from wflow.neuron import RidgeNeuron
from wflow.space_kernel import ReluSpaceKernel
from wflow.terms import Risk

Teacher = Atoms | Ring
Kind = Literal["single", "several", "ring"]
KINDS = ("single", "several", "ring")


def teacher(kind: Kind, dim: int, *, teachers: int = 5, seed: int = 0) -> Teacher:
    """The law of neurons whose mean is f*; `teachers` and `seed` are those of "several". ValueError for other kinds."""
    count("dim", dim, least=2)
    if kind not in KINDS:
        raise ValueError(f"target: {kind!r} is not known; give one of {', '.join(KINDS)}")
    if kind == "ring":
        return Ring(dim)
    units = np.eye(dim)[:1]
    if kind == "several":
        rng = np.random.default_rng([count("seed", seed, least=0), 1])
        gauss = rng.standard_normal((count("teachers", teachers), dim))
        units = gauss / np.linalg.norm(gauss, axis=1)[:, None]
    return Atoms(space(dim + 1), np.column_stack([np.ones(len(units)), units]))


def dim_of(target: Teacher) -> int:
    """d."""
    return target.domain.dim - 1


def directions_of(target: Teacher) -> Array:
    """Unit teachers (k, d); of a ring 64 of them."""
    points = target.quantised(64) if isinstance(target, Ring) else target.points
    return np.asarray(points[:, 1:])


def value(target: Teacher, x: Array) -> Array:
    """f* (n,) at inputs x (n, d)."""
    x = shaped("value x", x, (None, dim_of(target)))
    if isinstance(target, Ring):
        return ring_target(x)
    return np.asarray(np.maximum(x @ target.points[:, 1:].T, 0.0) @ (target.weights * target.points[:, 0]))


def population(target: Teacher, inputs: Inputs = "gaussian") -> Energy:
    """F = E (f_pi - f*)^2/2 in closed form: n = infinity."""
    plain = inputs == "gaussian" and isinstance(target, Atoms)
    # the house knows more of this one: certificates, steps by norms
    kernel = ReluSpaceKernel(dim_of(target)) if plain else PopulationKernel(dim_of(target), inputs)
    return Energy(*population_risk(kernel, target))


def drawn(target: Teacher, n: int, rng: np.random.Generator, inputs: Inputs = "gaussian") -> Data:
    """n independent inputs with their targets, without noise."""
    if inputs not in INPUTS:
        raise ValueError(f"inputs: {inputs!r} is not known; give one of {', '.join(INPUTS)}")
    x = rng.standard_normal((count("n", n), dim_of(target)))
    if inputs == "sphere":
        x /= np.linalg.norm(x, axis=1)[:, None]
    return Data(x, value(target, x))


def empirical(data: Data) -> Energy:
    """F = (1/2n) sum_i (f_pi(x_i) - y_i)^2."""
    return Energy(Risk(RidgeNeuron(activation("relu"), data.inputs.shape[1], outer=True), data))
