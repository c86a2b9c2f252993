"""This file owns the verdict on a parametrisation: does it blow up, stand still, keep its kernel, or move its features?

With spread p = a + b and pace q = 2 a + c, input layer 1, hidden 2..L, output L + 1 (derived: one step of descent has
dF/dx^L of size n^{-min(p_{L+1}, q_{L+1})}, and sums of n aligned terms are of size n):

    r_l = min(p_{L+1}, q_{L+1}) - 1 + q_l + 1(l = 1)     what the weights of layer l alone do to h^l is n^{-r_l}
    min_{k <= l} r_k                                     the exponent of the movement of h^l,   r = min_{l <= L} r_l
    h^l starts at size 1:   p_1 = 0, p_l = 1/2;          f at size n^{1/2 - p_{L+1}} at most
    f moves by              n^{1 - q_{L+1}}  (output weights)  and  n^{1 - p_{L+1} - r}  (features)
Source: Yang & Hu 2021, Definition 3.2, Theorems 3.3 and 3.4; by layer and with a rate for each, derived.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from wflow.arrays import count
from wflow.deep.parametrisation.table import HALF, Parametrisation


class Regime(StrEnum):
    """What becomes of a network as n grows, at a fixed number of steps."""

    UNSTABLE = "unstable"
    TRIVIAL = "trivial"
    KERNEL = "kernel"
    FEATURES = "feature learning"


@dataclass(frozen=True)
class Verdict:
    """The regime and why; r, and the exponents of the movement of h^1 .. h^L (movement ~ n^{-exponent}).

    alive: hidden layers start at size 1. Otherwise r and movement, derived for such a start, mean nothing.
    """

    regime: Regime
    reason: str
    r: Fraction
    movement: tuple[Fraction, ...]
    alive: bool

    @property
    def stable(self) -> bool:
        """Whether nothing blows up and hidden layers are alive at the start, be it that f does not move."""
        return self.alive and self.regime is not Regime.UNSTABLE


def verdict(of: Parametrisation, hidden: int) -> Verdict:
    """Of networks with so many hidden layers. What is derived for a start of size 1 is not claimed of a dead start."""
    if not isinstance(of, Parametrisation):
        raise TypeError(f"verdict of: got {of!r}; pass a Parametrisation, such as MUP or Parametrisation.of(..)")
    count("verdict hidden", hidden)
    movement = _movement(of, hidden)
    alive = all(exponent == 0 for _, exponent in _sizes(of, hidden))
    return Verdict(*_regime(of, hidden, movement[-1]), movement[-1], movement, alive)


def _regime(of: Parametrisation, hidden: int, r: Fraction) -> tuple[Regime, str]:
    """The first thing that is wrong, or what is right."""
    for wrong in (*_start(of, hidden), *_steps(of, r)):
        return wrong
    if r > 0:
        return Regime.KERNEL, f"r = {r} > 0: features stand still, f moves"
    return Regime.FEATURES, "r = 0: features move at any width"


def _movement(of: Parametrisation, hidden: int) -> tuple[Fraction, ...]:
    """min_{k <= l} r_k for l = 1..L."""
    back = min(of.spread[2], of.pace[2]) - 1
    found = [back + of.pace[0] + 1]
    for _ in range(hidden - 1):
        found.append(min(found[-1], back + of.pace[1]))
    return tuple(found)


def _sizes(of: Parametrisation, hidden: int) -> list[tuple[str, Fraction]]:
    """Hidden layers start at n^{-exponent}."""
    first, middle, _ = of.spread
    return [("h^1", first), *([("h^l, l > 1,", middle - HALF)] if hidden > 1 else [])]


def _start(of: Parametrisation, hidden: int) -> Iterator[tuple[Regime, str]]:
    """What is wrong with sizes at the start."""
    sizes = _sizes(of, hidden)
    for what, exponent in (*sizes, ("f", min(of.spread[2] - HALF, Fraction(0)))):
        if exponent < 0:
            yield Regime.UNSTABLE, f"{what} starts at size n^{-exponent}"
    for what, exponent in sizes:
        if exponent > 0:
            yield Regime.TRIVIAL, f"{what} starts at size n^-{exponent}: the limit starts at rest"


def _steps(of: Parametrisation, r: Fraction) -> Iterator[tuple[Regime, str]]:
    """What is wrong with the first steps."""
    if r < 0:
        yield Regime.UNSTABLE, f"r = {r} < 0: features move by n^{-r} a step"
    by = max(1 - of.pace[2], 1 - of.spread[2] - r)
    if by > 0:
        yield Regime.UNSTABLE, f"f moves by n^{by} a step"
    if by < 0:
        yield Regime.TRIVIAL, f"f does not move: n^{by} a step"
