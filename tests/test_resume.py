"""A run that is stored after any of its steps and continued ends with the bits of one that never stopped."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from solvers.finite_volume import ScharfetterGummel, Upwind
from solvers.jko import Spline
from solvers.particles import GradientFlow
from wflow import (
    Congestion,
    Energy,
    Flow,
    NotConverged,
    Obstacle,
    Particles,
    Potential,
    Solver,
    State,
    Step,
    Steps,
    Trajectory,
    interval,
    plane,
    problems,
    solve,
)
from wflow.app.methods import FURTHER, METHODS
from wflow.problems import Problem
from wflow.reached import Reached
from wflow.solver import Recomputable, Remembered
from wflow.store import pack
from wflow.store.checkpoints import decoded, encoded

SIZE = 16
"""Particles, cells, points: bits do not depend on how many there are."""
POSED = {
    "circle": problems.circle_teacher(horizon=0.2),
    "warm circle": problems.circle_teacher(horizon=0.2, temperature=0.1),
    "heat": problems.heat_mode(horizon=0.02),
    "fixed potential": problems.drift_diffusion(horizon=0.02),
    "(a, w)": problems.two_layer_1d(horizon=0.1),
    "plane": problems.relu_teacher_plane(horizon=0.1),
    "charges": problems.deconvolution_1d(filters=3, spikes=2, horizon=0.02),
}


def equal(posed: Problem) -> dict[str, Any]:
    """Twenty equal steps, saved at six times."""
    return {"steps": 20, "times": [k / 5 * posed.flow.horizon for k in range(6)]}


def adaptive(posed: Problem) -> dict[str, Any]:
    """Steps that the error chooses."""
    return {"tolerance": 1e-2, "times": [posed.flow.horizon / 3, posed.flow.horizon]}


class Notebook:
    """A Store of bytes: every state it is offered, as a checkpoint has it; begins where it is told."""

    def __init__(self, start: bytes | None = None, stop: bool = False) -> None:
        self.start, self.stop, self.seen, self.kept = start, stop, list[bytes](), list[bytes]()

    def latest(self) -> Reached | None:
        """What it was given."""
        return None if self.start is None else decoded(self.start, "a", "")[0]

    def offer(self, now: Reached) -> None:
        """Write it down."""
        self.seen.append(encoded(now, "a", "", 0.0))
        if self.stop:
            raise Enough

    def keep(self, now: Reached) -> None:
        """The last good step of a run that ends badly."""
        self.kept.append(encoded(now, "a", "", 0.0))


LONG = {("Exact", "(a, w)")}
"""Some linear programs of 65536 unknowns."""


class Enough(Exception):
    """One step was taken."""


def small(solver: Solver) -> Solver:
    """The method at about SIZE points, at most 8 modes."""
    size = min(SIZE, 8) if solver.resolution == "modes" else SIZE
    return replace(solver, **{solver.resolution: size})  # type: ignore[type-var]


def cases() -> Iterator[Any]:
    """Every method on every flow that it takes; with adaptive steps where the method may be doubled on one axis."""
    for solver in map(small, (*METHODS, *FURTHER)):
        for name, posed in POSED.items():
            if solver.refusal(posed.flow) is None:
                slow = pytest.mark.slow if (type(solver).__name__, name) in LONG else ()
                yield pytest.param(solver, posed, equal(posed), id=f"{solver}-{name}-equal", marks=slow)
                unpaced = solver.random or solver.multistep or solver.smallest_step(posed.flow)
                if posed.flow.domain.dim == 1 and not unpaced:
                    yield pytest.param(solver, posed, adaptive(posed), id=f"{solver}-{name}-adaptive")


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "posed", "pace"), list(cases()))
def test_resumed_after_any_step_a_run_ends_with_the_same_bits(
    solver: Solver, posed: Problem, pace: dict[str, Any]
) -> None:
    """From the bytes of every checkpoint k the next one has the bytes of checkpoint k + 1, all that is kept included.

    By induction that is the claim; the ends of three resumed runs are compared as well. The bytes hold the measure,
    the energy, the dissipation, the number of steps, the memory, and everything kept at saved times.
    """
    whole = Notebook()
    end = pack(solve(posed.flow, solver, store=whole, **pace))
    states = [decoded(data, "a", "")[0].state for data in whole.seen]
    assert states[-1].count >= 4
    for k in range(len(whole.seen) - 1):
        one = Notebook(whole.seen[k], stop=True)
        with pytest.raises(Enough):
            solve(posed.flow, solver, store=one, **pace)
        assert one.seen == [whole.seen[k + 1]], f"from step {states[k].count}"
    for k in {0, len(whole.seen) // 2, len(whole.seen) - 1}:
        assert pack(solve(posed.flow, solver, store=Notebook(whole.seen[k]), **pace)) == end


@dataclass(frozen=True)
class Walk(GradientFlow):
    """Random steps, drawn from the seed and the count alone."""

    random = True

    def keeps(self, flow: Flow) -> frozenset[Any]:
        """Mass."""
        return frozenset({"mass"})

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        """A Gaussian increment."""
        assert isinstance(state.measure, Particles)
        drawn = np.random.default_rng([7, state.count]).normal(size=state.measure.points.shape)
        return Step(state.after(dt, state.measure.moved(state.measure.points + math.sqrt(dt) * drawn)))


def test_a_random_run_is_resumed_with_the_same_draws() -> None:
    flow, solver, whole = POSED["circle"].flow, Walk(8), Notebook()
    end = pack(solve(flow, solver, steps=20, store=whole))
    for data in whole.seen[::4]:
        assert pack(solve(flow, solver, steps=20, store=Notebook(data))) == end


@pytest.mark.parametrize("at", [0.05, 0.1, 0.15])
def test_a_run_that_ends_early_does_so_wherever_it_was_stored(at: float) -> None:
    """`until`, a function of the state, is asked after each step: also of a run that had been stored as it ended."""
    flow, whole = POSED["circle"].flow, Notebook()

    def until(state: State) -> bool:
        return state.time >= at - 1e-9

    end = pack(solve(flow, GradientFlow(8), steps=20, until=until, store=whole))
    for data in whole.seen[::4]:
        assert pack(solve(flow, GradientFlow(8), steps=20, until=until, store=Notebook(data))) == end


@dataclass(frozen=True)
class Tightening(GradientFlow):
    """Its bound falls below every step inside each stretch of four steps."""

    def largest_step(self, flow: Flow, state: State) -> float:
        """Asked where a stretch begins alone."""
        return 1.0 if state.count % 4 == 0 else 1e-9


def test_a_run_resumed_inside_a_stretch_is_asked_no_more_than_one_that_did_not_stop() -> None:
    flow, solver, whole = POSED["circle"].flow, Tightening(8), Notebook()
    end = pack(solve(flow, solver, store=whole, **EQUAL))
    assert pack(solve(flow, solver, store=Notebook(whole.seen[1]), **EQUAL)) == end


@dataclass(frozen=True)
class Failing(GradientFlow):
    """Fails in its twelfth step."""

    error: type[BaseException] = KeyboardInterrupt

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        """As long as it goes well."""
        if state.count == 11:
            raise NotConverged("stuck", 1.0) if self.error is NotConverged else self.error
        return super().step(flow, state, dt)


@pytest.mark.parametrize("error", [KeyboardInterrupt, NotConverged])
def test_an_interrupt_or_a_failure_leaves_the_last_good_step(error: type[BaseException]) -> None:
    """An interrupt may come inside a step, of which nothing is kept."""
    flow, book, whole = POSED["circle"].flow, Notebook(), Notebook()
    with pytest.raises(error):
        solve(flow, Failing(8, error=error), steps=20, store=book)
    solve(flow, Failing(8, error=RuntimeError), dt=0.01, times=[0.1], store=whole)
    (kept,) = book.kept
    now = decoded(kept, "a", "")[0]
    assert now.state.count == 11
    assert np.array_equal(now.state.measure.points, decoded(book.seen[-1], "a", "")[0].state.measure.points)


EQUAL = equal(POSED["circle"])


@pytest.mark.parametrize(
    ("solver", "posed", "pace", "part"),
    [
        (GradientFlow(9), POSED["circle"], EQUAL, "particles=9"),
        (GradientFlow(8), POSED["circle"], {**EQUAL, "steps": 21}, "keeps"),
        (GradientFlow(8), POSED["circle"], {"steps": 20, "times": [0.1]}, "1 saved times"),
        (GradientFlow(8), problems.circle_teacher(horizon=0.2, activation="relu"), EQUAL, "another start or energy"),
        (GradientFlow(8), problems.circle_teacher(horizon=0.2, modes={1: 0.4}), EQUAL, "another start or energy"),
    ],
)
def test_another_run_is_not_continued(solver: Solver, posed: Problem, pace: dict[str, Any], part: str) -> None:
    """Another solver, pace, saved times, energy or start."""
    book = Notebook()
    solve(POSED["circle"].flow, GradientFlow(8), store=book, **EQUAL)
    with pytest.raises(ValueError, match=part):
        solve(posed.flow, solver, store=Notebook(book.seen[3]), **pace)


@pytest.mark.parametrize("limits", [(Congestion(3.0),), (Congestion(4.0), Obstacle.disc([0.9], 0.05))])
def test_a_run_under_other_limits_is_not_continued(limits: tuple[Congestion | Obstacle, ...]) -> None:
    """F of the start is the same under all of them: it was continued, half of the one and half of the other."""
    domain, book = interval(0.0, 1.0), Notebook()
    start, pull = Steps(domain, np.array([0.1, 0.6]), np.array([1.0])), Potential.linear(1.0)
    flow = Flow(Energy(pull, Congestion(4.0)), domain, start, 0.1)
    solve(flow, Spline(16), steps=2, store=book)
    other = Flow(Energy(pull, *limits), domain, start, 0.1)
    with pytest.raises(ValueError, match=r"store: it keeps .* limits of cells"):
        solve(other, Spline(16), steps=2, store=Notebook(book.seen[1]))
    again = Flow(Energy(pull, Congestion(4.0)), domain, start, 0.1)
    solve(again, Spline(16), steps=2, store=Notebook(book.seen[1]))


# --- what a solver may carry along ------------------------------------------------------------------------------------


class Factors(Recomputable):
    """Something that is made anew."""


@pytest.mark.parametrize("entry", [None, "text", [1.0], (1.0, 2.0), {}, object(), np.array(1.0), np.array([None])])
def test_what_cannot_be_stored_cannot_be_remembered(entry: Any) -> None:
    """Lost in silence, it would change the bits of a run that is resumed."""
    with pytest.raises(TypeError, match=r"State memory edges.*Recomputable"):
        State(0.0, Particles(plane(), np.zeros((1, 2))), memory={"edges": entry})


@pytest.mark.parametrize(
    "entry",
    [
        *(1.5, -0.0, math.inf, math.nan, 3, True, np.float64(0.1), np.array([1 + 2j, math.nan]), np.array([True])),
        *(np.arange(6.0).reshape(2, 3), np.arange(6).reshape(2, 3).T, np.zeros((0, 2)), np.arange(12.0)[::2]),
    ],
    ids=repr,
)
def test_what_is_remembered_comes_back_as_it_was(entry: Remembered) -> None:
    """Values with their bits, type, shape and order in memory; what is recomputed is absent."""
    state = State(0.0, Particles(plane(), np.zeros((1, 2))), memory={"entry": entry, "factors": Factors()})
    start = solve(POSED["circle"].flow, GradientFlow(8), steps=1)
    book = Notebook()
    solve(POSED["circle"].flow, GradientFlow(8), steps=1, store=book)
    now = decoded(book.seen[-1], "a", "")[0]
    kept = replace(now, state=State(0.2, start.final, 1, state.memory))
    memory = decoded(encoded(kept, "a", "", 0.0), "a", "")[0].state.memory
    assert list(memory) == ["entry"]
    mine, its = state.memory["entry"], memory["entry"]
    assert type(mine) is type(its)
    if isinstance(mine, np.ndarray) and isinstance(its, np.ndarray):
        assert mine.dtype == its.dtype and mine.strides == its.strides
    assert np.array(mine).tobytes() == np.array(its).tobytes()


def test_points_in_either_order_come_back_in_it() -> None:
    """Sums over a row run in another order otherwise, and round differently."""
    points = np.asfortranarray(np.random.default_rng(1).normal(size=(5, POSED["plane"].flow.domain.dim)))
    book = Notebook()
    solve(POSED["plane"].flow, small(GradientFlow(8)), steps=1, store=book)
    now = decoded(book.seen[-1], "a", "")[0]
    for given in (points, points.copy("C"), np.repeat(points, 2, axis=0)[::2]):
        pi = Particles(POSED["plane"].flow.domain, given)
        state = replace(now.state, measure=pi)
        again = decoded(encoded(replace(now, state=state), "a", "", 0.0), "a", "")[0].state.measure
        assert isinstance(again, Particles)
        assert again.points.strides == pi.points.strides and np.array_equal(again.points, pi.points)


@pytest.mark.slow
def test_every_recomputable_of_the_list_is_recomputed() -> None:
    """A step without what need not be stored has the same bits: here the factors of a fixed potential."""
    seen = 0
    for solver in map(small, (*METHODS, *FURTHER)):
        for posed in POSED.values():
            if solver.refusal(posed.flow) is not None:
                continue
            dt = max(1e-4, min(solver.smallest_step(posed.flow), posed.flow.horizon))
            state = solver.step(posed.flow, solver.init(posed.flow), dt).state
            stored = {k: v for k, v in state.memory.items() if not isinstance(v, Recomputable)}
            seen += len(state.memory) - len(stored)
            one, other = (solver.step(posed.flow, s, dt) for s in (state, replace(state, memory=stored)))
            assert np.array_equal(one.state.measure.points, other.state.measure.points)
            assert np.array_equal(one.state.measure.weights, other.state.measure.weights)
            assert one.dissipated == other.dissipated
    assert seen >= 1, "ScharfetterGummel keeps its factors"


def test_many_saved_times_are_kept_and_let_go() -> None:
    """What is kept at saved times is linked; a long chain is no deep recursion."""
    run = solve(
        problems.heat_mode(horizon=1e-3).flow, ScharfetterGummel(8), steps=5000, times=np.linspace(0, 1e-3, 5001)
    )
    assert len(run.measures) == 5001


def test_a_trajectory_is_the_same_with_and_without_a_store() -> None:
    def run(**options: Any) -> Trajectory:
        return solve(POSED["warm circle"].flow, Upwind(SIZE), steps=20, **options)

    assert pack(run()) == pack(run(store=Notebook()))
