"""This file owns the activations of wflow.activation once more, as formulas for compiled kernels.

A kernel is compiled for the type of its sigma; inside it value(sigma, z), slope(sigma, z) and bend(sigma, z) = sigma''
are the formula itself, without a branch, so that loops over it become vector code. At a kink the slope is the mean of
both sides; NaN stays NaN. Importing this file imports numba.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from wflow.activation import Activation, parameter_of
from wflow.compiled import by_type, inlined
from wflow.elementary import FARTHEST_ANGLE, cos, erf, erfcx_above, exp, expm1, log1p_unit, sin, tanh

_ROOT_2 = math.sqrt(2.0)
_PER_ROOT_2_PI = 1.0 / math.sqrt(2.0 * math.pi)
_TWO_PER_ROOT_PI = 2.0 / math.sqrt(math.pi)


@inlined
def _step(z: float) -> float:
    """0, 1/2 at 0, 1."""
    return 1.0 if z > 0.0 else (0.0 if z < 0.0 else 0.5 + z)


@inlined
def _above(z: float) -> float:
    """max(z, 0)."""
    return 0.0 if z < 0.0 else z


@inlined
def _below(z: float) -> float:
    """min(z, 0)."""
    return 0.0 if z > 0.0 else z


@inlined
def _logistic(z: float) -> float:
    """1/(1 + e^-z) without overflow."""
    e = exp(-abs(z))
    return (e if z < 0.0 else 1.0) / (1.0 + e)


@inlined
def _hump(z: float) -> float:
    """The logistic function's slope, e^z/(1 + e^z)^2."""
    e = exp(-abs(z))
    return e / ((1.0 + e) * (1.0 + e))


@inlined
def _bell(z: float) -> float:
    """sqrt(2 pi) times the normal density."""
    return exp(-0.5 * z * z)


@inlined
def _normal(z: float) -> float:
    """The normal distribution function; its lower tail keeps its digits."""
    tail = 0.5 * _bell(z) * erfcx_above(abs(z) / _ROOT_2)
    return 1.0 - tail if z > 0.0 else tail


class Linear(NamedTuple):
    """z."""

    b: float


class Quadratic(NamedTuple):
    """z^2."""

    b: float


class Relu(NamedTuple):
    """max(z - b, 0)."""

    b: float


class LeakyRelu(NamedTuple):
    """z above 0, b z below."""

    b: float


class ReluSquared(NamedTuple):
    """max(z, 0)^2."""

    b: float


class Softplus(NamedTuple):
    """log(1 + e^{b z})/b."""

    b: float


class Gelu(NamedTuple):
    """z times the normal distribution function."""

    b: float


class Tanh(NamedTuple):
    """tanh b z."""

    b: float


class Erf(NamedTuple):
    """erf b z."""

    b: float


class Sigmoid(NamedTuple):
    """1/(1 + e^{-b z})."""

    b: float


class Elu(NamedTuple):
    """z above 0, e^z - 1 below."""

    b: float


class CosMinusSin(NamedTuple):
    """cos b z - sin b z."""

    b: float


class Dirichlet(NamedTuple):
    """1 + 2 sum_{k=1}^b cos k z."""

    b: float


@inlined
def _low_waves(b: float, z: float) -> tuple[float, float, float]:
    """sum over k = 1 ... b of cos kz, k sin kz and k^2 cos kz, from one turn by z after the other."""
    c, s = cos(z), sin(z)
    c_k, s_k, value, slope, bend = 1.0, 0.0, 0.0, 0.0, 0.0
    for n in range(int(b)):
        k = n + 1.0
        c_k, s_k = c_k * c - s_k * s, s_k * c + c_k * s
        value, slope, bend = value + c_k, slope + k * s_k, bend + k * k * c_k
    return value, slope, bend


Formula = (
    Linear
    | Quadratic
    | Relu
    | LeakyRelu
    | ReluSquared
    | Softplus
    | Gelu
    | Tanh
    | Erf
    | Sigmoid
    | Elu
    | CosMinusSin
    | Dirichlet
)
NAMES: dict[str, type[Formula]] = {
    "linear": Linear,
    "quadratic": Quadratic,
    "relu": Relu,
    "leaky_relu": LeakyRelu,
    "relu_squared": ReluSquared,
    "softplus": Softplus,
    "gelu": Gelu,
    "tanh": Tanh,
    "erf": Erf,
    "sigmoid": Sigmoid,
    "elu": Elu,
    "cos_minus_sin": CosMinusSin,
    "dirichlet": Dirichlet,
}
# value, slope, bend as functions of b and z; no bend where sigma' jumps
_LINES: dict[type[Formula], tuple[Callable[[float, float], float], ...]] = {
    Linear: (lambda b, z: z, lambda b, z: 1.0, lambda b, z: 0.0),
    Quadratic: (lambda b, z: z * z, lambda b, z: 2.0 * z, lambda b, z: 2.0),
    Relu: (lambda b, z: _above(z - b), lambda b, z: _step(z - b)),
    LeakyRelu: (lambda b, z: z if z > 0.0 else b * z, lambda b, z: b + (1.0 - b) * _step(z)),
    ReluSquared: (lambda b, z: _above(z) * _above(z), lambda b, z: 2.0 * _above(z), lambda b, z: 2.0 * _step(z)),
    Softplus: (
        lambda b, z: (_above(b * z) + log1p_unit(exp(-abs(b * z)))) / b,
        lambda b, z: _logistic(b * z),
        lambda b, z: b * _hump(b * z),
    ),
    Gelu: (
        lambda b, z: z * _normal(z),
        lambda b, z: _normal(z) + _PER_ROOT_2_PI * z * _bell(z),
        lambda b, z: _PER_ROOT_2_PI * (2.0 - z * z) * _bell(z),
    ),
    Tanh: (
        lambda b, z: tanh(z, b),
        lambda b, z: b * (1.0 - tanh(z, b) * tanh(z, b)),
        lambda b, z: -2.0 * b * b * tanh(z, b) * (1.0 - tanh(z, b) * tanh(z, b)),
    ),
    Erf: (
        lambda b, z: erf(b * z),
        lambda b, z: b * _TWO_PER_ROOT_PI * exp(-(b * z) * (b * z)),
        lambda b, z: -2.0 * b * b * z * (b * _TWO_PER_ROOT_PI * exp(-(b * z) * (b * z))),
    ),
    Sigmoid: (
        lambda b, z: _logistic(b * z),
        lambda b, z: b * _hump(b * z),
        lambda b, z: b * b * _hump(b * z) * (1.0 - 2.0 * _logistic(b * z)),
    ),
    Elu: (
        lambda b, z: z if z > 0.0 else expm1(_below(z)),
        lambda b, z: exp(_below(z)),
        lambda b, z: exp(_below(z)) * _step(-z),
    ),
    CosMinusSin: (
        lambda b, z: cos(b * z) - sin(b * z),
        lambda b, z: -b * (sin(b * z) + cos(b * z)),
        lambda b, z: -b * b * (cos(b * z) - sin(b * z)),
    ),
    Dirichlet: (
        lambda b, z: 1.0 + 2.0 * _low_waves(b, z)[0],
        lambda b, z: -2.0 * _low_waves(b, z)[1],
        lambda b, z: -2.0 * _low_waves(b, z)[2],
    ),
}


_COMPILED: dict[type[Formula], tuple[Any, ...]] = {
    kind: tuple(inlined(line) for line in lines) for kind, lines in _LINES.items()
}


def value(sigma: Formula, z: float) -> float:
    """sigma(z)."""
    return float(_COMPILED[type(sigma)][0](sigma.b, z))


def slope(sigma: Formula, z: float) -> float:
    """sigma'(z)."""
    return float(_COMPILED[type(sigma)][1](sigma.b, z))


def bend(sigma: Formula, z: float) -> float:
    """sigma''(z)."""
    return float(_COMPILED[type(sigma)][2](sigma.b, z))


@by_type(value)
def _value(sigma: Any, z: Any) -> Any:
    line = _COMPILED[sigma.instance_class][0]
    return lambda sigma, z: line(sigma.b, z)


@by_type(slope)
def _slope(sigma: Any, z: Any) -> Any:
    line = _COMPILED[sigma.instance_class][1]
    return lambda sigma, z: line(sigma.b, z)


@by_type(bend)
def _bend(sigma: Any, z: Any) -> Any:
    line = _COMPILED[sigma.instance_class][2]
    return lambda sigma, z: line(sigma.b, z)


def formula_of(sigma: Activation) -> Formula | None:
    """The formula of an activation; None for one that is not the house's, or is not among these."""
    b = parameter_of(sigma)
    return None if b is None or sigma.name not in NAMES else NAMES[sigma.name](b)


def reach(sigma: Formula) -> float:
    """The largest |z| for which the formula keeps its digits."""
    if isinstance(sigma, Dirichlet):
        return FARTHEST_ANGLE
    return FARTHEST_ANGLE / abs(sigma.b) if isinstance(sigma, CosMinusSin) else math.inf
