"""This file owns the limit z' = int psi(z; w) dpi_s(w) of smooth laws, and the constants of the two errors about it.

With Phi(1, s) the flow linearised along z, finite nets drawn at s_l = l/L are off in z(1) by, to leading order,

    (1/L) E,  E = -(1/2) int Phi(1, s) z''(s) ds                                        explicit Euler, m = infinity
    N(0, P_layerwise/(m L)),  P_layerwise = int Phi(1, s) Cov_s[psi(z; w)] Phi(1, s)^T ds    independent in each layer
    N(0, P_tied/m),  P_tied = Cov_xi[int Phi(1, s) psi(z; w(s, xi)) ds]                      the same xi_j in all layers

Derived in docs/resnet.md.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.integrate import solve_ivp

from wflow.activation import Activation
from wflow.arrays import Array, count, positive, shaped
from wflow.deep.residual.law import GaussianPath
from wflow.deep.residual.net import parts
from wflow.errors import NotConverged

_NUDGE, _TIGHTEST = 1e-5, 1e-13


@dataclass(frozen=True, eq=False)
class Limit:
    """z(1) (n, D), E (n, D), traces of P_layerwise and P_tied (n,)."""

    end: Array
    euler: Array
    layerwise: Array
    tied: Array

    def expected(self, depth: int, width: int, *, tied: bool) -> float:
        """Root mean square over inputs and draws of |z_L - z(1)|, to leading order."""
        noise = self.tied / width if tied else self.layerwise / (width * depth)
        return float(np.sqrt(np.mean(np.sum(self.euler**2, axis=1) / depth**2 + noise)))


def end_state(law: GaussianPath, sigma: Activation, x: Array, *, tolerance: float = 1e-12) -> Array:
    """z(1) (n, D) of the limit from x (n, D), by DOP853."""
    x = shaped("end_state x", x, (None, law.dim))
    if positive("end_state tolerance", tolerance) < _TIGHTEST:
        raise ValueError(
            f"end_state tolerance: {tolerance:g} is below what rounding allows; give {_TIGHTEST:g} or more"
        )
    return np.asarray(_path(law, sigma, x, np.array([1.0]), tolerance)[0][-1])


def euler_state(law: GaussianPath, sigma: Activation, x: Array, depth: int) -> Array:
    """z_L (n, D) of the net of that depth and m = infinity."""
    z, h = shaped("euler_state x", x, (None, law.dim)), 1.0 / count("depth", depth)
    for i in range(depth):
        z = z + h * law.field(sigma, i * h, z)
    return z


def limit(law: GaussianPath, sigma: Activation, x: Array, *, places: int = 16, nodes: int = 7) -> Limit:
    """The limit from x (n, D) with its constants: Gauss in s on `places`, in xi on nodes^r (P_tied alone)."""
    x = shaped("limit x", x, (None, law.dim))
    t, q = np.polynomial.legendre.leggauss(count("limit places", places))
    s, q = 0.5 * (t + 1.0), 0.5 * q
    states, flows = _path(law, sigma, x, np.append(s, 1.0), 1e-12)
    onward = flows[-1] @ np.linalg.inv(flows[:-1])  # Phi(1, s) (places, n, D, D)
    bends = np.stack([_acceleration(law, sigma, a, z) for a, z in zip(s, states[:-1], strict=True)])
    spreads = np.stack([law.covariance(sigma, a, z) for a, z in zip(s, states[:-1], strict=True)])
    euler = -0.5 * np.einsum("s,snij,snj->ni", q, onward, bends)
    layerwise = np.einsum("s,snij,snjk,snik->n", q, onward, spreads, onward)
    return Limit(states[-1], euler, layerwise, _tied(law, sigma, s, q, states, onward, nodes))


def _tied(law: GaussianPath, sigma: Activation, s: Array, q: Array, states: Array, onward: Array, nodes: int) -> Array:
    """tr P_tied (n,)."""
    t, p = np.polynomial.hermite_e.hermegauss(count("limit nodes", nodes))
    xi = np.array(list(product(t, repeat=law.sources)))
    mass = np.prod(np.array(list(product(p / p.sum(), repeat=law.sources))), axis=1)
    total = np.zeros((states.shape[1], len(xi), law.dim))
    for place, share, z, phi in zip(s, q, states[:-1], onward, strict=True):
        u, v, c = parts(law.mean(place) + xi @ law.factor(place).T)
        total += share * np.einsum("nij,mj,nm->nmi", phi, u, sigma.value(z @ v.T + c))
    mean = np.einsum("m,nmi->ni", mass, total)
    return np.asarray(np.einsum("m,nmi->n", mass, (total - mean[:, None]) ** 2))


def _path(law: GaussianPath, sigma: Activation, x: Array, places: Array, tolerance: float) -> tuple[Array, Array]:
    """States (q, n, D) and Phi(s, 0) (q, n, D, D) at increasing places in (0, 1]."""
    n, dim = x.shape

    def slope(s: float, y: Array) -> Array:
        z, phi = y[: x.size].reshape(n, dim), y[x.size :].reshape(n, dim, dim)
        bent = _jacobian(law, sigma, s, z) @ phi
        return np.concatenate([law.field(sigma, s, z).ravel(), bent.ravel()])

    first = np.concatenate([x.ravel(), np.tile(np.eye(dim), (n, 1, 1)).ravel()])
    found = solve_ivp(slope, (0.0, 1.0), first, "DOP853", places, rtol=tolerance, atol=tolerance)
    if not found.success:
        raise NotConverged(f"limit: {found.message}; take a smoother law", float("nan"))
    y = found.y.T
    return y[:, : x.size].reshape(-1, n, dim), y[:, x.size :].reshape(-1, n, dim, dim)


def _jacobian(law: GaussianPath, sigma: Activation, s: float, z: Array) -> Array:
    """D_z B_s (n, D, D) by central differences, error 1e-10."""
    kicks = _NUDGE * np.eye(law.dim)
    columns = [law.field(sigma, s, z + k) - law.field(sigma, s, z - k) for k in kicks]
    return np.stack(columns, axis=2) / (2.0 * _NUDGE)


def _acceleration(law: GaussianPath, sigma: Activation, s: float, z: Array) -> Array:
    """z'' = d_s B + D_z B B (n, D)."""
    along = _NUDGE * law.field(sigma, s, z)
    ahead, behind = law.field(sigma, s + _NUDGE, z + along), law.field(sigma, s - _NUDGE, z - along)
    return np.asarray((ahead - behind) / (2.0 * _NUDGE))
