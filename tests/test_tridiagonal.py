"""Tridiagonal systems: against a dense solver, and exchanges between neighbours whatever their rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import LinAlgError

from solvers._tridiagonal import definite, exchange
from wflow.arrays import Array

FACES = st.lists(st.floats(-20.0, 20.0), min_size=4, max_size=60)


def dense(out: Array, back: Array, n: int) -> Array:
    """The matrix of `exchange`, face by face."""
    matrix = np.eye(n)
    for left in range(len(out)):
        right = (left + 1) % n
        matrix[left, left] += out[left]
        matrix[right, left] -= out[left]
        matrix[right, right] += back[left]
        matrix[left, right] -= back[left]
    return matrix


@pytest.mark.parametrize("cyclic", [False, True])
@pytest.mark.parametrize("n", [4, 5, 50])
def test_exchange_solves_what_a_dense_solver_solves(n: int, cyclic: bool) -> None:
    """Condition number below 20 (rates below 3): sixteen digits less two."""
    rng = np.random.default_rng(n)
    out, back = rng.random((2, n if cyclic else n - 1))
    matrix, right = dense(out, back, n), rng.random((n, 3))
    expected = np.linalg.solve(matrix, right)
    factors = exchange(out, back, cyclic)
    np.testing.assert_allclose(factors.solve(right), expected, rtol=1e-13)
    np.testing.assert_array_equal(factors.solve(right[:, 0]), factors.solve(right)[:, 0])


@pytest.mark.parametrize("cyclic", [False, True])
@pytest.mark.parametrize("n", [4, 5, 50])
def test_definite_solves_what_a_dense_solver_solves(n: int, cyclic: bool) -> None:
    """Springs between neighbours and 1 on the diagonal: condition number below 10."""
    rng = np.random.default_rng(n)
    spring = rng.random(n if cyclic else n - 1)
    matrix, right = dense(spring, spring, n), rng.random((n, 3))
    factors = definite(np.diag(matrix).copy(), -spring, cyclic)
    np.testing.assert_allclose(factors.solve(right), np.linalg.solve(matrix, right), rtol=1e-13)
    np.testing.assert_array_equal(factors.solve(right[:, 0]), factors.solve(right)[:, 0])


@pytest.mark.parametrize("cyclic", [False, True])
@pytest.mark.parametrize("where", [0, 3, 7])
def test_an_indefinite_matrix_is_refused(where: int, cyclic: bool) -> None:
    """Springs keep the sum of x unless something holds it: -1e-3 on the diagonal anywhere is a negative direction."""
    n = 8
    spring = np.ones(n if cyclic else n - 1)
    diagonal = np.diag(dense(spring, spring, n)) - 1.0
    diagonal[where] -= 1e-3
    with pytest.raises(LinAlgError, match="not positive definite"):
        definite(diagonal, -spring, cyclic)


@given(FACES, st.booleans(), st.integers(0, 2**32 - 1))
def test_exchange_keeps_mass_and_sign_at_any_rate(decades: list[float], cyclic: bool, seed: int) -> None:
    """Rates from 1e-20 to 1e20: no entry below 0 and the sum kept to 4 n roundings. (Plain LU loses both.)"""
    rng = np.random.default_rng(seed)
    out = 10.0 ** np.array(decades)
    back = 10.0 ** rng.permutation(decades)
    n = len(out) + (0 if cyclic else 1)
    right = rng.random(n) * (rng.random(n) < 0.5)
    x = exchange(out, back, cyclic).solve(right)
    assert np.all(x >= 0.0)
    assert abs(x.sum() - right.sum()) <= 1e-15 * n * right.sum()


def test_fast_exchange_ends_at_the_balance() -> None:
    """out_i x_i = back_i x_{i+1} as the rates grow: x_i ~ products of out/back, here e^{-i/2}."""
    n, rate = 40, 1e30
    x = exchange(rate * np.full(n - 1, np.exp(-0.25)), rate * np.full(n - 1, np.exp(0.25)), False).solve(np.ones(n))
    expected = np.exp(-0.5 * np.arange(n))
    np.testing.assert_allclose(x, n * expected / expected.sum(), rtol=1e-13)
