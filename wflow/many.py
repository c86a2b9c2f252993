"""This file owns what an energy does to many measures at once: R measures of m atoms with the same weights.

Points w (R, m, d), one measure a row. The forces of all rows are made together where the term allows it:

| term                                            | way                                                     |
|-------------------------------------------------|---------------------------------------------------------|
| Interaction and target by FourierKernel         | 2 N moments a row, exactly                              |
| Interaction by PiecewiseKernel (ReLU, sawtooth) | sorted prefix sums a row, exactly; needs numba          |
| Risk on data                                    | features of all rows in blocks                          |
| Potential, Constant, TotalVariation             | a function of w alone                                   |
| anything else, PiecewiseKernel without numba    | row by row, the term's own: correct and slow (`slow`)   |
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow import compiled
from wflow.arrays import Array, ComplexArray, weights_of_mass_one
from wflow.circle_series import circle_modes_of
from wflow.domain import Domain
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.forceless import Constant, TotalVariation
from wflow.kernel import FourierKernel, PiecewiseKernel
from wflow.measure import Particles
from wflow.piecewise import differentiated
from wflow.terms import Interaction, Potential, Risk, Term

Velocity = Callable[[Array], Array]
"""From points (..., m, d) to velocities of the same shape."""
_NUMBERS = 1 << 20
"""Numbers of a block of features."""


@dataclass(frozen=True, eq=False)
class Many:
    """The explicit part of an energy at rows of w (R, m, d), each sum_j weights_j delta_{w_rj}; weights (m,)."""

    energy: Energy
    domain: Domain
    weights: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", weights_of_mass_one("Many weights", self.weights, len(self.weights)))

    def velocity(self, w: Array) -> Array:
        """-grad V[pi_r](w_rj) (R, m, d)."""
        out = np.zeros(w.shape)
        self._circle.push(w, self.weights, out)
        for term in self._rest:
            self._force(term)(term, w, out)
        return out

    def value(self, w: Array) -> Array:
        """F without its internal term (R,)."""
        total = self._circle.value(w, self.weights)
        for term in self._rest:
            total = total + self._value(term, w)
        return total

    def predict(self, w: Array, x: Array | None = None) -> Array:
        """f_r (R, n) at inputs x (n, p), the data's unless given; Refused where no Risk by a neuron is in F."""
        if (risk := self.energy.risk) is None:
            raise Refused("Many predict: the energy has no Risk on data; use value, or the modes of the points")
        return self._predicted(risk, w, risk.data.inputs if x is None else x)

    def modes(self, w: Array, count: int) -> ComplexArray:
        """c_n = sum_j weights_j e^{-i n w_rj} (R, count + 1), for angles."""
        return _modes(w[:, :, 0], self.weights, count)

    @property
    def slow(self) -> tuple[Term, ...]:
        """The terms that are asked row by row."""
        return tuple(term for term in self._rest if self._force(term) == self._one_by_one)

    @cached_property
    def _circle(self) -> "_Series":
        return _Series.of([term for term in self.energy.terms if _is_series(term)])

    @cached_property
    def _rest(self) -> tuple[Term, ...]:
        return tuple(t for t in self.energy.terms if not (_is_series(t) or isinstance(t, TotalVariation)))

    def _force(self, term: Term) -> Callable[[Term, Array, Array], None]:
        if isinstance(term, Potential):
            return self._pointwise
        if isinstance(term, Constant):
            return _nothing
        if isinstance(term, Risk):
            return self._fitted
        if isinstance(term, Interaction) and isinstance(term.kernel, PiecewiseKernel) and compiled.available():
            return self._by_pieces
        return self._one_by_one

    def _value(self, term: Term, w: Array) -> Array:
        if isinstance(term, Constant):
            return np.full(len(w), term.number)
        if isinstance(term, Potential):
            return np.asarray(_field(term, w, 0).reshape(w.shape[:2]) @ self.weights)
        if isinstance(term, Risk):
            f = self._predicted(term, w, term.data.inputs)
            return np.asarray(term.loss.value(f, term.data.targets) @ term.data.weights)
        return np.array([term.value(pi) for pi in self._rows(w)])

    def _rows(self, w: Array) -> list[Particles]:
        return [Particles(self.domain, row, self.weights) for row in w]

    def _pointwise(self, term: Term, w: Array, out: Array) -> None:
        assert isinstance(term, Potential)
        out -= _field(term, w, 1).reshape(w.shape)

    def _one_by_one(self, term: Term, w: Array, out: Array) -> None:
        for pi, row in zip(self._rows(w), out, strict=True):
            row -= term.potential(pi, pi.points, 1)

    def _by_pieces(self, term: Term, w: Array, out: Array) -> None:
        from wflow.compiled_runs import pieces

        assert isinstance(term, Interaction) and isinstance(term.kernel, PiecewiseKernel)
        kernel = term.kernel
        slope = differentiated(kernel.parts)
        real, imag = np.ascontiguousarray(slope.real), np.ascontiguousarray(slope.imag)
        pieces(np.ascontiguousarray(w[:, :, 0]), self.weights, kernel.breaks, real, imag, out[:, :, 0])

    def _predicted(self, risk: Risk, w: Array, x: Array) -> Array:
        m = len(self.weights)
        f = np.empty((len(w), len(x)))
        for part in _parts(w, len(x)):
            psi = risk.neuron.value(x, w[part].reshape(-1, w.shape[2])).reshape(len(x), -1, m)
            f[part] = (psi @ self.weights).T
        return f

    def _fitted(self, term: Term, w: Array, out: Array) -> None:
        """sum_i weights_i l'(f_r(x_i), y_i) d_w psi(x_i; w_rj), the features of a block of rows made once."""
        assert isinstance(term, Risk)
        data, m, d = term.data, *w.shape[1:]
        for part in _parts(w, len(data) * (1 + d)):
            points = w[part].reshape(-1, d)
            psi = term.neuron.value(data.inputs, points).reshape(len(data), -1, m)
            slope = term.loss.slope((psi @ self.weights).T, data.targets) * data.weights
            gradient = term.neuron.gradient(data.inputs, points).reshape(len(data), -1, m, d)
            out[part] -= np.einsum("ri,irjk->rjk", slope, gradient)


def _nothing(term: Term, w: Array, out: Array) -> None:
    """No force."""


def _field(term: Potential, w: Array, derivative: int) -> Array:
    # as the term itself asks it, with its checks
    return term.potential(None, w.reshape(-1, w.shape[2]), derivative)  # type: ignore[arg-type]


def _parts(w: Array, each: int) -> list[slice]:
    """Blocks of rows with about _NUMBERS numbers, `each` for a point."""
    size = max(1, _NUMBERS // (each * w.shape[1]))
    return [slice(start, start + size) for start in range(0, len(w), size)]


def _modes(theta: Array, weights: Array, count: int) -> ComplexArray:
    """c_0 .. c_count (R, count + 1)."""
    turn = np.exp(-1j * theta)
    wave, out = np.ones_like(turn), np.empty((len(theta), count + 1), dtype=np.complex128)
    for n in range(count + 1):
        out[:, n] = wave @ weights
        wave *= turn
    return out


def _is_series(term: Term) -> bool:
    if isinstance(term, Interaction):
        return isinstance(term.kernel, FourierKernel)
    return isinstance(term, Potential) and term.convolved is not None and isinstance(term.convolved[0], FourierKernel)


@dataclass(frozen=True, eq=False)
class _Series:
    """V[pi](w) = sum_n Re((a_n c_n + p_n) e^{i n w}), c_n the modes of pi: a (N+1,), p (N+1,) complex."""

    a: Array
    p: ComplexArray

    @classmethod
    def of(cls, terms: list[Term]) -> "_Series":
        """a_n from interactions, p_n = -a_n c_n(target) from potentials."""
        kernels = [t.kernel for t in terms if isinstance(t, Interaction)]
        targets = [t.convolved for t in terms if isinstance(t, Potential) and t.convolved is not None]
        found = [k for k in kernels if isinstance(k, FourierKernel)]
        found += [k for k, _ in targets if isinstance(k, FourierKernel)]
        count = max((len(k.modes) - 1 for k in found), default=0)
        a, p = np.zeros(count + 1), np.zeros(count + 1, dtype=np.complex128)
        for kernel in kernels:
            assert isinstance(kernel, FourierKernel)
            a += kernel.coefficients(count)
        for kernel, law in targets:
            assert isinstance(kernel, FourierKernel)
            p -= kernel.coefficients(count) * circle_modes_of(law, count)
        return cls(a, p)

    def push(self, w: Array, weights: Array, out: Array) -> None:
        """out -= V' (R, m, 1)."""
        used = np.flatnonzero((self.a != 0.0) | (self.p != 0.0))
        top = int(used[-1]) if len(used) else 0
        if not top:
            return
        theta, a, p = w[:, :, 0], self.a[: top + 1], self.p[: top + 1]
        if compiled.available():
            from wflow.compiled_runs import series

            series(np.ascontiguousarray(theta), weights, a, np.stack([p.real, p.imag], axis=1), out[:, :, 0])
            return
        g = np.arange(top + 1) * (a * _modes(theta, weights, top) + p)
        turn = np.exp(1j * theta)
        total = np.zeros_like(turn)
        for n in range(top, 0, -1):  # Horner
            total += g[:, n, None]
            total *= turn
        out[:, :, 0] += total.imag

    def value(self, w: Array, weights: Array) -> Array:
        """(1/2) sum a_n |c_n|^2 + Re sum p_n conj(c_n)."""
        if not (np.any(self.a) or np.any(self.p)):
            return np.zeros(len(w))
        c = _modes(w[:, :, 0], weights, len(self.a) - 1)
        return np.asarray(0.5 * np.abs(c) ** 2 @ self.a + np.real(np.conj(c) @ self.p))
