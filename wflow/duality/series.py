"""This file owns trigonometric polynomials on the circle and the torus, and lower bounds of them.

V(w) = Re sum_k C_k e^{i k . w}, C of shape (2 N_1 + 1, .., 2 N_d + 1) with C_{-k} the conjugate of C_k, k = 0 in the
middle. Along a unit direction e the j-th derivative is at most sum_k |C_k| |k . e|^j, so M_j = sum_k |C_k| |k|^j
(proved). What else V has, as a tail that was cut off or errors in C, is `slack`: |V - this series| <= slack.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.arrays import Array, ComplexArray
from wflow.domain import TURN
from wflow.duality.branch import Search, Smooth, enclosed
from wflow.duality.field import UNIT, Enclosure

_OVERSAMPLED = 4
_UPPER = {d: np.triu_indices(d) for d in range(1, 5)}
_LEAST = 16
LIMIT = 200_000


@dataclass(frozen=True, eq=False)
class Series:
    """A trigonometric polynomial by its coefficients, up to `slack`."""

    coefficients: ComplexArray
    slack: float = 0.0

    @classmethod
    def of_circle(cls, half: ComplexArray, slack: float = 0.0) -> "Series":
        """Re sum_{n >= 0} half_n e^{i n theta} from half (N+1,)."""
        c = np.concatenate([0.5 * np.conj(half[:0:-1]), half[:1].real, 0.5 * half[1:]]).astype(np.complex128)
        return cls(c, slack)

    def negated(self) -> "Series":
        """-V."""
        return Series(-self.coefficients, self.slack)

    @property
    def dim(self) -> int:
        """d."""
        return self.coefficients.ndim

    @cached_property
    def waves(self) -> tuple[Array, ...]:
        """k along each axis."""
        return tuple(np.arange(n) - n // 2 for n in self.coefficients.shape)

    @cached_property
    def _sizes(self) -> tuple[Array, Array, Array]:
        """|C_k|, |k| and |k|_1."""
        k = np.meshgrid(*self.waves, indexing="ij")
        return np.abs(self.coefficients), np.sqrt(sum(a * a for a in k)), np.asarray(sum(np.abs(a) for a in k))

    def bound(self, order: int) -> float:
        """M_j, a bound of the j-th derivative along any unit direction."""
        size, length, _ = self._sizes
        return float(np.sum(size * length**order)) * (1.0 + 1e-12)

    def rounding(self, order: int) -> float:
        """How far off a computed j-th derivative may be (j = 0, 1, 2), along any unit direction.

        fl(k w) is off by u |k_l| 2 pi an axis and its cosine by 2 u more; products and the sum over 2 N_l + 1 entries
        an axis add 2 (2 N_l + 1) u; an FFT of M points errs by 8 u log2 M (each entry passes log2 M butterflies), which
        is less. Doubled, and by d^(j/2) for the axes of a derivative:
            u d^(j/2) sum_k |C_k| |k|^j (4 pi |k|_1 + 4 sum_l (2 N_l + 1) + 32 d).
        """
        size, length, ones = self._sizes
        each = 4.0 * np.pi * ones + 4.0 * sum(self.coefficients.shape) + 32.0 * self.dim
        return float(UNIT * self.dim ** (0.5 * order) * np.sum(size * length**order * each))

    @cached_property
    def _powers(self) -> list[tuple[int, ...]]:
        """The derivatives of a jet: none, d first ones, the second ones with a <= b."""
        unit = np.eye(self.dim, dtype=np.int64)
        pairs = [unit[a] + unit[b] for a in range(self.dim) for b in range(a, self.dim)]
        return [tuple(int(k) for k in power) for power in [np.zeros(self.dim), *unit, *pairs]]

    @cached_property
    def _derived(self) -> ComplexArray:
        """(2 N_1 + 1, .., 2 N_d + 1, q): C_k prod_l (i k_l)^{powers_l} for each derivative of a jet."""
        grids = np.meshgrid(*self.waves, indexing="ij")
        factors = [np.prod([(1j * k) ** p for k, p in zip(grids, q, strict=True)], axis=0) for q in self._powers]
        return np.asarray(self.coefficients[..., None] * np.stack(factors, axis=-1))

    def jet(self, w: Array) -> tuple[Array, Array, Array]:
        """V (m,), V' (m, d), V'' (m, d, d)."""
        first, *others = (np.exp(1j * w[:, axis, None] * k) for axis, k in enumerate(self.waves))
        table = self._derived
        total = (first @ table.reshape(len(table), -1)).reshape(len(w), *table.shape[1:])
        for wave in others:
            total = np.einsum("mk,mk...->m...", wave, total)
        return self._assembled(total.real)

    def _assembled(self, values: Array) -> tuple[Array, Array, Array]:
        """From (m, q) in the order of the powers."""
        d = self.dim
        bends = np.empty((len(values), d, d))
        rows, columns = _UPPER[d]
        bends[:, rows, columns] = bends[:, columns, rows] = values[:, d + 1 :]
        return values[:, 0], values[:, 1 : d + 1], bends

    def on_grid(self, count: int) -> tuple[Array, Array, Array]:
        """The jet at the centres (count^d, d) of equal cells, by FFT; count above 2 N_l on each axis."""
        shifts = np.meshgrid(*(k * (0.5 * TURN / count) for k in self.waves), indexing="ij")
        padded = np.zeros((count,) * self.dim + (len(self._powers),), dtype=np.complex128)
        padded[np.ix_(*(k % count for k in self.waves))] = np.exp(1j * sum(shifts))[..., None] * self._derived
        spread = np.fft.ifftn(padded, axes=tuple(range(self.dim)), norm="forward")
        return self._assembled(spread.real.reshape(count**self.dim, -1))

    def lowest(self, below: float = np.inf) -> Enclosure:
        """min V by branch and bound, to a width of 2e-14 of sum_{k != 0} |C_k| beside the rounding."""
        cells = max(_LEAST, 1 << int(np.ceil(np.log2(_OVERSAMPLED * max(self.coefficients.shape) / 2.0))))
        d = self.dim
        errors = (self.rounding(0) + self.slack, self.rounding(1), self.rounding(2))
        v = Smooth(
            np.zeros(d), np.full(d, TURN), (True,) * d, self.jet, self.bound(2), self.bound(3), errors, cells,
            lambda: self.on_grid(cells),
        )  # fmt: skip
        size, length, _ = self._sizes
        moving = float(np.sum(size[length > 0.0]))
        tolerance = max(2e-14 * moving, 2.0 * self.rounding(0))
        return enclosed(v, Search(tolerance, LIMIT, below), "trigonometric, branch and bound")
