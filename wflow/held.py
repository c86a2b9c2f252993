"""This file owns which particles are held on a kink of V, where a gradient flow is no longer w' = -grad V.

Where grad V jumps across a surface and -grad V points to it from both sides, a particle stays on the surface and moves
along it, by the element of least norm between both gradients (cited: Filippov 1988, Differential Equations with
Discontinuous Righthand Sides). Explicit steps cross to and fro and follow it to O(dt), but

    F(0) - F(t) = int int |least element|^2 dpi dt < int int |grad V|^2 dpi dt,

grad V being that of either side: what such a method counts as dissipated does not tend to what F loses.
"""

import numpy as np

from wflow.arrays import Array
from wflow.measure import Measure, Particles
from wflow.trajectory import Trajectory

_HALVINGS = 40
_JUMP = 1e-3
"""Of the velocity: less is no jump but the slope of grad V over what 40 halvings leave of a step."""


def held(run: Trajectory) -> int:
    """The most particles that a saved time finds held, each within one step of its kink."""
    step = float(np.max(run.diagnostics["step"][1:]))
    return max((int(np.sum(_held(run, pi, step))) for pi in run.measures if isinstance(pi, Particles)), default=0)


def _held(run: Trajectory, pi: Measure, step: float) -> Array:
    """(m,) whether the velocity jumps within one step, against itself on either side of the jump.

    The jump is found by halves, of which the one is kept over which the velocity changes more.
    """

    def velocity(at: Array) -> Array:
        return np.asarray(run.flow.energy.velocity(pi, at))

    near, before = pi.points, velocity(pi.points)
    far = near + step * before
    after = velocity(far)
    for _ in range(_HALVINGS):
        middle = 0.5 * (near + far)
        between = velocity(middle)
        first = (_norm(between - before) >= _norm(after - between))[:, None]
        near, before = np.where(first, near, middle), np.where(first, before, between)
        far, after = np.where(first, middle, far), np.where(first, between, after)
    jump = after - before
    sharp = _norm(jump) > _JUMP * np.maximum(_norm(before), _norm(after))
    against = (np.sum(before * jump, axis=1) < 0.0) & (np.sum(after * jump, axis=1) > 0.0)
    return np.asarray(sharp & against)


def _norm(v: Array) -> Array:
    return np.asarray(np.linalg.norm(v, axis=1))
