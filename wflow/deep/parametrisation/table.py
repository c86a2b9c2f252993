"""This file owns the (a, b, c) table: how weights, their start and their rates scale with the width n, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

Exponents = tuple[Fraction, Fraction, Fraction]
"""Of the input layer, of every layer between hidden ones, of the output layer."""
Rational = Fraction | int | str
HALF = Fraction(1, 2)


def exact(name: str, given: object) -> Fraction:
    """A rational number. A float is refused: r = 0 or not is a question about exact numbers."""
    if isinstance(given, bool) or not isinstance(given, Fraction | int | str):
        raise TypeError(f"{name}: {given!r} is no exact number; give an int, a Fraction or a string such as '1/2'")
    try:
        return Fraction(given)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{name}: {given!r} is no number ({error}); write '1/2'") from error


def exponents(name: str, given: object) -> Exponents:
    """Three rational numbers, of input, hidden and output layers."""
    if not isinstance(given, tuple | list) or len(given) != 3:
        raise ValueError(f"{name}: {given!r}; give three numbers, of input, hidden and output layers")
    first, middle, last = (exact(name, one) for one in given)
    return first, middle, last


@dataclass(frozen=True)
class Parametrisation:
    """W^l = n^{-a_l} w^l,   w^l ~ N(0, n^{-2 b_l}),   w^l moves by -eta n^{-c_l} dF/dw^l:   exponents by kind of layer.

    Only spread = a + b (W^l starts at size n^{-spread}) and pace = 2 a + c (W^l moves by -eta n^{-pace} dF/dW^l) are
    seen from outside: (a + s, b - s, c - 2 s) is the same network, layer by layer.
    Source: Yang & Hu 2021, ICML (arXiv:2011.14522), where c is one number.
    """

    name: str
    a: Exponents
    b: Exponents
    c: Exponents

    def __post_init__(self) -> None:
        for name in ("a", "b", "c"):
            object.__setattr__(self, name, exponents(f"Parametrisation {name}", getattr(self, name)))

    @classmethod
    def of(
        cls, name: str, a: Sequence[Rational], b: Sequence[Rational], c: Sequence[Rational] | Rational
    ) -> "Parametrisation":
        """Any (a, b, c); one c stands for all layers. Raises TypeError or ValueError naming the argument."""
        each = c if isinstance(c, tuple | list) else (exact("Parametrisation c", c),) * 3
        return cls(name, *(exponents(f"Parametrisation {n}", e) for n, e in (("a", a), ("b", b), ("c", each))))

    @property
    def spread(self) -> Exponents:
        """a + b."""
        first, middle, last = (a + b for a, b in zip(self.a, self.b, strict=True))
        return first, middle, last

    @property
    def pace(self) -> Exponents:
        """2 a + c."""
        first, middle, last = (2 * a + c for a, c in zip(self.a, self.c, strict=True))
        return first, middle, last

    def shifted(self, by: Sequence[Rational]) -> "Parametrisation":
        """(a + s, b - s, c - 2 s), s a number for each kind of layer: the same network in another form."""
        s = exponents("shifted by", by)
        return Parametrisation.of(
            self.name,
            [a + t for a, t in zip(self.a, s, strict=True)],
            [b - t for b, t in zip(self.b, s, strict=True)],
            [c - 2 * t for c, t in zip(self.c, s, strict=True)],
        )

    @property
    def plain(self) -> "Parametrisation":
        """The form with c = 0: gradient descent of one step eta on all layers."""
        return self.shifted([c / 2 for c in self.c])


SP = Parametrisation.of("SP", (0, 0, 0), (0, HALF, HALF), 0)
"""Standard: what libraries start with, at a rate that does not know the width."""
SP_LAZY = Parametrisation.of("SP, c = 1", (0, 0, 0), (0, HALF, HALF), 1)
NTK = Parametrisation.of("NTK", (0, HALF, HALF), (0, 0, 0), 0)
MUP = Parametrisation.of("muP", (-HALF, 0, HALF), (HALF, HALF, HALF), 0)
MEAN_FIELD = Parametrisation.of("mean field", (0, HALF, 1), (0, 0, 0), -1)
"""f = (1/n) sum, one hidden layer as everywhere in wflow; deeper, that of dynamical mean-field theory: muP shifted."""
IP = Parametrisation.of("IP", (0, 1, 1), (0, 0, 0), (-1, -2, -1))
"""Integrable: every layer a mean over n neurons, centred."""
TABLE = (SP, SP_LAZY, NTK, MUP, MEAN_FIELD, IP)


def between(s: Rational) -> Parametrisation:
    """From NTK (s = 0) to muP (s = 1): spread of the output (1 + s)/2, r = (1 - s)/2. ValueError outside [0, 1]."""
    at = exact("between s", s)
    if not 0 <= at <= 1:
        raise ValueError(f"between s: {s!r} is not in [0, 1]; 0 is NTK and 1 is muP")
    return Parametrisation.of(f"between({at})", (-at / 2, (1 - at) / 2, HALF), (at / 2, at / 2, at / 2), 0)
