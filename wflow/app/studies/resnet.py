"""This file owns the study of residual networks: by what powers of depth and width finite nets are off their limit.

z_L - z(1) of nets drawn from one smooth law, against E/L + N(0, P_layerwise/(m L)) with draws of its own in each layer
and E/L + N(0, P_tied/m) with the same draws in all (wflow.deep.residual.limit); m = 0 stands for infinite width.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from wflow.app.powers import exponents
from wflow.app.studies.intervals import mean, power
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.deep.residual.limit import Limit, euler_state, limit
from wflow.deep.residual.net import ResidualNet
from wflow.deep.residual.problems import INPUTS, TANH, turning_law

DEPTHS, WIDTHS, SEEDS = (4, 8, 16, 32, 64, 128), (8, 32, 128, 512), 96
LAYERWISE, TIED, WIDE = "layerwise", "tied", "infinite width"
FIXED = 32
"""The depth at which slopes in m are fitted, and the width at which slopes in depth are."""
LEAST = 8
"""Sums over fewer layers are not yet the integrals over s that constants are made of."""


@cache
def known() -> Limit:
    """The limit and its constants."""
    return limit(turning_law(), TANH, INPUTS)


def cells(quick: bool) -> list[Cell]:
    """One a draw, depth and width; its seeds together."""
    depths, widths = ((8, 32, 128), (8, 32, 128)) if quick else (DEPTHS, WIDTHS)
    wide: list[Cell] = [{"draw": WIDE, "depth": depth, "m": 0} for depth in depths]
    return wide + [{"draw": d, "depth": depth, "m": m} for d in (LAYERWISE, TIED) for depth in depths for m in widths]


def measure(draw: str, depth: int, m: int) -> Record:
    """Root mean squares over inputs of z_L - z(1), and of z_L less that of infinite width, seed by seed; expected."""
    law, wide, end = turning_law(), euler_state(turning_law(), TANH, INPUTS, depth), known().end
    if draw == WIDE:
        expected = float(np.sqrt(np.mean(np.sum(known().euler ** 2, axis=1)))) / depth
        return {"errors": [_size(wide - end)], "noises": [0.0], "expected": expected}
    drawn = law.tied if draw == TIED else law.layerwise
    ends = [ResidualNet(drawn(depth, m, s), np.ones(2), TANH).run(INPUTS).states[-1] for s in range(SEEDS)]
    return {
        "errors": [_size(z - end) for z in ends],
        "noises": [_size(z - wide) for z in ends],
        "expected": known().expected(depth, m, tied=draw == TIED),
    }


def _size(gap: Array) -> float:
    return float(np.sqrt(np.mean(np.sum(gap**2, axis=1))))


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Slopes with Student's interval over seeds, and the constants."""
    wide = sorted((e["depth"], e["errors"][0], e["expected"]) for e in entries if e["draw"] == WIDE)
    depths, errors, expected = np.array(wide).T
    found = power(depths, errors)
    words = f"m = infinity: slope in depth (95 %: {found.low:.3f} to {found.high:.3f})"
    yield Certificate(words, "equal", found.slope, -1.0, 0.06)
    yield Certificate(
        f"m = infinity, L = {depths[-1]:g}: error over |E|/L", "equal", errors[-1] / expected[-1], 1.0, 0.03
    )
    for draw, in_depth in ((LAYERWISE, -0.5), (TIED, 0.0)):
        for axis, other, wanted in (("m", "depth", -0.5), ("depth", "m", in_depth)):
            low, slope, high = _slopes(entries, draw, axis, other)
            words = f"{draw}: slope in {axis} of the draws' part (95 %: {low:.3f} to {high:.3f}, {SEEDS} seeds)"
            yield Certificate(words, "equal", slope, wanted, 0.06)
        ratios = [
            _rms(e["errors"]) / e["expected"] for e in entries if e["draw"] == draw and e["m"] >= FIXED <= e["depth"]
        ]
        worst = float(np.max(np.abs(np.array(ratios) - 1.0)))
        yield Certificate(
            f"{draw}, m and L from {FIXED} on: error over expected less 1, largest", "at most", worst, 0.2
        )


def _slopes(entries: Sequence[Entry], draw: str, axis: str, other: str) -> tuple[float, float, float]:
    """low, mean, high of the slopes of single seeds along an axis, the other parameter at FIXED; depths from 8 on."""
    chosen = sorted(
        (e[axis], e["noises"]) for e in entries if e["draw"] == draw and e[other] == FIXED and e["depth"] >= LEAST
    )
    middle, low, high = mean(exponents([size for size, _ in chosen], [noise for _, noise in chosen]))
    return low, middle, high


def _rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Errors over depth, a line a width, and over width, with what is expected."""
    from wflow.picture import save, two_errors

    lines: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
    for e in entries:
        row = (float(e["depth"]), _rms(e["errors"]), float(e["expected"]))
        if e["draw"] == WIDE:
            for kind in (LAYERWISE, TIED):
                lines.setdefault(kind, {}).setdefault("m = infinity", []).append(row)
        else:
            lines.setdefault(e["draw"], {}).setdefault(f"m = {e['m']}", []).append(row)
    titles = {LAYERWISE: "draws of its own in each layer", TIED: "the same draws in all layers"}
    return save(two_errors({titles[kind]: group for kind, group in lines.items()}), path)


RESNET = Study(
    "resnet", "by what powers of depth and width are residual nets off their limit?", cells, measure, claims, draw
)
