"""Pictures: what is drawn is what was computed, every axis says what it is, and nothing global is touched."""

import base64
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from solvers.finite_volume import Muscl, ScharfetterGummel
from solvers.jko import Quantile
from solvers.particles import GradientFlow, Sampled
from solvers.spectral import Fourier
from wflow import (
    Data,
    Density,
    Gaussian,
    Grid,
    Particles,
    Quantiles,
    Refused,
    Trajectory,
    circle,
    interval,
    line,
    picture,
    problems,
    solve,
    space,
    w2,
)
from wflow.picture.measures import outline, rug, window
from wflow.picture.style import _SOLVERS, named, solver_style, styles

TIMES = np.linspace(0.0, 4.0, 81)[1:]
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def circle_runs() -> dict[str, Trajectory]:
    flow = problems.circle_teacher(b=2.0, horizon=4.0).flow
    methods = {GradientFlow(200): 80, Muscl(64): 80, Quantile(60): 80, Fourier(24): 80}
    return {str(s): solve(flow, s, steps=n, times=list(TIMES)) for s, n in methods.items()}


@pytest.fixture(scope="module")
def line_runs() -> dict[str, Trajectory]:
    flow = problems.ornstein_uhlenbeck().flow
    return {str(s): solve(flow, s, steps=20) for s in (ScharfetterGummel(100), Quantile(60))}


@pytest.fixture(scope="module")
def network_run() -> Trajectory:
    path = str(ROOT / "demos" / "data" / "motorcycle.csv")
    problem = problems.regression(path, ["time_ms"], "acceleration_g", horizon=10.0)
    return solve(problem.flow, GradientFlow(30, start=Sampled(0)), dt=0.5)


def labelled(figure: Figure, *units: str) -> None:
    """Every visible axis has both labels, and the units are among the labels."""
    labels = [(a.get_xlabel(), a.get_ylabel()) for a in figure.axes if a.axison and a.get_label() != "<colorbar>"]
    assert labels
    first_x, first_y = labels[0]
    assert first_x and first_y and all(x for x, _ in labels)
    text = " ".join(word for pair in labels for word in pair)
    assert all(unit in text for unit in units), text


# What is drawn


def test_an_outline_has_the_mass_of_the_measure() -> None:
    """int over the polyline is 1 for cells, for quantiles lifted over the seam, and for modes (to their 400 points)."""
    flow = problems.circle_teacher(b=2.0).flow
    cells = Density(Grid(circle(), (40,)), flow.initial.averages(Grid(circle(), (40,))))
    edges = flow.initial.quantile(np.arange(50) / 50)
    for pi in (cells, Quantiles(circle(), edges), Quantiles(circle(), edges - 9.0), Quantiles(circle(), edges + 5.0)):
        x, height = outline(pi)
        assert x.min() >= 0.0 and x.max() <= 2.0 * np.pi + 1e-12 and np.all(np.diff(x) >= 0.0)
        assert np.trapezoid(height, x) == pytest.approx(1.0, abs=1e-12)
    x, height = outline(Quantiles(line(), np.array([0.0, 1.0, 3.0])))
    assert np.trapezoid(height, x) == pytest.approx(1.0, abs=1e-15)
    assert np.trapezoid(outline(flow.initial)[1], outline(flow.initial)[0]) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("turned", [0.0, 2.5, -7.0])
def test_groups_of_particles_show_the_density(turned: float) -> None:
    """Means over equal masses lie on the density to O(group width^2), whatever the seam; weights count."""
    law = problems.circle_teacher(b=2.0).flow.initial
    pi = Particles(circle(), law.quantile((np.arange(2000) + 0.5) / 2000)[:, None] + turned)
    x, height = outline(pi)
    expected = law.density(circle().wrap(x[:, None] - turned))
    assert len(x) == 60
    assert np.max(np.abs(height - expected)) < 0.01
    even = Particles(circle(), (0.01 + turned + 2.0 * np.pi * np.arange(200) / 200)[:, None])
    assert outline(even)[1] == pytest.approx(np.full(20, 0.5 / np.pi), abs=1e-12), "the seam counts as any other gap"
    uneven = Particles(interval(0.0, 1.0), np.linspace(0.0, 1.0, 101)[:, None], np.arange(101.0) / 5050.0)
    x, height = outline(uneven)
    assert np.max(np.abs(height[1:] - 2.0 * x[1:])) < 0.02


def test_a_few_particles_are_ticks_alone() -> None:
    few = Particles(circle(), np.array([[0.1], [7.0], [-1.0]]))
    assert len(outline(few)[0]) == 0
    assert rug(few) == pytest.approx([0.1, 7.0 - 2.0 * np.pi, 2.0 * np.pi - 1.0])


def test_at_most_one_hundred_ticks_of_equal_mass_apart() -> None:
    many = Particles(interval(0.0, 1.0), ((np.arange(5000) + 0.5) / 5000)[:, None])
    ticks = rug(many)
    assert len(ticks) == 100 and np.ptp(np.diff(ticks)) < 1e-3


def test_the_window_of_the_line_holds_nearly_all_mass() -> None:
    law = Gaussian(2.0, 0.5)
    pi = Particles(line(), law.quantile((np.arange(4000) + 0.5) / 4000)[:, None])
    low, high = window(line(), [pi])
    assert low < law.quantile(np.array([1e-3]))[0] and high > law.quantile(np.array([1.0 - 1e-3]))[0]
    assert high - low < 5.0


@pytest.mark.slow
def test_the_curve_is_w2(circle_runs: dict[str, Trajectory]) -> None:
    uniform = problems.circle.UNIFORM
    (axes,) = picture.w2_curves(circle_runs, uniform, levels={"a prediction": 0.1}).axes
    assert axes.get_yscale() == "log"
    for drawn, run in zip(axes.get_lines(), circle_runs.values(), strict=False):
        t, values = np.asarray(drawn.get_xdata()), np.asarray(drawn.get_ydata())
        assert len(t) <= 65 and t[0] == 0.0 and t[-1] == 4.0
        assert values[-1] == pytest.approx(w2(run.final, uniform), rel=1e-12)
    assert axes.get_lines()[-1].get_ydata() == pytest.approx([0.1, 0.1])


def test_energies_below_zero_get_a_linear_axis_and_are_all_drawn(line_runs: dict[str, Trajectory]) -> None:
    (axes,) = picture.energies(line_runs).axes
    assert axes.get_yscale() == "linear"
    assert axes.get_lines()[0].get_ydata() == pytest.approx(next(iter(line_runs.values())).energies)
    (axes,) = picture.energies(line_runs, least=-1.0).axes
    assert axes.get_yscale() == "log"


def test_an_energy_that_vanishes_to_rounding_has_no_point_on_a_log_axis(circle_runs: dict[str, Trajectory]) -> None:
    still = solve(problems.circle_teacher("relu", modes={3: 0.5}, horizon=4.0).flow, Fourier(8), steps=4)
    assert np.all(np.abs(still.energies) < 1e-15)
    (axes,) = picture.energies({"still": still, **circle_runs}).axes
    assert axes.get_yscale() == "log"
    assert (
        len(np.asarray(axes.get_lines()[0].get_xdata())) == 0 and len(np.asarray(axes.get_lines()[1].get_xdata())) > 5
    )
    (axes,) = picture.energies({"still": replace(still, energies=np.zeros(5))}).axes
    assert axes.get_yscale() == "linear"


def test_the_ledger_shows_both_books(circle_runs: dict[str, Trajectory]) -> None:
    books, gaps = picture.ledger(circle_runs).axes
    run = next(iter(circle_runs.values()))
    lost, dissipated = books.get_lines()[:2]
    assert lost.get_ydata() == pytest.approx(run.energies[0] - run.energies)
    assert set(np.asarray(dissipated.get_ydata())) <= set(run.dissipated)
    assert gaps.get_yscale() == "log"
    labels = [text.get_text() for text in picture.ledger(circle_runs).legends[0].get_texts()]
    assert [name for name in labels if "at most" in name] == ["Quantile(points=60) (at most the line)"]


@pytest.mark.parametrize(("x", "slope"), [([0.4, 0.2, 0.1], 2.0), ([10.0, 20.0, 40.0], -2.0)])
def test_the_declared_slope_goes_through_the_finest_error(x: list[float], slope: float) -> None:
    errors = [3.0, 1.0, 0.3]
    (axes,) = picture.order_plot(x, {"Muscl": errors}, slope, across="cells").axes
    drawn, declared = axes.get_lines()
    assert drawn.get_color() == solver_style("Muscl").colour
    y = np.asarray(declared.get_ydata())
    assert y[-1] == pytest.approx(errors[-1])
    assert np.diff(np.log(y)) / np.diff(np.log(x)) == pytest.approx([slope, slope])


def test_the_fit_is_the_network_and_the_risk_is_twice_the_energy(network_run: Trajectory) -> None:
    risk = network_run.flow.energy.risk
    assert risk is not None
    figure = picture.fit(risk.data, {"thirty": network_run})
    drawn = figure.axes[0].get_lines()[0]
    x, y = np.asarray(drawn.get_xdata()), np.asarray(drawn.get_ydata())
    assert y == pytest.approx(risk.predict_at(x[:, None], network_run.final))
    (axes,) = picture.risk({"thirty": network_run}).axes
    assert axes.get_lines()[0].get_ydata() == pytest.approx(2.0 * network_run.energies)


# How it looks


@pytest.mark.slow
def test_every_picture_is_labelled_and_saved(
    circle_runs: dict[str, Trajectory], line_runs: dict[str, Trajectory], network_run: Trajectory, tmp_path: Path
) -> None:
    risk = network_run.flow.energy.risk
    assert risk is not None
    figures = {
        "densities": (picture.densities(circle_runs, [0.0, 1.0, 4.0]), ["radian", r"$\theta$", r"$\rho$"]),
        "one": (picture.densities(next(iter(circle_runs.values())), [0.0]), ["radian"]),
        "four": (picture.densities(circle_runs, [0.0, 1.0, 2.0, 4.0]), ["per radian"]),
        "line": (picture.densities(line_runs, [0.0, 1.0], problems.ornstein_uhlenbeck().exact), ["per unit of w"]),
        "w2": (picture.w2_curves(circle_runs, problems.circle.UNIFORM), ["W2 (radian)", "time"]),
        "w2_line": (picture.w2_curves(line_runs, problems.ornstein_uhlenbeck().exact), ["W2 (units of w)"]),
        "energies": (picture.energies(list(circle_runs.values())), ["energy F", "time"]),
        "ledger": (picture.ledger(circle_runs), ["dissipated", "time"]),
        "risk": (picture.risk(circle_runs), ["risk", "time"]),
        "order": (picture.order_plot([1.0, 2.0], {"a": [1.0, 0.5], "b": [1.0, 0.25]}, {"a": -1, "b": -2}), ["step"]),
        "fit": (picture.fit(risk.data, {"a": network_run}), ["input", "target"]),
        "neurons": (
            picture.neurons(network_run.final, network_run.measures[0], network_run.flow.energy.names(3)),
            ["inner weight", "bias"],
        ),
    }
    for name, (figure, units) in figures.items():
        labelled(figure, *units)
        path = picture.save(figure, tmp_path / "made" / "here" / f"{name}.png")
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 8000
        assert figure.get_figwidth() <= 10.5
    svg = picture.save(figures["w2"][0], tmp_path / "w2.svg").read_text()
    assert svg.lstrip().startswith("<?xml") and "<svg" in svg
    encoded = picture.png_base64(figures["w2"][0])
    assert base64.b64decode(encoded) == (tmp_path / "made" / "here" / "w2.png").read_bytes()


def test_a_circle_is_ticked_in_quarters(circle_runs: dict[str, Trajectory]) -> None:
    axes = picture.densities(circle_runs, [0.0]).axes[0]
    assert axes.get_xticks() == pytest.approx(np.pi * np.array([0.0, 0.5, 1.0, 1.5, 2.0]))
    assert axes.get_xlim() == pytest.approx((0.0, 2.0 * np.pi))


def test_each_solver_has_a_colour_and_a_marker_of_its_own() -> None:
    assert len(set(_SOLVERS.values())) == len(_SOLVERS) == len({colour for colour, _ in _SOLVERS.values()})
    forward, backward = styles(["Muscl", "Quantile"]), styles(["Quantile", "Muscl"])
    assert [(s.colour, s.marker) for s in forward] == [(s.colour, s.marker) for s in backward[::-1]]
    twice = styles(["Muscl", "Quantile", "Muscl"])
    assert twice[0].colour == twice[2].colour and twice[0].line != twice[2].line
    assert solver_style("SomethingNew") == solver_style("SomethingNew")
    alike = styles(["Fourier"] * 4)
    assert len({(s.colour, s.marker) for s in alike}) == 4


def test_runs_may_come_alone_or_without_names(circle_runs: dict[str, Trajectory]) -> None:
    several = list(circle_runs.values())
    assert list(named(several)) == list(circle_runs) and list(named(several[0])) == ["GradientFlow(particles=200)"]
    with pytest.raises(ValueError, match="2 runs have 1 different names"):
        named([several[0], several[0]])
    with pytest.raises(ValueError, match="nothing to draw"):
        named({})


@pytest.mark.slow
def test_nothing_global_is_changed(circle_runs: dict[str, Trajectory]) -> None:
    before = dict(matplotlib.rcParams)
    picture.png_base64(picture.energies(circle_runs))
    assert dict(matplotlib.rcParams) == before
    done = subprocess.run(
        [sys.executable, "-c", "import sys, wflow.picture; print('matplotlib.pyplot' in sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "False"


# The animation


@pytest.mark.slow
def test_the_animation_moves_is_short_and_small(circle_runs: dict[str, Trajectory], tmp_path: Path) -> None:
    runs = {name: run for name, run in circle_runs.items() if "Fourier" not in name}
    began = time.process_time()
    path = picture.animation(runs, tmp_path / "new" / "flow.gif", reference=problems.circle.UNIFORM)
    assert time.process_time() - began < 15.0
    assert path.stat().st_size < 3_000_000
    with Image.open(path) as movie:
        assert 50 <= movie.n_frames <= 60
        assert movie.size[0] >= 700
        movie.seek(0)
        first = np.asarray(movie.convert("RGB"))
        movie.seek(movie.n_frames - 1)
        last = np.asarray(movie.convert("RGB"))
    assert np.mean(np.any(first != last, axis=2)) > 0.005
    assert tuple(first[1, 1]) == (255, 255, 255)


@pytest.mark.slow
def test_the_animation_on_the_line_with_the_exact_answer(line_runs: dict[str, Trajectory], tmp_path: Path) -> None:
    path = picture.animation(line_runs, tmp_path / "line.gif", exact=problems.ornstein_uhlenbeck().exact)
    with Image.open(path) as movie:
        assert movie.n_frames == 21


def test_frames_need_shared_times(circle_runs: dict[str, Trajectory], tmp_path: Path) -> None:
    flow = problems.circle_teacher(b=2.0, horizon=4.0).flow
    other = solve(flow, Muscl(32), times=[0.333])
    with pytest.raises(ValueError, match="share fewer than two saved times"):
        picture.animation({"a": circle_runs["Muscl(cells=64)"], "b": other}, tmp_path / "a.gif")
    with pytest.raises(ValueError, match=r"does not end in \.gif"):
        picture.animation(circle_runs, tmp_path / "a.mp4")


# Doors


def test_save_names_what_stands_in_the_way(circle_runs: dict[str, Trajectory], tmp_path: Path) -> None:
    figure = picture.energies(circle_runs)
    with pytest.raises(ValueError, match=r"neither \.png nor \.svg"):
        picture.save(figure, tmp_path / "a.jpeg")
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "a.png", tmp_path / "file" / "deeper" / "a.svg"):
        with pytest.raises(OSError, match="cannot be written"):
            picture.save(figure, path)
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OSError, match="cannot be written"):
        picture.save(figure, tmp_path / "a.png")
    with pytest.raises(OSError, match="cannot be written"):
        picture.animation(circle_runs, tmp_path / "file" / "a.gif")


def test_what_cannot_be_drawn_is_refused(network_run: Trajectory, line_runs: dict[str, Trajectory]) -> None:
    with pytest.raises(Refused, match="densities share one axis"):
        picture.densities(network_run, [0.0])
    with pytest.raises(Refused, match="w has 4 entries"):
        picture.neurons(Particles(space(4), np.zeros((2, 4))))
    with pytest.raises(Refused, match="2 inputs"):
        picture.fit(Data(np.zeros((3, 2)), np.zeros(3)), network_run)
    with pytest.raises(Refused, match="no Risk term"):
        picture.fit(Data(np.zeros((3, 1)), np.zeros(3)), line_runs)
    with pytest.raises(Refused, match="is no risk"):
        picture.risk(line_runs)
    with pytest.raises(ValueError, match="None at every saved time"):
        picture.w2_curves(line_runs, lambda t: None)
