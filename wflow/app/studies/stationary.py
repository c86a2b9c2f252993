"""This file owns the study of rest: where |grad F| <= 1e-8, is F = 0? Activations, two ways to descend, the control.

At rest the output weights' part says chi^T K^L chi = 0, chi = f - y: so F = 0 where features are independent, and

    F <= P |grad F|^2/(2 lambda_min(K^L)),

while f is the least-squares fit over all features where they are not (derived; muP, where s^2 n times the rate is 1).
A polynomial of degree k sees only forms of degree k: with more data than forms its features are dependent.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solvers.deep import rested, stochastically_rested
from wflow.activation import Activation, linear, quadratic, relu, tanh
from wflow.app.studies.real import POOLED, scaled
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.deep.parametrisation import (
    MUP,
    ScaledNetwork,
    gram,
    independence,
    odd_cubic,
    rank,
    silu,
)
from wflow.errors import NotConverged
from wflow.images import DIGITS, MNIST, parity

CROWDED = "crowded"
"""12 digits of four pixels, |x|^2 = 4: more than linear (4) or quadratic (10) forms, fewer than cubic ones (20)."""
ALL, ONE = "all data", "one datum"
SEEDS, TOLERANCE = {ALL: 5, ONE: 2}, 1e-8
SAME = 1e-7
"""What F at rest may be off its exact value, relative to it."""
RESTLESS = 1e-3
"""What |grad F| keeps above where one-sample descent cannot rest."""


@dataclass(frozen=True)
class Way:
    """An activation, its steps by all data and by one datum, how many rounds, and the degrees of forms it sees."""

    activation: Activation
    eta: float
    eta_one: float
    limit: int
    degrees: tuple[int, ...] = ()


WAYS = {
    "tanh": Way(tanh(), 1.0, 0.5, 20000),
    "silu": Way(silu(), 0.25, 0.1, 60000),
    "relu": Way(relu(), 0.25, 0.1, 60000),
    "quadratic": Way(quadratic(), 0.03, 0.01, 60000, (2,)),
    "odd_cubic": Way(odd_cubic(), 0.01, 0.01, 60000, (1, 3)),
    "identity": Way(linear(), 0.5, 0.1, 60000, (1,)),
}
FREE = ("tanh", "silu", "relu", "odd_cubic")
"""Those whose features of the crowded data are independent."""
_SHORT = 1500


def cells(quick: bool) -> list[Cell]:
    """Crowded data: every activation and way; images with three hidden layers: tanh, silu."""
    names = ("tanh", "quadratic", "identity") if quick else tuple(WAYS)
    seeds = {ALL: 1, ONE: 1} if quick else SEEDS
    every = [(CROWDED, n, way, s) for n in names for way in seeds for s in range(seeds[way])]
    if not quick:
        every += [(d, n, way, 0) for d in (DIGITS, MNIST) for n in ("tanh", "silu") for way in seeds]
    return [{"data": d, "activation": n, "way": w, "seed": s} for d, n, w, s in every]


def posed_data(data: str) -> tuple[Array, Array]:
    """Inputs and even against odd; 24 images, or the crowded twelve."""
    if data != CROWDED:
        train, _ = scaled(data, 24, 0, POOLED[data])
        return train.inputs, parity(train.labels)
    train, _ = scaled(DIGITS, 12, 0, 4)
    x = train.inputs
    return x / np.linalg.norm(x, axis=1, keepdims=True) * math.sqrt(x.shape[1]), parity(train.labels)


def network(data: str, activation: str, inputs: int) -> ScaledNetwork:
    """muP: one hidden layer of 64 for crowded data, three of 128 for images."""
    width, hidden = (64, 1) if data == CROWDED else (128, 3)
    return ScaledNetwork(MUP, WAYS[activation].activation, inputs, width, hidden)


def measure(data: str, activation: str, way: str, seed: int) -> Record:
    """Where it rests: F, |grad F|, rounds, independence and rank of last features. Or that it does not rest."""
    inputs, targets = posed_data(data)
    net, how = network(data, activation, inputs.shape[1]), WAYS[activation]
    risk, start = net.risk(inputs, targets), net.start(seed)
    try:
        if way == ALL:
            found = rested(risk, start, net.rates, eta=how.eta, tolerance=TOLERANCE, limit=how.limit)
        else:
            limit = how.limit if activation in FREE else _SHORT
            found = stochastically_rested(
                risk, start, net.rates, eta=how.eta_one, tolerance=TOLERANCE, limit=limit, seed=seed
            )
    except NotConverged as error:
        return {"rests": False, "gradient": error.residual, "why": str(error)}
    before, after = (gram(risk.at(theta).h[-1]) for theta in (start, found.theta))
    least = max(float(np.linalg.eigvalsh(after)[0]), 0.0)
    return {
        "rests": True,
        "F": found.value,
        "gradient": found.gradient,
        "rounds": found.rounds,
        "first": independence(before),
        "last": independence(after),
        "least": least,
        "rank": rank(after),
        "data_count": len(inputs),
    }


def forms(inputs: Array, degrees: Sequence[int]) -> Array:
    """All monomials of these degrees (P, .)."""
    columns = []
    for degree in degrees:
        part = np.ones((len(inputs), 1))
        for _ in range(degree):  # with repetitions: their span is the same
            part = (part[:, :, None] * inputs[:, None, :]).reshape(len(inputs), -1)
        columns.append(part)
    return np.hstack(columns)


def least_loss(inputs: Array, targets: Array, degrees: Sequence[int]) -> tuple[float, int]:
    """min F over combinations of forms, and the rank of their values on the data; (0, P) without degrees."""
    if not degrees:
        return 0.0, len(inputs)
    seen = forms(inputs, degrees)
    left = targets - seen @ np.linalg.lstsq(seen, targets, rcond=1e-12)[0]
    return 0.5 * float(np.mean(left**2)), int(np.linalg.matrix_rank(seen, tol=1e-8))


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """By data and activation."""
    for data in dict.fromkeys(str(e["data"]) for e in entries):
        for name in dict.fromkeys(str(e["activation"]) for e in entries if e["data"] == data):
            of = [e for e in entries if e["data"] == data and e["activation"] == name]
            loss, seen = (0.0, 0) if data != CROWDED else least_loss(*posed_data(data), WAYS[name].degrees)
            if name in FREE:
                yield from _independent(of, f"{data}, {name}")
            else:
                yield from _dependent(of, f"{data}, {name}", loss, seen)


def _independent(of: Sequence[Entry], label: str) -> Iterator[Certificate]:
    """All rest, with F below the bound, features independent to the end."""
    yield Certificate(f"{label}: runs that do not rest", "equal", float(sum(not e["rests"] for e in of)), 0.0)
    there = [e for e in of if e["rests"]]
    if there:
        yield Certificate(
            f"{label}: least lambda_min/(tr K/P) at rest", "at least", min(e["last"] for e in there), 1e-6
        )
        bound = max(e["F"] * 2.0 * e["least"] / (e["data_count"] * e["gradient"] ** 2) for e in there)
        yield Certificate(f"{label}: F at rest over P |grad F|^2/(2 lambda_min)", "at most", bound, 1.0)
        yield Certificate(f"{label}: largest F at rest", "at most", max(e["F"] for e in there), 0.0, 1e-10)


def _dependent(of: Sequence[Entry], label: str, loss: float, seen: int) -> Iterator[Certificate]:
    """The control: descent rests at a positive loss known beforehand; by one datum it cannot rest."""
    everything, one = ([e for e in of if e["way"] == way] for way in (ALL, ONE))
    for e in everything:
        if not e["rests"]:
            yield Certificate(f"{label}, seed {e['seed']}: rests", "equal", 0.0, 1.0)
            continue
        yield Certificate(f"{label}, seed {e['seed']}: rank of features", "equal", float(e["rank"]), float(seen))
        claim = f"{label}, seed {e['seed']}: F at rest is that of least squares"
        yield Certificate(claim, "equal", e["F"] / loss, 1.0, SAME)
    least = min((math.inf if not math.isfinite(e["gradient"]) else e["gradient"] for e in one), default=math.inf)
    if one:
        yield Certificate(
            f"{label}: one datum a step, runs that rest", "equal", float(sum(e["rests"] for e in one)), 0.0
        )
        yield Certificate(f"{label}: one datum a step, least |grad F| left", "at least", least, RESTLESS)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Independence and loss at rest by activation, crowded data, all data a step."""
    from wflow.picture import at_rest, save

    of = [e for e in entries if e["data"] == CROWDED and e["way"] == ALL and e["rests"]]
    names = dict.fromkeys(str(e["activation"]) for e in of)
    table = {name: [(float(e["last"]), float(e["F"])) for e in of if e["activation"] == name] for name in names}
    data = posed_data(CROWDED)
    return save(at_rest(table, {name: least_loss(*data, WAYS[name].degrees)[0] for name in names}), path)


STATIONARY = Study("stationary", "where descent rests, is the loss zero?", cells, measure, claims, draw)
