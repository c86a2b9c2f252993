"""This file owns networks that tell two Gaussian clouds of one centre and different widths apart, by their radii."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import eigh_tridiagonal

from wflow.activation import Activation
from wflow.arrays import Array, count, finite, positive
from wflow.chi import Chi
from wflow.data import Data
from wflow.domain import half_line
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.internal import Entropy
from wflow.knotted import averaged, knotted
from wflow.law import Atoms, Gaussian, Law
from wflow.measure import Particles
from wflow.neuron import RidgeNeuron
from wflow.problems.problem import Problem, nothing
from wflow.problems.single_radius import SingleRadius
from wflow.terms import Potential, Risk, Term

CLIPPED = ((0.5, -2.5), (1.5, 7.5))
"""Knots of the activation of Mei, Montanari & Nguyen."""
Dim = int | Literal["infinity"]
_TOLERANCE = 1e-12
_REACH, _NEAR = 2.8, 2.55
"""As far as starts of the default spread, which end by 2.55, get by the default horizon: less than 1e-11 comes near it
(seen, d = 10)."""
_BEYOND = 1.2
"""Of the reach of other starts: 32 cells of a first order smear 1e-10 to a wall at 1.1 (seen, d = 4), 9e-11 to one at
1.15 (d = 5)."""


def isotropic_gaussians(
    d: Dim = 10,
    delta: float = 0.8,
    knots: Sequence[tuple[float, float]] = CLIPPED,
    spread: float = 0.8,
    start: Dim | None = None,
    ridge: float = 0.0,
    temperature: float = 0.0,
    nodes: int = 24,
    window: tuple[float, float] | None = None,
    horizon: float = 0.6,
) -> Problem:
    """The radial flow of neurons sigma(w . x) on R^d: y = +-1 alike, x | y ~ N(0, (1 + y delta)^2 I_d), sigma knotted.

    A rotation-invariant pi is the law rho of r = |w| >= 0, and then f(x) = int phi(r s) drho(r) depends on
    s = |x|/sqrt(d) alone, phi the mean of sigma over directions (wflow.knotted.averaged): a network of one parameter
    and one input, of law (1 + y delta) chi_d/sqrt(d), by `nodes` Gauss points a class (exact for polynomials in s^2).
    r is of order 1 for every d. At d = "infinity" s is 1 + y delta: two data.

        F = E (f - y)^2/2 + ridge int r^2/2 drho + (temperature/d) [int rho log rho dr - (d - 1) int log r drho]

    is that of R^d with d-dimensional entropy (temperature/d) int pi log pi, but for (temperature/d) log |S^{d-1}|:
    pi = rho/(|S^{d-1}| r^{d-1}). So noise drifts by temperature (d - 1)/(d r) and diffuses by temperature/d; at
    infinity it only drifts, by temperature/r, and has no entropy. The start is |w|, w ~ N(0, (spread^2/d) I_d): a chi
    law, at infinity an atom at `spread`; `start` gives it another dimension than d has. Grids stand on `window`, which
    has to hold the mass until the horizon: if None, to 2.8, or a fifth beyond where a wide start has but 1e-16 outside.
    F = R/2: Mei, Montanari & Nguyen's time runs twice as fast.
    Raises ValueError for d < 2 and for delta outside (0, 1).
    """
    size = dimension("d", d)
    energy = Energy(*_risk(size, separation(delta), knots, nodes), *noise(size, ridge, temperature))
    first = size if start is None else dimension("start", start)
    begin: Law = Atoms(half_line(), np.array([[positive("spread", spread)]]))
    if first < math.inf:
        begin = Chi(int(first), positive("spread", spread) / math.sqrt(first))
    end = begin.support[1]
    flow = Flow(energy, half_line(), begin, horizon, window or (0.0, _REACH if end <= _NEAR else _BEYOND * end))
    alone = isinstance(begin, Atoms) and size == math.inf and not (ridge or temperature)
    last = Atoms(half_line(), np.array([[SingleRadius(delta, knots).reached(spread)]])) if alone else None
    return Problem(
        flow,
        "Mei, Montanari & Nguyen 2018, PNAS 115, E7665-E7671: isotropic Gaussians",
        "two clouds of one centre: the law of |w|, in any dimension and in its limit",
        exact=(lambda t: _moved(flow, t)) if isinstance(begin, Atoms) and not energy.internal else nothing,
        limit=last,
        limit_reason="one atom stays one, and goes to the next minimum of R(r)" if last else "not predicted",
    )


def in_full_space(
    d: int, delta: float, rows: int, seed: int, knots: Sequence[tuple[float, float]] = CLIPPED, spread: float = 0.8
) -> Flow:
    """The same flow on R^d, without noise, its risk on `rows` drawn data, of which fresh ones can be drawn too.

    Start N(0, (spread^2/d) I_d), horizon 2. For StochasticGradient(rows=Fresh()), to be compared with the radial flow.
    """
    n, gap = count("d", d, least=2), separation(delta)

    def law(size: int, rng: np.random.Generator) -> Data:
        y = np.where(rng.random(size) < 0.5, 1.0, -1.0)
        return Data((1.0 + y * gap)[:, None] * rng.standard_normal((size, n)), y)

    sample = law(count("rows", rows), np.random.default_rng([count("seed", seed, least=0), 1]))
    neuron = RidgeNeuron(knotted(knots), inputs=n)
    energy = Energy(Risk(neuron, Data(sample.inputs, sample.targets, law=law)))
    return Flow(energy, neuron.domain, Gaussian(0.0, spread / math.sqrt(n), dim=n), 2.0)


def dimension(name: str, d: Dim) -> float:
    """2, 3, .. as they are, "infinity" as math.inf."""
    return math.inf if d == "infinity" else float(count(name, d, least=2))


def radii(d: float, nodes: int) -> tuple[Array, Array]:
    """|x|/sqrt(d) for x ~ N(0, I_d): nodes and weights (nodes,) of Gauss' rule in |x|^2/2, which is Gamma(d/2).

    Golub & Welsch on the normalised generalised Laguerre polynomials, so that no Gamma function overflows.
    """
    if d == math.inf:
        return np.ones(1), np.ones(1)
    k, alpha = np.arange(count("nodes", nodes)), 0.5 * d - 1.0
    half_square, vectors = eigh_tridiagonal(2.0 * k + alpha + 1.0, np.sqrt(k[1:] * (k[1:] + alpha)))
    return np.sqrt(2.0 * half_square / d), vectors[0] ** 2


def noise(d: float, ridge: float, temperature: float) -> list[Term | Entropy]:
    """ridge r^2/2 and the full-space entropy at temperature/d as radial terms, each where it is above 0."""
    for name, value in (("ridge", ridge), ("temperature", temperature)):
        if float(finite(name, value)) < 0.0:
            raise ValueError(f"{name}: {value!r} is not allowed; give a number >= 0 (0: none)")
    terms: list[Term | Entropy] = [Potential.quadratic(ridge)] if ridge else []
    if temperature:
        terms.append(_outward(temperature * (1.0 if d == math.inf else (d - 1.0) / d)))
        if d < math.inf:
            terms.append(Entropy(temperature / d))
    return terms


def _outward(strength: float) -> Potential:
    """-strength log r: what there is more of sphere further out."""

    def field(w: Array, derivative: int) -> Array:
        r = w[:, 0]
        if derivative == 0:
            return -strength * np.log(r)
        return (-strength / r)[:, None] if derivative == 1 else (strength / r**2)[:, None, None]

    return Potential(field, f"-{strength:g} log r")


def separation(delta: float) -> float:
    """delta, inside (0, 1)."""
    size = float(finite("delta", delta))
    if not 0.0 < size < 1.0:
        raise ValueError(f"delta: {delta!r} is not allowed; give a number between 0 and 1")
    return size


def _risk(d: float, delta: float, knots: Sequence[tuple[float, float]], nodes: int) -> list[Risk]:
    """E (f - y)^2/2 over both classes."""
    sizes, weights = radii(d, nodes)
    widths = np.array([1.0 + delta, 1.0 - delta])
    inputs = np.multiply.outer(widths, sizes).reshape(-1, 1)

    def law(size: int, rng: np.random.Generator) -> Data:
        y = np.where(rng.random(size) < 0.5, 1.0, -1.0)
        s = np.ones(size) if d == math.inf else np.sqrt(2.0 * rng.standard_gamma(0.5 * d, size) / d)
        return Data(((1.0 + y * delta) * s)[:, None], y)

    data = Data(inputs, np.repeat([1.0, -1.0], len(sizes)), np.tile(weights / (2.0 * weights.sum()), 2), law)
    return [Risk(RidgeNeuron(_radial(knots, d), inputs=1), data)]


def _radial(knots: Sequence[tuple[float, float]], d: float) -> Activation:
    return averaged(knots, d if d == math.inf else int(d))


def _moved(flow: Flow, t: float) -> Atoms:
    """The atom at time t: r' = -V'[delta_r](r) by an integrator of scipy's, 1e-12."""
    assert isinstance(flow.initial, Atoms)

    def speed(_: float, r: Array) -> Array:
        return np.asarray(flow.energy.velocity(Particles(flow.domain, r[None, :]), r[None, :])[0])

    if t == 0.0:
        return flow.initial
    path = solve_ivp(speed, (0.0, t), flow.initial.points[0], method="DOP853", rtol=_TOLERANCE, atol=_TOLERANCE)
    return Atoms(flow.domain, path.y[:, -1:])
