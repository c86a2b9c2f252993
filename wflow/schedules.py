"""This file owns schedules of a temperature: T(t) > 0, not increasing, with its means over steps."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.integrate import quad

from wflow.arrays import finite, positive

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_FORGOTTEN = 40.0
"""Of a rate times a time: e^-40 is below rounding."""


class Schedule(ABC):
    """T(t), t >= 0: above 0 and never rising. `str` is its formula."""

    @abstractmethod
    def __call__(self, t: float) -> float:
        """T at a time t >= 0."""

    @abstractmethod
    def mean(self, a: float, b: float) -> float:
        """(1/(b - a)) int_a^b T dt, 0 <= a < b."""

    def relaxed(self, rate: float, t: float) -> float:
        """int_0^t e^{-rate (t - s)} T(s) ds: the heat that is left of what a schedule gave, to 1e-12 of itself.

        A Gaussian in the well lam w^2/2 keeps its shape, var' = -2 lam var + 2 T(t), so that
        var(t) = var(0) e^{-2 lam t} + 2 relaxed(2 lam, t).   By quadrature between the times at which T jumps.
        """
        positive("relaxed rate", rate)
        first = max(0.0, t - _FORGOTTEN / rate)
        cuts = [first, *(s for s in self.jumps if first < s < t), t]
        parts = [
            quad(lambda s: math.exp(-rate * (t - s)) * self(s), a, math.nextafter(b, a), epsabs=0.0, epsrel=1e-13)[0]
            for a, b in pairwise(cuts)
            if b > a
        ]
        return float(math.fsum(parts))

    @property
    def jumps(self) -> Sequence[float]:
        """Times at which T jumps."""
        return ()


@dataclass(frozen=True)
class Exponential(Schedule):
    """T(t) = temperature e^{-rate t}: heat runs out after finite time in all, int T = temperature/rate."""

    temperature: float
    rate: float

    def __post_init__(self) -> None:
        positive("Exponential temperature", self.temperature)
        positive("Exponential rate", self.rate)

    def __call__(self, t: float) -> float:
        return self.temperature * math.exp(-self.rate * t)

    def mean(self, a: float, b: float) -> float:
        """T(a) (1 - e^{-x})/x, x = rate (b - a)."""
        x = self.rate * (b - a)
        return self(a) * -math.expm1(-x) / x

    def __str__(self) -> str:
        return f"{self.temperature:g} exp(-{self.rate:g} t)"


@dataclass(frozen=True)
class Power(Schedule):
    """T(t) = temperature (1 + t/scale)^-exponent."""

    temperature: float
    exponent: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("temperature", "exponent", "scale"):
            positive(f"Power {name}", getattr(self, name))

    def __call__(self, t: float) -> float:
        return float(self.temperature * (1.0 + t / self.scale) ** -self.exponent)

    def mean(self, a: float, b: float) -> float:
        """T(a) times (e^{(1 - exponent) u} - 1)/((1 - exponent)(e^u - 1)), u = log((scale + b)/(scale + a))."""
        u = math.log1p((b - a) / (self.scale + a))
        k = 1.0 - self.exponent
        return self(a) * (u if k == 0.0 else math.expm1(k * u) / k) / math.expm1(u)

    def __str__(self) -> str:
        return f"{self.temperature:g} (1 + t/{self.scale:g})^-{self.exponent:g}"


@dataclass(frozen=True)
class Logarithmic(Schedule):
    """T(t) = strength/log(offset + t), offset > 1: so slow that heat never runs out, whatever the barrier."""

    strength: float
    offset: float = 2.0

    def __post_init__(self) -> None:
        positive("Logarithmic strength", self.strength)
        if not float(finite("Logarithmic offset", self.offset)) > 1.0:
            raise ValueError(f"Logarithmic offset: {self.offset!r} is not above 1, where log(offset) > 0; give 2")

    def __call__(self, t: float) -> float:
        return self.strength / math.log(self.offset + t)

    def mean(self, a: float, b: float) -> float:
        """By 32 nodes of Gauss and Legendre in u = log(offset + t): 1e-15 for b < 100 (offset + a), 1e-12 to 1e6."""
        low, wide = math.log(self.offset + a), math.log1p((b - a) / (self.offset + a))
        u = low + 0.5 * wide * (1.0 + _NODES)
        # divided by e^low, which the length b - a is a multiple of too
        heat = 0.5 * wide * float(_WEIGHTS @ (np.exp(u - low) / u))
        return self.strength * heat / math.expm1(wide)

    def __str__(self) -> str:
        return f"{self.strength:g}/log({self.offset:g} + t)"


@dataclass(frozen=True)
class Piecewise(Schedule):
    """T = temperatures[k] on [times[k-1], times[k]), times[-1] standing for 0: one more temperature than times."""

    times: Sequence[float]
    temperatures: Sequence[float]

    def __post_init__(self) -> None:
        for name in ("times", "temperatures"):
            object.__setattr__(self, name, tuple(float(x) for x in np.atleast_1d(finite(name, getattr(self, name)))))
        if len(self.temperatures) != len(self.times) + 1:
            raise ValueError(
                f"Piecewise temperatures: {len(self.temperatures)} of them for {len(self.times)} times; give one more"
            )
        if any(b <= a for a, b in zip((0.0, *self.times), self.times, strict=False)):
            raise ValueError(f"Piecewise times: {list(self.times)} do not increase from above 0; sort them")
        if min(self.temperatures) <= 0.0 or any(np.diff(self.temperatures) > 0.0):
            raise ValueError(
                f"Piecewise temperatures: {list(self.temperatures)} must be above 0 and never rise; sort them downwards"
            )

    @property
    def jumps(self) -> Sequence[float]:
        """Its times."""
        return self.times

    def __call__(self, t: float) -> float:
        return self.temperatures[int(np.searchsorted(self.times, t, side="right"))]

    def mean(self, a: float, b: float) -> float:
        """The exact mean, across jumps too."""
        cuts = [a, *(s for s in self.times if a < s < b), b]
        heat = math.fsum(self(p) * (q - p) for p, q in pairwise(cuts))
        return self(a) if len(cuts) == 2 else heat / (b - a)

    def __str__(self) -> str:
        steps = [f", {b:g} from {t:g}" for t, b in zip(self.times, self.temperatures[1:], strict=True)]
        return f"{self.temperatures[0]:g}" + "".join(steps)


SCHEDULES: tuple[type[Schedule], ...] = (Exponential, Power, Logarithmic, Piecewise)
"""What a config of `wflow run` may name."""
