"""This file owns how multilayer networks are trained: by all rows or by batches, in rounds, until a rule says stop.

Steps here are those of gradient descent on theta itself, theta <- theta - eta grad F, not times of a flow; no measure
moves, so these are no solvers in the sense of wflow.solver.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wflow.arrays import Array, count, finite, positive
from wflow.errors import NotConverged
from wflow.perceptron import EmpiricalRisk, Pass

_ADVICE = "halve step, or lengthen warmup"


class Descent(Protocol):
    """A way to descend, by rounds: one step on all rows, or one epoch of batches."""

    def round(self, at: Pass, k: int) -> Array:
        """theta after round k from the pass at theta."""


@dataclass(frozen=True)
class FullBatch:
    """theta <- theta - eta_k grad F, eta_k = step min(1, (k + 1)/warmup): gradient descent, a round a step."""

    step: float
    warmup: int = 0

    def __post_init__(self) -> None:
        positive("FullBatch step", self.step)
        count("FullBatch warmup", self.warmup, least=0)

    def round(self, at: Pass, k: int) -> Array:
        """One step."""
        return _moved(at.theta, _warmed(self.step, self.warmup, k), at, 0.0, k)


@dataclass(frozen=True)
class MiniBatch:
    """Stochastic gradient descent, a round an epoch: every row once, in an order drawn anew, `batch` of them a step.

    theta <- theta - eta (grad F_batch + decay theta): decay is the penalty decay |theta|^2/2, biases included. Where
    batch does not divide n the last step of an epoch has fewer rows. dropout: each hidden unit of each row is 0 with
    this chance, else divided by the chance to stay, so that its mean is kept. warmup: epochs over which eta grows.
    The order of epoch k comes from default_rng([seed, k]), the dropped units from default_rng([seed, k, 1]).
    Source: Robbins & Monro 1951; dropout, Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, JMLR 15.
    """

    step: float
    batch: int
    seed: int = 0
    warmup: int = 0
    decay: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        positive("MiniBatch step", self.step)
        for name, least in (("batch", 1), ("seed", 0), ("warmup", 0)):
            count(f"MiniBatch {name}", getattr(self, name), least=least)
        for name, below in (("decay", math.inf), ("dropout", 1.0)):
            value = float(finite(f"MiniBatch {name}", getattr(self, name)))
            if not 0.0 <= value < below:
                raise ValueError(f"MiniBatch {name}: {value:g} is not in [0, {below:g}); give 0 for none")

    def round(self, at: Pass, k: int) -> Array:
        """One epoch."""
        theta = at.theta
        for after in self.steps(at.risk, theta, k):
            theta = after
        return theta

    def steps(self, risk: EmpiricalRisk, theta: Array, k: int) -> Iterator[Array]:
        """theta after each step of epoch k."""
        eta = _warmed(self.step, self.warmup, k)
        order = np.random.default_rng([self.seed, k]).permutation(len(risk))
        dropped = np.random.default_rng([self.seed, k, 1])
        for first in range(0, len(risk), self.batch):
            seen = risk.rows(order[first : first + self.batch])
            theta = _moved(theta, eta, Pass(seen, theta, self._masks(seen, dropped)), self.decay, k)
            yield theta

    def _masks(self, seen: EmpiricalRisk, rng: np.random.Generator) -> tuple[Array, ...] | None:
        if not self.dropout:
            return None
        stay = 1.0 - self.dropout
        return tuple((rng.random((len(seen), width)) < stay) / stay for width in seen.network.widths[1:-1])


def _moved(theta: Array, eta: float, at: Pass, decay: float, k: int) -> Array:
    """theta - eta (grad F + decay theta). Raises NotConverged where that is no longer finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        after = theta - eta * at.gradient
        if decay:
            after -= eta * decay * theta
        size = float(after @ after)
    if not math.isfinite(size):
        raise NotConverged(f"training diverged: |theta|^2 = {size} in round {k}; {_ADVICE}", size)
    return after


def _warmed(step: float, warmup: int, k: int) -> float:
    return step * min(1.0, (k + 1) / max(warmup, 1))


@dataclass(frozen=True, eq=False)
class Trained:
    """The end, F before each round and at the end (k + 1,), and how many rounds: those after `theta` are left out."""

    theta: Array
    losses: Array

    @property
    def rounds(self) -> int:
        """How many led to theta."""
        return len(self.losses) - 1


def trained(method: Descent, risk: EmpiricalRisk, theta: Array, *, rounds: int) -> Trained:
    """So many rounds. Raises NotConverged where F is no longer finite."""
    count("trained rounds", rounds, least=0)
    at, losses = risk.at(theta), []
    for k in range(rounds):
        losses.append(_sound(at, k))
        at = risk.at(method.round(at, k))
    return Trained(at.theta, np.array([*losses, _sound(at, rounds)]))


def converged(
    method: Descent, risk: EmpiricalRisk, theta: Array, *, tolerance: float, settled: int = 200, limit: int = 10000
) -> Trained:
    """Until F <= tolerance before each of the last `settled` rounds; then F is small *and* theta stays there.

    A minimum of sharpness a > 2/eta throws gradient descent out: what is off along its vector grows by |1 - eta a| a
    step, at a = 1.05 times 2/eta by 1.1^200 = 1.9e8 in 200. F <= tolerance once says nothing of that.
    Raises NotConverged after `limit` rounds, or where F is no longer finite.
    """
    positive("converged tolerance", tolerance)
    count("converged settled", settled)
    count("converged limit", limit)
    at, losses, stayed = risk.at(theta), [], 0
    for k in range(limit + 1):
        losses.append(_sound(at, k))
        stayed = stayed + 1 if losses[-1] <= tolerance else 0
        if stayed >= settled:
            return Trained(at.theta, np.array(losses))
        if k < limit:
            at = risk.at(method.round(at, k))
    least = min(losses)
    raise NotConverged(
        f"{method}: F = {losses[-1]:.3g} (least {least:.3g}) after {limit} rounds, not below {tolerance:g} for "
        f"{settled} of them; raise limit, or halve step", losses[-1],
    )  # fmt: skip


def stopped_early(
    method: Descent, risk: EmpiricalRisk, held: EmpiricalRisk, theta: Array, *, patience: int, limit: int
) -> Trained:
    """The theta of least F on rows held out; rounds end when it has not been lower for `patience` of them, or at limit.

    Source: Prechelt 1998, in Neural networks: tricks of the trade, LNCS 1524, 55-69.
    """
    count("stopped_early patience", patience)
    count("stopped_early limit", limit, least=0)
    at, losses = risk.at(theta), []
    best, least, when = theta, math.inf, 0
    for k in range(limit + 1):
        losses.append(_sound(at, k))
        if (now := held.value(at.theta)) < least:
            best, least, when = at.theta, now, k
        if k == limit or k - when >= patience:
            break
        at = risk.at(method.round(at, k))
    return Trained(best, np.array(losses[: when + 1]))


def _sound(at: Pass, k: int) -> float:
    """F, if it is a number; nothing is said of how large it may be."""
    with np.errstate(over="ignore", invalid="ignore"):
        value = at.value
    if not math.isfinite(value):
        raise NotConverged(f"training diverged: F = {value} before round {k}; {_ADVICE}", value)
    return value


@dataclass(frozen=True, eq=False)
class Escape:
    """F before each step (k + 1,), the first step before which F was above the threshold (None: none), and the end."""

    losses: Array
    escaped: int | None
    theta: Array


def escape(method: MiniBatch, risk: EmpiricalRisk, theta: Array, *, threshold: float, steps: int) -> Escape:
    """So many steps of batches from a minimum, F of all rows looked at before each: does it stay?

    ValueError where F is above the threshold from the first: that is no minimum to leave.
    """
    positive("escape threshold", threshold)
    count("escape steps", steps)
    if (first := risk.value(theta)) > threshold:
        raise ValueError(f"escape threshold: F = {first:.3g} at theta is above {threshold:g}; train on, or raise it")
    losses, at, k = [first], theta, 0
    while len(losses) <= steps:
        for after in method.steps(risk, at, k):
            at = after
            losses.append(_sound(risk.at(at), k))
            if len(losses) > steps:
                break
        k += 1
    above = np.flatnonzero(np.array(losses) > threshold)
    return Escape(np.array(losses), int(above[0]) if len(above) else None, at)
