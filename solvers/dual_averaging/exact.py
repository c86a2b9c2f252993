"""This file owns dual averaging on cells: each outer step takes the Gibbs law of a mean of first variations, exactly.

    F = loss + psi,   psi(q) = int r dq + T int q log q,   g_s = d loss/dq at q_s     (wflow.slopes.loss_and_linear)

    q_1 = argmin psi,   q_{t+1} = argmin of int gbar_t dq + psi(q),   gbar_t = (2/((t+1)(t+2))) sum_{s<=t} s g_s

so that q_{t+1} is e^{-(gbar_t + r)/T} up to its mass. With A_t = t (t + 1)/2, every p, and F convex along mixtures,

    sum_{s<=t} s (F(q_s) - F(p)) <= (t + 1) (psi(p) - psi(q_{t+1})) + sum_{s<=t} D_s                   (proved)
    D_s = A_s T log int e^{-2 (g_s - int g_s dq_s)/((s + 1) T)} dq_s <= s osc(g_s)^2/(4 (s + 1) T)   (Hoeffding: proved)

and for the mean qbar_t = (1/A_t) sum s q_s:  F(qbar_t) - F(p) <= 2 T KL(p|q_1)/t + max osc(g_s)^2/(2 T (t + 1)).
Proof: docs/dual_averaging.md. Source of the iteration: Nitanda, Wu & Suzuki 2020, arXiv:2012.15477 (read by abstract;
the bounds and their constants are derived here).
"""

import math
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, count
from wflow.course import Progress, reporter
from wflow.energy import Energy
from wflow.errors import Refused, Truncated
from wflow.flow import Flow, Window
from wflow.grid import Grid
from wflow.measure import Density
from wflow.slopes import loss_and_linear
from wflow.watch import EDGE


@dataclass(frozen=True, eq=False)
class Averaged:
    """What N outer steps gave. t = 1..N counts them.

    values (N + 1,): F(q_1), .., F(q_{N+1});   averaged (N,): F(qbar_t);   mean_value (N,): (1/A_t) sum_{s<=t} s F(q_s)
    lower (N,): the best lower bound of inf F over the cells so far, from the same vectors (proved, but for rounding)
    psi (N + 1,) of q_t;   local (N,): D_t;   oscillation (N,): max g_t - min g_t
    last: q_{N+1};   mean: qbar_N.
    """

    flow: Flow
    values: Array
    averaged: Array
    mean_value: Array
    lower: Array
    psi: Array
    local: Array
    oscillation: Array
    last: Density
    mean: Density

    @property
    def steps(self) -> Array:
        """1..N as floats (N,)."""
        return np.arange(1.0, len(self.averaged) + 1.0)

    def regret(self, psi: float) -> Array:
        """(N,) a bound of mean_value - F(p), hence of averaged - F(p), for every p with this psi(p)."""
        t = self.steps
        return np.asarray(2.0 * (psi - self.psi[1:]) / t + 2.0 * np.cumsum(self.local) / (t * (t + 1.0)))

    def rate(self, divergence: float) -> Array:
        """(N,) the coarser 2 divergence/t + max osc^2/(2 T (t + 1)) with divergence = T KL(p|q_1): O(1/t)."""
        t, temperature = self.steps, self.flow.energy.temperature
        worst = np.maximum.accumulate(self.oscillation) ** 2
        return np.asarray(2.0 * divergence / t + worst / (2.0 * temperature * (t + 1.0)))


def dual_averaging(
    flow: Flow, *, cells: int, iterations: int, window: Window | None = None, progress: Progress = False
) -> Averaged:
    """N = iterations outer steps on `cells` cells an axis; time and the start of the flow play no part.

    The cells' own F is minimised: sums over middles, of which all claims are true as they stand. From the continuous F
    it differs by O(h^2), less for smooth V (docs/dual_averaging.md).
    Raises Refused without entropy, with other internal terms or limits, where F is not convex along mixtures and on
    domains without a grid; Truncated where an iterate comes near the walls of a window.
    """
    count("dual_averaging cells", cells, least=4)
    count("dual_averaging iterations", iterations)
    if (reason := refusal(flow)) is not None:
        raise Refused(f"dual_averaging refuses this flow: {reason}")
    return _Iteration.of(flow, flow.grid(cells, window)).run(iterations, progress)


def refusal(flow: Flow) -> str | None:
    """One sentence why neither form of the method takes a flow, or None."""
    energy = flow.energy
    if not energy.temperature:
        return "there is no entropy, and averages of first variations have no Gibbs law; add Entropy(temperature)"
    if len(energy.internal) > 1 or energy.limits:
        return "besides the entropy there is an internal term or a limit; leave it out"
    if flow.charged:
        return "the start has any mass and sign, and Gibbs laws have mass 1"
    if not energy.convex:
        return "F is not convex along mixtures, where a mean of tangents is no lower bound; nothing is known of it"
    return None


@dataclass(frozen=True, eq=False)
class _Iteration:
    """Sums on one grid: r (m,) and F = loss + psi."""

    flow: Flow
    grid: Grid
    loss: Energy
    r: Array

    @classmethod
    def of(cls, flow: Flow, grid: Grid) -> "_Iteration":
        loss, linear = loss_and_linear(flow.energy)
        uniform = Density(grid, np.full(grid.size, 1.0 / (grid.size * grid.cell_volume)))
        return cls(flow, grid, loss, linear.potential(uniform, grid.centres))

    def run(self, iterations: int, progress: Progress) -> Averaged:
        q, total, report = self._gibbs(0.0 * self.r, 0)[0], 0.0 * self.r, reporter(progress, float(iterations))
        mixed, sums, rows, psi = 0.0 * self.r, np.zeros(2), [], [self._psi(q)]
        for t in range(1, iterations + 1):
            weight, tangent = 0.5 * t * (t + 1), self._tangent(q)
            mixed = mixed + (t / weight) * (q.values - mixed)
            total = total + t * tangent.g
            # sums of s F(q_s) and of what tangents have at 0
            sums = sums + t * np.array([tangent.value + psi[-1], tangent.value - tangent.mean])
            lower = sums[1] / weight - self._gibbs(total / weight, t)[1]
            q, _ = self._gibbs(total / (weight + t + 1), t)
            rows.append(
                (tangent.value + psi[-1], self._value(mixed), sums[0] / weight, lower, self._local(tangent, t),
                 tangent.width)
            )  # fmt: skip
            psi.append(self._psi(q))
            report(float(t))
        values, averaged, means, lowers, local, width = np.array(rows).T
        return Averaged(
            self.flow, np.append(values, self._tangent(q).value + psi[-1]), averaged, means,
            np.maximum.accumulate(lowers), np.array(psi), local, width, q, Density(self.grid, mixed),
        )  # fmt: skip

    def _gibbs(self, g: Array, t: int) -> tuple[Density, float]:
        """e^{-(g + r)/T}/Z and T log Z; Truncated where it comes near walls that stand for infinity."""
        temperature, volume = self.flow.energy.temperature, self.grid.cell_volume
        v = (g + self.r) / temperature
        least = float(v.min())
        heights = np.exp(least - v)
        z = float(heights.sum()) * volume
        pi = Density(self.grid, heights / z)
        if not (edge := self.flow.at_edges(pi)) <= EDGE:
            raise Truncated(
                f"dual_averaging: {edge:.3g} of the mass of step {t} lies within two cells of a wall that stands for "
                f"infinity; allowed: {EDGE:g}. Widen the window, or add a potential that confines"
            )
        return pi, temperature * (math.log(z) - least)

    def _psi(self, q: Density) -> float:
        return float(q.weights @ self.r) + self.flow.energy.temperature * q.internal()

    def _value(self, values: Array) -> float:
        q = Density(self.grid, values)
        return self.loss.explicit(q) + self._psi(q)

    def _tangent(self, q: Density) -> "_Tangent":
        g = self.loss.potential(q, self.grid.centres)
        return _Tangent(q, g, self.loss.explicit(q), float(q.weights @ g))

    def _local(self, tangent: "_Tangent", t: int) -> float:
        """D_t, by log1p: the exponential mean is 1 + O(osc^2/T^2) and loses what is small."""
        temperature = self.flow.energy.temperature
        x = -2.0 * (tangent.g - tangent.mean) / ((t + 1) * temperature)
        return 0.5 * t * (t + 1) * temperature * _log_mean_exp(tangent.q.weights, x)


@dataclass(frozen=True, eq=False)
class _Tangent:
    """Of the loss at q: g (m,), its value there, and int g dq."""

    q: Density
    g: Array
    value: float
    mean: float

    @property
    def width(self) -> float:
        """osc(g)."""
        return float(np.ptp(self.g))


def _log_mean_exp(weights: Array, x: Array) -> float:
    """log sum weights e^x for a mean x of 0, weights of mass 1."""
    if (top := float(x.max())) < 1.0:
        return math.log1p(float(weights @ (np.expm1(x) - x)))
    return top + math.log(float(weights @ np.exp(x - top)))
