"""Small problems for the tests of certificates: spikes behind a low-pass filter, noisy data on the circle."""

import math
from collections.abc import Sequence

import numpy as np

from wflow import CircleNeuron, Data, Energy, HalfSquare, Logistic, Risk, SignedParticles, activation, torus
from wflow.forceless import TotalVariation
from wflow.neuron import TranslationNeuron

SPIKES = math.pi + np.array([[0.0, 0.0], [1.7, -0.3], [0.7, 1.3]])
MASSES = np.array([1.21, 0.64, 1.0])


def blurred(spikes: np.ndarray, masses: Sequence[float], degree: int, strength: float) -> Energy:
    """1/2 |Phi nu - y|^2 + strength |nu|, y = Phi of the spikes (k, d); inputs exact for the filter's degree."""
    spikes = np.asarray(spikes, dtype=float)
    axis = 2.0 * math.pi * np.arange(2 * degree + 1) / (2 * degree + 1)
    grids = np.meshgrid(*[axis] * spikes.shape[1], indexing="ij")
    inputs = np.stack([g.ravel() for g in grids], axis=1)
    neuron = TranslationNeuron(activation("dirichlet", degree), spikes.shape[1])
    data = Data(inputs, neuron.value(inputs, spikes) @ np.asarray(masses, dtype=float))
    return Energy(Risk(neuron, data), TotalVariation(strength))


def published(strength: float = 1.0) -> Energy:
    """The two-dimensional case of lchizat/2019-sparse-optim-measures (cited): three spikes, D of degree 2."""
    return blurred(SPIKES, MASSES, 2, strength)


def grid_start(side: int = 10) -> SignedParticles:
    """side^2 cell centres of mass .25/side^2 each."""
    axis = (np.arange(side) + 0.5) * 2.0 * math.pi / side
    points = np.stack([g.ravel() for g in np.meshgrid(axis, axis, indexing="ij")], axis=1)
    return SignedParticles(torus(2), points, np.full(side**2, 0.25 / side**2))


def parts(energy: Energy, nu: SignedParticles) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """r omega (n,), psi (n, m) and its gradient (n, m, d) at the particles."""
    risk = energy.risk
    assert risk is not None
    x = risk.data.inputs
    q = risk.data.weights * (risk.predict(nu) - risk.data.targets)
    return q, risk.neuron.value(x, nu.points), risk.neuron.gradient(x, nu.points)


def descended(energy: Energy, nu: SignedParticles, steps: int, rate: float = 0.01) -> SignedParticles:
    """Positive masses by mirror steps exp(-4 rate (V + lam)), positions by theta -= rate grad V."""
    lam = next(term.strength for term in energy.terms if isinstance(term, TotalVariation))
    for _ in range(steps):
        q, psi, slope = parts(energy, nu)
        masses = nu.weights * np.exp(-4.0 * rate * (q @ psi + lam))
        nu = SignedParticles(nu.domain, nu.points - rate * np.tensordot(q, slope, 1), masses)
    return nu


def polished(energy: Energy, nu: SignedParticles, steps: int = 20) -> SignedParticles:
    """Newton's method for J in masses and positions, of a few positive atoms near a minimiser."""
    lam = next(term.strength for term in energy.terms if isinstance(term, TotalVariation))
    risk, (m, d) = energy.risk, nu.points.shape
    assert risk is not None
    for _ in range(steps):
        q, psi, slope = parts(energy, nu)
        bend = np.tensordot(q, risk.neuron.curvature(risk.data.inputs, nu.points), 1)
        along = np.tensordot(q, slope, 1)
        columns = np.concatenate([psi, (nu.weights[:, None] * slope).reshape(len(q), m * d)], axis=1)
        hessian = columns.T @ (risk.data.weights[:, None] * columns)
        for j in range(m):
            at = m + d * j + np.arange(d)
            hessian[j, at] += along[j]
            hessian[at, j] += along[j]
            hessian[np.ix_(at, at)] += nu.weights[j] * bend[j]
        gradient = np.concatenate([q @ psi + lam, (nu.weights[:, None] * along).ravel()])
        step = np.linalg.solve(hessian, gradient)
        nu = SignedParticles(nu.domain, nu.points - step[m:].reshape(m, d), nu.weights - step[:m])
    return nu


def noisy(name: str, b: float | None, n: int, seed: int, loss: object = None) -> Energy:
    """Three neurons of the circle with noise, or labels for the logistic loss."""
    rng = np.random.default_rng([seed, n])
    neuron, x = CircleNeuron(activation(name, b)), rng.standard_normal((n, 2))
    y = neuron.value(x, 6.0 * rng.random((3, 1))) @ rng.dirichlet(np.ones(3)) + 0.2 * rng.standard_normal(n)
    y = np.where(y > np.median(y), 1.0, -1.0) if isinstance(loss, Logistic) else y
    return Energy(Risk(neuron, Data(x, y), loss or HalfSquare()))  # type: ignore[arg-type]
