"""This file owns what can be said of 2-homogeneous networks: a bracket with a ridge, conditional ones without.

Neurons w = (a, b), psi = a sigma(b . X), X in the plane, sigma positively 1-homogeneous. With u = b/|b| a network is a
signed measure nu = int a |b| delta_u dpi on the circle of directions, f = Phi nu, and V(a, b) = a |b| K(u) with
K = Phi^* (omega l') there.

A ridge r costs int r (|a|^2 + |b|^2)/2 dpi >= r int |a| |b| dpi >= r |nu|, with equality for |a| = |b| and one sign a
direction, and each nu is that of a network of mass one (a and b may be scaled). So inf F is that of the problem on the
circle with lam = r |nu| (proved), to which wflow.duality.fenchel applies.

Without one a dual vector would need K = 0 everywhere: min V is 0 or -infinity, and no gap comes from V alone. What is
left is conditional: among networks of int |a| |b| dpi <= B, for every t >= 0 (Fenchel; proved)

    F >= -t B max |K| - sum_i omega_i l*(t l'_i, y_i) + offset

t = 1 is F - min F <= int V dpi + B max |K|. For data max |K| is exact on arcs.

For finite data Phi nu stays in the span of the features. On each arc sigma(X_i . u) = (al + be s_i) X_i . u with the
signs s_i of the arc, so two vectors an arc span it; what the targets have beyond it no network of that form removes:
inf F = dist^2/2 with dist^2 = sum_i omega_i (y - P y)_i^2 (proved in exact arithmetic; the computed residual of the
projection leaves max |K| of the order of rounding, and is bounded under B like any other dual vector).
"""

import math

import numpy as np

from wflow.arrays import Array, finite
from wflow.data import Data
from wflow.domain import circle
from wflow.duality.arcwise import Arcwise, kinks_of
from wflow.duality.bracket import Bracket
from wflow.duality.conjugates import best_multiple, furthest, paid
from wflow.duality.fenchel import admitted
from wflow.duality.field import UNIT, largest
from wflow.duality.mixtures import ROUNDED, dual_vector
from wflow.duality.observed import MODES, Observed, OfData, OfModes, rows
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.forceless import Constant
from wflow.kernel import relu_kernel
from wflow.law import Atoms
from wflow.loss import HalfSquare
from wflow.measure import Measure, SignedParticles, circle_modes
from wflow.neuron import CircleNeuron, RidgeNeuron
from wflow.plane_kernel import ReluPlaneKernel
from wflow.ridge import Affine
from wflow.terms import Interaction, Potential, Risk, Term

_STEEPEST = 1e8


def on_directions(energy: Energy) -> tuple[Observed, float]:
    """What the energy sees of nu on the circle of directions, and its ridge.

    Raises Refused unless it is one Risk of neurons a sigma(b . X) with X in the plane and sigma relu or leaky relu, or
    the closed risk of relu in the plane with a target of atoms; with constants and a ridge.
    """
    constant = sum(term.number for term in energy.terms if isinstance(term, Constant))
    ridge = sum(term.ridge or 0.0 for term in energy.terms if isinstance(term, Potential))
    terms = [t for t in energy.terms if not isinstance(t, Constant) and not (isinstance(t, Potential) and t.ridge)]
    view = None if energy.internal or energy.limits else _seen(terms, constant)
    if view is None:
        raise Refused(
            f"directions: {[type(t).__name__ for t in energy.terms]} is not one risk of neurons a relu(b . X), X in "
            "the plane, with at most a ridge; use such neurons and drop other terms"
        )
    return view, ridge


def _seen(terms: list[Term], constant: float) -> Observed | None:
    match terms:
        case [Risk(neuron=RidgeNeuron() as neuron) as risk]:
            kinked = kinks_of(neuron.activation)
            if not neuron.outer or neuron.inputs + neuron.bias != 2 or kinked is None or kinked[2]:
                return None
            columns = Affine(outer=True, bias=neuron.bias).columns(risk.data.inputs)
            data = Data(columns, risk.data.targets, risk.data.weights)
            return OfData(Risk(CircleNeuron(neuron.activation), data, risk.loss), circle(), constant)
        case [Interaction(kernel=ReluPlaneKernel() as kernel), Potential(convolved=(other, Atoms() as target))]:
            if other is not kernel:
                return None
            nu = on_circle(target)
            a = relu_kernel(0.0, "gaussian").coefficients(MODES)
            modes = circle_modes(nu.points[:, 0], nu.weights, MODES)
            return OfModes(a, rows(modes), constant - 0.5 * kernel.double(target))
    return None


def on_circle(pi: Measure | Atoms) -> SignedParticles:
    """nu = int a |b| delta_{angle of b} dpi of a measure on w = (a, b_1, b_2)."""
    a, b = pi.points[:, 0], pi.points[:, 1:]
    angles = np.mod(np.arctan2(b[:, 1], b[:, 0]), 2.0 * math.pi)
    return SignedParticles(circle(), angles[:, None], pi.weights * a * np.linalg.norm(b, axis=1))


def charge_of(pi: Measure) -> float:
    """int |a| |b| dpi."""
    return float(pi.weights @ (np.abs(pi.points[:, 0]) * np.linalg.norm(pi.points[:, 1:], axis=1)))


def ridge_bracket(energy: Energy, pi: Measure) -> Bracket:
    """inf F over all networks with a ridge, bracketed at pi; Refused without one, or as `on_directions`."""
    view, ridge = on_directions(energy)
    if not ridge > 0.0:
        raise Refused("ridge_bracket: without a ridge V has no dual; use charge_bracket, under a bound of the charge")
    nu = on_circle(pi)
    found = admitted(view, dual_vector(view, nu), ridge, signed=True)
    if found is None:
        raise Refused("ridge_bracket: no rigorous bound of max |K| is known for this activation")
    s, lower, peak, method = found
    own = ridge * float(pi.weights @ np.sum(pi.points**2, axis=1))
    rounding = _rounding(view, nu) + UNIT * (len(pi.weights) + 16.0) * own
    return Bracket(energy.value(pi), lower, rounding, "networks", method, s, peak)


def charge_bracket(energy: Energy, pi: Measure, charge: float) -> Bracket:
    """Conditional: inf F among networks of int |a| |b| dpi <= charge, without ridge, bracketed at pi.

    A network of more charge than that is compared with those of less. Raises ValueError for a charge below 0 or not
    finite, Refused with a ridge, as `on_directions`.
    """
    if not float(finite("charge_bracket charge", charge)) >= 0.0:
        raise ValueError(f"charge_bracket charge: {charge!r} is not allowed; give a number >= 0")
    view, ridge = on_directions(energy)
    if ridge:
        raise Refused("charge_bracket: there is a ridge; use ridge_bracket, which needs no condition")
    nu = on_circle(pi)
    t, lower, method = _under(view, dual_vector(view, nu), charge)
    if isinstance(view, OfData) and isinstance(view.loss, HalfSquare):
        lower = max(lower, _under(view, -beyond_span(view), charge)[1])
    return Bracket(energy.value(pi), lower, _rounding(view, nu), "bounded", method, t)


def _rounding(view: Observed, nu: SignedParticles) -> float:
    """Positions and charges of nu are off by 8 u each, which counts like 16 operations more; taken twice."""
    return 2.0 * view.rounding(nu)


def _under(view: Observed, q: Array, charge: float) -> tuple[float, float, str]:
    """t and a lower bound of F over |nu| <= charge by the dual vector t q, and how max |K| was bounded."""
    field = view.against(q)
    if field is None:
        raise Refused("charge_bracket: no rigorous bound of max |K| is known for this activation")
    top, enclosure = largest(field, signed=True)

    def gain(t: float) -> float:
        return -t * charge * top - paid(view.loss, t * q, view.targets, view.weights)

    if isinstance(view.loss, HalfSquare):
        square = float(view.weights @ q**2)
        ratio = (-charge * top - float(view.weights @ (q * view.targets))) / square if square > 0.0 else 0.0
        t = max((0.0, 1.0, max(0.0, ratio)), key=gain)
    else:
        t = best_multiple(gain, min(furthest(view.loss, q, view.targets), _STEEPEST))
    found = gain(t) + view.offset
    return t, found - ROUNDED * (abs(found) + abs(view.offset)), enclosure.method


def beyond_span(view: OfData) -> Array:
    """(n,) what the targets have beyond the span of the features, by least squares with the data's weights."""
    kinked = kinks_of(view.risk.neuron.activation)
    if kinked is None:
        raise Refused(f"span: {view.risk.neuron.activation} is not piecewise linear; use relu or leaky_relu")
    x = view.data.inputs
    ends, _ = Arcwise(np.ones(len(x)), x, kinked).arcs()
    middle = 0.5 * (ends[1:] + ends[:-1])
    root = np.sqrt(view.weights)[:, None]
    on = root * (kinked[0] + kinked[1] * np.sign(x @ np.stack([np.cos(middle), np.sin(middle)])))
    basis, sizes, _ = np.linalg.svd(np.concatenate([on * x[:, :1], on * x[:, 1:]], axis=1), full_matrices=False)
    kept = basis[:, sizes > 1e-10 * sizes[0]]
    left = root[:, 0] * view.targets
    for _ in range(2):  # once more for the rounding of the first
        left = left - kept @ (kept.T @ left)
    return np.asarray(left / np.where(root[:, 0] > 0.0, root[:, 0], 1.0))


def span_distance(energy: Energy) -> float:
    """inf F over all networks for finite data: dist(targets, span of the features)^2/2 (computed, not enclosed).

    Half square without ridge alone, else Refused.
    """
    view, ridge = on_directions(energy)
    if ridge or not isinstance(view, OfData) or not isinstance(view.loss, HalfSquare):
        raise Refused("span: the distance is that of least squares on data without a ridge; use such a risk")
    return 0.5 * float(view.weights @ beyond_span(view) ** 2) + view.offset
