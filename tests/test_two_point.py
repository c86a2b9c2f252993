"""TwoPoint: equilibria without flux, heat on the sphere, Ornstein-Uhlenbeck on a disk, fronts, what it keeps."""

import itertools
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

from solvers.fem import TwoPoint, toolchain
from tests.meshes import Given
from wflow import (
    Energy,
    Entropy,
    Flow,
    Gibbs,
    LostDensity,
    Mesh,
    NotConverged,
    Potential,
    Power,
    Refused,
    annulus,
    box,
    disk,
    interval,
    polygon,
    problems,
    solve,
    sphere,
    w2,
)
from wflow.mesh_density import MeshDensity
from wflow.mesh_norm import mean_difference, mesh_distance
from wflow.meshing import mesh_of
from wflow.solver import State

pytestmark = [
    pytest.mark.fem,
    pytest.mark.skipif(toolchain.missing() is not None, reason=toolchain.missing() or ""),
]
LOST = 0.15


def uniform(domain):
    """1/volume."""
    volume = getattr(domain, "volume", None) or float(np.prod(domain.lengths))
    return Given(domain, lambda w: np.full(len(w), 1.0 / volume))


def wave(w, derivative):
    """V = cos w_1 + w_2/2 in the plane or on the sphere (there not tangential: only V itself is asked)."""
    assert derivative == 0
    return np.cos(w[:, 0]) + 0.5 * w[:, -1]


@pytest.mark.slow
@pytest.mark.parametrize("internal", [(Entropy(0.7),), (Entropy(0.3), Power(2.0, 0.5)), (Power(3.0, 0.5),)])
@pytest.mark.parametrize("domain", [disk(), annulus(0.3, 1.0), sphere()], ids=["disk", "annulus", "sphere"])
def test_no_flux_at_equilibrium(domain, internal):
    """V + T log rho + U'(rho) = constant at the centres: a long step leaves it where it is."""
    mesh = mesh_of(domain, 10)
    v = wave(mesh.centres, 0)
    low, high = v.min() - 10.0, v.max() + 10.0
    for _ in range(200):  # the level at which the mass is 1
        level = 0.5 * (low + high)
        rho = at_level(internal, level - v)
        low, high = (level, high) if rho @ mesh.volumes < 1.0 else (low, level)
    pi = MeshDensity(mesh, (rho / (rho @ mesh.volumes))[:, None])
    flow = Flow(Energy(Potential(wave), *internal), domain, uniform(domain), 100.0)
    new = TwoPoint(cells=10).step(flow, State(0.0, pi), 10.0).state.measure
    np.testing.assert_allclose(new.averages, pi.averages, rtol=1e-9, atol=1e-15)


def at_level(internal, force):
    """rho with T log rho + U'(rho) = force, by bisection in log rho; 0 where a power alone is below its slope at 0."""
    entropy = sum(t.temperature for t in internal if isinstance(t, Entropy))
    powers = [t for t in internal if isinstance(t, Power)]
    low, high = np.full_like(force, -60.0), np.full_like(force, 5.0)
    for _ in range(200):
        y = 0.5 * (low + high)
        slope = entropy * (y + 1.0) + sum(p.slope(np.exp(y)) for p in powers)
        low, high = np.where(slope < force, y, low), np.where(slope < force, high, y)
    return np.exp(0.5 * (low + high))


def heated(t, degree=2, temperature=0.3):
    """rho = (1 + e^{-l(l+1) T t} P_l(z)/2)/4 pi, l = 1 or 2."""
    left = 0.5 * math.exp(-degree * (degree + 1) * temperature * t)
    legendre = {1: lambda z: z, 2: lambda z: 1.5 * z**2 - 0.5}[degree]
    return Given(sphere(), lambda w: (1.0 + left * legendre(w[:, 2])) / (4.0 * math.pi))


@pytest.mark.slow
@pytest.mark.parametrize("degree", [1, 2])
def test_heat_on_the_sphere(degree):
    """Of the amplitude of P_l at t = .5: order 2 in h with dt ~ h^2."""
    flow = Flow(Energy(Entropy(0.3)), sphere(), heated(0.0, degree), 0.5)
    missed = []
    for n in (12, 24, 48):
        end = solve(flow, TwoPoint(cells=n), steps=n * n // 6, times=[0.5]).final
        z = end.points[:, 2]
        legendre = z if degree == 1 else 1.5 * z**2 - 0.5
        exact = 0.5 * math.exp(-degree * (degree + 1) * 0.15) / (2 * degree + 1)
        missed.append(abs(float(end.weights @ legendre) - exact))
    assert math.log2(missed[1] / missed[2]) >= 2.0 - 2.0 * LOST
    assert missed[2] <= 2e-4


def ornstein_uhlenbeck(domain, t):
    """N(c e^-t, s^2 e^-2t + T (1 - e^-2t)), T = 1/4."""
    left = math.exp(-t)
    centre, variance = np.array([0.8, -0.4]) * left, 0.36 * left**2 + 0.25 * (1.0 - left**2)
    norm = 2.0 * math.pi * variance
    return Given(domain, lambda w: np.exp(-0.5 * np.sum((w - centre) ** 2, axis=1) / variance) / norm)


@pytest.mark.slow
@pytest.mark.parametrize("domain", [disk(4.0), box((-4, -4), (4, 4))], ids=["disk", "box"])
def test_ornstein_uhlenbeck(domain):
    """L1 at t = .5: order 2 in h with dt ~ h^2."""
    flow = Flow(Energy(Potential.quadratic(1.0), Entropy(0.25)), domain, ornstein_uhlenbeck(domain, 0.0), 0.5)
    missed = []
    for n in (16, 32, 64):
        end = solve(flow, TwoPoint(cells=n), steps=n * n // 10, times=[0.5]).final
        missed.append(mean_difference(end, ornstein_uhlenbeck(domain, 0.5)))
    assert math.log2(missed[1] / missed[2]) >= 2.0 - 2.0 * LOST
    assert missed[2] <= 2.5e-3


@pytest.mark.slow
def test_barenblatt_on_a_disk():
    """The spreading profile of the plane, before it meets the wall: L1 falls at order 1 in h and dt."""
    problem, domain = problems.barenblatt(dim=2, horizon=0.003), disk(0.6)
    flow = Flow(problem.flow.energy, domain, Given(domain, problem.exact(0.0).density), 0.003)
    ends = [solve(flow, TwoPoint(cells=n), steps=n // 4).final for n in (16, 32, 64)]
    missed = [mean_difference(end, Given(domain, problem.exact(0.003).density)) for end in ends]
    assert math.log2(missed[0] / missed[2]) / 2.0 >= 1.0 - LOST
    assert missed[2] <= 1.5e-3


FRONTS = {
    "advancing": lambda: problems.porous_well(strength=0.5, mean=0.8, reach=0.8),
    "climbing": lambda: problems.porous_well(strength=0.5, mean=0.0, reach=0.4),
    "receding": lambda: problems.porous_well(),
    "concave": lambda: problems.displacement_convex(),
    "cubic": lambda: problems.porous_well(exponent=3.0, strength=0.5, mean=0.8, reach=0.6),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FRONTS)
def test_fronts_of_a_power_have_order_one_and_are_those_of_finite_volumes(name):
    """W2 from the exact profile with dt ~ h, and from the same fluxes on a grid, whose start alone differs."""
    from solvers.finite_volume import ScharfetterGummel

    problem = FRONTS[name]()
    exact = problem.exact(problem.flow.horizon)
    ends = [solve(problem.flow, TwoPoint(cells=n), steps=n).final for n in (32, 64, 128)]
    missed = [w2(end, exact) for end in ends]
    assert math.log2(missed[0] / missed[2]) / 2.0 >= 1.0 - LOST
    assert missed[2] <= 4e-3
    assert w2(ends[2], solve(problem.flow, ScharfetterGummel(cells=128), steps=128).final) <= 1e-4


@pytest.mark.slow
def test_a_front_climbs_on_a_disk():
    """Barenblatt's profile in a well, off its centre and narrower than at rest: L1 falls at order 1 in h and dt."""
    problem, domain = problems.porous_well(strength=0.05, dim=2, mean=0.3, reach=0.4), disk(1.2)
    flow = Flow(problem.flow.energy, domain, Given(domain, problem.exact(0.0).density), 1.0)
    ends = [solve(flow, TwoPoint(cells=n), steps=n).final for n in (8, 16, 32)]
    missed = [mean_difference(end, Given(domain, problem.exact(1.0).density)) for end in ends]
    assert math.log2(missed[0] / missed[2]) / 2.0 >= 1.0 - LOST
    assert missed[2] <= 4e-2


def rest_of_a_well(domain, cells):
    """A mesh, the flow of V = 4 |w|^2 and U' = rho, and its discrete rest (level - V)_+ of mass one."""
    mesh = mesh_of(domain, cells)
    v = 4.0 * np.sum(mesh.centres**2, axis=1)
    level = brentq(lambda c: np.maximum(c - v, 0.0) @ mesh.volumes - 1.0, 0.0, 20.0, xtol=1e-15)
    flow = Flow(Energy(Potential.quadratic(8.0), Power(2.0, 0.5)), domain, uniform(domain), 1.0)
    rest = np.maximum(level - v, 0.0)
    return mesh, flow, rest / (rest @ mesh.volumes)


@pytest.mark.parametrize(
    "domain", [interval(-1.0, 1.0), pytest.param(disk(), marks=pytest.mark.slow)], ids=["interval", "disk"]
)
def test_an_edge_at_rest_stays_and_a_narrow_start_climbs_to_it(domain):
    """(level - V)_+ is a fixed point, its empty cells empty to 1e-14; mass in the middle comes there."""
    mesh, flow, rest = rest_of_a_well(domain, 12)
    assert np.any(rest == 0.0)
    solver = TwoPoint(cells=12)
    new = solver.step(flow, State(0.0, MeshDensity(mesh, rest[:, None])), 1.0).state.measure.averages
    np.testing.assert_allclose(new, rest, atol=1e-10)
    assert new[rest == 0.0].max() <= 1e-14
    narrow = np.where(rest > 0.7 * rest.max(), 1.0, 0.0)
    state = State(0.0, MeshDensity(mesh, (narrow / (narrow @ mesh.volumes))[:, None]))
    for _ in range(10):
        state = solver.step(flow, state, 0.05).state
    assert np.abs(state.measure.averages - rest) @ mesh.volumes <= 1e-3


@pytest.mark.parametrize("internal", [(Entropy(0.2),), (Power(2.0, 0.3),), (Entropy(0.1), Power(1.5, 0.2))])
def test_what_it_keeps(internal):
    """Mass, sign and falling energy from a start with an empty half, by steps far beyond any explicit bound."""
    domain = polygon((0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (1.0, 1.0), (1.0, 2.0), (0.0, 2.0))
    start = Given(domain, lambda w: np.where((w[:, 0] < 0.5) & (w[:, 1] < 1.0), 2.0, 0.0))
    flow = Flow(Energy(Potential.linear((-1.0, 1.0)), *internal), domain, start, 1.0)
    run = solve(flow, TwoPoint(cells=16), steps=10)
    assert np.max(np.abs(run.diagnostics["mass"] - 1.0)) <= 1e-12
    assert run.diagnostics["least"].min() >= 0.0
    assert np.max(np.diff(run.energies)) < 0.0
    assert run.dissipated[-1] <= run.energies[0] - run.energies[-1] + 1e-12


@pytest.mark.slow
def test_the_circle_teacher_with_heat_matches_the_grid_version():
    """An interacting energy on intervals: the same fluxes as finite_volume.ScharfetterGummel on one axis."""
    from solvers.finite_volume import ScharfetterGummel

    flow = problems.circle_teacher(temperature=0.1, horizon=2.0).flow
    ours, theirs = (
        solve(flow, method(cells=64), steps=20, times=[2.0]).final for method in (TwoPoint, ScharfetterGummel)
    )
    # averages begin by quadrature here and by the exact cdf there
    np.testing.assert_allclose(ours.averages, theirs.values, atol=1e-7)


@pytest.mark.slow
def test_ornstein_uhlenbeck_in_the_plane_agrees_with_finite_volumes_in_w2():
    """Ends on triangles and on squares: W2 within the sum of both errors by Richardson's estimate (order 1 in dt)."""
    from solvers.finite_volume import ScharfetterGummel

    flow = problems.ornstein_uhlenbeck(mean=(3.0, -3.0), std=(1.0, 1.5), horizon=0.1).flow
    ends = {
        method: [solve(flow, method(cells=n), steps=k).final for n, k in ((64, 20), (128, 40))]
        for method in (TwoPoint, ScharfetterGummel)
    }
    apart = [w2(ours, theirs) for ours, theirs in zip(*ends.values(), strict=True)]
    errors = [w2(coarse, fine) / (1.0 - 0.5) for coarse, fine in ends.values()]
    assert apart[0] <= sum(errors)
    assert apart[1] <= 0.5 * sum(errors)


def test_refusals():
    """No heat, a crossed mesh, an iteration that is cut short."""
    start = ornstein_uhlenbeck(disk(4.0), 0.0)
    with pytest.raises(Refused, match="temperature is 0"):
        solve(Flow(Energy(Potential.quadratic(1.0)), disk(4.0), start, 1.0), TwoPoint(cells=8))
    flow = Flow(Energy(Power(2.0, 1.0)), disk(4.0), start, 1.0)
    with pytest.raises(NotConverged, match="raise `limit`"):
        solve(flow, replace(TwoPoint(cells=8), limit=2), steps=1)
    nodes = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 0.1], [1.0, -0.1]])
    assert not Mesh(disk(4.0), nodes, np.array([[0, 1, 2], [0, 3, 1]])).delaunay


@pytest.mark.parametrize("internal", [Entropy(1.0), Power(2.0, 1.0)], ids=["one solve", "iterated"])
@pytest.mark.parametrize("height", [math.nan, math.inf])
def test_a_potential_without_a_number_ends_by_name(internal, height):
    """In one cell; what is solved with it is no density, and V is what to look at."""

    def holed(w, derivative):
        v = wave(w, derivative)
        v[3] = height
        return v

    flow = Flow(Energy(Potential(holed), internal), disk(), uniform(disk()), 1.0)
    with pytest.raises((LostDensity, NotConverged), match=r"check V for overflow|FUNCTION_NANORINF"):
        solve(flow, TwoPoint(cells=8), steps=2)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory of a process on Linux alone")
def test_a_potential_that_raises_leaves_no_factors():
    """100 times: less than 25 MB stay (measured: 10), where the factors of each were half a megabyte."""

    def field(w, derivative):
        asked.append(1)
        if len(asked) == 2:
            raise ArithmeticError("no height here")
        return wave(w, derivative)

    flow, solver = Flow(Energy(Potential(field), Power(2.0, 0.5)), disk(), uniform(disk()), 1.0), TwoPoint(cells=40)
    start, sizes = solver.init(flow), []
    for _ in range(105):
        asked: list[int] = []
        with pytest.raises(ArithmeticError, match="no height here"):
            solver.step(flow, start, 0.01)
        sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096e-6)
    assert sizes[-1] - sizes[4] < 25.0


@pytest.mark.slow
@pytest.mark.parametrize(("omega", "order"), [(0.5, 2.0), (1.5, 4.0 / 3.0)])
def test_a_corner_that_juts_in_costs_order(omega, order):
    """Heat beside an angle omega pi: 2 in a square, 2 pi/omega = 4/3 in an L, in H^-1; the solver declares it."""
    corners = ((0, 0), (2, 0), (2, 2), (0, 2)) if omega < 1.0 else ((0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2))
    domain = polygon(*corners)
    start = Gibbs(domain, lambda w: 4.0 * np.sum((w - np.array([0.5, 1.5])) ** 2, axis=1), 1.0)
    flow = Flow(Energy(Entropy(1.0)), domain, start, 0.1)
    ends = [solve(flow, TwoPoint(cells=n), steps=5).final for n in (16, 32, 64, 128)]
    apart = [mesh_distance(a, b) for a, b in itertools.pairwise(ends)]
    seen = 0.5 * math.log2(apart[0] / apart[2])
    assert TwoPoint(cells=16).order(flow).space == pytest.approx(order)
    assert order - LOST <= seen <= order + 0.3
