"""This file owns the study of depth collapse: which starts are translated layer by layer as the width grows.

S (wflow.deep.collapse) of w_2 along c_2, the layer that collapses first, of independent starts of depth 3 to 6 and of
latent ones: S ~ n^{-1/2} where the limit is a chain of width one, S = O(1) where it is not.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.deep import GradientFlow
from wflow.app.studies.intervals import power_of_draws
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.certificates import Certificate
from wflow.deep.collapse import collapse
from wflow.deep.loop import solve
from wflow.deep.nodes import Sampled
from wflow.deep.problems import sine_collapse, sine_latent

STARTS = {"independent": (3, 4, 5, 6), "latent": (4, 5)}
SIZES = {32: 8, 64: 8, 128: 6, 256: 6}
SLOPE, FLAT = 0.1, 0.15


def cells(quick: bool) -> list[Cell]:
    """One a start, depth and width; its seeds together."""
    sizes = (32, 64, 128) if quick else tuple(SIZES)
    return [
        {"start": start, "depth": depth, "n": n} for start, depths in STARTS.items() for depth in depths for n in sizes
    ]


def measure(start: str, depth: int, n: int) -> Record:
    """S(w_2), the spread of H_2 over neurons (0 at depth 3), and F at the end, seed by seed."""
    problem = sine_latent(depth) if start == "latent" else sine_collapse(depth)
    found = []
    for seed in range(SIZES[n]):
        run = solve(problem.flow, GradientFlow(Sampled(n, 1000 * n + seed)), dt=0.1, times=[problem.flow.horizon])
        seen = collapse(run.networks[0], run.final, problem.flow.data.inputs)
        found.append([seen.translations[0], *(seen.spreads[:1] or (0.0,)), float(run.energies[-1])])
    statistics, spreads, energies = (list(column) for column in zip(*found, strict=True))
    return {"statistics": statistics, "spreads": spreads, "energies": energies}


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Slopes in the width of the root mean square of S, with an interval by seeds in the words."""
    for (start, depth), pairs in _lines(entries).items():
        fitted = power_of_draws([n for n, _ in pairs], [s for _, s in pairs])
        words = f"{start}, L = {depth}: slope of S(w_2) in n (95 %: {fitted.low:.3f} to {fitted.high:.3f})"
        falls = start == "independent" and depth >= 4
        yield Certificate(words, "equal", fitted.slope, -0.5 if falls else 0.0, SLOPE if falls else FLAT)


def _lines(entries: Sequence[Entry]) -> dict[tuple[str, int], list[tuple[float, list[float]]]]:
    found: dict[tuple[str, int], list[tuple[float, list[float]]]] = {}
    for e in entries:
        found.setdefault((e["start"], e["depth"]), []).append((e["n"], e["statistics"]))
    return found


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """S over the width."""
    from wflow.picture import falls, save

    groups: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for (start, depth), pairs in _lines(entries).items():
        means = [(n, float(np.sqrt(np.mean(np.square(s))))) for n, s in pairs]
        groups.setdefault(f"{start} start", {})[f"L = {depth}"] = means
    value = "S of w_2 along c_2 (0: the layer is translated)"
    return save(falls(groups, slope=-0.5, size="width n", value=value), path)


COLLAPSE = Study(
    "collapse", "which deep starts collapse, layer by layer, as the width grows?", cells, measure, claims, draw
)
