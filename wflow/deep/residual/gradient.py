"""This file owns the adjoint of a residual network: the gradient of F in conditional W2, and the first variation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, shaped
from wflow.data import Data
from wflow.deep.residual.net import Pass, ResidualNet, changed, parts
from wflow.loss import Loss


@dataclass(frozen=True, eq=False)
class ResidualGradient:
    """F and its gradient: atoms[l, j] = grad V_l(w_lj) (L, m, k), readout E[l' z_L] (D,), offset E[l'].

        P_L = l' g    P_l = P_{l+1} + (1/L) sum_j p_j (P_{l+1}.u_lj) sigma'(v_lj.z_l + c_lj) v_lj
        V_l(w) = E[P_{l+1}.u sigma(v.z_l + c)] + ridge |w|^2/2

    the adjoint p' = -(D_z int psi dpi_s)^T p by the step that makes it exact for the finite net: its raw derivative is
    dF/dw_lj = (p_j/L) grad V_l(w_lj), no mass stands in front of a grad V.
    """

    value: float
    atoms: Array
    readout: Array
    offset: float

    def square(self, masses: Array) -> float:
        """int |grad V|^2 dpi = (1/L) sum_l sum_j p_j |grad V_l(w_lj)|^2."""
        return float(np.einsum("j,ljk,ljk->", masses, self.atoms, self.atoms)) / len(self.atoms)

    def square_of_readout(self) -> float:
        """|dF/dg|^2 + (dF/db)^2."""
        return float(self.readout @ self.readout) + self.offset**2


def risk(net: ResidualNet, data: Data, loss: Loss, ridge: float = 0.0) -> float:
    """F = E l(prediction, y) + (ridge/2) int |w|^2 dpi."""
    f = net.run(data.inputs).states[-1] @ net.readout + net.offset
    fit = float(data.weights @ loss.value(f, data.targets))
    return fit + _weight(net, ridge)


def gradient(net: ResidualNet, data: Data, loss: Loss, ridge: float = 0.0) -> ResidualGradient:
    """F and its gradient: one pass forward, one backward."""
    seen = net.run(data.inputs)
    f = seen.states[-1] @ net.readout + net.offset
    slope = data.weights * loss.slope(f, data.targets)
    atoms = np.empty_like(net.atoms)
    for i, p in _backward(net, seen, np.outer(slope, net.readout)):
        atoms[i] = _pulled(net, net.atoms[i], seen.states[i], seen.before[i], p)
    if ridge:
        atoms += ridge * net.atoms
    value = float(data.weights @ loss.value(f, data.targets)) + _weight(net, ridge)
    return ResidualGradient(value, atoms, slope @ seen.states[-1], float(slope.sum()))


def potentials(net: ResidualNet, data: Data, loss: Loss, w: Array, ridge: float = 0.0) -> Array:
    """V_l(w_i) of every layer at parameters w (q, 2 D + 1) anywhere: (L, q)."""
    w = shaped("potentials w", w, (None, net.atoms.shape[2]))
    seen, (u, v, c) = net.run(data.inputs), parts(w)
    slope = data.weights * loss.slope(seen.states[-1] @ net.readout + net.offset, data.targets)
    found = np.empty((net.depth, len(w)))
    for i, p in _backward(net, seen, np.outer(slope, net.readout)):
        found[i] = np.sum((p @ u.T) * net.activation.value(seen.states[i] @ v.T + c), axis=0)
    return found + 0.5 * ridge * np.sum(w**2, axis=1)


def _backward(net: ResidualNet, seen: Pass, p: Array) -> list[tuple[int, Array]]:
    """(l, q P_{l+1} (n, D)) for l = L - 1 .. 0."""
    found, h = [], net.masses / net.depth
    for i in range(net.depth - 1, -1, -1):
        found.append((i, p))
        u, v, _ = parts(net.atoms[i])
        p = p + ((p @ u.T) * net.activation.slope(seen.before[i]) * h) @ v
    return found


def _pulled(net: ResidualNet, layer: Array, z: Array, before: Array, p: Array) -> Array:
    """E[P . grad_w psi(z; w)] of a layer's atoms (m, k)."""
    u, _, _ = parts(layer)
    bent = (p @ u.T) * net.activation.slope(before)
    return np.hstack([net.activation.value(before).T @ p, bent.T @ z, bent.sum(axis=0)[:, None]])


def _weight(net: ResidualNet, ridge: float) -> float:
    return 0.5 * ridge / net.depth * float(net.masses @ np.einsum("ljk,ljk->j", net.atoms, net.atoms)) if ridge else 0.0


def moved(net: ResidualNet, terms: Sequence[tuple[float, ResidualGradient]], rate: float) -> ResidualNet:
    """w - sum_i t_i grad V^i for terms (t, gradient); the readout by rate t."""
    atoms = net.atoms - sum(t * g.atoms for t, g in terms)
    if not rate:
        return changed(net, atoms, net.readout, net.offset)
    readout = net.readout - rate * sum(t * g.readout for t, g in terms)
    return changed(net, atoms, readout, net.offset - rate * sum(t * g.offset for t, g in terms))
