"""This file owns regularity: what derivatives psi and V have, judged for the activation and the law of x together.

psi(.; w) in L^2(x). For a closed kernel of the circle or the sphere, k = sum a_n cos n theta or sum a_l P_l, or along
a great circle of directions,

    |dpsi(w) - dpsi(w')|^2 ~ sum a_n n^2 (1 - cos n e),   e their distance:   a_n ~ n^-p gives e^min(2, p - 3)

so dpsi is Lipschitz where p > 5, Hoelder (p - 3)/2 where 3 < p < 5; for p <= 3 psi has no derivative in L^2 (derived).
relu has p = 4 on both: two half planes at an angle e differ on a sector of chance e/pi. V = int k dpi of atoms is as
smooth as k: its gradient is Lipschitz where p > 3.

On data x_1 .. x_n psi is n functions of w: dpsi is Lipschitz where sigma' is, and jumps where b . x_i = 0 if sigma'
jumps, whatever the law the data came from.
"""

import math
from itertools import pairwise

import numpy as np

from wflow.activation import piecewise_linear
from wflow.errors import Refused
from wflow.hypotheses.setting import Setting, kernel_of
from wflow.hypotheses.verdicts import Hypothesis, argued
from wflow.kernel import Kernel
from wflow.trajectory import Trajectory

_CLAIM = "psi has a locally Lipschitz derivative"
_LIPSCHITZ, _DIFFERENTIABLE = 5.0, 3.0
_FROM, _TO, _HALVES = 64, 512, 6
_FEWEST = 3


def decay(kernel: Kernel) -> float:
    """p of a_n ~ n^-p, by the largest coefficients in half octaves from 64 to 512; inf where they end or vanish.

    Kernels by quadrature are cut off above its rounding. The largest: coefficients may oscillate, and one parity may be
    null or fall faster.
    """
    a = np.asarray(kernel.coefficients(_TO))  # type: ignore[attr-defined]
    edges = (_FROM * 2.0 ** (0.5 * np.arange(_HALVES + 1))).round().astype(np.int64)
    places = np.array([low + int(np.argmax(a[low:high])) for low, high in pairwise(edges)])
    used = places[a[places] > 0.0]
    if len(used) < _FEWEST:
        return math.inf
    return -float(np.polyfit(np.log(used), np.log(a[used]), 1)[0])


def bends(run: Trajectory) -> bool:
    """psi has a bounded second derivative on data, be it one that jumps: its neuron says so by not refusing it."""
    risk = run.flow.energy.risk
    if risk is None or 1.0 < risk.neuron.activation.breaks < 2.0:
        return False
    try:
        risk.neuron.curvature(risk.data.inputs[:1], run.measures[0].points[:1])
    except Refused:
        return False
    return True


def smoothness(run: Trajectory) -> Hypothesis:
    """psi differentiable in w with locally Lipschitz derivative, into L^2 of x: not so where sigma' jumps."""
    energy = run.flow.energy
    if energy.risk is not None:
        sigma = energy.risk.neuron.activation
        if bends(run):
            reason = "finitely many x, on each of which psi has a locally bounded second derivative"
            return argued("psi", _CLAIM, "proved", reason)
        bent = "is like a root at knots" if energy.continuous else "jumps where b . x_i = 0"
        reason = f"{sigma} on {len(energy.risk.data)} rows: dpsi {bent}"
        return argued(
            "psi", _CLAIM, "not satisfied", f"{reason}; the theorem for relu needs a smoother parametrisation"
        )
    term = kernel_of(energy)
    if term is None:
        return argued("psi", _CLAIM, "supposed", "no network")
    p = decay(term.kernel)
    if p == math.inf:
        return argued("psi", _CLAIM, "proved", "the kernel that is solved is a finite sum of waves")
    if p > _LIPSCHITZ:
        return argued("psi", _CLAIM, "consistent", "coefficients of the kernel fall like n^-p, p > 5", measured=p)
    if p > _DIFFERENTIABLE + 0.05:
        exponent = "1/2" if abs(p - 4.0) < 0.2 else f"{0.5 * (p - 3.0):.2g}"
        reason = (
            f"sigma' jumps: coefficients of the kernel fall like n^-{p:.2f}, so dpsi is Hoelder {exponent} in L^2(x); "
            "the theorem for relu needs a smoother parametrisation"
        )
        return argued("psi", _CLAIM, "not satisfied", reason, measured=p)
    reason = f"coefficients of the kernel fall like n^-p, p = {p:.2f} <= 3: psi has no derivative in L^2(x)"
    return argued("psi", _CLAIM, "not satisfied", reason, measured=p)


def loss(run: Trajectory) -> Hypothesis:
    """The loss, a function of f in L^2(x), is convex with a Lipschitz derivative."""
    claim, energy = "the loss is convex with a Lipschitz derivative", run.flow.energy
    kind = "half square" if energy.risk is None else type(energy.risk.loss).__name__
    if energy.convex:
        return argued("loss", claim, "proved", kind)
    return argued("loss", claim, "not satisfied", f"{kind}: F is not convex along mixtures")


def gradient(run: Trajectory) -> Hypothesis:
    """V[pi] has a Lipschitz gradient, for atoms too: what makes the flow unique. Not what the theorem asks of psi."""
    claim, energy = "V[pi] has a Lipschitz gradient", run.flow.energy
    term = kernel_of(energy)
    if energy.risk is None and term is not None:
        p = decay(term.kernel)
        if p <= _DIFFERENTIABLE + 0.05:
            reason = f"the kernel has coefficients of n^-{p:.2g}: V bends at atoms, and is smooth for densities alone"
            return argued("V", claim, "not satisfied", reason, measured=p, needed=False)
        where = (
            ", where b is not 0" if run.flow.domain.dim > 1 and run.flow.domain.intrinsic == run.flow.domain.dim else ""
        )
        smooth = "smooth" if p == math.inf else f"C^{{{round(p) - 2:g},1}}"
        reason = f"x has a density: the kernel is {smooth}{where}"
        return argued("V", claim, "proved", reason, needed=False)
    if bends(run):
        return argued("V", claim, "proved", "psi has a locally Lipschitz derivative, x are finitely many", needed=False)
    bent = "is like a root at knots" if energy.continuous else "jumps where b . x_i = 0"
    reason = f"V' {bent}, on finitely many x; of x with a density it would not"
    return argued("V", claim, "not satisfied", reason, needed=False)


def sard(run: Trajectory, setting: Setting) -> Hypothesis:
    """The regular values of w -> <g, psi(w)> + r(w), for every g in L^2(x), are dense in its range.

    Morse and Sard: critical values of a C^k function of k variables are of measure 0. Relu in the plane: on |w| = 1
    the function is a |b| K(t), K(t) = <g, relu(u_t . x)>. Where K is not 0 a critical point has |a| = |b|
    and K'(t) = 0, so critical values are +- K(t)/2 at critical points of K, and 0; K is C^1 where x has a density
    (1{u_t . x > 0} is continuous in L^2), on data finitely many arcs of A cos + B sin. Charges: K alone (derived).
    """
    claim, energy, domain = "regular values are dense (Sard)", run.flow.energy, run.flow.domain
    term = kernel_of(energy)
    kinked = energy.risk is not None and bool(energy.risk.neuron.activation.kinks)
    finite_sum = term is not None and decay(term.kernel) == math.inf
    if finite_sum or (energy.risk is not None and not kinked):
        return argued("Sard", claim, "proved", "<g, psi> is smooth in w: the lemma of Morse and Sard")
    if setting.kind == "2-homogeneous" and energy.risk is not None and piecewise_linear(energy.risk.neuron.activation):
        reason = "on data <g, relu(b . x)> is linear on finitely many cells: finitely many critical values (derived)"
        return argued("Sard", claim, "proved", reason)
    variables = {"2-homogeneous": domain.dim - 2, "charges": domain.intrinsic}.get(setting.kind, domain.dim - 1)
    if variables <= 1 and (term is None or decay(term.kernel) > _DIFFERENTIABLE + 0.05):
        reason = "one variable at most: <g, psi> is C^1 in the angle, or finitely many smooth arcs (derived)"
        return argued("Sard", claim, "proved", reason)
    return argued("Sard", claim, "supposed", "not checkable for every g in L^2(x): assumed")
