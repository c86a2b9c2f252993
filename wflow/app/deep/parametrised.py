"""This file owns what is verified of parametrisations by width: one function a row, V13 to V18.

Digits, three hidden layers of tanh; slopes over widths 128 to 512 and five seeds, a wider network beside them.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from solvers.deep import falls, trained
from wflow.activation import tanh
from wflow.app.deep.check import Check
from wflow.app.studies.parametrisations import (
    AT_WIDEST,
    ETA,
    HIDDEN,
    SEEDS,
    WIDEST,
    WIDTHS,
    images_of,
    measure,
    slopes,
)
from wflow.app.studies.real import scaled
from wflow.app.studies.sweep import Entry
from wflow.certificates import Certificate
from wflow.deep.parametrisation import (
    IP,
    MEAN_FIELD,
    MUP,
    NTK,
    SP_LAZY,
    Fall,
    Parametrisation,
    ScaledNetwork,
)
from wflow.images import DIGITS, parity

ROUNDING = 1e-12
THETA_ONE, STARVED = 2e-3, 1e-4
"""What lambda_min/(tr K/P) stays above in muP and NTK, and below in IP."""
BOUND_ETA, BOUND_STEPS = 0.02, 1500


@cache
def entries(name: str) -> tuple[Entry, ...]:
    """Digits: five seeds at 128 to 512, two at 1024."""
    wanted = [(n, s) for n in WIDTHS for s in range(SEEDS)] + [(WIDEST, s) for s in range(AT_WIDEST)]
    return tuple(
        Entry({"data": DIGITS, "parametrisation": name, "width": n, "seed": s}, measure(DIGITS, name, n, s))
        for n, s in wanted
    )


def _slopes(of: Parametrisation) -> Iterator[Certificate]:
    return slopes(entries(of.name), f"{of.name}, digits")


def mup(quick: bool) -> Iterator[Certificate]:
    """V13: in muP features and kernels move alike at any width."""
    return _slopes(MUP)


def tangent(quick: bool) -> Iterator[Certificate]:
    """V14: in NTK features move like n^{-1/2}, kernels like 1/n."""
    return _slopes(NTK)


def standard(quick: bool) -> Iterator[Certificate]:
    """V15: in SP at a rate 1/n likewise, but for the first layer: n^{-3/2} and n^{-2}."""
    return _slopes(SP_LAZY)


def spectra(quick: bool) -> Iterator[Certificate]:
    """V16: the last features are independent at the end in muP and NTK; in IP next to dependent."""
    for of in (MUP, NTK):
        last = least(entries(of.name))
        yield Certificate(f"{of.name}: lambda_min/(tr K^3/P), n = {WIDEST}", "at least", last[WIDEST], THETA_ONE)
        claim = f"{of.name}: the same at {WIDEST} over that at {WIDTHS[-1]}"
        yield Certificate(claim, "at least", last[WIDEST] / last[WIDTHS[-1]], 0.8)
    starved, lively = least(entries(IP.name)), least(entries(MUP.name))
    for n in (WIDTHS[-1], WIDEST):
        yield Certificate(f"IP: lambda_min/(tr K^3/P), n = {n}", "at most", starved[n], STARVED)
        yield Certificate(f"IP: the same over that of muP, n = {n}", "at most", starved[n] / lively[n], 0.02)


def least(of: Sequence[Entry]) -> dict[int, float]:
    """Mean over seeds of lambda_min/(tr K/P) of the last layer at the end, by width."""
    return {n: float(np.mean([e["last"][-1] for e in of if int(e["width"]) == n])) for n in (*WIDTHS, WIDEST)}


def path(parametrisation: Parametrisation, *, eta: float, steps: int, width: int = 128) -> list[Fall]:
    """Along descent on 48 digits, even against odd."""
    train, _ = scaled(DIGITS, 48, 0)
    network = ScaledNetwork(parametrisation, tanh(), train.inputs.shape[1], width, HIDDEN)
    risk = network.risk(train.inputs, parity(train.labels))
    return list(falls(risk, network.start(0), network.rates, eta=eta, steps=steps))


def bound(quick: bool) -> Iterator[Certificate]:
    """V17: F falls at least by 2 eta lambda_min(K^L)/P a step, and by that of the whole tangent kernel."""
    found = path(MUP, eta=BOUND_ETA, steps=BOUND_STEPS)
    violated = sum(fall.rate < fall.last for fall in found)
    yield Certificate(f"muP, {BOUND_STEPS} steps: steps below the bound", "equal", float(violated), 0.0)
    loosest = min(fall.rate / fall.last for fall in found)
    yield Certificate("least rate over 2 eta lambda_min(K^L)/P", "at least", loosest, 1.0)
    whole = min(fall.rate / fall.whole for fall in found)
    yield Certificate("least rate over that of the tangent kernel, to O(eta)", "at least", whole, 1.0, BOUND_ETA)


def same_network(quick: bool) -> Iterator[Certificate]:
    """V18: muP is the parametrisation of dynamical mean-field theory at gamma0 = 1: outputs along descent."""
    inputs, targets = images_of(DIGITS)
    off = 0.0
    for steps in (0, 1, 20):
        ends = []
        for of in (MUP, MEAN_FIELD):
            network = ScaledNetwork(of, tanh(), inputs.shape[1], 128, HIDDEN, targets.shape[1])
            risk = network.risk(inputs, targets)
            ends.append(risk.at(trained(risk, network.start(0), network.rates, eta=ETA, steps=steps)).outputs)
        off = max(off, float(np.max(np.abs(ends[0] - ends[1]))))
    yield Certificate("muP and mean-field form: outputs after 0, 1, 20 steps", "at most", off, 0.0, ROUNDING)


PARAMETRISED = (
    Check("V13", "muP", mup, slow=True),
    Check("V14", "NTK", tangent, slow=True),
    Check("V15", "SP", standard, slow=True),
    Check("V16", "muP, NTK, IP", spectra, slow=True),
    Check("V17", "muP", bound, slow=True),
    Check("V18", "muP", same_network),
)
