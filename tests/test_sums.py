"""Sums over pairs of data and particles: every way agrees with the arrays of all pairs, which none of them makes."""

import math
import os
import platform
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from solvers.particles import GradientFlow
from wflow import (
    CircleNeuron,
    Flow,
    Gaussian,
    MeshDensity,
    Particles,
    RidgeNeuron,
    Risk,
    activation,
    circle,
    compiled,
    disk,
    solve,
    sphere,
    sums,
)
from wflow.activation import ONE_PARAMETER, PARAMETERLESS, Activation
from wflow.arcs import Arcs, Lines
from wflow.blocks import NeuronSums, RidgeBlocksAt
from wflow.coupling import Probe, norm
from wflow.data import Data
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.meshing import mesh_of
from wflow.solver import explicit_bound
from wflow.standing import standing
from wflow.sums import Sums

needs_numba = pytest.mark.skipif(
    not compiled.available(), reason="numba, the extra `fast`, is not installed: nothing is compiled"
)
NAMES = (*PARAMETERLESS, *ONE_PARAMETER)
EXACT = 1e-12
"""Asked of every sum, relative to its largest entry; met are some 1e-14, n m roundings at random."""


def case_of(neuron, n=101, m=777, seed=5):
    """Inputs, parameters, weights that are not equal, and slopes of both signs; no number of them fits a block."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(m, neuron.domain.dim))
    c = rng.random(m)
    return rng.normal(size=(n, neuron.inputs)), w, c / c.sum(), rng.normal(size=n)


def assert_agree(neuron, x, w, c, r, derivatives=(0, 1, 2)):
    """f and the derivatives of V against the arrays of all pairs."""
    mine, oracle = Sums(neuron, x).at(w), NeuronSums(neuron, x, w, whole=True)
    pairs = [(mine.predict(c), oracle.predict(c))]
    pairs += [(mine.against(r, k), oracle.against(r, k)) for k in derivatives]
    for got, expected in pairs:
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=0.0, atol=EXACT * max(np.max(np.abs(expected)), 1e-3))
    return mine


@pytest.fixture
def large(monkeypatch):
    """Every sum counts as large."""
    monkeypatch.setattr(sums, "LEAST", 0)


@pytest.fixture
def plain(large, monkeypatch):
    """... and numba as absent."""
    monkeypatch.setattr(compiled, "available", lambda: False)


def ridges(sigma, inputs=(1, 2, 3)):
    """With and without bias and outer weight."""
    both = (False, True)
    return [RidgeNeuron(sigma, inputs=p, bias=bias, outer=outer) for p in inputs for bias in both for outer in both]


def derivatives_of(sigma):
    """0, 1, and 2 where sigma' does not jump."""
    return (0, 1, 2) if sigma.curvature else (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_numpy_in_blocks(plain, name):
    """Without numba: every activation, p = 1, 2, 3, bias, outer weight, the circle; piecewise linear ones by arcs."""
    sigma = activation(name)
    for neuron in (*ridges(sigma), CircleNeuron(sigma)):
        at = assert_agree(neuron, *case_of(neuron), derivatives_of(sigma)).at
        flat = (neuron.inputs == 2 and not getattr(neuron, "bias", False)) or neuron.inputs == 1
        assert isinstance(at, Arcs if name in ("relu", "leaky_relu") and flat else RidgeBlocksAt)


@needs_numba
@pytest.mark.parametrize(
    ("inputs", "bias", "outer", "derivative"),
    [(1, False, False, 0), (2, False, False, 1), (2, False, True, 1), (2, True, True, 2)],
)
def test_compiled_loops(large, inputs, bias, outer, derivative):
    """One to three coordinates: the loops are the same for every activation, here one that compiles fast."""
    neuron = RidgeNeuron(activation("quadratic"), inputs=inputs, bias=bias, outer=outer)
    at = assert_agree(neuron, *case_of(neuron), (derivative,)).at
    assert type(at).__name__ == "FusedAt"


@needs_numba
@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_compiled_loops_of_the_benchmark(large, name):
    """tanh in the plane and relu in space, with outer weights."""
    neuron = RidgeNeuron(activation(name), inputs=2 if name == "tanh" else 3, outer=True)
    assert type(assert_agree(neuron, *case_of(neuron), (1,)).at).__name__ == "FusedAt"


@needs_numba
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_every_activation_compiled(large, name, inputs):
    """Every activation, with a parameter where it takes one, p = 1, 2, 3, bias, outer weight, and the circle."""
    for b in (None,) if name in PARAMETERLESS else (None, 5.0) if name == "dirichlet" else (None, 0.7):
        sigma = activation(name, b)
        for neuron in ridges(sigma, (inputs,)) if inputs != 2 else (*ridges(sigma, (2,)), CircleNeuron(sigma)):
            assert not isinstance(assert_agree(neuron, *case_of(neuron), derivatives_of(sigma)).at, RidgeBlocksAt)


@needs_numba
def test_the_circle_compiled(large):
    """v = (cos w, sin w): V' and V'' by the chain rule."""
    neuron = CircleNeuron(activation("cos_minus_sin", 2.0))
    assert_agree(neuron, *case_of(neuron), (1, 2))


@pytest.mark.parametrize("pairs", [1, 4, 5, 255, 256, 257, 513])
def test_sizes_that_fit_no_block(large, pairs):
    """Data are padded to a multiple of four, particles to one of 256: zeros that add nothing."""
    neuron = RidgeNeuron(activation("quadratic"), inputs=2, outer=True)
    assert_agree(neuron, *case_of(neuron, n=pairs, m=pairs), (1,))


# ---- arcs


LINED = {
    "relu, v.x": (RidgeNeuron(activation("relu"), inputs=2), 2),
    "relu, a v.x": (RidgeNeuron(activation("relu"), inputs=2, outer=True), 2),
    "relu, v x + c": (RidgeNeuron(activation("relu"), inputs=1, bias=True, outer=True), 1),
    "relu(z - 1/2), v x + c": (RidgeNeuron(activation("relu", 0.5), inputs=1, bias=True), 1),
    "relu(z - 1/2), v x": (RidgeNeuron(activation("relu", 0.5), inputs=1, outer=True), 1),
    "relu, v x": (RidgeNeuron(activation("relu"), inputs=1), 1),
    "leaky, v.x": (RidgeNeuron(activation("leaky_relu", 0.3), inputs=2, outer=True), 2),
    "steep below": (RidgeNeuron(activation("leaky_relu", -2.0), inputs=2), 2),
    "circle": (CircleNeuron(activation("relu")), 2),
}


@pytest.mark.parametrize("name", LINED)
def test_arcs_agree(large, name):
    """f, V and V' by arcs against the arrays of all pairs, for random data and particles."""
    neuron, _ = LINED[name]
    assert isinstance(assert_agree(neuron, *case_of(neuron), (0, 1)).at, Arcs)


@pytest.mark.parametrize("name", [name for name in LINED if name != "circle"])
def test_particles_on_a_kink_line(large, name):
    """Whole numbers: x . v = 0 exactly, for one particle in ten or more, at 0, along axes, for data that share lines.

    There sigma' is the mean of both sides, as in wflow.activation.
    """
    neuron, p = LINED[name]
    rng = np.random.default_rng(2)
    x = rng.integers(-3, 4, size=(64, p)).astype(float)
    w = rng.integers(-3, 4, size=(500, neuron.domain.dim)).astype(float) / 2.0
    v = w[:, int(neuron.outer) :]
    z = Sums(neuron, x)._columns @ v.T - (neuron.activation.parameter or 0.0) * (neuron.activation.name == "relu")
    assert np.mean(z == 0.0) > 0.02
    assert isinstance(assert_agree(neuron, x, w, np.full(500, 1 / 500), rng.normal(size=64), (0, 1)).at, Arcs)


def test_lines_of_data_that_are_multiples(large):
    """x, 3 x, -x/7: one line up to rounding. A particle along it takes the mean of both sides, whatever its length."""
    neuron = RidgeNeuron(activation("relu"), inputs=2)
    rng = np.random.default_rng(3)
    ray = rng.normal(size=2)
    x = rng.uniform(0.1, 3.0, size=(40, 1)) * np.where(np.arange(40) % 2, 1.0, -1.0)[:, None] * ray
    along = np.outer([1.0, 0.3, -7.0, 1e-5], [-ray[1], ray[0]])
    r = rng.normal(size=40)
    expected = np.tile(0.5 * r @ x, (4, 1))
    np.testing.assert_allclose(Sums(neuron, x).at(along).against(r, 1), expected, rtol=0.0, atol=1e-14)
    assert len(Lines.of(x, 0.5, 0.5).edges) == 2


def test_columns_of_different_size(large):
    """x in units of 1e-14 beside a bias: the kinks -c/v are told apart all the same."""
    neuron = RidgeNeuron(activation("relu"), inputs=1, bias=True)
    x, w, c, r = case_of(neuron)
    unit = 2.0**-46
    small = Sums(neuron, unit * x).at(w / [unit, 1.0])
    np.testing.assert_allclose(small.predict(c), Sums(neuron, x).at(w).predict(c), rtol=1e-12, atol=1e-12)
    expected = Sums(neuron, x).at(w).against(r, 1) * [unit, 1.0]
    np.testing.assert_allclose(small.against(r, 1), expected, rtol=1e-10, atol=0.0)


@needs_numba
def test_both_searches_find_the_same_arcs():
    """Buckets and bisection, at random and on the lines themselves."""
    from wflow import arc_search

    rng = np.random.default_rng(4)
    for x in (rng.normal(size=(300, 2)), rng.integers(-4, 5, size=(300, 2)).astype(float), np.ones((1, 2))):
        v = np.concatenate([rng.normal(size=(999, 2)), np.stack([-x[:, 1], x[:, 0]], axis=1), np.zeros((1, 2))])
        one, other = Lines.of(x, 0.5, 0.5), Lines.of(x, 0.5, 0.5, made=arc_search.buckets)
        assert np.array_equal(one.at(v).cells, other.at(v).cells)


def test_arcs_refuse_a_second_derivative(large):
    """sigma' jumps."""
    neuron = RidgeNeuron(activation("relu"), inputs=2)
    x, w, _, r = case_of(neuron)
    with pytest.raises(Refused, match="jumps"):
        Sums(neuron, x).at(w).against(r, 2)


# ---- which way


def kind_of(neuron, w=None, n=101):
    """The way that sums are made."""
    x, points, _, _ = case_of(neuron, n=n)
    at = Sums(neuron, x).at(points if w is None else w)
    return type(at).__name__ if isinstance(at, NeuronSums) else type(at.at).__name__


def test_small_sums_are_as_they_were():
    """Below LEAST pairs: the same numbers to the last bit as the products of the neuron's arrays."""
    neuron = RidgeNeuron(activation("relu"), inputs=2, outer=True)
    x, w, c, r = case_of(neuron)
    here = Sums(neuron, x).at(w)
    assert isinstance(here, NeuronSums)
    assert np.array_equal(here.predict(c), neuron.value(x, w) @ c)
    assert np.array_equal(here.against(r, 1), np.tensordot(r, neuron.gradient(x, w), axes=(0, 0)))


class Odd(RidgeNeuron):
    """A neuron of someone else's: it may redefine what it likes."""

    def value(self, x, w):
        return 2.0 * super().value(x, w)


@needs_numba
@pytest.mark.parametrize(
    ("neuron", "kind"),
    [
        (RidgeNeuron(activation("relu"), inputs=2), "Arcs"),
        (RidgeNeuron(activation("relu", 0.5), inputs=2), "FusedAt"),
        (RidgeNeuron(activation("relu"), inputs=2, bias=True), "FusedAt"),
        (RidgeNeuron(activation("tanh"), inputs=8), "FusedAt"),
        (RidgeNeuron(activation("tanh"), inputs=9), "RidgeBlocksAt"),
        (RidgeNeuron(Activation("tanh", np.sin, np.cos), inputs=2), "RidgeBlocksAt"),
        (RidgeNeuron(Activation("relu", np.sin, np.cos), inputs=2), "RidgeBlocksAt"),
        (RidgeNeuron(Activation("mine", np.sin, np.cos), inputs=2), "RidgeBlocksAt"),
        (Odd(activation("tanh"), inputs=2), "NeuronSums"),
    ],
)
def test_which_way(large, neuron, kind):
    """Arcs where all kinks go through one point of a plane; compiled loops for the house's formulas, not for a name."""
    assert kind_of(neuron) == kind


def test_few_data_have_no_arcs(large):
    """With 31 data the search costs as much as the sums."""
    assert kind_of(RidgeNeuron(activation("relu"), inputs=2), n=31) != "Arcs"


@pytest.mark.parametrize("name", ["relu", "tanh", "cos_minus_sin"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_particles_that_are_not_finite(large, name, bad):
    """They go by numpy, and nan comes out where numpy has it."""
    neuron = RidgeNeuron(activation(name), inputs=2)
    x, w, c, r = case_of(neuron)
    w[3, 1] = bad
    with np.errstate(invalid="ignore"):
        mine, oracle = Sums(neuron, x).at(w), NeuronSums(neuron, x, w, whole=True)
        assert isinstance(mine.at, RidgeBlocksAt)
        for got, expected in ((mine.predict(c), oracle.predict(c)), (mine.against(r, 1), oracle.against(r, 1))):
            assert np.array_equal(np.isnan(got), np.isnan(expected))


def test_angles_too_large_for_the_formula(large):
    """Beyond |b z| = 1e6 the reduced angle loses digits: numpy."""
    neuron = RidgeNeuron(activation("cos_minus_sin", 2.0), inputs=2)
    assert kind_of(neuron, w=np.full((10, 2), 1e6)) == "RidgeBlocksAt"


SMALL = """
import sys
from solvers.particles import GradientFlow
from wflow import problems, solve
solve(problems.two_layer_1d().flow, GradientFlow(particles=200), steps=2)
print(bool(sys.modules.get("numba")))
"""


@pytest.mark.slow
def test_small_problems_never_import_numba():
    """Importing it takes longer than their solution."""
    found = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


# ---- vector code, the cache


@pytest.mark.slow
@needs_numba
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="counts the vectors of x86-64")
@pytest.mark.parametrize("name", ["relu", "tanh"])
@pytest.mark.parametrize("loop", ["forward", "backward"])
def test_loops_over_particles_are_vector_code(name, loop):
    """At least 40 operations on four or eight doubles: the inner loop handles as many particles at a time.

    Compiled afresh: numba keeps no text of what it reads from disk. An index that might be negative, Python's test for
    a division by zero, or a call inside the loop would leave none.
    """
    import numba

    from wflow import formulas, fused

    kernel = numba.njit(**compiled.options())(getattr(fused, loop).py_func)
    sigma, x, v = formulas.NAMES[name](0.0 if name == "relu" else 1.0), (np.ones(4), np.ones(4)), np.ones((1, 2))
    if loop == "forward":
        kernel(sigma, x, v, np.ones(1), np.zeros(4))
    else:
        kernel(sigma, x, (np.ones(4),), x, (), v, np.empty((1, 3)))
    text = "".join(kernel.inspect_llvm().values())
    assert len(re.findall("<[48] x double>", text)) >= 40


@needs_numba
def test_tuples_outside_kernels():
    """What the helpers of the loops say in plain Python."""
    from wflow import fused

    columns, rows = (np.arange(4.0), 10.0 * np.arange(4.0)), np.arange(4.0 * fused.BLOCK)
    assert fused.entries(columns, 2) == (2.0, 20.0)
    assert fused.inner((2.0, 3.0), rows, 5) == 2.0 * 5.0 + 3.0 * (5.0 + fused.BLOCK)
    fused.gather(rows, 1, (1.0, 2.0, 3.0, 4.0), (1.0,), (1.0,), (1.0,), (10.0,))
    assert rows[1] == 1.0 + 46.0


KERNEL = """
from wflow.compiled import kernel

@kernel
def double(x):
    return 2.0 * x

print(double(1.5))
"""


@pytest.mark.slow
@needs_numba
def test_no_cache_folder_is_no_failure(tmp_path):
    """Where neither the folder of the module nor that of the user can be written, a kernel is compiled all the same.

    A file stands where each folder should be, which stops even an administrator.
    """
    (tmp_path / "__pycache__").write_text("")
    (tmp_path / "mine.py").write_text(KERNEL)
    nowhere = str(tmp_path / "__pycache__" / "inside")
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    env |= {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    found = subprocess.run([sys.executable, tmp_path / "mine.py"], capture_output=True, text=True, env=env, check=True)
    assert found.stdout.strip() == "3.0"


@needs_numba
def test_a_kernel_is_marked_by_what_it_uses(tmp_path):
    """What is on disk is found again by name: another text of an inlined function is another name."""
    from wflow import elementary, formulas, fused

    assert compiled.mark([elementary]) != compiled.mark([elementary, formulas])
    assert compiled.mark([compiled, elementary, formulas]) in fused.forward.py_func.__qualname__


# ---- the energy and the solver


def flow_of(name, outer=False, n=256):
    """A network of two inputs that learns sin(x_1) x_2 from n data."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2))
    neuron = RidgeNeuron(activation(name), inputs=2, outer=outer)
    energy = Energy(Risk(neuron, Data(x, np.sin(x[:, 0]) * x[:, 1])))
    return Flow(energy, neuron.domain, Gaussian(0.0, 1.0, dim=neuron.dim), 0.1)


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_the_energy_by_either_way(monkeypatch, name):
    """F, f, V, -V' and V'' of one measure, small and large."""
    energy = flow_of(name, outer=True, n=60).energy
    rng = np.random.default_rng(1)
    weights = rng.random(200)
    pi = Particles(energy.risk.neuron.domain, rng.normal(size=(200, 3)), weights / weights.sum())
    elsewhere = rng.normal(size=(50, 3))

    def everything():
        out = [energy.predict(pi), energy.potential(pi, elsewhere), energy.velocity(pi, pi.points)]
        return [*out, energy.velocity(pi, elsewhere), *([energy.curvature(pi, pi.points)] if energy.curved else [])]

    small = everything()
    monkeypatch.setattr(sums, "LEAST", 0)
    for got, expected in zip(everything(), small, strict=True):
        np.testing.assert_allclose(got, expected, rtol=0.0, atol=EXACT * np.max(np.abs(expected)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "outer", "particles", "numba"),
    [("relu", False, 100_000, True), ("relu", True, 50_000, False), ("tanh", True, 30_000, True)],
)
def test_no_array_of_all_pairs(monkeypatch, name, outer, particles, numba):
    """`solve` with 256 data: the most memory at any time stays below half of one array (256, m) of doubles.

    The stability bound is in it: its factor (m d, n) is that of a sample of the particles.
    """
    if not numba:
        monkeypatch.setattr(compiled, "available", lambda: False)
    elif not compiled.available():
        pytest.skip("numba, the extra `fast`, is not installed: nothing is compiled")
    flow, solver = flow_of(name, outer), GradientFlow(particles=particles)
    solve(flow, solver, steps=100, until=0.001)  # compiled before memory is watched
    tracemalloc.start()
    run = solve(flow, solver, steps=100, until=0.002)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert run.energies[-1] < run.energies[0]
    assert peak < 0.5 * 8 * 256 * particles


# ---- the coupling of a sample


def coupled(name, m, n):
    """A measure of m particles with unequal weights, factor and core of its coupling, and the exact norm."""
    energy = flow_of(name, outer=True, n=n).energy
    rng = np.random.default_rng(6)
    weights = rng.random(m)
    pi = Particles(energy.risk.neuron.domain, rng.normal(size=(m, 3)), weights / weights.sum())
    return energy, pi, norm(*energy.coupling(pi, pi.points), Probe(pi.points, pi.weights, False))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "n"), [("tanh", 200), ("relu", 200), ("tanh", 450)])
def test_the_coupling_of_a_sample(name, n):
    """The estimate with three standard errors lies above the exact norm, and by less than half of it.

    Beyond 400 data it is the trace.
    """
    energy, pi, exact = coupled(name, 6000, n)
    probe = Probe.of(pi, n)
    assert probe.sampled and len(probe.points) < 2000
    assert exact < energy.coupling_norm(pi) < 1.5 * exact


def test_the_coupling_of_few_points_is_exact():
    """All points count while the factor is small."""
    energy, pi, exact = coupled("tanh", 300, 100)
    assert energy.coupling_norm(pi) == exact


def test_the_stability_bound_of_many_particles():
    """1/(max|V''| + |K|) of 20000 particles and of 1000 of the same law agree to a third."""
    flow = flow_of("tanh", outer=True)
    rng = np.random.default_rng(8)
    many, few = (Particles(flow.domain, rng.normal(size=(m, 3))) for m in (20_000, 1000))
    assert explicit_bound(flow.energy, many) == pytest.approx(explicit_bound(flow.energy, few), rel=1 / 3)


@pytest.mark.parametrize("derivative", [0, 1])
def test_tables_of_points_that_stand_are_kept_and_right(derivative):
    """At read-only points the same object answers again, with the sums of any points; two arrays are never mixed up."""
    rng = np.random.default_rng(5)
    sums = Sums(RidgeNeuron(activation("tanh"), outer=True), rng.standard_normal((7, 1)))
    slope, pair = rng.standard_normal(7), [rng.standard_normal((9, 2)) for _ in range(2)]
    for w in pair:
        w.flags.writeable = False
    for w in (*pair, *pair):
        assert standing(sums, w) is standing(sums, w)
        np.testing.assert_allclose(
            standing(sums, w).against(slope, derivative), sums.at(w).against(slope, derivative), rtol=1e-13
        )
    moving = rng.standard_normal((9, 2))
    before = standing(sums, moving).against(slope, derivative)
    moving += 1.0
    assert np.max(np.abs(standing(sums, moving).against(slope, derivative) - before)) > 0.01
    seen = moving[:]
    seen.flags.writeable = False
    before = standing(sums, seen).against(slope, derivative)
    moving += 1.0  # what is seen moves
    assert np.max(np.abs(standing(sums, seen).against(slope, derivative) - before)) > 0.01


def test_hessians_at_points_that_stand_are_made_in_blocks():
    """All of them were 2000 data times 1700 points times 4 numbers, 110 MB."""
    mesh = mesh_of(disk(), 32)
    pi = MeshDensity(mesh, np.full((mesh.size, 1), 1.0 / mesh.volumes.sum()))
    rng = np.random.default_rng(6)
    data = Data(rng.standard_normal((2000, 2)), rng.standard_normal(2000))
    energy = Energy(Risk(RidgeNeuron(activation("tanh"), inputs=2), data))
    energy.predict(pi)  # its table stays
    tracemalloc.start()
    found = energy.curvature(pi, pi.points)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shape == (mesh.size, 2, 2) and mesh.size > 1600 and most < 4e7


@pytest.mark.parametrize("domain", [disk(), sphere(), circle()], ids=["disk", "sphere", "circle"])
@pytest.mark.parametrize("linear", [False, True])
def test_points_of_meshes_stand(domain, linear):
    """Those of both degrees, on surfaces too."""
    mesh = mesh_of(domain, 8)
    values = np.full((mesh.size, mesh.cells.shape[1] if linear else 1), 1.0 / mesh.volumes.sum())
    sums = Sums(RidgeNeuron(activation("tanh")), np.ones((3, domain.dim)))
    first, again = (standing(sums, MeshDensity(mesh, values).points) for _ in range(2))
    assert first is again
