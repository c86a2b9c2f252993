"""This file owns scalar activations sigma(z) with their derivatives and their kinks."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erf, expit, ndtr

from wflow.arrays import Array, count, finite, nearest

Scalar = Callable[[Array], Array]


@dataclass(frozen=True)
class Activation:
    """sigma, sigma' and sigma'' applied elementwise; `curvature` is None where sigma' jumps.

    kinks: the numbers z where sigma is not smooth (quadrature splits there). At a kink `slope` is the mean of both
    sides, the choice that keeps symmetric configurations symmetric.
    odd_degree: degree of (sigma(z) - sigma(-z))/2 where that is a polynomial (0: it vanishes), else None; even_degree
    likewise of the even part. They make null modes on the circle.
    power: p of kinks like (z - k)_+^p; None: 1 where sigma' jumps, else 2.
    """

    name: str
    value: Scalar
    slope: Scalar
    curvature: Scalar | None = None
    kinks: tuple[float, ...] = ()
    parameter: float | None = None
    odd_degree: int | None = None
    even_degree: int | None = None
    power: float | None = None

    @property
    def breaks(self) -> float:
        """The power p of its kinks, inf where it has none."""
        return (self.power or (1.0 if self.curvature is None else 2.0)) if self.kinks else math.inf

    def __str__(self) -> str:
        return self.name if self.parameter is None else f"{self.name}({self.parameter:g})"


def relu(threshold: float = 0.0) -> Activation:
    """max(z - threshold, 0)."""
    return Activation(
        "relu",
        lambda z: np.maximum(z - threshold, 0.0),
        lambda z: np.heaviside(z - threshold, 0.5),
        kinks=(threshold,),
        parameter=threshold or None,
        odd_degree=None if threshold else 1,
    )


def leaky_relu(leak: float = 0.1) -> Activation:
    """z for z > 0, leak z below."""
    return Activation(
        "leaky_relu",
        lambda z: np.where(z > 0.0, z, leak * z),
        lambda z: leak + (1.0 - leak) * np.heaviside(z, 0.5),
        kinks=(0.0,),
        parameter=leak,
        odd_degree=1,
    )


def relu_squared() -> Activation:
    """max(z, 0)^2."""
    return Activation(
        "relu_squared",
        lambda z: np.maximum(z, 0.0) ** 2,
        lambda z: 2.0 * np.maximum(z, 0.0),
        lambda z: 2.0 * np.heaviside(z, 0.5),
        kinks=(0.0,),
        even_degree=2,
    )


def softplus(sharpness: float = 1.0) -> Activation:
    """log(1 + e^{s z}) / s."""
    s = sharpness
    return Activation(
        "softplus",
        lambda z: np.logaddexp(0.0, s * z) / s,
        lambda z: expit(s * z),
        lambda z: s * expit(s * z) * expit(-s * z),
        parameter=s,
        odd_degree=1,
    )


def gelu() -> Activation:
    """z Phi(z), Phi the normal distribution function."""

    def bell(z: Array) -> Array:
        return np.asarray(np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))

    return Activation(
        "gelu", lambda z: z * ndtr(z), lambda z: ndtr(z) + z * bell(z), lambda z: (2.0 - z * z) * bell(z), odd_degree=1
    )


def tanh(scale: float = 1.0) -> Activation:
    """tanh(scale z)."""

    def slope(z: Array) -> Array:
        return np.asarray(scale * (1.0 - np.tanh(scale * z) ** 2))

    return Activation(
        "tanh",
        lambda z: np.tanh(scale * z),
        slope,
        lambda z: -2.0 * scale * np.tanh(scale * z) * slope(z),
        parameter=None if scale == 1.0 else scale,
        even_degree=0,
    )


def erf_unit(scale: float = 1.0) -> Activation:
    """erf(scale z)."""

    def slope(z: Array) -> Array:
        return np.asarray(2.0 * scale / math.sqrt(math.pi) * np.exp(-((scale * z) ** 2)))

    return Activation(
        "erf",
        lambda z: erf(scale * z),
        slope,
        lambda z: -2.0 * scale**2 * z * slope(z),
        parameter=None if scale == 1.0 else scale,
        even_degree=0,
    )


def sigmoid(scale: float = 1.0) -> Activation:
    """1 / (1 + e^{-scale z})."""

    def slope(z: Array) -> Array:
        return np.asarray(scale * expit(scale * z) * expit(-scale * z))

    return Activation(
        "sigmoid",
        lambda z: expit(scale * z),
        slope,
        lambda z: scale * slope(z) * (1.0 - 2.0 * expit(scale * z)),
        parameter=None if scale == 1.0 else scale,
        even_degree=0,
    )


def elu() -> Activation:
    """z for z > 0, e^z - 1 below; sigma'' jumps at 0."""
    return Activation(
        "elu",
        lambda z: np.where(z > 0.0, z, np.expm1(np.minimum(z, 0.0))),
        lambda z: np.exp(np.minimum(z, 0.0)),
        lambda z: np.exp(np.minimum(z, 0.0)) * np.heaviside(-z, 0.5),
        kinks=(0.0,),
    )


def cos_minus_sin(frequency: float = 1.0) -> Activation:
    """cos(b z) - sin(b z): every Fourier mode of its circle kernel is positive."""
    b = frequency
    return Activation(
        "cos_minus_sin",
        lambda z: np.cos(b * z) - np.sin(b * z),
        lambda z: -b * (np.sin(b * z) + np.cos(b * z)),
        lambda z: -b * b * (np.cos(b * z) - np.sin(b * z)),
        parameter=b,
    )


def linear() -> Activation:
    """z."""
    return Activation("linear", lambda z: np.asarray(z), np.ones_like, np.zeros_like, odd_degree=1, even_degree=0)


def quadratic() -> Activation:
    """z^2."""
    return Activation(
        "quadratic", np.square, lambda z: 2.0 * z, lambda z: np.full_like(z, 2.0), odd_degree=0, even_degree=2
    )


def gaussian() -> Activation:
    """exp(-z^2/2): a bump. No name of the list: as a ridge function it would not see far inputs."""

    def bell(z: Array) -> Array:
        return np.asarray(np.exp(-0.5 * z * z))

    return Activation("gaussian", bell, lambda z: -z * bell(z), lambda z: (z * z - 1.0) * bell(z), odd_degree=0)


def dirichlet(degree: float = 2) -> Activation:
    """1 + 2 sum_{k=1}^n cos k z, the Dirichlet kernel of degree n: the point spread of a low-pass filter on the circle.

    Against it int D(x - w) D(x - w') dx/2 pi = D(w - w').   Raises TypeError for a degree that is no whole number.
    """
    whole = int(degree) if isinstance(degree, float) and degree.is_integer() else degree  # b is a float elsewhere
    k = np.arange(1.0, count("activation b, the degree of dirichlet", whole) + 1.0)

    def waves(wave: Scalar, z: Array, power: int) -> Array:
        return np.asarray(2.0 * sum(n**power * wave(n * z) for n in k))

    return Activation(
        "dirichlet",
        lambda z: 1.0 + waves(np.cos, z, 0),
        lambda z: -waves(np.sin, z, 1),
        lambda z: -waves(np.cos, z, 2),
        parameter=float(degree),
        odd_degree=0,
    )


PARAMETERLESS: dict[str, Callable[[], Activation]] = {
    "linear": linear,
    "quadratic": quadratic,
    "gelu": gelu,
    "elu": elu,
    "relu_squared": relu_squared,
}
ONE_PARAMETER: dict[str, Callable[[float], Activation]] = {
    "relu": relu,
    "tanh": tanh,
    "cos_minus_sin": cos_minus_sin,
    "leaky_relu": leaky_relu,
    "softplus": softplus,
    "erf": erf_unit,
    "sigmoid": sigmoid,
    "dirichlet": dirichlet,
}
DEFAULTS = {"relu": 0.0, "leaky_relu": 0.1, "dirichlet": 2.0}


def activation(name: str, b: float | None = None) -> Activation:
    """The activation of that name; b is its parameter (relu: threshold; cos_minus_sin: frequency; tanh: scale;
    dirichlet: degree).

    Raises ValueError for an unknown name, listing the known ones, and for a parameter that the name does not take.
    """
    if name in PARAMETERLESS:
        if b is not None:
            raise ValueError(f"activation b: {name} has no parameter, got {b!r}; leave b out")
        return PARAMETERLESS[name]()
    if name in ONE_PARAMETER:
        value = DEFAULTS.get(name, 1.0) if b is None else float(finite("activation b", b))
        if name not in ("relu", "leaky_relu") and value <= 0.0:
            raise ValueError(f"activation b: {name} needs b > 0, got {value:g}")
        return ONE_PARAMETER[name](value)
    raise ValueError(
        f"activation: unknown name {name!r}; {nearest(str(name), sorted([*PARAMETERLESS, *ONE_PARAMETER]))}"
    )


def rounded(sigma: Activation, width: float) -> Activation:
    """A piecewise linear sigma with each kink z_0 rounded over |z - z_0| < width, where it becomes a parabola.

    sigma + jump (width - |z - z_0|)^2/(4 width) there, jump that of sigma': at most jump width/4 off, with sigma'
    continuous. Raises ValueError for an activation that is not known to be piecewise linear.
    """
    if not piecewise_linear(sigma):
        raise ValueError(f"rounded: {sigma} is not known to be piecewise linear; give relu or leaky_relu")
    edge = 1e-6 * max([1.0, *map(abs, sigma.kinks)])
    ends = np.asarray(sigma.kinks) + np.array([[-edge], [edge]])
    jumps = dict(zip(sigma.kinks, np.subtract(*sigma.slope(ends)[::-1]).tolist(), strict=True))

    def inside(z: Array, kink: float) -> Array:
        return np.maximum(width - np.abs(z - kink), 0.0)

    def slope(z: Array) -> Array:
        bent = sum(jump * np.sign(z - k) * inside(z, k) for k, jump in jumps.items())
        return np.asarray(sigma.slope(z) - bent / (2.0 * width))

    return Activation(
        f"rounded {sigma.name}",
        lambda z: sigma.value(z) + sum(jump * inside(z, k) ** 2 for k, jump in jumps.items()) / (4.0 * width),
        slope,
        lambda z: np.asarray(sum(jump * (inside(z, k) > 0.0) for k, jump in jumps.items()) / (2.0 * width)),
        parameter=sigma.parameter,
    )


def piecewise_linear(sigma: Activation) -> bool:
    """Relu or leaky relu as this file makes them."""
    return sigma.name in ("relu", "leaky_relu") and parameter_of(sigma) is not None


def parameter_of(sigma: Activation) -> float | None:
    """b of an activation made by this file (0: none), by values and slopes at 200 points; None for any other."""
    if sigma.name not in PARAMETERLESS and sigma.name not in ONE_PARAMETER:
        return None
    b = DEFAULTS.get(sigma.name, 1.0) if sigma.parameter is None else sigma.parameter
    ours = PARAMETERLESS[sigma.name]() if sigma.name in PARAMETERLESS else ONE_PARAMETER[sigma.name](b)
    z = np.append(np.linspace(-4.0, 4.0, 199), ours.kinks or 0.0)
    same = np.array_equal(ours.value(z), sigma.value(z)) and np.array_equal(ours.slope(z), sigma.slope(z))
    return b if same else None
