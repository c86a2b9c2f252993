"""This file owns the flows of two-layer networks on the circle."""

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from wflow.activation import activation as activation_named
from wflow.arrays import Array, finite, positive
from wflow.charged import Charged
from wflow.domain import TURN, circle
from wflow.energy import Energy, population_risk
from wflow.flow import Flow
from wflow.forceless import Constant
from wflow.fourier import FourierDensity
from wflow.internal import Entropy
from wflow.kernel import FourierKernel, circle_kernel, sawtooth_kernel
from wflow.law import Law, Transported, Uniform
from wflow.problems.problem import Problem
from wflow.spectrum import Inputs, NullModes, null_modes
from wflow.terms import Interaction

UNIFORM = Uniform(circle())
_TAIL = 1e-18


def cosine_start(modes: Mapping[int, float]) -> FourierDensity:
    """(1 + sum_n h_n cos n theta) / 2 pi; ValueError unless each n >= 1 and sum |h_n| <= 1."""
    if not isinstance(modes, Mapping) or not all(isinstance(n, int) for n in modes):
        raise TypeError(
            f"modes: {modes!r} is not a mapping from mode numbers to amplitudes; give e.g. {{1: 0.5, 3: 0.3}}"
        )
    clean = {int(n): float(finite(f"modes[{n}]", h)) for n, h in modes.items()}
    if any(n < 1 or n != float(key) for n, key in zip(clean, modes, strict=True)):
        raise ValueError(f"modes: {dict(modes)} has a mode number that is not a whole number >= 1; mode 0 is the mass")
    total = sum(abs(h) for h in clean.values())
    if total > 1.0 + 1e-12:
        raise ValueError(
            f"modes: sum |h_n| = {total:g} makes the density negative, allowed: at most 1; scale them down"
        )
    return FourierDensity.cosines(clean)


def predicted_limit(modes: Mapping[int, float], null: NullModes, start: Law) -> tuple[Law | None, str]:
    """What can be said of the circle theorem's limit for this start.

    No null mode: uniform, a numerical finding. All of the start in null modes: V is constant, the start stays
    (proved). Else let q be the gcd of the start's modes: densities of period 2 pi/q keep that period (proved), so
    uniform if no multiple of q is null; otherwise nothing is predicted.
    """
    present = [int(n) for n, h in modes.items() if h]
    if present and all(n in null for n in present):
        return start, "every mode of the start is null: V is constant and nothing moves (proved)"
    if null.empty:
        return UNIFORM, "no null modes: uniform (a numerical finding, no theorem)"
    if not present:
        return UNIFORM, "the start is uniform already"
    period = math.gcd(*present)
    if not null.meets_multiples_of(period):
        reason = f"the start has period 2 pi/{period} and no multiple of {period} is null"
        return UNIFORM, f"{reason}: uniform (a numerical finding, no theorem)"
    return None, "not predicted: the start mixes visible modes with null modes they couple to"


def circle_teacher(
    activation: str = "cos_minus_sin",
    b: float | None = None,
    inputs: Inputs = "gaussian",
    modes: Mapping[int, float] = {1: 0.5, 3: 0.3},
    horizon: float = 20.0,
    temperature: float = 0.0,
    masses: Literal["fixed", "conserved"] = "fixed",
) -> Problem:
    """A network of neurons sigma(x . w), w on the unit circle, learns the teacher whose neurons are uniform.

    F = E (f_pi - f_unif)^2 / 2 + temperature int rho log rho.   activation: any of the list (relu, cos_minus_sin, tanh,
    ...); b: its parameter (relu threshold, frequency, scale); inputs: "gaussian" N(0, I_2) or "circle" uniform on S^1;
    modes: {n: h_n} of the start (1 + sum h_n cos n theta)/2 pi with sum |h_n| <= 1; horizon: final time.
    masses: "fixed", each neuron keeps its own; "conserved", neurons lose and gain mass and its sum is conserved
    (Charged), so that F falls along mixtures too.
    """
    sigma = activation_named(activation, b)
    kernel = circle_kernel(sigma, inputs)
    start = cosine_start(modes)
    if not float(finite("temperature", temperature)) >= 0.0:
        raise ValueError(f"temperature: {temperature!r} is not allowed; give a number >= 0 (0: no noise)")
    internal = (Entropy(temperature),) if temperature else ()
    if masses not in ("fixed", "conserved"):
        raise ValueError(f'masses: {masses!r} is not allowed; give "fixed" or "conserved"')
    begun = Charged(start, conserved=True) if masses == "conserved" else start
    flow = Flow(Energy(*population_risk(kernel, UNIFORM), *internal), circle(), begun, horizon)
    null = null_modes(sigma, inputs)
    limit, reason = (UNIFORM, "heat and risk agree on uniform") if temperature else predicted_limit(modes, null, start)
    still = limit is start
    return Problem(
        flow,
        "circle theorem of Lei Wu's lecture (Theorem 4), most probably E, Ma & Wu 2020, arXiv:1912.12777",
        f"null modes of {sigma}: {null}",
        exact=lambda t: start if still else None,
        minimiser=UNIFORM,
        limit=limit,
        limit_reason=reason,
    )


def sawtooth(modes: Mapping[int, float] = {1: 0.5, 3: 0.3}, horizon: float = 5.0) -> Problem:
    """k = sum cos(n theta)/(pi n^2), target uniform: every quantile relaxes exactly, X_t(s) - 2 pi s ~ e^{-nu t}.

    nu = 1/2 pi; rho_t = nu/(1 + (nu/rho_0 - 1) e^{-nu t}) along characteristics; W2(t) = e^{-nu t} W2(0); a JKO step
    of length h contracts by exactly 1/(1 + h nu).   modes: of the start, as in circle_teacher (cosines).
    """
    start, nu = cosine_start(modes), 1.0 / TURN
    flow = Flow(Energy(*population_risk(sawtooth_kernel(), UNIFORM)), circle(), start, horizon)

    def exact(t: float) -> Law:
        fade = math.exp(-nu * t)

        def quantile(s: Array) -> Array:
            return np.asarray(TURN * s + (start.quantile(s) - TURN * s) * fade)

        def density(s: Array) -> Array:
            there = start.density(start.quantile(s)[:, None])
            return np.asarray(nu * there / (there + (nu - there) * fade))

        return Transported(circle(), quantile, density) if t > 0.0 else start

    return Problem(
        flow,
        "derived for this project by characteristics",
        "exactly solvable: W2 to uniform falls as e^{-t/2 pi}",
        exact=exact,
        minimiser=UNIFORM,
        limit=UNIFORM,
        limit_reason="exact solution",
    )


def poisson_law(r: float, fold: int = 1) -> FourierDensity:
    """The Poisson kernel (1 - r^2) / (2 pi (1 - 2 r cos(q theta) + r^2)), q = fold: moments c_{qn} = r^n."""
    if not 0.0 <= r < 1.0:
        raise ValueError(f"r0: {r!r} is not in [0, 1), the range of the Poisson kernel; 0 is uniform")
    count = 1 if r < _TAIL else max(1, math.ceil(math.log(_TAIL) / math.log(r)))
    c = np.zeros(fold * count + 1, dtype=np.complex128)
    c[::fold] = float(r) ** np.arange(count + 1)
    return FourierDensity(c)


def poisson_radius(r0: float, rate: float, t: float) -> float:
    """r(t) with u = r^2/(1 - r^2), u(t) = u_0 e^{-rate t}."""
    u = r0**2 / (1.0 - r0**2) * math.exp(-rate * t)
    return math.sqrt(u / (1.0 + u))


def linear_neuron(a: float = 0.5, r0: float = 0.6, horizon: float = 4.0) -> Problem:
    """k = a cos, target uniform: repulsive Kuramoto. Poisson-kernel data stay so, u = r^2/(1-r^2) decays as e^{-at}.

    a: 1/2 for unit-circle inputs, 1 for Gaussian ones; r0 in [0, 1): radius of the start. F = a r^2/2.
    """
    positive("a", a)
    energy = Energy(Interaction(FourierKernel(np.array([0.0, a]))), Constant(0.0))
    return Problem(
        Flow(energy, circle(), poisson_law(r0), horizon),
        "derived for this project (Ott-Antonsen reduction)",
        "every mode n >= 2 is null: for other starts W2 does not vanish",
        exact=lambda t: poisson_law(poisson_radius(r0, a, t)),
        minimiser=UNIFORM,
        limit=UNIFORM,
        limit_reason="exact solution",
    )


def quadratic_neuron(r0: float = 0.4, horizon: float = 4.0) -> Problem:
    """psi = (x . w)^2, unit-circle inputs, target uniform: the linear neuron with a = 1/2 in the angle 2 theta.

    r0 in [0, 1): radius of the start, a Poisson kernel in 2 theta. F = r^2/16.
    """
    kernel = circle_kernel(activation_named("quadratic"), "circle")
    return Problem(
        Flow(Energy(*population_risk(kernel, UNIFORM)), circle(), poisson_law(r0, fold=2), horizon),
        "derived for this project (Ott-Antonsen reduction in 2 theta)",
        "every mode but n = 2 is null",
        exact=lambda t: poisson_law(poisson_radius(r0, 0.5, t), fold=2),
        minimiser=UNIFORM,
        limit=UNIFORM,
        limit_reason="exact solution",
    )
