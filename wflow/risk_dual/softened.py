"""This file owns the dual of a step of a noisy network on cells: minima in D softened by heat.

With masses mu_j in cells, K the heat of a time tau T (variance 2 tau T) and T' = 2 T,

    D(p) = -<p, y> - |p|^2/2 - T' sum_j mu_j log sum_k K_jk exp(-G_q(w_k)/T'),     q = omega p
         = min over couplings gamma of mu of   |f - y|^2/2 + int r + T' KL(gamma | mu x K)

exactly: smooth, strictly concave, one maximum, mass moves by gamma_jk = mu_j K_jk exp(-G_k/T')/Z_j. Its slope is
f - y - p, and -D'' = I + (1/T') sum_j mu_j Cov_j(psi, psi), the covariances of gamma's rows.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.energy import Energy
from wflow.errors import NotConverged
from wflow.forceless import Constant
from wflow.measure import Density
from wflow.risk_dual.heat import Heat, averaged, heat
from wflow.terms import Risk

_HALVINGS, _RISE = 30, 1e-4


@dataclass(frozen=True, eq=False)
class Softened:
    """D on the cells of a density: features (n, a, b), r and log mu (a, b), the kernels of both axes."""

    features: Array
    potential: Array
    logs: Array
    first: Heat
    second: Heat
    targets: Array
    omega: Array
    sharp: float

    @classmethod
    def of(cls, energy: Energy, start: Density, tau: float) -> "Softened":
        """A step of length tau from a density on one or two moving axes; frozen ones count as cells of the first."""
        risk, grid, temperature = energy.risk, start.grid, energy.temperature
        assert risk is not None
        r = sum(
            (t.potential(start, grid.centres, 0) for t in energy.terms if not isinstance(t, Risk | Constant)),
            start=np.zeros(grid.size),
        )
        shape = (grid.shape[0], grid.size // grid.shape[0])
        kernels = [
            Heat.of(np.eye(n)) if still else heat(n, turns, tau * temperature / h**2)
            for n, still, turns, h in zip(
                grid.shape, grid.domain.frozen, grid.domain.periodic, grid.widths.tolist(), strict=True
            )
        ]
        second = Heat.of(np.eye(1))
        for kernel in kernels[1:]:
            second = second.beside(kernel)
        with np.errstate(divide="ignore"):
            logs = np.log(start.weights).reshape(shape)
        psi = risk.neuron.value(risk.data.inputs, grid.centres).reshape(-1, *shape)
        data = risk.data
        return cls(psi, r.reshape(shape), logs, kernels[0], second, data.targets, data.weights, 2.0 * temperature)

    def at(self, p: Array) -> "Soft":
        """D, where mass goes, and what Newton needs."""
        q = self.omega * p
        field = np.tensordot(q, self.features, axes=1) + self.potential
        tilt = -field / self.sharp
        logs, means = averaged(tilt, self.features, self.first, self.second)
        mu = np.exp(self.logs)
        if not np.isfinite(logs[mu > 0.0]).all():
            raise NotConverged("SoftMin: a cell with mass has nowhere to go: exp(-G/2T) underflows; shorten dt", np.inf)
        back, _ = averaged(np.where(mu > 0.0, self.logs - logs, -np.inf), self.features[:0], self.first, self.second)
        masses = np.exp(tilt + back)
        value = -self.sharp * float(np.sum(mu * np.where(mu > 0.0, logs, 0.0)))
        value -= float(self.omega @ (p * self.targets + 0.5 * p * p))
        f = np.tensordot(self.features, masses, axes=2)
        return Soft(p, value, masses, means, f - self.targets - p)

    def step(self, here: "Soft") -> Array:
        """Newton's step in p (n,)."""
        root, n = np.sqrt(self.omega), len(self.omega)
        psi, means = self.features.reshape(n, -1), here.means.reshape(n, -1)
        second = (psi * here.masses.ravel()) @ psi.T - (means * np.exp(self.logs).ravel()) @ means.T
        matrix = np.eye(n) + root[:, None] * second * root / self.sharp
        step = np.linalg.solve(matrix, root * here.ahead)
        return np.divide(step, root, out=np.zeros(n), where=root > 0.0)

    def maximised(self, p: Array, tolerance: float, limit: int) -> "Soft":
        """By Newton's method with halved steps, until the gap is the tolerance or nothing is gained."""
        here = self.at(p)
        for _ in range(limit):
            if self.gap(here) <= tolerance:
                break
            step, share = self.step(here), 1.0
            rise = float(self.omega @ (here.ahead * step))
            for _ in range(_HALVINGS):
                there = self.at(here.p + share * step)
                if there.value >= here.value + _RISE * share * rise or self.gap(there) < 0.25 * self.gap(here):
                    break
                share *= 0.5
            else:
                break
            here = there
        return here

    def gap(self, here: "Soft") -> float:
        """What the coupling costs, less D: |f - y - p|^2/2. The inner minima are sums over cells, none is missed."""
        return 0.5 * float(self.omega @ here.ahead**2)


@dataclass(frozen=True, eq=False)
class Soft:
    """D at p (n,): its value, masses (a, b) at the end, means of psi over where each cell goes, and f - y - p."""

    p: Array
    value: float
    masses: Array
    means: Array
    ahead: Array
