"""This file owns the flows of two-layer networks on the sphere S^2, where neurons of three inputs live."""

from collections.abc import Mapping

import numpy as np

from wflow.activation import Activation
from wflow.activation import activation as activation_named
from wflow.arrays import Array, finite, positive
from wflow.energy import Energy, population_risk
from wflow.flow import Flow
from wflow.harmonics import restricted
from wflow.internal import Entropy
from wflow.law import Atoms, Law, Uniform
from wflow.problems.problem import Problem
from wflow.shapes import sphere
from wflow.spectrum import NullModes
from wflow.sphere_kernel import sphere_kernel
from wflow.sphere_spectrum import SphereInputs, null_degrees, sphere_coefficients
from wflow.terms import Potential
from wflow.zonal import Drifted, ZonalDensity

UNIFORM = Uniform(sphere())


def decay_rates(sigma: Activation, inputs: SphereInputs, count: int, temperature: float = 0.0) -> Array:
    """(count+1,) lambda_l = l (l + 1) (E mu_l^2 + temperature): h_l' = -lambda_l h_l to first order at uniform.

    rho = (1 + sum h_l P_l)/4 pi gives V = const + sum E mu_l^2 h_l P_l, d_t rho = Laplace(V/4 pi + temperature rho),
    and P_l(w . axis) has Laplace eigenvalue -l (l + 1). (E mu_l^2 = a_l/(2l + 1).)
    """
    l = np.arange(count + 1.0)  # noqa: E741
    return np.asarray(l * (l + 1.0) * (sphere_coefficients(sigma, inputs, count) / (2.0 * l + 1.0) + temperature))


def predicted_limit(modes: Mapping[int, float], null: NullModes, start: Law) -> tuple[Law | None, str]:
    """What can be said of the limit for this start.

    No null degree: uniform, a numerical finding. All of the start in null degrees: V is constant, the start stays
    (proved). Only even degrees: rho(-w) = rho(w) is kept (proved: w -> -w is an isometry that the flow respects), so
    uniform if no even degree is null; otherwise nothing is predicted.
    """
    present = [int(n) for n, h in modes.items() if h]
    if present and all(n in null for n in present):
        return start, "every degree of the start is null: V is constant and nothing moves (proved)"
    if null.empty:
        return UNIFORM, "no null degrees: uniform (a numerical finding, no theorem)"
    if not present:
        return UNIFORM, "the start is uniform already"
    if all(n % 2 == 0 for n in present) and not null.meets_multiples_of(2):
        reason = "the start is even under w -> -w and no even degree is null"
        return UNIFORM, f"{reason}: uniform (a numerical finding, no theorem)"
    return None, "not predicted: the start mixes visible degrees with null degrees they couple to"


def sphere_teacher(
    activation: str = "cos_minus_sin",
    b: float | None = None,
    inputs: SphereInputs = "gaussian",
    modes: Mapping[int, float] = {1: 0.5, 2: 0.4},
    horizon: float = 10.0,
    temperature: float = 0.0,
) -> Problem:
    """A network of neurons sigma(x . w), w on the unit sphere S^2, learns the teacher whose neurons are uniform.

    F = E (f_pi - f_unif)^2 / 2 + temperature int rho log rho.   activation: relu, leaky_relu or a smooth one of the
    list; b: its parameter; inputs: "gaussian" N(0, I_3) or "sphere" uniform on S^2; modes: {l: h_l} of the zonal start
    (1 + sum h_l P_l(w_3))/4 pi, not negative; horizon: final time.
    """
    sigma = activation_named(activation, b)
    kernel = sphere_kernel(sigma, inputs)
    start = ZonalDensity(modes)
    if not float(finite("temperature", temperature)) >= 0.0:
        raise ValueError(f"temperature: {temperature!r} is not allowed; give a number >= 0 (0: no noise)")
    internal = (Entropy(temperature),) if temperature else ()
    flow = Flow(Energy(*population_risk(kernel, UNIFORM), *internal), sphere(), start, horizon)
    null = null_degrees(sigma, inputs)
    limit, reason = (UNIFORM, "heat and risk agree on uniform") if temperature else predicted_limit(modes, null, start)
    still = limit is start
    return Problem(
        flow,
        "the sphere of the circle theorem of Lei Wu's lecture; linearisation derived for this project",
        f"null degrees of {sigma}: {null}",
        exact=lambda t: start if still else None,
        minimiser=UNIFORM,
        limit=limit,
        limit_reason=reason,
    )


def sphere_drift(strength: float = 1.0, modes: Mapping[int, float] = {2: 0.5}, horizon: float = 1.0) -> Problem:
    """V = -strength w_3 on S^2: a conformal flow to the pole, on which tan(theta/2) shrinks by e^{-strength t}.

    strength: above 0; modes: {l: h_l} of the zonal start (1 + sum h_l P_l(w_3))/4 pi. The density is known for all
    time, and so is where each particle is.
    """
    positive("strength", strength)
    start, axis = ZonalDensity(modes), np.array([0.0, 0.0, 1.0])

    def field(w: Array, derivative: int) -> Array:
        jet = (-strength * w[:, 2], np.broadcast_to(-strength * axis, w.shape), np.zeros((len(w), 3, 3)))
        return restricted(w, *jet[: derivative + 1])

    pole = Atoms(sphere(), axis[None])
    return Problem(
        Flow(Energy(Potential(field, f"-{strength:g} w_3")), sphere(), start, horizon),
        "derived for this project: theta' = -strength sin theta",
        "exactly solvable: a conformal map at every time",
        exact=lambda t: Drifted(start, strength * t) if t > 0.0 else start,
        minimiser=pole,
        limit=pole,
        limit_reason="exact solution",
    )


__all__ = ["UNIFORM", "decay_rates", "predicted_limit", "sphere_drift", "sphere_teacher"]
