"""Problems of one JKO step on cells, posed and drawn at random, and least values by brute force."""

import math

import numpy as np

from wflow import (
    Box,
    Data,
    Density,
    Energy,
    Grid,
    Potential,
    Risk,
    Uniform,
    activation,
    box,
    circle,
    interval,
    problems,
    torus,
)
from wflow.bump import BumpNeuron
from wflow.energy import population_risk
from wflow.hats.movement import Movement
from wflow.hats.settled import Sheets
from wflow.kernel import sawtooth_kernel
from wflow.neuron import CircleNeuron, TranslationNeuron

TURN = 2.0 * math.pi
BOXES = {
    "interval": (interval(0.0, 1.0), (7,)),
    "circle": (circle(), (7,)),
    "box": (box([0, 0], [1, 2]), (5, 6)),
    "torus": (torus(2), (5, 4)),
    "cylinder": (Box((0.0, 0.0), (TURN, 1.0), (True, False)), (4, 5)),
}


def scattered(name, tau, seed=0):
    """Random masses and a random field on a small grid."""
    domain, shape = BOXES[name]
    grid, rng = Grid(domain, shape), np.random.default_rng(seed)
    return Sheets(grid, tau), rng.dirichlet(np.ones(grid.size)), rng.normal(size=grid.size)


def lifted_cells(sheets):
    """Cells between nodes with their corners' indices, lifted by a turn to each side on periodic axes."""
    _, n0, n1 = sheets.shape
    (c0, c1), (turns0, turns1) = sheets.cells, sheets.sides
    ranges = [range(-n, 2 * n) if turns and n > 1 else range(c) for n, c, turns in ((n0, c0, turns0), (n1, c1, turns1))]
    for i in ranges[0]:
        for j in ranges[1]:
            yield i, j, [(i + a) % n0 for a in (0, 1)], [(j + b) % n1 for b in (0, 1)]


def brute(sheets, field, parts=400):
    """(cells, m) least values by 401 lines a cell, on each of which the minimum of a parabola is known."""
    g, (p0, p1) = sheets.folded(field)[0], sheets.pull
    _, n0, n1 = sheets.shape
    x = np.stack(np.meshgrid(np.arange(n0), np.arange(n1), indexing="ij"), axis=-1).reshape(-1, 2)
    u, found = np.linspace(0.0, 1.0, parts + 1)[:, None], []
    for i, j, (a0, a1), (b0, b1) in lifted_cells(sheets):
        low, high = (1 - u) * g[a0, b0] + u * g[a1, b0], (1 - u) * g[a0, b1] + u * g[a1, b1]
        v = np.clip(x[:, 1] - j - (high - low) / p1, 0.0, 1.0)
        values = low + (high - low) * v + 0.5 * p0 * (i + u - x[:, 0]) ** 2 + 0.5 * p1 * (j + v - x[:, 1]) ** 2
        found.append(values.min(axis=0))
    return np.array(found)


def on_circle():
    """A risk on 20 inputs, convex in the measure."""
    rng, neuron = np.random.default_rng(3), CircleNeuron(activation("cos_minus_sin", 2.0))
    x = rng.normal(size=(20, 2))
    y = neuron.value(x, np.array([[1.0], [4.0]])).mean(axis=1)
    return Energy(Risk(neuron, Data(x, y)), Potential(lambda w, j: _wave(w, j))), circle()


def _wave(w, j):
    return 0.05 * (np.cos(w[:, 0]) if j == 0 else -np.sin(w) if j == 1 else -np.cos(w)[:, :, None])


def on_square():
    """Gaussian bumps on the unit square."""
    rng, square = np.random.default_rng(0), box([0, 0], [1, 1])
    neuron, x = BumpNeuron(0.2, square), rng.random((30, 2))
    return Energy(Risk(neuron, Data(x, neuron.value(x, rng.random((5, 2))) @ np.full(5, 0.2)))), square


def on_torus():
    """Deconvolution with two angles."""
    rng, neuron = np.random.default_rng(2), TranslationNeuron(activation("dirichlet", 2.0), inputs=2)
    x = rng.uniform(0.0, TURN, (30, 2))
    return Energy(Risk(neuron, Data(x, neuron.value(x, np.array([[1.0, 2.0], [4.0, 5.0]])).mean(axis=1)))), torus(2)


def of_population():
    """The closed kernel of the sawtooth, with modes beyond any grid."""
    return Energy(*population_risk(sawtooth_kernel(), Uniform(circle()))), circle()


POSED = {"circle": on_circle, "square": on_square, "torus": on_torus, "population": of_population}


def smooth(grid):
    """A positive density with one maximum on a grid."""
    turns = TURN * (grid.centres - grid.domain.lower) / grid.domain.lengths
    values = np.prod(1.0 + 0.9 * np.cos(turns - 1.0), axis=1)
    return Density(grid, values / (values.sum() * grid.cell_volume))


def drawn(seed):
    """A random problem: term, grid, density (noise, a bump, a bump cut off), and tau from .01 to 1."""
    rng = np.random.default_rng(seed)
    aggregated = Box((-2.0,), (2.0,), (False,)), box([-2.0, -2.0], [2.0, 2.0])
    energy, domain = [
        on_circle(),
        on_square(),
        of_population(),
        (problems.aggregation(("newtonian", "log_line")[rng.integers(2)]).flow.energy, aggregated[0]),
        (problems.aggregation("log_plane").flow.energy, aggregated[1]),
    ][seed % 5]
    grid = Grid(domain, (int(rng.integers(8, 100)),) if domain.dim == 1 else (int(rng.integers(6, 24)),) * 2)
    away = (grid.centres - domain.lower) / domain.lengths - rng.random(domain.dim)
    values = np.exp(-0.5 * np.sum(away**2, axis=1) / rng.uniform(0.02, 0.3) ** 2)
    if (rough := rng.integers(3)) == 0:
        values = rng.random(grid.size)
    elif rough == 1:
        values[values < 0.3 * values.max()] = 0.0
    density = Density(grid, values / (values.sum() * grid.cell_volume))
    return Movement(energy, density, float(10.0 ** rng.uniform(-2.0, 0.0)))
