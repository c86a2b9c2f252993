"""Dynamical mean-field theory by other programs: two steps of two layers by quadrature, linear networks by sweeps."""

import math

import numpy as np
import pytest

from solvers.deep import networks
from wflow.activation import quadratic, tanh
from wflow.app.deep.theory import SWEPT, one_datum
from wflow.app.studies.dmft import three_data
from wflow.deep.dmft import Setting, difference, first_fields, linear_limit, nonlinear, sampled_limit
from wflow.errors import NotConverged


def normal(covariance, nodes):
    """Fields (k, nodes^k) and weights of N(0, covariance) by the tensor rule of Gauss and Hermite."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    k = len(covariance)
    grid = np.stack(np.meshgrid(*[x] * k, indexing="ij")).reshape(k, -1)
    weights = np.prod(np.stack(np.meshgrid(*[w / w.sum()] * k, indexing="ij")).reshape(k, -1), axis=0)
    values, vectors = np.linalg.eigh(np.asarray(covariance))
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ grid, weights


def two_steps(gamma0, rate):
    """f(1), f(2), A(t, s) of layer 1 and B(1, s) of layer 2, P = K = y = 1, tanh: each mean written out by hand.

    The derivatives are the chain rule on paper: h1(1) = u + c phi'(u) r0, c = gamma0 rate; z1(1) = r1 + gamma0 ((B(1,0)
    + rate G(1,0)) phi(u) + B(1,1) phi(h1(1))), and so on.
    """
    phi, d1 = np.tanh, lambda z: 1 - np.tanh(z) ** 2
    d2, c = lambda z: -2 * np.tanh(z) * (1 - np.tanh(z) ** 2), gamma0 * rate
    (u,), w = normal([[1.0]], 60)
    (v,), w = normal([[w @ phi(u) ** 2]], 60)
    (u, r), w = normal(np.diag([1.0, w @ d1(v) ** 2]), 40)
    x = [phi(u), phi(u + c * d1(u) * r)]
    P = np.array([[w @ (a * b) for a in x] for b in x])
    A = {(1, 0): w @ (d1(u + c * d1(u) * r) * rate * d1(u))}
    (u0, u1, r), w = normal(np.block([[P, np.zeros((2, 1))], [np.zeros((1, 2)), np.ones((1, 1))]]), 30)
    C = A[1, 0] + rate * P[1, 0]
    h, z = u1 + gamma0 * C * d1(u0) * r, r + c * phi(u0)
    f1 = w @ (z * phi(h)) / gamma0
    g = [d1(u0) * r, d1(h) * z]
    G = np.array([[w @ (a * b) for a in g] for b in g])
    B = {(1, 1): w @ (d2(h) * z) / gamma0,
         (1, 0): w @ (d2(h) * z * C * d2(u0) * r + d1(h) * rate * d1(u0))}  # fmt: skip
    (u, r0, r1), w = normal(np.block([[np.ones((1, 1)), np.zeros((1, 2))], [np.zeros((2, 1)), G]]), 30)
    h = u + c * d1(u) * r0
    z = r1 + gamma0 * ((B[1, 0] + rate * G[1, 0]) * phi(u) + B[1, 1] * phi(h))
    later = gamma0 * rate * (1 - f1)
    end = h + later * d1(h) * z
    x = [phi(u), phi(h), phi(end)]
    P = np.array([[w @ (a * b) for a in x] for b in x])
    A[2, 1] = w @ (d1(end) * later * d1(h)) / gamma0
    bent = d2(h) * c * d1(u) * z + d1(h) * gamma0 * B[1, 1] * d1(h) * c * d1(u)
    A[2, 0] = w @ (d1(end) * (c * d1(u) + later * bent)) / gamma0
    (u0, u1, u2, r), w = normal(np.block([[P, np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]), 16)
    h, z = u1 + gamma0 * C * d1(u0) * r, r + c * phi(u0)
    reach = (A[2, 0] + rate * P[2, 0]) * d1(u0) * r + (A[2, 1] + rate * (1 - f1) * P[2, 1]) * d1(h) * z
    f2 = w @ ((z + later * phi(h)) * phi(u2 + gamma0 * reach)) / gamma0
    return [f1, f2], A, B


def test_two_steps_by_quadrature():
    """Fields, kernels, both responses and two times, without samples: 4 standard errors of 8 runs.

    Steps of 1/2 at gamma0 = 3/2: f = .3116, .5029, A to .2, B(1, 1) = -.245. Rules of 16 to 40 nodes an axis: 1e-4.
    """
    setting = Setting([[1.0]], [1.0], hidden=2, gamma0=1.5, rate=0.5, steps=2)
    f, A, B = two_steps(1.5, 0.5)
    found = sampled_limit(setting, tanh(), samples=2000, runs=8)
    asked = [(found.mean.f[t, 0], found.error.f[t, 0], f[t - 1]) for t in (1, 2)]
    for exact, name, layer in ((A, "A", 1), (B, "B", 1)):
        mean, error = (getattr(part, name)[layer, :, 0, :, 0] for part in (found.mean, found.error))
        asked += [(mean[at], error[at], value) for at, value in exact.items()]
    for mean, error, value in asked:
        assert abs(mean - value) < 4 * error + 1e-4
        assert error < 0.05 * abs(value)


def swept(K, y, hidden, gamma0, rate, steps):
    """f, and H, G, A, B by layer, of a linear network: closed equations with inverses, swept until nothing changes.

    A time after the other, begun by a copy of the time before: as printed in the sources of the theory, and nothing
    of wflow.deep.dmft.linear's way (forward substitution of fields).
    """
    P, n = len(y), steps + 1
    H = [np.tile(K, (n, n)) for _ in range(hidden + 1)]
    G = [np.ones((n, n)) for _ in range(hidden + 2)]
    A, B = ([np.zeros(shape) for _ in range(hidden + 1)] for shape in ((n * P, n), (n, n * P)))
    f, earlier = np.zeros((n, P)), np.tri(n, k=-1)
    for k in range(1, n + 1):
        m = k * P
        if k > 1:
            new, old = slice(m - P, m), slice(m - 2 * P, m - P)
            for X in H[1:]:
                X[new], X[:, new] = X[old], X[:, old]
            for X in G[1:-1]:
                X[k - 1], X[:, k - 1] = X[k - 2], X[:, k - 2]
            f[k - 1] = f[k - 2]
        for _ in range(40):
            change = 0.0
            for layer in range(1, hidden + 1):
                delta, under, over = (y - f[:k]).reshape(-1), H[layer - 1][:m, :m], G[layer + 1][:k, :k]
                pulled = (under * delta).reshape(m, k, P).sum(axis=2) * np.repeat(earlier[:k, :k], P, axis=0)
                C = A[layer - 1][:m, :k] + rate * pulled
                D = B[layer][:k, :m] + rate * np.repeat(over * earlier[:k, :k], P, axis=1) * delta
                M, N = np.linalg.inv(np.eye(m) - gamma0**2 * C @ D), np.linalg.inv(np.eye(k) - gamma0**2 * D @ C)
                for have, want in (
                    (H[layer][:m, :m], M @ (under + gamma0**2 * C @ over @ C.T) @ M.T),
                    (G[layer][:k, :k], N @ (over + gamma0**2 * D @ under @ D.T) @ N.T),
                    (A[layer][:m, :k], M @ C),
                    (B[layer - 1][:k, :m], N @ D),
                ):
                    change = max(change, float(np.max(np.abs(have - want))))
                    have[...] = want
            outputs = (M @ (under @ D.T + C @ over) @ N.T).reshape(k, P, k)
            f[:k] = np.einsum("tmt->tm", outputs)
            if change < 1e-14:
                break
        assert change < 1e-14
    return f, H, G, A, B


@pytest.mark.parametrize("hidden", [1, 2, 3])
def test_linear_networks_by_sweeps(hidden):
    """Every array, three data, to rounding; one datum: the numbers of row V20."""
    setting = three_data(hidden, gamma0=1.3, rate=0.1, steps=5)
    f, H, G, A, B = swept(setting.gram, setting.y, hidden, 1.3, 0.1, 5)
    exact, n, M = linear_limit(setting), setting.times, setting.times * setting.data
    assert np.max(np.abs(f - exact.f)) < 1e-13
    for k in range(hidden + 1):
        assert np.max(np.abs(H[k] - exact.Phi[k].reshape(M, M))) < 1e-13
        assert np.max(np.abs(G[k + 1] - exact.G[k])) < 1e-13
        assert np.max(np.abs(A[k] - exact.A[k].reshape(M, n))) < 1e-13
        assert np.max(np.abs(B[k] - exact.B[k].reshape(n, M))) < 1e-13
    f, H, G, _, _ = swept(np.eye(1), np.ones(1), hidden, 1.0, 0.1, 10)
    assert (f[-1, 0], H[hidden][-1, -1]) == pytest.approx(SWEPT[hidden], abs=1e-12)


def test_bars_are_of_the_mean():
    """Independent runs, default_rng([seed, run]): their mean, their deviation over the root of three; none of one."""
    setting = three_data(2, steps=2)
    found = sampled_limit(setting, tanh(), samples=40, runs=3, seed=5)
    each = np.array([nonlinear._one(setting, tanh(), True, 20, np.random.default_rng([5, k])).f for k in range(3)])
    assert found.mean.f == pytest.approx(each.mean(axis=0), abs=1e-15)
    bars = np.sqrt(np.sum((each - each.mean(axis=0)) ** 2, axis=0) / 2 / 3)
    assert found.error.f == pytest.approx(bars, abs=1e-15) and np.max(bars) > 1e-4
    assert np.all(np.isnan(sampled_limit(setting, tanh(), samples=40, runs=1).error.f))


def test_doors():
    """Each names the function, the argument and what to give."""
    setting = one_datum(2)
    with pytest.raises(TypeError, match=r"sampled_limit sigma.*pass activation"):
        sampled_limit(setting, "tanh")
    with pytest.raises(TypeError, match="first_fields setting"):
        first_fields(None)
    with pytest.raises(ValueError, match="first_fields samples: 7"):
        first_fields(one_datum(1), samples=7)
    with pytest.raises(ValueError, match=r"difference values.*not finite"):
        difference(np.array([[math.nan], [1.0]]), np.zeros(1))
    with pytest.raises(TypeError, match="difference values"):
        difference("f", np.zeros(1))


@pytest.mark.parametrize("rate", [3.0, 1e4, 1e200])
def test_any_rate_that_diverges_ends_by_name(rate):
    """However fast, a named error and no warning (warnings are errors here)."""
    setting = Setting(np.eye(2), [1.0, -1.0], hidden=2, rate=rate, steps=60)
    with pytest.raises(NotConverged, match="smaller rate"):
        linear_limit(setting)
    with pytest.raises(NotConverged, match="smaller rate"):
        sampled_limit(setting, quadratic(), samples=260, runs=1)
    with pytest.raises(NotConverged, match="smaller rate"):
        networks(setting, quadratic(), width=8, seeds=2)
