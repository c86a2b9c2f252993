"""Crowds with a column in their way: what is refused, what is rest, and that the catalogue's reaches its horizon."""

import numpy as np
import pytest
from scipy.sparse import coo_array, eye_array
from scipy.sparse.linalg import spsolve

from solvers.jko import Spline
from solvers.jko._atoms import Atoms
from solvers.jko._detours import Detours
from wflow import Density, Grid, NotConverged, problems, solve, w2
from wflow.solver import State
from wflow.spline.lattice import Sides


@pytest.mark.slow
def test_steps_that_lead_through_an_obstacle_are_refused():
    """A step of .7 ends behind the column: refused in words. One of .25, long but in front of it, is straight.

    By halves that are short enough the first is taken, and nobody is in the column.
    """
    flow = problems.crowd(most=8.0).flow
    solver = Spline(32)
    with pytest.raises(NotConverged, match=r"ways longer than a quarter of the thinnest one .* let it halve"):
        solver.step(flow, solver.init(flow), 0.7)
    assert solver.step(flow, solver.init(flow), 0.25).state.time == pytest.approx(0.25)
    solver = Spline(32, halvings=5)
    step = solver.step(flow, solver.init(flow), 0.7)
    assert step.state.time == pytest.approx(0.7)
    assert np.all(step.state.measure.values[flow.energy.bound(step.state.measure.grid) == 0.0] == 0.0)


def columned(cells: int):
    """Grid, limits and closed cells of the crowd's room."""
    flow = problems.crowd().flow
    grid = flow.grid(cells)
    return grid, flow.energy.limits, (flow.energy.bound(grid) == 0.0).reshape(grid.plane)


def test_detours_are_weighed_by_what_they_cost():
    """One of 100 equal atoms goes straight through the column, .3, the others .03 in front of it: all but half of it.

    .3^2 over .3^2 + 99 .03^2 = .502. As light as a thousandth it has .1 %, which is let through; below what is seen 0.
    """
    grid, limits, closed = columned(48)
    h = grid.widths
    starts = np.tile([0.3, 0.5], (100, 1))
    ends = starts + np.array([0.03, 0.0])
    starts[0], ends[0] = (1.25, 0.6), (1.55, 0.6)
    for mass, share in ((1.0, 0.09 / (0.09 + 99 * 0.0009)), (2e-3, 1.8e-4 / (1.8e-4 + 99 * 0.0009)), (1e-4, 0.0)):
        masses = np.full(100, 1.0)
        masses[0] = mass
        found = Detours.of(Atoms(starts / h, masses), ends / h, closed, limits, grid, Sides(False, False))
        assert found.share == pytest.approx(share, rel=1e-9)
        assert found.too_long == (mass == 1.0)
        assert found.longest == pytest.approx(0.3 if share else 0.0)
    short = starts + np.array([0.05, 0.0])  # a quarter of the thickness is .0647
    found = Detours.of(Atoms(starts / h, np.ones(100)), short / h, closed, limits, grid, Sides(False, False))
    assert found.share == 0.0 and found.longest == pytest.approx(0.05)


@pytest.mark.slow
def test_a_crowd_on_its_way_is_not_at_rest():
    """Steps so short that all of them gain less than a seventh of a cell's way: raised or taken, never left out.

    24 cells, dt = .0125 = .15 h from t = .7 on, where the crowd parts.
    """
    flow = problems.crowd().flow
    solver = Spline(24)
    state = State(0.7, solve(flow, Spline(24, halvings=3), steps=24, until=0.7, times=[0.7]).final)
    try:
        step = solver.step(flow, state, 0.0125)
    except NotConverged:
        return
    assert not step.fallback
    assert flow.energy.value(state.measure) - flow.energy.value(step.state.measure) > 0.5 * 0.0125


@pytest.mark.slow
def test_where_halves_fail_too_both_are_said_and_what_would_do():
    """24 cells, 30 steps of .04 run; a step of .0125 = .15 cells costs more than F falls, its halves too.

    What is named is half a cell, dt = .0417, and serves; steps of .05 may meet the column, whose quarter is .0543.
    """
    flow = problems.crowd().flow
    state = State(1.0, solve(flow, Spline(24), steps=30, times=[1.0], until=1.0).final)
    with pytest.raises(NotConverged, match=r"dt = 0\.0125; .* at least 0\.0417.*By halves: .*dt = 0\.00625") as caught:
        Spline(24, halvings=1).step(flow, state, 0.0125)
    assert caught.value.residual > 0.0
    named = Spline(24).step(flow, state, 0.0417)
    assert not named.fallback and flow.energy.value(named.state.measure) < flow.energy.value(state.measure) - 0.02


def soft_crowd(cells: int, dt: float, until: float) -> Density:
    """The catalogue's crowd by implicit finite volumes, its limit replaced by the pressure (rho/4)^40/2.

    d_t rho = div(rho grad(|w - door| + (rho/4)^40/2)) on cells x cells/2 squares, upwind, faces of the column closed.
    Newton's method, steps shortened until the residual falls. Knows nothing of transport.
    """
    flow = problems.crowd().flow
    grid = Grid(flow.domain, (cells, cells // 2))
    v, h = flow.energy.potential(Density(grid, np.full(grid.size, 0.5)), grid.centres), 2.0 / cells
    wall = flow.energy.bound(grid) == 0.0
    number = np.arange(grid.size).reshape(grid.shape)
    pairs = np.concatenate(
        [
            np.stack([number[:-1].ravel(), number[1:].ravel()]),
            np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()]),
        ],
        axis=1,
    )
    a, b = pairs[:, ~(wall[pairs[0]] | wall[pairs[1]])]
    rho = flow.initial.averages(grid)

    def balance(now, before):
        rise = (v[b] - v[a] + 0.5 * ((now[b] / 4.0) ** 40 - (now[a] / 4.0) ** 40)) / h
        flux = -np.where(rise < 0.0, now[a], now[b]) * rise
        gone = np.bincount(a, flux, grid.size) - np.bincount(b, flux, grid.size)
        return now - before + dt / h * gone, rise

    def change(now, rise, off):
        push = np.where(rise < 0.0, now[a], now[b]) / h
        first = np.where(rise < 0.0, -rise, 0.0) + push * 5.0 * (now[a] / 4.0) ** 39
        last = np.where(rise < 0.0, 0.0, -rise) - push * 5.0 * (now[b] / 4.0) ** 39
        entries = dt / h * np.concatenate([first, last, -first, -last])
        places = np.concatenate([a, a, b, b]), np.concatenate([a, b, a, b])
        return spsolve((coo_array((entries, places), shape=(grid.size,) * 2) + eye_array(grid.size)).tocsc(), -off)

    for _ in range(round(until / dt)):
        now, (off, rise) = rho, balance(rho, rho)
        for _ in range(80):
            if np.abs(off).max() < 1e-9:
                break
            way = change(now, rise, off)
            share = min(1.0, 0.4 / max(float(np.max(way[now + way > 3.2], initial=0.0)), 0.4))
            for _ in range(12):
                there = np.maximum(now + share * way, 0.0)
                found = balance(there, rho)
                if np.abs(found[0]).sum() < np.abs(off).sum() * (1.0 - 1e-4 * share):
                    break
                share *= 0.5
            now, (off, rise) = there, found
        assert np.abs(off).max() < 1e-8
        rho = now
    return Density(grid, rho / (rho.sum() * grid.cell_volume))


@pytest.mark.slow
def test_the_crowd_of_the_catalogue_reaches_its_horizon():
    """At default tolerance: 48 cells by 60 steps, 64 by 48 and by 24 that may halve: all that is promised, and past it.

    Nobody in the column; rho <= most (1 + 1e-8); mass to 1e-12; F + sum of W2^2/2 tau <= F_0 with W2 from above, so F
    falls by no more than t (dF/dt = -int |v|^2 drho) and no less than what steps dissipate. More than half has passed
    the column by 1.2, and the ends are nearer to each other than a cell is wide, and to that of finite volumes with a
    stiff pressure, which know nothing of transport: W2 on 96 x 48 cells .04, arrived .57 to .59 and .60.
    """
    ends = {}
    for cells, steps, halvings in ((48, 60, 0), (64, 48, 0), (64, 24, 2)):
        flow = problems.crowd().flow
        run = solve(flow, Spline(cells, halvings=halvings), steps=steps)
        shut = flow.energy.bound(run.final.grid) == 0.0
        assert all(np.all(pi.values[shut] == 0.0) for pi in run.measures)
        assert max(pi.values.max() for pi in run.measures) <= 4.0 * (1.0 + 1e-8)
        assert max(abs(pi.mass - 1.0) for pi in run.measures) <= 1e-12
        assert np.all(np.diff(run.energies) < 0.0)
        assert run.energies[-1] + run.dissipated[-1] <= run.energies[0] + 1e-12
        assert run.energies[0] - run.energies[-1] <= flow.horizon
        assert sum(run.diagnostics["fallbacks"]) == 0.0
        assert run.final.weights[run.final.points[:, 0] > 1.4].sum() > 0.5
        ends[cells, steps] = run.final
    width = 2.0 / 64.0
    assert w2(ends[48, 60], ends[64, 48]) <= width
    assert w2(ends[64, 24], ends[64, 48]) <= width
    soft = soft_crowd(96, 0.005, 1.2)
    past = [pi.weights[pi.points[:, 0] > 1.4].sum() for pi in (soft, ends[48, 60], ends[64, 48])]
    print("arrived: finite volumes {:.4f}, Spline {:.4f}, {:.4f}".format(*past))
    print("W2 to finite volumes:", [w2(pi, soft) for pi in (ends[48, 60], ends[64, 48])])
    assert max(past) - min(past) <= 0.04
    assert w2(ends[64, 48], soft) <= 2.0 / 48.0
    assert soft.weights @ np.linalg.norm(soft.points - (2.0, 0.5), axis=1) == pytest.approx(0.525, abs=0.03)
