"""This file owns gradient descent by samples: finite networks that see a few data a step, and their Ito equation."""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from solvers.rows import Epochs, Fresh, OnePass, Replaced, Rows
from solvers.starts import Quantised, Sampled, check, first, refusal_of_start, space_order
from wflow.arrays import Array, count, positive
from wflow.data import Data
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.measure import Particles
from wflow.solver import Order, Promise, Solver, State, Step, explicit_bound
from wflow.sums import Sums
from wflow.terms import Risk

__all__ = [
    "Epochs",
    "Fresh",
    "ModifiedEquation",
    "OnePass",
    "Quantised",
    "Replaced",
    "Rows",
    "Sampled",
    "StochasticGradient",
]


_ITERATIONS, _DIFFERENCE, _ROWS = 12, 1e-4, 256


@dataclass(frozen=True)
class _BySamples(Solver):
    """Particles on a flow with one Risk on data; the other terms of the energy, if any, are seen exactly."""

    particles: int
    batch: int = 1
    seed: int = 0
    start: Quantised | Sampled = field(default_factory=Quantised)
    resolution: ClassVar[str] = "particles"
    random: ClassVar[bool] = True
    shaped: ClassVar[bool] = True

    def __post_init__(self) -> None:
        name = type(self).__name__
        for knob, least in (("particles", 1), ("batch", 1), ("seed", 0)):
            count(f"{name} {knob}", getattr(self, knob), least=least)
        check(name, self.start)

    @property
    def needs(self) -> Literal["quantile", "sample"]:  # type: ignore[override]
        """Quantiles, or samples."""
        return "quantile" if isinstance(self.start, Quantised) else "sample"

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass. A batch moves uphill as often as not near rest."""
        return frozenset({"mass"})

    def _refusal(self, flow: Flow) -> str | None:
        """Entropy (atoms have none); energies without a Risk on data, or with two; quantile starts without any."""
        if flow.energy.internal:
            return "particles move by grad V alone and atoms have no entropy; use a method with a density"
        if sum(isinstance(term, Risk) for term in flow.energy.terms) != 1:
            return "there are no data to draw from; pose the risk as one Risk(neuron, data), not by a kernel"
        return refusal_of_start(flow, self.start)

    def init(self, flow: Flow) -> State:
        return first(flow, self.start, self.particles)


def _parts(energy: Energy) -> tuple[Risk, Energy | None]:
    """The risk, and the rest."""
    assert energy.risk is not None
    rest = [term for term in energy.terms if not isinstance(term, Risk)]
    return energy.risk, Energy(*rest) if rest else None


@dataclass(frozen=True)
class StochasticGradient(_BySamples):
    """w_j <- w_j - dt [(1/b) sum_{i in batch} l'(f_pi(x_i), y_i) grad psi(x_i; w_j) + grad r(w_j)]: stochastic descent.

    The step is dt, the batch b; pi = (1/m) sum_j delta_{w_j} as it is before the step. rows: Replaced(), Epochs(),
    OnePass() on the rows of Data, or Fresh() data of their law. At a wall the point goes to the nearest one inside.
    Order: in mean square over seeds the distance to `GradientFlow` at a time t is O((dt/b)^(1/2)), for dt below the
    time of the flow; E phi(w) of a smooth phi is O(dt) from the flow's. Against its Ito equation: ModifiedEquation.
    Draws come from default_rng([seed, step]) (an epoch's order from [seed, epoch]), so a resumed run has the same.
    Raises Refused where OnePass has used up its rows.
    Source: Robbins & Monro 1951; as the mean-field limit, Mei, Montanari & Nguyen 2018, PNAS 115, E7665-E7671.
    """

    rows: Rows = field(default_factory=Replaced)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.rows, Rows):
            raise TypeError(
                f"StochasticGradient rows: {self.rows!r} is no way to draw; give Replaced(), Epochs(), OnePass() "
                "or Fresh()"
            )

    def order(self, flow: Flow) -> Order:
        """1/2 in the step, in mean square over seeds; in space that of the start. No energy identity is claimed."""
        return Order(0.5, space_order(flow, self.start), identity=0.0)

    def _refusal(self, flow: Flow) -> str | None:
        """Also data that the way of drawing cannot take."""
        reason = super()._refusal(flow)
        if reason is not None or flow.energy.risk is None:
            return reason
        return self.rows.refusal(flow.energy.risk.data)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, Particles)
        risk, rest = _parts(flow.energy)
        seen = Risk(risk.neuron, self.rows.batch(risk.data, self.batch, self.seed, state.count), risk.loss)
        uphill = seen.potential(pi, pi.points, 1)
        if rest is not None:
            uphill = uphill - rest.velocity(pi, pi.points)
        velocity = flow.domain.slide(pi.points, -uphill)
        return Step(state.after(dt, pi.moved(flow.domain.retract(pi.points + dt * velocity))))

    def largest_step(self, flow: Flow, state: State) -> float:
        """Of plain descent on the mean of all rows, a little inside; a batch may ask for less."""
        return _bound(flow, state)


@dataclass(frozen=True)
class ModifiedEquation(_BySamples):
    """dw = -grad V dt + (length Sigma(w)/batch)^(1/2) dB: the Ito equation of StochasticGradient(batch).

    length: the step of that descent, not this method's own dt, which should be shorter.
    Sigma is the covariance over the data of l'(f_pi(x), y) (grad psi(x; w_1), .., grad psi(x; w_m)): one Brownian
    motion a row, B_i, moves all particles, by sum_i p_i^(1/2) (G_i - sum_k p_k G_k) dB_i, G_i the gradient on row i,
    p_i its weight, so that no matrix is made. With `second` the drift is
    -(v + (length/2) Dv v), v = grad V, Dv its Jacobian on all particles: weakly of order 2 in `length` to the descent
    (order 1 without); it needs a neuron with a second derivative.
    Scheme: Heun in the drift, Euler-Maruyama in the noise: weak error O(dt^2 + length dt), noise being small.
    Source: Li, Tai & E 2017, ICML (arXiv:1511.06251); the scheme, Milstein & Tretyakov 1997, SIAM J. Numer. Anal. 34.
    """

    length: float = 0.1
    second: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("ModifiedEquation length", self.length)

    def order(self, flow: Flow) -> Order:
        """1/2 in dt, in mean square for one seed: each dt draws its own noise. In space that of the start."""
        return Order(0.5, space_order(flow, self.start), identity=0.0)

    def _refusal(self, flow: Flow) -> str | None:
        """Also neurons without a second derivative, for the second order."""
        if self.second and not flow.energy.curved:
            return "the drift of second order takes psi'', which this neuron does not have; use second=False"
        return super()._refusal(flow)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, Particles)
        first_drift = self._drift(flow, pi)
        noise = math.sqrt(dt * self.length / self.batch) * self._noise(flow, pi, state.count)
        middle = pi.moved(flow.domain.retract(pi.points + dt * first_drift + noise))
        end = pi.points + 0.5 * dt * (first_drift + self._drift(flow, middle)) + noise
        return Step(state.after(dt, pi.moved(flow.domain.retract(end))))

    def _drift(self, flow: Flow, pi: Particles) -> Array:
        """(m, d)."""
        w, energy = pi.points, flow.energy
        downhill = energy.velocity(pi, w)
        if self.second:
            factor, core = energy.coupling(pi, w)
            turned = np.einsum("mij,mj->mi", energy.curvature(pi, w), downhill)
            turned += (factor @ (core * (factor.T @ (pi.weights[:, None] * downhill).ravel()))).reshape(w.shape)
            # Dv v = -(Dv)(-v): the drift -v - (length/2) Dv v
            downhill = downhill + 0.5 * self.length * turned
        return flow.domain.slide(w, downhill)

    def _noise(self, flow: Flow, pi: Particles, step: int) -> Array:
        """sum_i p_i^(1/2) xi_i (G_i - mean G) (m, d), xi independent N(0, 1)."""
        risk, _ = _parts(flow.energy)
        p = risk.data.weights
        kicks = np.sqrt(p) * np.random.default_rng([self.seed, step]).standard_normal(len(p))
        slope = risk.loss.slope(risk.predict(pi), risk.data.targets)
        return Sums(risk.neuron, risk.data.inputs).at(pi.points).against(slope * (kicks - kicks.sum() * p), 1)

    def largest_step(self, flow: Flow, state: State) -> float:
        """Heun's interval, a little inside."""
        return _bound(flow, state)


def _bound(flow: Flow, state: State) -> float:
    """1.9/(|K| + max|V''|), K the coupling of V to the moving points by power iteration; inf where both vanish.

    K v = sum_i p_i l''_i grad psi(x_i; w_j) (Df v)_i, Df v = d/de f_{w + e v} by central differences, on at most 256 of
    the rows, so that no array of all gradients is made. (wflow.solver.explicit_bound takes |K| of few points and three
    standard errors, which in R^d with d = 320 is more than the trace.)
    """
    pi, energy = state.measure, flow.energy
    assert isinstance(pi, Particles)
    risk, rest = _parts(energy)
    data = _thinned(risk.data)
    core = data.weights * risk.loss.curvature(
        Sums(risk.neuron, data.inputs).at(pi.points).predict(pi.weights), data.targets
    )
    v, size = energy.velocity(pi, pi.points), 0.0
    for _ in range(_ITERATIONS):
        length = float(np.sqrt(pi.weights @ np.sum(v * v, axis=1)))
        if length == 0.0:
            break
        v = v * (_DIFFERENCE / length)
        ends = [Sums(risk.neuron, data.inputs).at(pi.points + sign * v).predict(pi.weights) for sign in (1.0, -1.0)]
        change = (ends[0] - ends[1]) / (2.0 * _DIFFERENCE)
        v = Sums(risk.neuron, data.inputs).at(pi.points).against(core * change, 1)
        size = float(np.sqrt(pi.weights @ np.sum(v * v, axis=1)))
    if energy.curved:
        hessian = energy.curvature(pi, pi.points)
        size += math.sqrt(float(np.max(np.sum(hessian * hessian, axis=(1, 2)))))
    elif rest is not None:
        size += 1.0 / explicit_bound(rest, pi)
    return 1.9 / size if size > 0.0 else math.inf


def _thinned(data: Data) -> Data:
    """At most 256 of the rows, evenly."""
    every = -(-len(data) // _ROWS)
    weights = data.weights[::every]
    return Data(data.inputs[::every], data.targets[::every], weights / weights.sum())
