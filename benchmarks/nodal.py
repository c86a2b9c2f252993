"""Exact transport of masses on nodes (wflow.nodal): the share between its two bounds, and time, against POT's emd2.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/nodal.py [n ...]        cells an axis; 32 64 128 by default

The Gaussians and discs of benchmarks/w2.py, noise in every cell, and noise in a tenth of the cells. POT takes 32^2.
"""

import sys
import time
from collections.abc import Iterator

import numpy as np
import ot
from w2 import cases, density

from wflow import Density
from wflow.nodal import nodal

EXACT = 32
"""Cells an axis up to which POT is asked."""


def pairs(n: int) -> Iterator[tuple[str, Density, Density]]:
    yield from ((name, a, b) for name, a, b, _ in list(cases(n))[:5])
    draw = np.random.default_rng(0)
    yield "noise", *(density(draw.random((n, n))) for _ in range(2))
    yield "lonely cells", *(density(draw.random((n, n)) * (draw.random((n, n)) < 0.1)) for _ in range(2))


def by_pot(a: Density, b: Density) -> float:
    kept, to = a.weights > 0.0, b.weights > 0.0
    p, q = a.weights[kept] / a.weights.sum(), b.weights[to] / b.weights.sum()
    return float(ot.emd2(p, q, ot.dist(a.points[kept], b.points[to]), numItermax=10**7))


def main() -> None:
    nodal(*next(pairs(12))[1:])  # compiles
    print("pair, cells an axis, W2^2, share between the bounds, seconds of processor time | off POT, seconds")
    for n in map(int, sys.argv[1:] or ("32", "64", "128")):
        for name, a, b in pairs(n):
            start = time.process_time()
            found = nodal(a, b)
            spent = time.process_time() - start
            gap = 1.0 - found.lower / found.squared
            print(f"{name:20} {n:5} {found.squared:18.12g} {gap:9.1e} {spent:8.2f}", end="", flush=True)
            if n <= EXACT:
                start = time.process_time()
                print(f" | {found.squared / by_pot(a, b) - 1.0:9.1e} {time.process_time() - start:8.2f}", end="")
            print()


if __name__ == "__main__":
    main()
