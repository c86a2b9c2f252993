"""This file owns dual vectors: the few numbers through which V[pi] depends on pi.

F = loss + int r dpi + entropy: r are the potentials that do not stand for a target, the loss is the rest. Its first
variation is linear in a vector g (n,) whose length no number of particles changes:

    data       V(w) = sum_i g_i psi(x_i; w),                           g_i = weights_i l'(f_pi(x_i), y_i)
    modes      V(w) = Re sum_k g_k e^{i k w},                          g_k = a_k (c_k(pi) - c_k(target))

So a mean of first variations is the first variation of a mean: methods with a memory keep one vector.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array, ComplexArray
from wflow.circle_series import circle_modes_of, series
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.forceless import Constant, TotalVariation
from wflow.kernel import FourierKernel
from wflow.measure import Measure
from wflow.sums import Sums
from wflow.terms import Interaction, Potential, Risk, Term


def loss_and_linear(energy: Energy) -> tuple[Energy, Energy]:
    """The loss, potentials of targets with it, and the potentials r; neither with an internal term."""
    linear = [t for t in energy.terms if isinstance(t, Potential) and t.convolved is None]
    loss = [t for t in energy.terms if t not in linear]
    return Energy(*loss, Constant(0.0)), Energy(*linear, Constant(0.0))


@dataclass(frozen=True, eq=False)
class Slopes:
    """The dual vectors of an energy's loss. `of` raises Refused where V[pi] knows more of pi than a vector."""

    risks: tuple[Risk, ...]
    rates: Array
    """a_k (q + 1,) of all kernels, empty without one."""
    shift: ComplexArray
    """- sum a_k c_k(target), complex (q + 1,)."""

    @classmethod
    def of(cls, energy: Energy) -> "Slopes":
        """From the loss of an energy."""
        terms = loss_and_linear(energy)[0].terms
        for term in terms:
            if not _known(term):
                raise Refused(
                    f"Slopes: V[pi] of {type(term).__name__} is given by no fixed vector; take a Risk on data or a "
                    "FourierKernel, or work on cells"
                )
        kernels = [t.kernel for t in terms if isinstance(t, Interaction)]
        targets = [t.convolved for t in terms if isinstance(t, Potential) and t.convolved is not None]
        both = [k for k in (*kernels, *(k for k, _ in targets)) if isinstance(k, FourierKernel)]
        size = max((len(k.modes) for k in both), default=0)
        rates, shift = np.zeros(size), np.zeros(size, dtype=np.complex128)
        for kernel in kernels:
            assert isinstance(kernel, FourierKernel)
            rates += kernel.coefficients(size - 1)
        for kernel, law in targets:
            assert isinstance(kernel, FourierKernel)
            shift -= kernel.coefficients(size - 1) * circle_modes_of(law, size - 1)
        return cls(tuple(t for t in terms if isinstance(t, Risk)), rates, shift)

    @property
    def size(self) -> int:
        """n."""
        return sum(len(r.data) for r in self.risks) + 2 * len(self.rates)

    @property
    def rows(self) -> int:
        """Data in all, of which a batch may be drawn."""
        return sum(len(r.data) for r in self.risks)

    def at(self, pi: Measure, batch: NDArray[np.intp] | None = None) -> Array:
        """g (n,) at pi; of the rows of data in `batch` alone, times rows/len(batch), where it is given."""
        parts = [r.data.weights * r.loss.slope(r.predict(pi), r.data.targets) for r in self.risks]
        if batch is not None:
            whole = np.concatenate(parts)
            drawn = np.zeros_like(whole)
            drawn[batch] = whole[batch] * (len(whole) / len(batch))
            parts = [drawn]
        if len(self.rates):
            g = self.rates * circle_modes_of(pi, len(self.rates) - 1) + self.shift
            parts += [g.real, g.imag]
        return np.concatenate([*parts, np.empty(0)])

    def potential(self, g: Array, w: Array, derivative: int = 0) -> Array:
        """V (m,), its gradient (m, d) or Hessian (m, d, d) at w (m, d) for a vector g."""
        out, at = np.zeros((len(w),) + w.shape[1:] * derivative), 0
        for risk, sums in zip(self.risks, self._sums, strict=True):
            out += sums.at(w).against(g[at : at + len(risk.data)], derivative)
            at += len(risk.data)
        if size := len(self.rates):
            modes = g[at : at + size] + 1j * g[at + size :]
            out += series(np.ones(size), modes, w, derivative).reshape(out.shape)
        return out

    @cached_property
    def _sums(self) -> tuple[Sums, ...]:
        return tuple(Sums(r.neuron, r.data.inputs) for r in self.risks)


def _known(term: Term) -> bool:
    if isinstance(term, Interaction):
        return isinstance(term.kernel, FourierKernel)
    if isinstance(term, Potential) and term.convolved is not None:
        return isinstance(term.convolved[0], FourierKernel)
    return isinstance(term, Risk | Constant | TotalVariation)
