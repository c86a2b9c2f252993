"""JKO steps on grids from densities with jumps and empty cells, whose maps stretch: tails that come from one cell."""

import numpy as np
import pytest

from solvers.jko import Quantile, Spline
from solvers.jko._atoms import Atoms
from wflow import Density, Energy, Entropy, Flow, Grid, Potential, Power, Product, Steps, box, interval, w2
from wflow.internal import Internal
from wflow.spline.dual import StepDual
from wflow.spline.lattice import Sides, read

X, Y = interval(0.0, 2.0), interval(0.0, 1.0)
BLOCK = Steps(X, np.array([0.1, 0.7]), np.array([1.0]))
BAND = Steps(Y, np.array([0.1, 0.9]), np.array([1.0]))


def pulled(w, derivative):
    """-x: a force 1 to the right."""
    slope = np.zeros_like(w)
    slope[:, 0] = -1.0
    return (-w[:, 0], slope, np.zeros((len(w), w.shape[1], w.shape[1])))[derivative]


def on_a_line(term: Internal, domain=X, law=BLOCK, force: bool = True) -> Flow:
    pull = [Potential(pulled, convex=True)] if force else []
    return Flow(Energy(*pull, term), domain, law, 1.0)


def end_of_step(flow: Flow, solver, dt: float):
    return solver.step(flow, solver.init(flow), dt)


def marginal(pi: Density, axis: int) -> Density:
    grid, domain = pi.grid, (X, Y)[axis]
    sums = pi.values.reshape(grid.shape).sum(axis=1 - axis) * grid.widths[1 - axis]
    return Density(Grid(domain, (grid.shape[axis],)), sums)


@pytest.mark.parametrize(
    ("term", "cells", "dt"),
    [
        (Entropy(1.0), 64, 0.01),
        (Entropy(1.0), 64, 0.1),
        (Entropy(0.1), 64, 0.025),
        (Entropy(0.1), 64, 1.0),
        (Entropy(0.1), 256, 1.0),
        (Entropy(0.01), 64, 0.1),
        (Power(1.5, 0.1), 256, 0.1),
    ],
)
def test_a_block_on_a_line(term, cells, dt):
    """All mass of a tail comes from the cell at the jump. W2 to Quantile's step below 3e-3, a tenth of 1/32."""
    flow = on_a_line(term)
    ours, theirs = end_of_step(flow, Spline(cells), dt), end_of_step(flow, Quantile(800), dt)
    assert not ours.fallback
    assert w2(ours.state.measure, theirs.state.measure) <= 3e-3


@pytest.mark.slow
@pytest.mark.parametrize(("temperature", "dt"), [(0.1, 0.025), (0.1, 0.1), (0.01, 0.025), (1.0, 0.1)])
def test_a_block_in_the_plane(temperature, dt):
    """F is a sum over axes and the start a product, so the step is that of the two lines (derived: F of a product).

    Marginals to 3e-3 of Quantile's steps in W2; the density is the product of its marginals to 1 % in L1.
    """
    term = Entropy(temperature)
    flow = Flow(Energy(Potential(pulled, convex=True), term), box((0.0, 0.0), (2.0, 1.0)), Product(BLOCK, BAND), 1.0)
    end = end_of_step(flow, Spline(64), dt).state.measure
    lines = on_a_line(term), on_a_line(term, Y, BAND, force=False)
    sides = [marginal(end, axis) for axis in range(2)]
    for side, line in zip(sides, lines, strict=True):
        assert w2(side, end_of_step(line, Quantile(800), dt).state.measure) <= 3e-3
    product = np.outer(sides[0].values, sides[1].values).ravel()
    assert np.abs(end.values - product).sum() * end.grid.cell_volume <= 0.01


def test_minima_are_global_where_the_map_stretches():
    """p + (x - y)^2/2 tau with a valley a cell, each nearly as deep as the next: the least, by brute force.

    In the mean over 8000 atoms off the nodes what is found lies above it by at most 2.6e-4 of the valleys' depth.
    """
    cells, pull, fine = 32, 0.05, 400
    over = []
    for depth in (0.003, 0.01, 0.03, 0.1):
        for seed in range(5):
            rng = np.random.default_rng(seed)
            cone = -0.5 * pull * np.minimum(np.abs(np.arange(cells) - 11.5), 12.0) ** 2
            c = (cone + depth * rng.standard_normal(cells))[:, None]
            atoms = np.stack([rng.uniform(8.0, 16.0, 400), np.full(400, 0.5)], axis=1)
            masses = np.full(400, 1.0 / 400)
            dual = StepDual((cells, 1), (2, 1), Sides(False, False), (1.0, 1.0), atoms, masses, 1.0 / pull, None)
            y = (np.arange(cells * fine) + 0.5) / fine
            p = read(c, (fine, 1), dual.sides)[:, 0]
            least = np.array([np.min(p + 0.5 * pull * (y - x) ** 2) for x in atoms[:, 0]])
            found = dual.places(c)[:, 0]
            over.append(np.mean(np.interp(found, y, p) + 0.5 * pull * (found - atoms[:, 0]) ** 2 - least) / depth)
    assert np.mean(over) <= 2.6e-4


def test_parted_atoms_are_the_same_even_mass():
    """Halving keeps mass, mean and, with that of the boxes, variance; what is left lands half a cell apart or less.

    But where it was halved six times. The map stretches the first axis from 2 on tenfold and jumps by 5 at 10/3, which
    is between the middles of all halves; the second axis it leaves.
    """
    values = np.random.default_rng(0).uniform(0.5, 1.0, 32)
    pi = Density(Grid(box((0.0, 0.0), (8.0, 4.0)), (8, 4)), values / values.sum())

    def go(atoms: Atoms) -> np.ndarray:
        x = atoms.places.copy()
        x[:, 0] += 9.0 * np.maximum(x[:, 0] - 2.0, 0.0) + 5.0 * (x[:, 0] > 10.0 / 3.0)
        return 0.4 * x

    whole = Atoms.of(pi, lifted=False, split=1)
    parts = whole.parted(go, np.ones(2), 0.0, 10**6)
    assert whole.boxes is not None and parts.boxes is not None
    assert parts.masses.sum() == pytest.approx(1.0, rel=1e-14)
    assert parts.masses @ parts.places == pytest.approx(whole.masses @ whole.places, rel=1e-14)
    squares = [atoms.masses @ (atoms.places**2 + atoms.boxes**2 / 12.0) for atoms in (whole, parts)]
    assert squares[1] == pytest.approx(squares[0], rel=1e-14)
    assert np.all(parts.boxes[:, 1] == 1.0) and np.all(parts.boxes[parts.places[:, 0] < 2.0] == 1.0)
    low, high = (Atoms(parts.places + d * parts.boxes * [1.0, 0.0], parts.masses) for d in (-0.25, 0.25))
    apart = np.abs(go(high) - go(low)).max(axis=1)
    assert np.all((apart <= 0.5 + 1e-12) | (parts.boxes[:, 0] == 1.0 / 64.0))
    smooth = (parts.places[:, 0] > 2.0) & (np.abs(parts.places[:, 0] - 3.5) > 0.5)
    assert np.all(parts.boxes[smooth, 0] == 0.25)
    assert parts.boxes[:, 0].min() == 1.0 / 64.0
