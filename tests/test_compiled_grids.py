"""Compiled steps of large grids against the plain numpy of small ones, which is their oracle."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import solvers.cells
from solvers.finite_volume import Muscl, ScharfetterGummel, Upwind
from solvers.finite_volume.faces import axes_of
from solvers.finite_volume.fitted import _face_temperature
from solvers.finite_volume.sweeps import sweep_of
from wflow import Density, Energy, Entropy, Flow, Grid, Potential, State, StepTooLarge, Uniform, problems, solve
from wflow.compiled import available
from wflow.domain import Box
from wflow.internal import Power

pytestmark = pytest.mark.skipif(not available(), reason="numba is not installed")

TURN = 2.0 * np.pi
# lower, upper, periodic, frozen, cells; lengths that are no multiples of a vector
GRIDS = {
    "line": ((0.0,), (2.0,), (False,), (False,), (37,)),
    "circle": ((0.0,), (TURN,), (True,), (False,), (37,)),
    "box": ((-1.0, 0.0), (1.0, 3.0), (False, False), (False, False), (13, 21)),
    "torus": ((0.0, 0.0), (TURN, TURN), (True, True), (False, False), (11, 19)),
    "cylinder": ((-2.0, 0.0), (2.0, TURN), (False, True), (False, False), (14, 9)),
    "cylinder, turned": ((0.0, -2.0), (TURN, 2.0), (True, False), (False, False), (10, 17)),
    "sheets": ((-1.0, 0.0, 0.0), (1.0, 2.0, TURN), (False, False, True), (True, False, False), (2, 8, 13)),
    "last axis frozen": ((0.0, -1.0), (2.0, 1.0), (False, False), (False, True), (23, 2)),
    "three axes": ((0.0, -1.0, 0.0), (TURN, 1.0, 1.0), (True, False, False), (False, False, False), (6, 5, 18)),
    "two cells an axis": ((0.0, 0.0), (TURN, 1.0), (True, False), (False, False), (2, 2)),
}
EXPLICIT = pytest.mark.parametrize("solver", [Upwind(4), Muscl(4)], ids=["upwind", "muscl"])
EVERY = pytest.mark.parametrize("name", GRIDS)
WARM = pytest.mark.parametrize("temperature", [0.0, 0.3])
POWER = pytest.mark.parametrize("power", [(), (Power(2.5, 0.2),)], ids=["", "power"])


def waves(w, derivative):
    """A rugged field; a fixed V, whose derivatives `_euler` does not ask for."""
    return np.asarray(np.sum(np.sin(3.0 * w + 1.0), axis=1) + np.prod(np.cos(2.0 * w), axis=1))


def rough(name, temperature, power=(), *, emptied=0.2, seed=5):
    """A flow and a random density on a grid, some of whose cells are empty."""
    lower, upper, periodic, frozen, shape = GRIDS[name]
    grid = Grid(Box(lower, upper, periodic, frozen), shape)
    rng = np.random.default_rng(seed)
    values = rng.exponential(size=grid.size) * (rng.random(grid.size) >= emptied)
    heat = (Entropy(temperature),) if temperature else ()
    flow = Flow(Energy(Potential(waves), *heat, *power), grid.domain, Uniform(grid.domain), 1.0)
    return flow, Density(grid, values / (values.sum() * grid.cell_volume))


@pytest.fixture
def compiled(monkeypatch):
    """Kernels for grids of any size; called with False, for none."""

    def choose(taken=True):
        monkeypatch.setattr(solvers.cells, "COMPILED", 0 if taken else 10**9)

    return choose


def bound(solver, flow, pi):
    """The CFL bound in which V'' has no part."""
    with pytest.raises(StepTooLarge) as refused:
        solver.step(flow, State(0.0, pi), 1e6)
    return refused.value.largest


@EVERY
@WARM
@POWER
@EXPLICIT
def test_an_explicit_step_is_that_of_numpy(name, temperature, power, solver, compiled):
    """To 1e-14 of the largest density, dissipation to 1e-13 of itself; the CFL bounds agree to 1e-14."""
    flow, pi = rough(name, temperature, power)
    compiled(False)
    allowed = bound(solver, flow, pi)
    expected = solver.step(flow, State(0.0, pi), 0.9 * allowed)
    compiled()
    assert bound(solver, flow, pi) == pytest.approx(allowed, rel=1e-14)
    step = solver.step(flow, State(0.0, pi), 0.9 * allowed)
    np.testing.assert_allclose(
        step.state.measure.values, expected.state.measure.values, rtol=0.0, atol=1e-14 * pi.values.max()
    )
    assert step.dissipated == pytest.approx(expected.dissipated, rel=1e-13)
    assert step.state.measure.mass == pytest.approx(pi.mass, abs=1e-15)
    assert np.abs(step.state.measure.values - pi.values).sum() > 0.05 * pi.values.sum()


@EXPLICIT
@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_a_network_learns_the_same(solver, temperature, compiled):
    """Ten steps of a network in the plane of (a, w), V anew at each stage: to 1e-13 of the largest density."""
    flow = problems.two_layer_1d(temperature=temperature, horizon=0.05).flow
    ends = []
    for taken in (False, True):
        compiled(taken)
        ends.append(solve(flow, replace(solver, cells=48), steps=10))
    plain, fused = ends
    np.testing.assert_allclose(fused.final.values, plain.final.values, rtol=0.0, atol=1e-13 * plain.final.values.max())
    np.testing.assert_allclose(fused.energies, plain.energies, rtol=1e-13)
    np.testing.assert_allclose(fused.dissipated, plain.dissipated, rtol=1e-12)


@EXPLICIT
def test_mass_on_a_large_grid(solver):
    """10^5 cells: kernels without being asked for, and no mass lost beyond 1e-15."""
    grid = Grid(Box((0.0, 0.0), (TURN, 1.0), (True, False)), (401, 257))
    values = np.random.default_rng(2).exponential(size=grid.size)
    pi = Density(grid, values / (values.sum() * grid.cell_volume))
    assert solvers.cells.compiled(grid.size)
    flow = Flow(Energy(Potential(waves), Entropy(0.1)), grid.domain, Uniform(grid.domain), 1.0)
    step = solver.step(flow, State(0.0, pi), 0.9 * bound(solver, flow, pi))
    assert step.state.measure.mass == pytest.approx(pi.mass, abs=1e-15)


def test_without_numba_large_grids_take_numpy(monkeypatch):
    """The same answer to 1e-14, slower."""
    flow = problems.two_layer_1d(horizon=0.01).flow
    fast = solve(flow, Upwind(200), steps=2)
    monkeypatch.setattr(solvers.cells, "available", lambda: False)
    slow = solve(flow, Upwind(200), steps=2)
    np.testing.assert_allclose(fast.final.values, slow.final.values, rtol=0.0, atol=1e-14 * slow.final.values.max())
    assert not np.array_equal(fast.final.values, slow.final.values)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["Muscl(64)", "Upwind(64)", "ScharfetterGummel(64)"])
def test_small_grids_never_import_numba(solver):
    """Its import takes longer than their runs."""
    script = (
        "import sys; from wflow import problems, solve; from solvers.finite_volume import *\n"
        f"solve(problems.two_layer_1d(temperature=.1, horizon=.02).flow, {solver}, steps=3)\n"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def a_sweep(name, temperature, power, dt, axis_number, taken, compiled, scale=1.0, *, lasting=False):
    """Backward Euler along one axis of a grid, V as large as `scale`, and what it leads to."""
    compiled(taken)
    flow, pi = rough(name, temperature, power, emptied=0.2)
    axis = axes_of(pi.grid)[axis_number]
    potential = scale * waves(pi.points, 0)
    warm = _face_temperature(flow, axis, pi) if power else temperature
    sweep = sweep_of(axis, potential, warm, dt, lasting=lasting)
    values = sweep.solve(pi.values)
    new = Density(pi.grid, values / (values.sum() * pi.grid.cell_volume))
    return pi.values, values, sweep.dissipated(flow, new)


PLANES = pytest.mark.parametrize("name", [n for n in GRIDS if n not in ("line", "circle", "two cells an axis")])


@PLANES
@POWER
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize(("dt", "scale"), [(0.05, 1.0), (1e9, 1.0), (0.05, 400.0)], ids=["", "long", "steep"])
def test_an_implicit_sweep_is_that_of_numpy(name, power, lasting, dt, scale, compiled):
    """Every cell to 1e-12 of itself, however small: elimination without subtraction on both sides; mass to 1e-15.

    The exponent of a rate with d/T = 3000 carries 3000 roundings: hence 1e-12 and not 1e-14.
    """
    for axis_number in range(len(axes_of(rough(name, 0.3)[1].grid))):
        arguments = (name, 0.3, power, dt, axis_number)
        _, expected, spent = a_sweep(*arguments, False, compiled, scale)
        old, new, work = a_sweep(*arguments, True, compiled, scale, lasting=lasting)
        np.testing.assert_allclose(new, expected, rtol=1e-12)
        assert new.sum() == pytest.approx(old.sum(), rel=2e-15)
        # the difference of what passes a face to and fro, both of the size of dt
        assert work == pytest.approx(spent, rel=1e-11, abs=1e-15 * dt)
        assert new.min() >= 0.0


def test_an_implicit_run_is_that_of_numpy(compiled):
    """V at the mean of both ends, by fixed point: to 1e-11 after ten steps, whose own tolerance is 1e-12."""
    flow = problems.two_layer_1d(temperature=0.1, horizon=0.5).flow
    ends = []
    for taken in (False, True):
        compiled(taken)
        ends.append(solve(flow, ScharfetterGummel(40), steps=10))
    plain, fused = ends
    np.testing.assert_allclose(fused.final.values, plain.final.values, rtol=0.0, atol=1e-11)
    np.testing.assert_allclose(fused.energies, plain.energies, rtol=1e-11)
    np.testing.assert_allclose(fused.dissipated, plain.dissipated, rtol=1e-10)


@PLANES
def test_compiled_sweeps_keep_gibbs(name, compiled):
    """e^{-V/T} stands still under steps of any length: to 1e-13 of itself in every cell."""
    compiled()
    flow, pi = rough(name, 0.3)
    gibbs = np.exp(-waves(pi.points, 0) / 0.3)
    start = Density(pi.grid, gibbs / (gibbs.sum() * pi.grid.cell_volume))
    for dt in (1e-3, 1.0, 1e6):
        end = ScharfetterGummel(4).step(flow, State(0.0, start), dt).state.measure
        np.testing.assert_allclose(end.values, start.values, rtol=1e-12)


@pytest.mark.slow
def test_loops_over_rows_are_vector_code(tmp_path):
    """Each loop over a row does arithmetic on several cells at once; compiled anew, as cached code shows no text.

    NUMBA_LOOP_VECTORIZE=0 leaves not one such line in any of them. How fast it is: benchmarks/muscl.py.
    """
    script = """
import re
from solvers.finite_volume import Muscl, fused
from wflow import problems
flow = problems.two_layer_1d(horizon=0.01).flow
Muscl(128).step(flow, Muscl(128).init(flow), 1e-6)
for loop in (fused._row, fused._between, fused._along, fused._enter, fused._lift):
    text = "".join(loop.inspect_llvm().values())
    print(loop.py_func.__name__, len(re.findall(r"f(?:add|sub|mul) .*<[0-9]+ x double>", text)))
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment)
    found = dict(line.split() for line in out.stdout.splitlines())
    assert len(found) == 5
    assert all(int(lines) >= 10 for lines in found.values()), found
