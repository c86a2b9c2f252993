"""Methods on quantiles against exact answers of their own: Sdirk2, Midpoint, Bdf2, and JKO steps of power energies.

On an affine family c + s q of edges that a flow keeps, a method on edges is the same method on the numbers c and s; on
linear flows it is its stability function. So each is met exactly, without an error of space, before orders are fitted.
"""

import functools
import itertools
import math

import numpy as np
import pytest
from scipy.optimize import brentq

from solvers.jko import Bdf2, Midpoint, Quantile, Sdirk2
from solvers.jko.bdf2 import LARGEST_RATIO
from solvers.jko.sdirk2 import GAMMA, stages
from wflow import (
    Energy,
    Flow,
    Potential,
    Power,
    Quantiles,
    Transported,
    circle,
    line,
    problems,
    solve,
    w2,
)
from wflow.internal import Entropy
from wflow.solver import State

TURN = 2.0 * math.pi
METHODS = pytest.mark.parametrize("method", [Sdirk2, Midpoint, Bdf2])
LOST = 0.15


def distance(a, b):
    """sqrt(sum_i w_i |x_i - y_i|^2) of edges with equal masses between them: W2 as the methods see it."""
    return math.sqrt(a.weights @ (a.edges - b.edges) ** 2)


def slopes(errors):
    """log2 of successive ratios."""
    return [math.log2(a / b) for a, b in itertools.pairwise(errors)]


def end_of(flow, solver, steps):
    """The measure at the horizon."""
    return solve(flow, solver, steps=steps, times=[flow.horizon]).final


def stepped(flow, solver, edges, lengths):
    """Edges after steps of the given lengths, one row each, and the last step."""
    state, rows = State(0.0, Quantiles(flow.domain, edges)), []
    for dt in lengths:
        step = solver.step(flow, state, dt)
        state = step.state
        rows.append(state.measure.edges)
    return np.array(rows), step


# The methods on numbers: implicit(y, tau) = argmin |x - y|^2/(2 tau) + F(x)


def sdirk2(x, lengths, implicit):
    """Alexander's stages, gamma = 1 - 1/sqrt 2."""
    out = [x]
    for dt in lengths:
        first = implicit(out[-1], GAMMA * dt)
        slope = (first - out[-1]) / (GAMMA * dt)
        out.append(implicit(out[-1] + (1 - GAMMA) * dt * slope, GAMMA * dt))
    return out[1:]


def midpoint(x, lengths, implicit):
    """x + dt f((x + x')/2)."""
    out = [x]
    for dt in lengths:
        out.append(2 * implicit(out[-1], dt / 2) - out[-1])
    return out[1:]


def bdf2(x, lengths, implicit):
    """(1 + 2r) x'' = (1 + r)^2 x' - r^2 x + (1 + r) dt f(x''), r the ratio of the steps; begun by sdirk2."""
    out, last = [x], 0.0
    for dt in lengths:
        if dt > LARGEST_RATIO * last:
            out += sdirk2(out[-1], [dt], implicit)
        else:
            r = dt / last
            y = ((1 + r) ** 2 * out[-1] - r * r * out[-2]) / (1 + 2 * r)
            out.append(implicit(y, (1 + r) / (1 + 2 * r) * dt))
        last = dt
    return out[1:]


ON_NUMBERS = {Sdirk2: sdirk2, Midpoint: midpoint, Bdf2: bdf2}
UNEVEN = [1.0, 0.4, 0.8, 1.7, 0.1, 2.0, 2.0]
"""Times dt: ratios from 0.06 to 20, below and above 1 + sqrt 2."""


def test_gamma_makes_sdirk2_l_stable_and_of_order_two():
    """R(z) = (1 + (1 - 2 gamma) z)/(1 - gamma z)^2 = 1 + z + z^2/2 + O(z^3) for gamma^2 - 2 gamma + 1/2 = 0."""
    assert pytest.approx(0.0, abs=1e-15) == GAMMA**2 - 2 * GAMMA + 0.5
    for z in (-0.1, -1.0, -10.0):
        (found,) = sdirk2(1.0, [1.0], lambda y, tau, z=z: y / (1 - z * tau))
        assert found == pytest.approx((1 + (1 - 2 * GAMMA) * z) / (1 - GAMMA * z) ** 2, rel=1e-13)


# The sawtooth: linear on edges


SAW = problems.sawtooth(horizon=5.0)


@METHODS
@pytest.mark.parametrize("dt", [0.1, 1.0, 10.0])
def test_the_sawtooth_contracts_by_the_stability_function(method, dt):
    """Displacements from c_j = 2 pi j/m (up to their mean) obey u' = -u/2 pi: each method's numbers, to 1e-8.

    Equal and unequal steps; Sdirk2: R(z), Midpoint: (1 + z/2)/(1 - z/2), Bdf2: its recursion with ratios.
    """
    m = 60
    edges, c = SAW.flow.initial.quantile(np.arange(m) / m), TURN * np.arange(m) / m
    lengths = [dt * share for share in UNEVEN]
    found, _ = stepped(SAW.flow, method(m), edges, lengths)
    factors = ON_NUMBERS[method](1.0, lengths, lambda y, tau: y / (1 + tau / TURN))
    u = edges - c - np.mean(edges - c)
    for row, factor in zip(found, factors, strict=True):
        np.testing.assert_allclose(row - c - np.mean(row - c), factor * u, rtol=0.0, atol=1e-8)


def test_an_anchor_may_cross_itself():
    """dt = 100: Sdirk2's anchor x0 + (1 + sqrt 2)(x1 - x0) is not increasing, its answer is R(z) all the same.

    On one axis W2 is the distance of L^2(0, 1) and G is defined on the increasing functions whatever its anchor.
    """
    m, dt = 60, 100.0
    edges, c = SAW.flow.initial.quantile(np.arange(m) / m), TURN * np.arange(m) / m
    first, second = stages(Sdirk2(m), SAW.flow, State(0.0, Quantiles(circle(), edges)), dt)
    anchor = second.pi.edges - GAMMA * dt * second.velocity
    assert np.min(np.diff(anchor)) < -1e-3
    z = -dt / TURN
    u, v = (e - c - np.mean(e - c) for e in (edges, second.pi.edges))
    np.testing.assert_allclose(v, (1 + (1 - 2 * GAMMA) * z) / (1 - GAMMA * z) ** 2 * u, rtol=0.0, atol=1e-8)
    assert first.residual < 1e-9


# Affine families: entropy in a well keeps Gaussians, a power keeps Barenblatt profiles


LAM = 1.3


@functools.cache
def profile(exponent, m=40):
    """Edges q with lam w_i q_i = p(gap before) - p(gap after), p = rho^exponent: the discrete equilibrium."""
    flow, solver = in_the_well(exponent), Quantile(m)
    state = State(0.0, Quantiles(line(), np.linspace(-1.0, 1.0, m + 1)))
    for _ in range(60):
        state = solver.step(flow, state, 3.0).state
    return state.measure.edges


def in_the_well(exponent, lam=LAM):
    """Entropy or power with lam x^2/2, or without it (lam = 0)."""
    internal = Entropy(1.0) if exponent == 1.0 else Power(exponent)
    terms = (Potential.quadratic(lam),) if lam else ()
    return Flow(Energy(*terms, internal), line(), LUMP, 1.0)


def lump(a, b):
    """Uniform on [a, b], on the line."""
    return Transported(line(), lambda s: a + (b - a) * s, lambda s: np.full_like(s, 1.0 / (b - a)))


LUMP = lump(-0.5, 0.5)


def scale(exponent, lam):
    """implicit(y, tau) on s: (1 + lam tau) s = y + tau LAM s^-exponent, the edges' equations on the family."""

    def implicit(y, tau):
        def equation(s):
            return (1 + lam * tau) * s - y - tau * LAM * s**-exponent

        return brentq(equation, 1e-6, 10.0 + abs(y) + tau, xtol=1e-15, rtol=1e-14)

    return implicit


EXPONENTS = pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0, 3.0])


@METHODS
@EXPONENTS
@pytest.mark.parametrize("lam", [LAM, 0.0], ids=["well", "free"])
def test_the_affine_family_moves_as_its_two_numbers(method, exponent, lam):
    """From c + s q every step of every length gives c' + s' q, each edge to 1e-9; exponent 1 is entropy: Gaussians.

    The pressures of gaps a g are a^-p times those of g, so the edges' equations reduce to
    s'(1 + lam tau) = y + LAM tau s'^-p and c'(1 + lam tau) = y. Free: self-similar (Barenblatt) spreading.
    """
    q, lengths = profile(exponent), [0.2 * share for share in UNEVEN]
    found, _ = stepped(in_the_well(exponent, lam), method(len(q) - 1), 2.0 + 0.7 * q, lengths)
    numbers = ON_NUMBERS[method]
    centres = numbers(2.0, lengths, lambda y, tau: y / (1 + lam * tau))
    for row, c, s in zip(found, centres, numbers(0.7, lengths, scale(exponent, lam)), strict=True):
        np.testing.assert_allclose(row, c + s * q, rtol=0.0, atol=1e-9)


@EXPONENTS
@pytest.mark.parametrize("tau", [0.01, 1.0, 100.0])
def test_a_jko_step_keeps_the_affine_family(exponent, tau):
    """The exact JKO step: s'(1 + lam tau) = s + lam tau s'^-p, to 1e-10."""
    q = profile(exponent)
    found, _ = stepped(in_the_well(exponent), Quantile(len(q) - 1), 0.4 * q - 1.0, [tau])
    s = scale(exponent, LAM)(0.4, tau)
    np.testing.assert_allclose(found[0], -1.0 / (1 + LAM * tau) + s * q, rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("exponent", [1.5, 2.0, 3.0])
def test_the_virial_identity_holds_on_edges(exponent):
    """lam sum w_i q_i^2 = (p - 1) F_int(q) in equilibrium: multiply the edges' equation by q_i and sum by parts."""
    pi = Quantiles(line(), profile(exponent))
    assert LAM * pi.weights @ pi.edges**2 == pytest.approx((exponent - 1) * Power(exponent).value(pi), rel=1e-10)


def parabola(r):
    """Barenblatt, p = 2, of radius r: cdf (2 + 3z - z^3)/4 with z = x/r, so z = 2 sin(arcsin(2s - 1)/3)."""
    return Transported(line(), lambda s: 2 * r * np.sin(np.arcsin(2 * s - 1) / 3), lambda s: 0.75 / r * (1 - s * 0))


@pytest.mark.parametrize("tau", [0.01, 1.0])
def test_a_jko_step_from_barenblatt_quantiles_approaches_the_exact_one(tau):
    """r'^3 - r r'^2 = 3 tau, for v = 3x/r^3 at radius r and (x - T^-1 x)/tau = v(x). Order 3/2 - 1/p = 1 in 1/m, W2."""
    r = 0.5
    after = brentq(lambda s: s**3 - r * s**2 - 3 * tau, r, 10.0, xtol=1e-14)
    flow = Flow(Energy(Power(2.0)), line(), parabola(r), 1.0)
    errors = []
    for m in (50, 100, 200, 400):
        solver = Quantile(m)
        end = solver.step(flow, solver.init(flow), tau).state.measure
        exact = Quantiles(line(), parabola(after).quantile(np.arange(6401) / 6400))
        errors.append(w2(end, exact))
    assert min(slopes(errors)) >= 1.0 - LOST
    assert errors[-1] < 3e-3 * after


@METHODS
def test_barenblatt_shows_order_two(method):
    """Free spreading from s = 0.7 q is s^3 = s_0^3 + 3 LAM t exactly on the edges of the family (p = 2): order 2.

    A compact start, but one whose motion is smooth; hence more than is declared for compact starts.
    """
    q, t = profile(2.0), 1.0
    exact = (0.7**3 + 3 * LAM * t) ** (1 / 3) * q
    errors = []
    for n in (10, 20, 40, 80):
        rows, _ = stepped(in_the_well(2.0, 0.0), method(len(q) - 1), 0.7 * q, [t / n] * n)
        errors.append(np.max(np.abs(rows[-1] - exact)))
    assert slopes(errors)[-1] >= 2.0 - LOST
    assert errors[-1] < 6e-4
