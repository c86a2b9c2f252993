"""What is computed once for a V that does not depend on pi changes no bit of the answer, and nothing is loosened."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

from solvers.finite_volume import ScharfetterGummel
from wflow import Density, Energy, Entropy, Flow, FourierDensity, Grid, Potential, State, Step, circle, problems, solve
from wflow.arrays import Array
from wflow.fourier import circle_nodes


def turning(w: Array, derivative: int) -> Array:
    """cos w and its derivatives, as a Potential wants them."""
    values = np.array([np.cos(w), -np.sin(w), -np.cos(w)][derivative])
    return values[:, 0] if derivative == 0 else values.reshape((-1,) + (1,) * derivative)


TURNING = Potential(turning)
FLOWS = {
    "line": problems.ornstein_uhlenbeck().flow,
    "interval": problems.drift_diffusion().flow,
    "circle": Flow(Energy(TURNING, Entropy(0.3)), circle(), FourierDensity.cosines({1: 0.5, 2: -0.2}), 1.0),
}


@dataclass(frozen=True)
class Forgetful(ScharfetterGummel):
    """Scharfetter-Gummel whose state arrives from a file: no memory, a grid and values of its own."""

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, Density)
        fresh = Density(Grid(pi.domain, pi.grid.shape), pi.values.copy())
        return super().step(flow, replace(state, measure=fresh, memory={}), dt)


@pytest.mark.parametrize("name", FLOWS)
def test_factors_carried_along_change_no_bit(name: str) -> None:
    carried = solve(FLOWS[name], ScharfetterGummel(64), steps=50)
    forgotten = solve(FLOWS[name], Forgetful(64), steps=50)
    for a, b in zip(carried.measures, forgotten.measures, strict=True):
        assert isinstance(a, Density) and isinstance(b, Density)
        np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(carried.energies, forgotten.energies)
    np.testing.assert_array_equal(carried.dissipated, forgotten.dissipated)


def test_factors_are_not_used_for_another_step_or_flow() -> None:
    """A state that carries factors is stepped by another dt and under another potential as if it carried none."""
    flow, solver = FLOWS["line"], ScharfetterGummel(64)
    state = solver.step(flow, solver.init(flow), 0.1).state
    bare = replace(state, memory={})
    steeper = replace(flow, energy=Energy(Potential.quadratic(5.0), Entropy(1.0)))
    for other, dt in ((flow, 0.2), (steeper, 0.1)):
        with_memory, without = (solver.step(other, s, dt).state.measure for s in (state, bare))
        assert isinstance(with_memory, Density) and isinstance(without, Density)
        np.testing.assert_array_equal(with_memory.values, without.values)


@pytest.mark.parametrize("half_width", [8.0, 60.0])
def test_any_step_keeps_mass_and_sign_and_ends_at_gibbs(half_width: float) -> None:
    """dt = 1e12 on 3000 cells, rates near 1e17, tails of e^{-V} down to e^{-1800}: the answer is e^{-V}/Z.

    Plain LU of the same matrix gives densities of -1e-12 on the smaller window.
    """
    flow = replace(FLOWS["line"], horizon=1e12)
    run = solve(flow, ScharfetterGummel(3000, window=(-half_width, half_width)), steps=1)
    final = run.final
    assert isinstance(final, Density)
    assert final.least >= 0.0
    assert abs(final.mass - 1.0) < 1e-13
    gibbs = np.exp(-0.5 * final.points[:, 0] ** 2)
    gibbs /= gibbs.sum() * final.grid.cell_volume
    assert np.sum(np.abs(final.values - gibbs)) * final.grid.cell_volume < 1e-11


def test_a_potential_is_asked_once_for_each_grid() -> None:
    asked: Counter[tuple[int, int]] = Counter()

    def field(w: Array, derivative: int) -> Array:
        asked[len(w), derivative] += 1
        return np.asarray(0.5 * w[:, 0] ** 2)

    flow = replace(FLOWS["line"], energy=Energy(Potential(field), Entropy(1.0)))
    for cells in (64, 128, 64):
        solve(flow, ScharfetterGummel(cells), steps=10)
    assert asked == {(64, 0): 1, (128, 0): 1}


def test_shared_arrays_cannot_be_written() -> None:
    grid = Grid(circle(), (8,))
    pi = Density(grid, np.full(8, 0.5 / np.pi))
    shared = grid.centres, grid.domain.lengths, circle_nodes(8), TURNING.potential(pi, pi.points, 0)
    assert not any(array.flags.writeable for array in shared)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([np.nan, 1.0, 1.0, 1.0], "not finite"),
        ([np.inf, 1.0, -np.inf, 1.0], "not finite"),
        ([-1e-300, 1.0, 1.0, 2.0], "negative"),
        ([1.0, 1.0, 1.0, 1.0 + 1e-8], "mass"),
        ([1e200, 1.0, 1.0, 1.0], "mass"),
        ([1.0, 1.0, 1.0], "shape"),
    ],
)
def test_quick_checks_are_as_strict(values: list[float], complaint: str) -> None:
    """The checks at the door of a density, which run at every step, see one wrong cell; 1e200 overflows if squared."""
    with pytest.raises(ValueError, match=complaint):
        Density(Grid(circle(), (4,)), np.array(values) * 0.5 / np.pi)
