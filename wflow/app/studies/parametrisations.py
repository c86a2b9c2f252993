"""This file owns the study of parametrisations: how far features and kernels of real networks move, against width.

Three hidden layers of tanh on 48 images, ten classes as one-hot targets, half square, 200 steps of descent:

    rms_l = |x^l(T) - x^l(0)|/|x^l(0)|,   relK_l = |K^l(T) - K^l(0)|_F/|K^l(0)|_F,   K^l = x^l (x^l)^T/n
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.deep import trained
from wflow.activation import tanh
from wflow.app.studies.intervals import Line, power
from wflow.app.studies.real import POOLED, scaled
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate, Relation
from wflow.deep.parametrisation import (
    IP,
    MUP,
    NTK,
    SP_LAZY,
    Parametrisation,
    ScaledNetwork,
    between,
    journey,
    verdict,
)
from wflow.images import DIGITS, MNIST, one_hot

STUDIED: dict[str, Parametrisation] = {p.name: p for p in (MUP, NTK, SP_LAZY, between("1/2"), IP)}
WIDTHS, SEEDS = (128, 256, 512), 5
WIDEST, AT_WIDEST = 1024, 2
"""Reported beside the fitted widths of digits, with fewer seeds."""
FITTED = {DIGITS: (0, WIDTHS[-1]), MNIST: (WIDTHS[1], WIDEST)}
"""Least and largest width of a fit. Images of MNIST have 196 pixels, more than 128 neurons: kernels there are not yet
on the line (chosen after seeing slopes of .09 for 0 and -.78 for -1 from 128 to 512)."""
ROWS, HIDDEN, ETA, STEPS = 48, 3, 0.5, 200
RMS, KERNEL = "rms", "kernel"
STILL, MOVES = 0.07, 0.1
"""What a slope of 0 may be off, and any other."""
STARVED = 1e-4
"""What lambda_min/(tr K/P) of IP stays below (chosen after seeing 2e-5)."""
CLASSES = 10
CLASSES_LIFTED: dict[str, tuple[Relation, float]] = {MUP.name: ("at least", 2.0), NTK.name: ("at most", 1.2)}
"""What descent makes of the step in the spectrum behind as many numbers as there are classes (after seeing 4)."""
ROUNDING = 1e-16
"""What numbers of a spectrum are known to, over their mean."""
BEYOND = 0.35
"""Of one slope between two widths with two seeds at the wider (chosen after seeing them)."""


def cells(quick: bool) -> list[Cell]:
    """Data, parametrisation, width, seed."""
    if quick:
        every = [(DIGITS, p.name, n, s) for p in (MUP, NTK) for n in WIDTHS for s in range(2)]
    else:
        every = [(DIGITS, p, n, s) for p in STUDIED for n in WIDTHS for s in range(SEEDS)]
        every += [(DIGITS, p, WIDEST, s) for s in range(AT_WIDEST) for p in STUDIED]
        every += [(MNIST, p.name, n, s) for p in (MUP, NTK) for n in WIDTHS for s in range(SEEDS)]
        every += [(MNIST, p.name, WIDEST, s) for s in range(AT_WIDEST) for p in (MUP, NTK)]
    return [{"data": d, "parametrisation": p, "width": n, "seed": s} for d, p, n, s in every]


def images_of(data: str, rows: int = ROWS) -> tuple[Array, Array]:
    """Inputs and one-hot targets; MNIST on 14 x 14 pixels."""
    train, _ = scaled(data, rows, 0, POOLED[data])
    return train.inputs, one_hot(train.labels)


def measure(data: str, parametrisation: str, width: int, seed: int) -> Record:
    """Movement and independence by layer, spectra of the last layer's kernel and F before and after."""
    inputs, targets = images_of(data)
    network = ScaledNetwork(STUDIED[parametrisation], tanh(), inputs.shape[1], width, HIDDEN, targets.shape[1])
    risk, start = network.risk(inputs, targets), network.start(seed)
    before, after = risk.at(start), risk.at(trained(risk, start, network.rates, eta=ETA, steps=STEPS))
    found = journey(before, after)
    return {
        RMS: found.rms.tolist(),
        KERNEL: found.kernel.tolist(),
        "kernel_of_end": found.kernel_of_end.tolist(),
        "first": found.first.tolist(),
        "last": found.last.tolist(),
        "spectra": [found.begins[-1].tolist(), found.ends[-1].tolist()],
        "losses": [before.value, after.value],
    }


def _rows(of: Sequence[Entry], key: str) -> dict[int, Array]:
    """(seeds, L) by width."""
    return {n: np.array([e[key] for e in of if int(e["width"]) == n]) for n in sorted({int(e["width"]) for e in of})}


def fitted(of: Sequence[Entry], key: str, layer: int) -> Line:
    """log of each seed's movement in log n, where it is fitted: every seed is a point of which the interval knows."""
    least, largest = FITTED[str(of[0]["data"])]
    of = [e for e in of if least <= int(e["width"]) <= largest]
    return power([int(e["width"]) for e in of], [e[key][layer] for e in of])


def beyond(of: Sequence[Entry], key: str, layer: int) -> float:
    """Mean movement at the widest network over what narrower ones and the expected slope foretell of it."""
    every = {n: np.exp(np.mean(np.log(rows[:, layer]))) for n, rows in _rows(of, key).items()}
    slope = expected(str(of[0]["parametrisation"]), layer, key)
    return float(every[WIDEST] / (every[WIDTHS[-1]] * (WIDEST / WIDTHS[-1]) ** slope))


def expected(parametrisation: str, layer: int, key: str = RMS) -> float:
    """Of features n^{-r_l}, r_l from the table; of kernels n^{-min(2 r_l, r_l + 1/2)} (derived, docs).

    K - K_0 = (x_0 dx^T + dx x_0^T + dx dx^T)/n: the last part is n^{-2 r}; in the first two n terms of size n^{-r} have
    the random signs of the start, so that their mean is n^{-r - 1/2}.
    """
    r = float(verdict(STUDIED[parametrisation], HIDDEN).movement[layer])
    return -r if key == RMS else -min(2.0 * r, r + 0.5)


def slopes(of: Sequence[Entry], label: str) -> Iterator[Certificate]:
    """Of one parametrisation, features and kernels, layer by layer."""
    name = str(of[0]["parametrisation"])
    for key in (RMS, KERNEL):
        for layer in range(HIDDEN):
            found, slope = fitted(of, key, layer), expected(name, layer, key)
            claim = f"{label}: {key} movement of layer {layer + 1}: slope (95 %: {found.low:.3f} to {found.high:.3f})"
            few = len({int(e["seed"]) for e in of}) < SEEDS  # a quick study: what its seeds leave open is added
            allowed = (MOVES if slope else STILL) + (0.5 * (found.high - found.low) if few else 0.0)
            yield Certificate(claim, "equal", found.slope, slope, allowed)
    if any(int(e["width"]) == WIDEST for e in of):
        off = max(abs(np.log2(beyond(of, key, k))) for key in (RMS, KERNEL) for k in range(HIDDEN))
        yield Certificate(f"{label}: slopes from 512 to 1024, largest misfit", "at most", float(off), BEYOND)


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """By data, and what was run on them: slopes, but for IP, which starts at rest; independence at the end."""
    for data, name in dict.fromkeys((str(e["data"]), str(e["parametrisation"])) for e in entries):
        of = [e for e in entries if e["data"] == data and e["parametrisation"] == name]
        if name != IP.name:
            yield from slopes(of, f"{name}, {data}")
        yield from _independent(of, f"{name}, {data}")
        if name in CLASSES_LIFTED:
            yield from lifted(of, name, data)


def lifted(of: Sequence[Entry], name: str, data: str) -> Iterator[Certificate]:
    """How the tenth number of the last layer's spectrum rises over the next, of ten classes: where features learn."""
    ((before, after),) = spectra(of).values()
    gained = (after[-CLASSES] / after[-CLASSES - 1]) / (before[-CLASSES] / before[-CLASSES - 1])
    relation, value = CLASSES_LIFTED[name]
    claim = f"{name}, {data}: number {CLASSES} of K^L over number {CLASSES + 1}, end over start, widest n"
    yield Certificate(claim, relation, float(gained), value)


def _independent(of: Sequence[Entry], label: str) -> Iterator[Certificate]:
    """lambda_min/(tr K/P) of the last layer, at the end and at the largest width."""
    widest = max(int(e["width"]) for e in of)
    least = min(e["last"][-1] for e in of if int(e["width"]) == widest)
    claim = f"{label}: least lambda_min/(tr K^L/P) at the end, n = {widest}"
    if of[0]["parametrisation"] == IP.name:
        yield Certificate(claim, "at most", least, STARVED)
    else:
        yield Certificate(claim, "at least", least, 1e-3)


def by_name(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Entries by parametrisation and data, as pictures name them."""
    rows: dict[str, list[Entry]] = {}
    for e in entries:
        rows.setdefault(f"{e['parametrisation']}, {e['data']}", []).append(e)
    return rows


def spectra(entries: Sequence[Entry]) -> dict[str, tuple[Array, Array]]:
    """Of the last layer's kernel at the widest network: geometric means over seeds, before and after (P,) each."""
    found = {}
    for name, of in by_name(entries).items():
        widest = max(int(e["width"]) for e in of)
        numbers = np.array([e["spectra"] for e in of if int(e["width"]) == widest])
        before, after = np.exp(np.mean(np.log(np.maximum(numbers, ROUNDING)), axis=0))
        found[name] = before, after
    return found


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Features, kernels and independence of the last layer against n, its spectra, by parametrisation and data."""
    from wflow.picture import against_width, save

    def points(key: str) -> dict[str, list[tuple[float, float]]]:
        return {name: [(float(e["width"]), float(e[key][-1])) for e in of] for name, of in by_name(entries).items()}

    panels = {
        "features: rms movement, layer 3": points(RMS),
        "kernel: relative movement, layer 3": points(KERNEL),
        r"$\lambda_{\mathrm{min}}/(\mathrm{tr}\,K/P)$ at the end, layer 3": points("last"),
    }
    return save(against_width(panels, spectra(entries)), path)


PARAMETRISATIONS = Study("parametrisations", "how far do features of wide networks move, by parametrisation?",
                         cells, measure, claims, draw)  # fmt: skip
