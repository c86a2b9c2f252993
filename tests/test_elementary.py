"""exp, expm1, tanh, log and their kin for compiled loops: errors over the whole range, its ends, vector code."""

import math
import platform
import re
from functools import lru_cache

import numpy as np
import pytest
from scipy import special

from wflow.activation import ONE_PARAMETER, PARAMETERLESS, activation
from wflow.compiled import available, options

if not available():
    pytest.skip("numba, the extra `fast`, is not installed: nothing is compiled", allow_module_level=True)

import numba

from wflow import elementary, formulas

TINIEST = 5e-324
NAMED = [(name, None) for name in (*PARAMETERLESS, *ONE_PARAMETER)]
EVERY = [*NAMED, ("relu", 0.5), ("tanh", 2.0), ("leaky_relu", 0.3), ("softplus", 3.0), ("erf", 0.7), ("sigmoid", 2.0)]
EVERY = [(name, b) for name, b in EVERY if name in formulas.NAMES]
X86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="counts the vectors of x86-64")


@lru_cache(maxsize=16)
def loop(function):
    """y_i = function(x_i) as a compiled loop."""

    @numba.njit(**options())
    def run(x, y):
        for i in range(len(x)):
            y[i] = function(x[i])

    return run


def applied(function, x):
    """function(x) by the compiled loop."""
    out = np.empty_like(x)
    loop(function)(x, out)
    return out


def vectors(text):
    """How often compiled code handles four or eight doubles at a time."""
    return len(re.findall("<[48] x double>", text))


def numbers(low, high, count=20_000):
    """Numbers of either sign from 1e-320 up to the ends, evenly in the logarithm, and evenly in between."""
    rng = np.random.default_rng(1)
    size = np.exp(rng.uniform(math.log(1e-320), math.log(max(-low, high)), count))
    both = np.concatenate([size, -size, rng.uniform(low, high, count), rng.uniform(-2.0, 2.0, count), [0.0, -0.0]])
    return both[(both >= low) & (both <= high)]


# ends: where the result is 0 or -1 to rounding, and the last finite one
RANGES = {"exp": (-745.2, 709.78), "expm1": (-745.2, 709.78), "tanh": (-710.0, 710.0)}


@pytest.mark.slow
@pytest.mark.parametrize("name", RANGES)
def test_relative_errors_over_the_whole_range(name):
    """|f(x)/exact - 1| <= 1e-15, exact by numpy in extended precision; subnormal results err by one unit at most."""
    x = numbers(*RANGES[name])
    exact = getattr(np, name)(x.astype(np.longdouble))
    error = np.abs(applied(getattr(elementary, name), x) - exact)
    assert np.all(error <= np.maximum(1e-15 * np.abs(exact), 1.01 * TINIEST))


@pytest.mark.parametrize("name", RANGES)
def test_ends_of_the_range(name):
    """nan, +-inf, overflow, underflow, signed zeros: what numpy gives."""
    x = np.array([np.nan, np.inf, -np.inf, 1e308, -1e308, 709.782712893384, 709.7827128933841, -746.0, TINIEST, -0.0])
    with np.errstate(over="ignore", under="ignore"):
        exact = getattr(np, name)(x)
    np.testing.assert_allclose(applied(getattr(elementary, name), x), exact, rtol=1e-15, atol=0.0)


def test_tanh_is_odd_to_the_last_bit():
    """tanh(-z) = -tanh(z): symmetric networks stay symmetric."""
    z = numbers(0.0, 30.0)
    assert np.array_equal(applied(elementary.tanh, -z), -applied(elementary.tanh, z))


OTHERS = {
    "erf": (special.erf, numbers(-30.0, 30.0), 1e-15),
    "erfcx_above": (special.erfcx, np.abs(numbers(-30.0, 30.0)), 2e-15),
    "log1p_unit": (np.log1p, np.abs(numbers(-1.0, 1.0)), 1e-15),
    "log_unit": (np.log, np.concatenate([np.geomspace(1e-300, 1.0, 20_000), 1.0 - np.geomspace(2e-16, 0.6)]), 1e-15),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_relative_errors_of_the_others(name):
    """Against scipy, whose own errors (one unit each) are in the tolerance; subnormal results err by one unit."""
    exact, x, tolerance = OTHERS[name]
    error = np.abs(applied(getattr(elementary, name), x) - exact(x))
    assert np.all(error <= np.maximum(tolerance * np.abs(exact(x)), 1.01 * TINIEST))


@pytest.mark.parametrize("name", ["cos", "sin"])
def test_absolute_errors_of_cos_and_sin(name):
    """|f(z) - exact| <= 5e-16 up to the farthest angle."""
    z = numbers(-elementary.FARTHEST_ANGLE, elementary.FARTHEST_ANGLE)
    exact = getattr(np, name)(z.astype(np.longdouble))
    assert np.max(np.abs(applied(getattr(elementary, name), z) - exact)) <= 5e-16


@lru_cache(maxsize=8)
def formula_loop(derivative):
    """y_i = sigma^(k)(x_i), compiled once for each type of sigma."""
    line = (formulas.value, formulas.slope, formulas.bend)[derivative]

    @numba.njit(**options())
    def run(sigma, x, y):
        for i in range(len(x)):
            y[i] = line(sigma, x[i])

    return run


SMOOTH = [(name, b) for name, b in EVERY if activation(name, b).curvature]
FORMULAS = [(k, name, b) for k, some in enumerate([EVERY, EVERY, SMOOTH]) for name, b in some]


@pytest.mark.slow
@pytest.mark.parametrize(("derivative", "name", "b"), FORMULAS)
def test_formulas_are_the_activations(derivative, name, b):
    """sigma, sigma', sigma'' of wflow.activation on [-30, 30], at the kinks too; nan stays nan.

    To 4e-15, the roundings where 1 - tanh^2 or 1 - 2/(1 + e^-z) cancel, and to 1e-12 of themselves: e^(-z^2) has the
    rounding of z^2 in its exponent. Both are numpy's errors as well.
    """
    sigma = activation(name, b)
    theirs = (sigma.value, sigma.slope, sigma.curvature)[derivative]
    z = np.concatenate([numbers(-30.0, 30.0, 3000), sigma.kinks])
    out, undefined = np.empty_like(z), np.empty(1)
    formula_loop(derivative)(formulas.formula_of(sigma), z, out)
    formula_loop(derivative)(formulas.formula_of(sigma), np.array([np.nan]), undefined)
    np.testing.assert_allclose(out, theirs(z), rtol=1e-12, atol=4e-15)
    with np.errstate(invalid="ignore"):  # numpy's logaddexp warns
        assert np.isnan(undefined[0]) == np.isnan(theirs(np.array([np.nan]))[0])


@X86
@pytest.mark.parametrize("derivative", [0, 1, 2])
def test_formulas_become_vector_code(derivative):
    """For each activation but the straight ones at least ten operations on four or eight doubles.

    Dirichlet kernels are a loop of b turns for each z, which no compiler here lays side by side.
    """
    run = formula_loop(derivative)
    kinds = [kind for kind, lines in formulas._LINES.items() if len(lines) > derivative]
    for kind in kinds:
        run(kind(1.0), np.ones(8), np.ones(8))
    for signature in run.signatures:
        kind = signature[0].instance_class
        if kind not in (formulas.Linear, formulas.Quadratic, formulas.Dirichlet):
            assert vectors(run.inspect_llvm(signature)) >= 10, kind


@pytest.mark.parametrize(("name", "b"), EVERY)
def test_formulas_outside_kernels(name, b):
    """Called from Python they are the same numbers."""
    sigma, z = activation(name, b), 0.75
    formula = formulas.formula_of(sigma)
    assert formulas.value(formula, z) == pytest.approx(float(sigma.value(np.array(z))), rel=1e-14)
    assert formulas.slope(formula, z) == pytest.approx(float(sigma.slope(np.array(z))), rel=1e-14)


@X86
@pytest.mark.parametrize("name", ["exp", "expm1", "tanh", "log1p_unit", "log_unit", "erf", "erfcx_above", "cos", "sin"])
def test_loops_become_vector_code(name):
    """At least ten operations on four or eight doubles; Python's test for a division by zero would leave none."""
    run = loop(getattr(elementary, name))
    run(np.ones(8), np.ones(8))
    assert sum(map(vectors, run.inspect_llvm().values())) >= 10
