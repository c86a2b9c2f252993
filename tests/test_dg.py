"""DG0 and DG1 on simplices: exact drifts on the circle, the plane and the sphere, order, what they keep, refusals."""

import math

import numpy as np
import pytest

from solvers.fem import DG0, DG1, toolchain
from solvers.finite_volume import Muscl
from tests.meshes import Given
from wflow import (
    Atoms,
    Energy,
    Entropy,
    Flow,
    Gaussian,
    Potential,
    Refused,
    StepTooLarge,
    box,
    circle,
    disk,
    interval,
    line,
    problems,
    punched,
    solve,
    sphere,
)
from wflow.convergence import Laboratory, in_time
from wflow.mesh_density import MeshDensity, flattened
from wflow.mesh_norm import mean_difference
from wflow.meshing import mesh_of

pytestmark = [
    pytest.mark.fem,
    pytest.mark.skipif(toolchain.missing() is not None, reason=toolchain.missing() or ""),
]
LOST = 0.15


def contracting(domain, t, std=0.6, centre=(0.8, -0.4)):
    """N(c e^-t, (s e^-t)^2): w' = -w moves w to w e^-t. Far from walls."""
    centre, std = np.asarray(centre[: domain.dim]) * math.exp(-t), std * math.exp(-t)
    norm = (std * math.sqrt(2.0 * math.pi)) ** domain.dim
    return Given(domain, lambda w: np.exp(-0.5 * np.sum((w - centre) ** 2, axis=1) / std**2) / norm)


def turning(t):
    """theta' = -sin theta on the circle: tan(theta/2) falls by e^-t, so rho_t = rho_0(theta_0) dtheta_0/dtheta."""

    def density(w):
        s, grown = np.tan(0.5 * w[:, 0]), math.exp(t)
        start = 2.0 * np.arctan(grown * s)
        return (1.0 + 0.5 * np.cos(start - 1.0)) / (2.0 * math.pi) * grown * (1.0 + s**2) / (1.0 + (grown * s) ** 2)

    return Given(circle(), density)


def gathering(t):
    """V = -z on the sphere: the same along meridians, rho_t = rho_0 (dtheta_0/dtheta) (sin theta_0/sin theta)."""

    def density(w):
        s, grown = (1.0 - w[:, 2]) / np.maximum(1.0 + w[:, 2], 1e-300), math.exp(2.0 * t)
        height = (1.0 - grown * s) / (1.0 + grown * s)
        return (1.0 + 0.5 * height) / (4.0 * math.pi) * grown * ((1.0 + s) / (1.0 + grown * s)) ** 2

    return Given(sphere(), density)


def tilted(w, derivative):
    """V = -z with its tangential slope and Hessian z P."""
    tangent = np.eye(3) - w[:, :, None] * w[:, None, :]
    return (-w[:, 2], -tangent[:, :, 2], w[:, 2, None, None] * tangent)[derivative]


def pulling(w, derivative):
    """V = -cos theta."""
    return (-np.cos(w[:, 0]), np.sin(w), np.cos(w)[:, :, None])[derivative]


LINE, SQUARE, DISK = interval(-4.0, 4.0), box((-4, -4), (4, 4)), disk(4.0)
PULL = Potential.quadratic(1.0)
CASES = {
    "interval": (LINE, PULL, lambda t: contracting(LINE, t), (32, 64, 128)),
    "circle": (circle(), Potential(pulling), turning, (32, 64, 128)),
    "box": (SQUARE, PULL, lambda t: contracting(SQUARE, t), (20, 40, 80)),
    "disk": (DISK, PULL, lambda t: contracting(DISK, t), (20, 40, 80)),
    "sphere": (sphere(), Potential(tilted), gathering, (16, 32, 64)),
}
FINEST = {"interval": 6e-4, "circle": 5e-4, "box": 1.2e-3, "disk": 1.2e-3, "sphere": 4e-4}


def flow_of(name, horizon=0.5):
    domain, potential, law, _ = CASES[name]
    return Flow(Energy(potential), domain, law(0.0), horizon)


def errors(name, solver, finer=1):
    """L1 at t = .5, the step halved with the cells."""
    law, levels = CASES[name][2], [finer * n for n in CASES[name][3]]
    ends = [solve(flow_of(name), solver(cells=n), steps=6 * n, times=[0.5]).final for n in levels]
    return [mean_difference(end, law(0.5)) for end in ends]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_dg1_converges_at_order_two(name):
    """In L1 against the exact drift, and below a stated error on the finest mesh."""
    found = errors(name, DG1)
    assert math.log2(found[1] / found[2]) >= 2.0 - 2.0 * LOST
    assert math.log2(found[0] / found[2]) / 2.0 >= 2.0 - 2.0 * LOST
    assert found[2] <= FINEST[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["disk", "sphere"])
def test_dg0_converges_at_order_one(name):
    """In L1."""
    found = errors(name, DG0, finer=2)
    assert math.log2(found[1] / found[2]) >= 1.0 - LOST


@pytest.mark.slow
@pytest.mark.parametrize("solver", [DG0(cells=16), DG1(cells=16)])
@pytest.mark.parametrize("name", ["disk", "sphere"])
def test_mass_sign_and_work(name, solver):
    """The mass is kept to rounding, nothing is negative, and F falls."""
    run = solve(flow_of(name), solver)
    assert np.max(np.abs(run.diagnostics["mass"] - 1.0)) <= 1e-12
    assert run.diagnostics["least"].min() >= 0.0
    assert np.max(np.diff(run.energies)) < 0.0


def test_work_is_exact_while_nothing_is_flattened():
    """On the sphere, where rho stays far from 0."""
    run = solve(flow_of("sphere"), DG1(cells=16))
    assert run.energies[0] - run.energies[-1] == pytest.approx(run.dissipated[-1], abs=1e-13)


@pytest.mark.parametrize("solver", [DG0(cells=12), DG1(cells=12)])
@pytest.mark.parametrize("name", ["disk", "sphere"])
def test_one_cell_empties_at_the_bound(name, solver):
    """All mass in one cell: at the bound no average is negative, beyond it the step is refused."""
    flow = flow_of(name)
    start = solver.init(flow)
    mesh = start.measure.mesh
    for cell in (0, mesh.size // 2, mesh.size - 1):
        values = np.zeros_like(start.measure.values)
        values[cell] = 1.0 / mesh.volumes[cell]
        state = type(start)(0.0, MeshDensity(mesh, values))
        bound = solver.largest_step(flow, state)
        new = solver.step(flow, state, bound).state.measure
        assert new.least >= 0.0
        with pytest.raises(StepTooLarge, match="CFL"):
            solver.step(flow, state, 40.0 * bound)


def test_the_bound_is_sharp():
    """Euler's step of twice the bound makes some average negative: mass in the worst corner of the worst cell."""
    from solvers.fem.upwind import rates_of

    flow = flow_of("disk")
    mesh = DG1(cells=12).init(flow).measure.mesh
    worst = math.inf
    for corner in range(3):
        values = np.zeros((mesh.size, 3))
        values[:, corner] = 1.0
        pi = MeshDensity(mesh, values / (values.mean(axis=1) @ mesh.volumes))
        rates = rates_of(flow, pi)
        alone = [np.where(np.arange(mesh.size)[:, None] == k, values, 0.0) for k in range(0, mesh.size, 7)]
        for only in alone:
            one = MeshDensity(mesh, only / (only.mean(axis=1) @ mesh.volumes))
            ahead = one.values + 2.5 * rates.largest * rates_of(flow, one).values
            worst = min(worst, float(ahead.mean(axis=1).min()))
    assert worst < 0.0


def test_nothing_crosses_walls():
    """A uniform drift in a square with a hole: mass gathers at walls and stays 1."""
    domain = punched((0.0, 0.0), (1.0, 1.0), (0.5, 0.5), 0.2)
    uniform = Given(domain, lambda w: np.full(len(w), 1.0 / domain.volume))
    flow = Flow(Energy(Potential.linear((-1.0, 0.0))), domain, uniform, 1.0)
    run = solve(flow, DG1(cells=16))
    assert run.final.mass == pytest.approx(1.0, abs=1e-12)
    assert run.final.weights @ run.final.points[:, 0] > 0.7


@pytest.mark.slow
def test_a_network_agrees_with_finite_volumes():
    """two_layer_1d in (a, w): F at the end within the sum of both methods' own refinement distances."""
    flow = problems.two_layer_1d().flow
    coarse, fine = (solve(flow, DG1(cells=n)).energies[-1] for n in (20, 40))
    coarser, finer = (solve(flow, Muscl(cells=n)).energies[-1] for n in (64, 128))
    assert abs(fine - finer) <= abs(fine - coarse) + abs(finer - coarser)


def test_refusals():
    """Internal energies, atoms, infinite domains, singular interactions."""
    start = contracting(disk(4.0), 0.0)
    with pytest.raises(Refused, match="TwoPoint"):
        solve(Flow(Energy(Potential.quadratic(1.0), Entropy(1.0)), disk(4.0), start, 1.0), DG0(cells=8))
    with pytest.raises(Refused, match="TwoPoint"):
        solve(Flow(Energy(Potential.quadratic(1.0), Entropy(1.0)), disk(4.0), start, 1.0), DG1(cells=8))
    atoms = Atoms(disk(4.0), np.zeros((1, 2)))
    with pytest.raises(Refused, match="no density to average"):
        solve(Flow(Energy(Potential.quadratic(1.0)), disk(4.0), atoms, 1.0), DG1(cells=8))
    with pytest.raises(Refused, match="window"):
        solve(Flow(Energy(Potential.quadratic(1.0)), line(), Gaussian(), 1.0), DG1(cells=8))


def test_at_edges_the_limiter_leaves_the_energy_identity_open():
    """By O(h^3), whatever dt: no order in time is declared for it; from a start without edges it is of order 2."""
    flow = problems.aggregation().flow
    left = {}
    for n, steps in ((32, 40), (32, 80), (64, 80)):
        run = solve(flow, DG1(cells=n), steps=steps)
        left[n, steps] = abs(float(run.energies[0] - run.energies[-1] - run.dissipated[-1]))
    assert left[32, 80] == pytest.approx(left[32, 40], rel=0.01)
    assert 2.5 <= math.log2(left[32, 80] / left[64, 80]) <= 3.5
    assert DG1(cells=32).order(flow).identity == 0.0
    assert DG1(cells=32).order(problems.circle_teacher().flow).identity is None


def test_what_is_flattened_of_a_parabola():
    """Of 3 x^2 on [0, h] the best line is 3 h x - h^2/2: it dips to -h^2/2, and drawn to 0, 2 h^2 moves h^3/2."""
    law = Given(interval(0.0, 1.0), lambda w: 3.0 * w[:, 0] ** 2)
    assert flattened(law, mesh_of(interval(0.0, 1.0), 4)) == pytest.approx(1.0 / 128.0, rel=1e-12)


def test_tails_within_a_cell_hide_the_order_in_time():
    """On a window 28 deviations wide: by 32 cells the tails are flattened, by 64 not; no identity is declared."""
    flow = problems.two_layer_1d().flow
    assert [DG1(cells=n).resolves(flow) for n in (32, 64)] == [False, True]
    assert all(DG1(cells=n).resolves(problems.circle_teacher().flow) for n in (4, 64))
    assert DG1(cells=8).resolves(problems.jump_start().flow)
    assert DG1(cells=64).order(flow).identity == 0.0


@pytest.mark.slow
def test_where_tails_are_resolved_the_order_in_time_is_two():
    """By 64 cells, seen 1.99; by 32 it is 1.27."""
    lab = Laboratory(problems.two_layer_1d().flow)
    seen = {n: in_time(lab, DG1(cells=n), lab.enough(DG1(cells=n), 20).steps, 3).observed for n in (32, 64)}
    assert seen[64] >= 2.0 - LOST > seen[32]


def test_a_law_that_jumps_enters_coarse_cells():
    """Sixteen cells of the circle see its mass, which four points a cell miss by 2.2 %; averages against the cdf."""
    law = problems.jump_start().flow.initial
    pi = MeshDensity.averages_of(law, mesh_of(circle(), 16))
    edges = 2.0 * math.pi * np.arange(17) / 16
    exact = np.diff(law.cdf(edges))
    order = np.argsort(pi.points[:, 0])
    assert np.max(np.abs(pi.weights[order] - exact)) <= 2e-3
