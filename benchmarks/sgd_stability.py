"""Proved bounds of SGD's mean-square stability: how long they take, beside the matrix of d^2 by d^2.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/sgd_stability.py

n random data of rank one in d dimensions, batch 1, at half the largest stable eta. The matrix is made where d <= 50.
Processor time, the best of three. Ends with status 1 where bounds are more than 1.1e-8 apart, do not hold the
eigenvalue of the matrix, or take more than 10 s.
"""

import sys
import time

import numpy as np

from wflow.stability import Curvatures, WithoutReplacement, largest_rates, radius

SIZES, SECONDS, APART, DENSE = ((50, 25), (100, 50), (1000, 100), (400, 200), (200, 5000)), 10.0, 1.1e-8, 50


def dense(curvatures: Curvatures, eta: float, draw: WithoutReplacement) -> float:
    """The largest eigenvalue of T by its matrix: mean of Kronecker squares."""
    v, d = curvatures.factors[:, 0, :], curvatures.dim
    steps = np.eye(d) - eta * v[:, :, None] * v[:, None, :]
    matrix = np.einsum("nij,nkl->ikjl", steps, steps).reshape(d * d, d * d) / len(v)
    return float(np.linalg.eigvalsh(matrix)[-1])


def main() -> int:
    """The status."""
    good = True
    print("     n      d   largest eta    radius at half of it      bounds, s   matrix, s")
    for n, d in SIZES:
        v = np.random.default_rng(0).standard_normal((n, d)) / np.sqrt(d)
        draw, seconds = WithoutReplacement(n), []
        for _ in range(3):
            curvatures, began = Curvatures(v), time.process_time()
            rate = largest_rates(curvatures, draw)
            found = radius(curvatures, 0.5 * rate.lower, draw)
            seconds.append(time.process_time() - began)
        good &= found.upper - found.lower <= APART and min(seconds) <= SECONDS
        row = f"{n:6} {d:6}   {rate.lower:.8f}    {found.lower:.10f} + {found.upper - found.lower:.0e}"
        row += f"   {min(seconds):8.2f}"
        if d <= DENSE:
            began = time.process_time()
            exact = dense(curvatures, 0.5 * rate.lower, draw)
            row += f"   {time.process_time() - began:8.2f}"
            good &= found.lower <= exact + 1e-12 and exact < found.upper
        print(row, flush=True)
    print("holds" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
