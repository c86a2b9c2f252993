"""This file owns the free energy's minimiser of noisy univariate ReLU regression, by its concave dual in n numbers.

    F(pi) = sum_i q_i (f_pi(x_i) - y_i)^2/2 + (lam/2) int |(a, w, b)|^2 dpi + T int pi log pi
    f_pi(x) = int a relu(w x + b) dpi

(z - y)^2/2 >= p (z - y) - p^2/2 and the variational principle of entropy give for every p (n,)              (proved)

    F(pi) >= D(p) = -sum_i q_i (p_i y_i + p_i^2/2) - T log Z(p)
    Z(p) = int exp(-V_p/T) da dw db,   V_p = sum_i q_i p_i a relu(w x_i + b) + lam |(a, w, b)|^2/2

with Z in closed form (wflow.knots.angles). pi_p = e^{-V_p/T}/Z has f_p = -T grad log Z/q, and

    F(pi_p) - D(p) = sum_i q_i (f_p(x_i) - y_i - p_i)^2/2,   the certified gap; D is strongly concave, -oo where Z = oo

and T KL(pi_p | the minimiser) + sum q (f_p - f)^2/2 = F(pi_p) - min F: the gap over T bounds the relative entropy.
D has one maximum, where p are the residuals and pi_p the minimiser. -T log Z is a barrier of |M| <= lam: as T -> 0
it is the interior-point path of the problem without noise, J(nu) = sum_i q_i (f_nu - y_i)^2/2 + lam |nu|, whose dual is
max -sum q (p y + p^2/2), |M_p| <= lam. On the path, with E over the law of the angle                        (proved)

    J(nu_T) - J* <= sum q (f - y - p)^2/2 + T E 2|M|/(lam + |M|) <= gap + T
    sum_i q_i (f_T - f_0)^2 <= T   at the minimisers

(the first is J less the dual's value at p: int (lam - |M|) d|nu| = T E 2|M|/(lam + |M|); J and its dual are strongly
convex in f and in p.) Source of the setting: Shevchenko, Kungurtsev & Mondelli 2022, JMLR 23(130), arXiv:2111.02278.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from wflow.arrays import Array, finite, positive
from wflow.data import Data
from wflow.duality.field import UNIT
from wflow.errors import NotConverged
from wflow.knots.angles import AngleLaw, angle_law

_SHRINK = 0.25
"""From one temperature of the path to the next."""
_NEWTON, _HALVINGS, _LAST, _RISE = 60, 60, 4, 1e-4
_GAP = 1e-22


@dataclass(frozen=True, eq=False)
class NoisyFit:
    """The Gibbs law of the dual vector p (n,), and what it says: the network's function, its knots, F and bounds.

    law: that of the angle. At the answer of `noisy_fit` it is the minimiser up to `gap`.
    """

    data: Data
    lam: float
    temperature: float
    p: Array
    law: AngleLaw

    @property
    def inputs(self) -> Array:
        """X (n, 2) = (x, 1)."""
        return homogeneous(self.data.inputs)

    @property
    def log_partition(self) -> float:
        """log int e^{-V_p/T} da dw db."""
        t, lam = self.temperature, self.lam
        return 0.5 * math.log(2.0 * math.pi * t / lam) + math.log(t * lam) + math.log(self.law.integral)

    @property
    def lower(self) -> float:
        """D(p): a lower bound of inf F for every p, but for `rounding`."""
        q, y = self.data.weights, self.data.targets
        return -float(q @ (self.p * y + 0.5 * self.p**2)) - self.temperature * self.log_partition

    @property
    def fitted(self) -> Array:
        """f_p at the inputs (n,)."""
        return self.law.charges(self.temperature) @ np.maximum(self.law.u @ self.inputs.T, 0.0)

    @property
    def residual(self) -> Array:
        """f_p - y - p (n,), which vanishes at the minimiser: the slope of D over q."""
        return self.fitted - self.data.targets - self.p

    @property
    def gap(self) -> float:
        """F(pi_p) - D(p), in exact arithmetic: F(pi_p) - inf F is at most this."""
        return 0.5 * float(self.data.weights @ self.residual**2)

    @property
    def value(self) -> float:
        """F(pi_p)."""
        return self.lower + self.gap

    @property
    def variation(self) -> float:
        """|nu|, the sum of all charges' sizes."""
        return float(np.sum(np.abs(self.law.charges(self.temperature))))

    @property
    def slack(self) -> float:
        """min (lam - |M|)/lam over the nodes, about."""
        return float(1.0 / (2.0 * self.lam**2 * np.max(self.law.inverse)))

    @property
    def rounding(self) -> float:
        """D(p) as computed errs by at most about this, to first order in u = 2^-53.

        M errs by dM <= (3 n + 64) u sum |q p| |X| (wflow.duality.arcwise), which changes T log int h by |nu| dM; sums
        of N positive nodes err by (N + 64) u, and so do the few terms of D of their sizes.
        """
        q, y, x, t = self.data.weights, self.data.targets, self.inputs, self.temperature
        field = (3.0 * len(y) + 64.0) * float(np.sum(np.abs(q * self.p) * np.hypot(x[:, 0], x[:, 1])))
        sums = (len(self.law.weights) + 64.0) * t
        terms = (len(y) + 8.0) * float(q @ (np.abs(self.p * y) + 0.5 * self.p**2)) + 8.0 * t * abs(self.log_partition)
        return float(UNIT * (self.variation * field + sums + terms))

    @property
    def noiseless(self) -> tuple[float, float]:
        """lower <= J* <= upper of the problem without noise: its dual at p, and J of these charges.

        Apart by gap + T E 2|M|/(lam + |M|) < gap + T.
        """
        q, y = self.data.weights, self.data.targets
        upper = 0.5 * float(q @ (self.fitted - y) ** 2) + self.lam * self.variation
        return -float(q @ (self.p * y + 0.5 * self.p**2)), upper

    def predicted(self, x: Array) -> Array:
        """f_p at inputs x (k,): arcs end at the kinks of these inputs as well."""
        at = homogeneous(finite("x", x).reshape(-1, 1))
        law = angle_law(self.data.weights * self.p, self.inputs, self.lam, at)
        return law.charges(self.temperature) @ np.maximum(law.u @ at.T, 0.0)

    def density(self, phi: Array) -> Array:
        """Charges per radian (k,) at angles phi."""
        u = np.stack([np.cos(phi), np.sin(phi)])
        m = (self.data.weights * self.p) @ np.maximum(self.inputs @ u, 0.0)
        return np.asarray(-2.0 * self.temperature * m / ((self.lam - m) * (self.lam + m)) ** 2 / self.law.integral)

    def bend(self, x: Array) -> Array:
        """f''(x) (k,): (c(phi) + c(phi + pi)) (1 + x^2)^(-3/2) at phi = -arctan x, c the density of charges."""
        phi = -np.arctan(x)
        return np.asarray((self.density(phi) + self.density(phi + np.pi)) * (1.0 + x * x) ** -1.5)

    def newton(self) -> Array:
        """The step (n,) that would bring the slope of D to zero."""
        q, law = self.data.weights, self.law
        share = law.weights / law.integral
        on = np.maximum(law.u @ self.inputs.T, 0.0) * q
        first = (2.0 * share * law.field * law.inverse) @ on
        second = 2.0 * share * law.inverse**2 * (self.lam**2 + 3.0 * law.field**2)
        hessian = self.temperature * ((on.T * second) @ on - np.outer(first, first))
        hessian[np.diag_indices_from(hessian)] += q
        return np.asarray(cho_solve(cho_factor(hessian), q * self.residual))


def homogeneous(x: Array) -> Array:
    """(x, 1) (n, 2)."""
    return np.column_stack([x, np.ones(len(x))])


def at_dual(data: Data, lam: float, temperature: float, p: Array) -> NoisyFit:
    """The Gibbs law of any dual vector p; its law has no nodes where Z is infinite."""
    return NoisyFit(data, lam, temperature, p, angle_law(data.weights * p, homogeneous(data.inputs), lam))


def noisy_fit(data: Data, lam: float, temperature: float, *, tolerance: float = 1e-3) -> NoisyFit:
    """The minimiser of F at one temperature: the end of `path` from 1 (or from itself, if it is higher)."""
    *_, last = path(data, lam, [temperature], tolerance=tolerance)
    return last


def path(data: Data, lam: float, temperatures: Sequence[float], *, tolerance: float = 1e-3) -> Iterator[NoisyFit]:
    """Minimisers at falling temperatures, each by Newton's method from the one before; p = 0 begins.

    data: one input, distinct values not needed; weights may vanish nowhere. Between two temperatures others are put in,
    by factors of at least 1/4. Raises NotConverged where F(pi_p) - D(p) ends above tolerance T, and ValueError for bad
    input. Rounding: of lam - |M| no less than 1e-16 lam is seen, and at an input with a charge it falls like T^(3/2),
    so that the gap rises again below T of about 1e-7 lam |nu|.
    """
    checked(data, lam)
    falling = [positive("temperatures", t) for t in temperatures]
    if not falling or any(b > a for a, b in pairwise(falling)):
        raise ValueError(f"temperatures: {temperatures!r} do not fall; give one or more, the highest first")
    p, now = np.zeros(len(data)), max(1.0, falling[0])
    for wanted in falling:
        while now > wanted / _SHRINK:
            now *= _SHRINK
            p = _climbed(at_dual(data, lam, now, p), tolerance).p
        now = wanted
        fit = _climbed(at_dual(data, lam, now, p), tolerance)
        p = fit.p
        yield fit


def checked(data: Data, lam: float) -> None:
    """One input, a ridge, and weights above zero; ValueError otherwise."""
    positive("lam", lam)
    if data.inputs.shape[1] != 1:
        raise ValueError(
            f"data: {data.inputs.shape[1]} inputs a row; knots are those of networks of one input: give (n, 1)"
        )
    if not np.all(data.weights > 0.0):
        raise ValueError("data: a row has weight 0; leave it out")


def _climbed(fit: NoisyFit, tolerance: float) -> NoisyFit:
    """Newton's method with halved steps on D, until it is at rounding; NotConverged above the tolerance."""
    scale = max(1.0, float(fit.data.weights @ fit.data.targets**2))
    best = fit
    for _ in range(_NEWTON):
        found = _searched(best) if best.gap > _GAP * min(scale, fit.temperature) else None
        if found is None:
            break
        best = found
    off = best.gap / fit.temperature
    if not off <= tolerance:
        raise NotConverged(
            f"noisy_fit: gap {off:.1e} T > {tolerance:.1e} T at T = {fit.temperature:g}, where rounding or {_NEWTON} "
            f"steps of Newton's method end (lam - |M| is down to {fit.slack:.0e} lam); raise the temperature",
            off,
        )
    return best


def _searched(fit: NoisyFit) -> NoisyFit | None:
    """The first of the halved steps along which D rises enough, or the residual halves where D is at rounding."""
    way, value, gap = fit.newton(), fit.lower, fit.gap
    slope = float(way @ (fit.data.weights * fit.residual))
    share, seen = 1.0, slope > 64.0 * fit.rounding
    for _ in range(_HALVINGS if seen else _LAST):
        tried = at_dual(fit.data, fit.lam, fit.temperature, fit.p + share * way)
        if tried.law.feasible:
            if seen:
                if tried.lower >= value + _RISE * share * slope:
                    return tried
            elif tried.gap < 0.5 * gap:
                return tried
        share *= 0.5
    return None
