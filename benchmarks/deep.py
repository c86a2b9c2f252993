"""A Runge-Kutta step of a three-layer network, 1024 x 1024 weights and 64 data, beside its dense products alone.

    4 stages, each   a w (64 x 1024 by 1024 x 1024)   Delta w^T (the same)   a^T Delta (1024 x 64 by 64 x 1024)

The bar: a whole step of solvers.deep.GradientFlow, with activations, checks of its promises and the energy, in at most
1.5 times the processor time of those twelve products into arrays at hand, for tanh; three other activations are
reported, and tanh by numpy alone, as without the extra `fast`. In float64, one thread, the best of several rounds in
which the rows take turns. A second table: what a low-rank network of widths n holds after ten steps.
Ends with status 1 where the bar is missed, or where memory grows faster than the width.
"""

import os
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from solvers.deep import GradientFlow
from wflow import Data, activation
from wflow.deep import Compression, DeepFlow, Network, Pairs, Sampled, finite_network, layers, solve
from wflow.deep.network import with_activations
from wflow.deep.problems import sine_latent

WIDTH, ROWS, ROUNDS, BAR = 1024, 64, 15, 1.5
WIDTHS = (512, 1024, 2048, 4096)
NAMES = ("tanh", "relu", "softplus", "gelu")


def network() -> tuple[Network, Data]:
    """Random weights, and data in the plane."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 2))
    tables = [rng.standard_normal((WIDTH, WIDTH))]
    first, last = rng.standard_normal((WIDTH, 2)), rng.standard_normal(WIDTH)
    return finite_network(first, tables, last, activation("tanh")), Data(x, np.sin(x[:, 0]))


def products(net: Network) -> Callable[[], None]:
    """The twelve products of a step."""
    rng, w = np.random.default_rng(1), net.middle[0].values()
    a, delta = rng.standard_normal((ROWS, WIDTH)), rng.standard_normal((ROWS, WIDTH))
    ahead, behind, table = np.empty_like(a), np.empty_like(a), np.empty_like(w)

    def run() -> None:
        for _ in range(4):
            np.matmul(a, w, out=ahead)
            np.matmul(delta, w.T, out=behind)
            np.matmul(a.T, delta, out=table)

    return run


def plain(run: Callable[[], None]) -> Callable[[], None]:
    """The same with numpy's activations, as where numba is not installed."""

    def slower() -> None:
        least, layers.LEAST = layers.LEAST, 1 << 60
        run()
        layers.LEAST = least

    return slower


def step(net: Network, data: Data, name: str = "tanh") -> Callable[[], None]:
    """One step of a run that has begun."""
    net = with_activations(net, activation(name))
    flow, method = DeepFlow(data, net, 1.0), GradientFlow()
    state = method.step(flow, method.init(flow), 0.01).state

    def run() -> None:
        method.step(flow, state, 0.01)

    return run


def best(rows: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Milliseconds of processor time."""
    found = dict.fromkeys(rows, np.inf)
    for _ in range(ROUNDS):
        for name, run in rows.items():
            began = time.process_time()
            run()
            found[name] = min(found[name], 1e3 * (time.process_time() - began))
    return found


def held(width: int) -> int:
    """Numbers in the middle layers of a latent network of depth 4 after ten steps, kept as sums of products."""
    flow = sine_latent(4, horizon=1.0).flow
    net: Network = solve(flow, GradientFlow(Sampled(width), Compression(80)), dt=0.1, times=[1.0]).final
    pairs: tuple[Pairs, ...] = net.middle
    return sum(w.left.size + w.right.size for w in pairs)


def main() -> int:
    net, data = network()
    rows = {"twelve dense products": products(net), **{f"a step, {name}": step(net, data, name) for name in NAMES}}
    rows["a step, tanh by numpy"] = plain(rows["a step, tanh"])
    found = best(rows)
    ratios = {name: spent / found["twelve dense products"] for name, spent in found.items()}
    for name, spent in found.items():
        print(f"{name:24} {spent:8.2f} ms    ratio {ratios[name]:.2f}")
    ratio = ratios["a step, tanh"]
    print(f"{'ratio':24} {ratio:8.2f}    at most {BAR}")
    sizes = [held(n) for n in WIDTHS]
    for n, size in zip(WIDTHS, sizes, strict=True):
        print(f"low rank, width {n:5}    {size:9} numbers    ({size / n:.0f} a neuron; tables: {2 * n * n})")
    linear = sizes[-1] / sizes[0] <= 1.1 * WIDTHS[-1] / WIDTHS[0]
    return int(not (ratio <= BAR and linear))


if __name__ == "__main__":
    sys.exit(main())
