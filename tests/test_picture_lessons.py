"""Pictures of lessons: steps and what they move, a density that spreads, several figures in one file, one scale."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import PowerNorm
from PIL import Image

from solvers.conic import ConicParticles
from solvers.finite_volume import ScharfetterGummel
from solvers.jko import Quantile
from tests.meshes import disk_mesh, noise, sphere_mesh
from tests.test_meshes_store import run_of
from wflow import Density, Measure, Quantiles, Refused, Trajectory, picture, problems, solve
from wflow.hypotheses import Hypothesis, Report, Setting
from wflow.picture.style import pixels


def lines_of(axes: Any, style: str) -> list[np.ndarray]:
    """The data (k, 2) of the lines of a style, empty ones left out."""
    found = [np.asarray(line.get_xydata()) for line in axes.get_lines() if line.get_linestyle() == style]
    return [data for data in found if len(data)]


@pytest.fixture(scope="module")
def steps() -> dict[str, Trajectory]:
    """One step each; all is turned by 3, so that the quantiles run over the end of the axis."""
    runs = {f"tau = {t:g}": solve(problems.sawtooth(horizon=t).flow, Quantile(40), steps=1) for t in (1.0, 20.0)}
    return {name: replace(run, measures=tuple(map(turned, run.measures))) for name, run in runs.items()}


def turned(pi: Measure) -> Quantiles:
    assert isinstance(pi, Quantiles)
    return Quantiles(pi.domain, pi.edges + 3.0)


def test_moves_shows_where_each_quantile_goes(steps: dict[str, Trajectory]) -> None:
    """y - x at x for each run, and the formula dashed; the start once, dotted."""
    ends = [run.measures for run in steps.values()]
    predicted = {name: 0.5 * np.arange(40.0) for name in steps}
    left, right = picture.moves(steps, predicted).axes
    start = ends[0][0]
    assert isinstance(start, Quantiles)
    order = np.argsort(start.domain.wrap(start.points)[:, 0])
    for data, (_, end) in zip(lines_of(right, "-"), ends, strict=True):
        assert isinstance(end, Quantiles)
        np.testing.assert_array_equal(data[:, 1], (end.edges - start.edges)[order])
        assert np.all(np.diff(data[:, 0]) > 0.0) and data[0, 0] >= 0.0 and data[-1, 0] <= 2.0 * np.pi
    for data, values in zip(lines_of(right, "--"), predicted.values(), strict=True):
        np.testing.assert_array_equal(data[:, 1], values[order])
    assert len(lines_of(left, ":")) == 1 and len(lines_of(left, "-")) == 2
    assert left.get_ylim()[0] == 0.0 and "radian" in right.get_ylabel()
    with pytest.raises(Refused, match="holds no quantiles"):
        picture.moves({"cells": solve(problems.ornstein_uhlenbeck().flow, ScharfetterGummel(40), steps=1)})


def test_spreading_has_one_scale_and_a_cut_beside_the_law() -> None:
    """The maps hold the mass, with the colours of the densest; the cut is the row of the largest, dashed the law."""
    problem = problems.barenblatt(dim=2, horizon=0.003)
    run = solve(problem.flow, ScharfetterGummel(24), steps=6)
    times = [0.0, 0.0015, 0.003]
    figure = picture.spreading(run, times, problem.exact)
    *maps, cut = [axes for axes in figure.axes if axes.get_xlabel()]
    top = float(run.measures[0].values.max())  # type: ignore[attr-defined]
    for axes, t in zip(maps, times, strict=True):
        pi = run.at(t)
        assert isinstance(pi, Density)
        (drawn,) = axes.collections
        assert drawn.get_clim() == (0.0, top) and axes.get_title() == f"t = {t:g}"
        assert float(np.sum(drawn.get_array())) * pi.grid.cell_volume == pytest.approx(1.0)
        square = pi.values.reshape(pi.grid.shape)
        steps = cut.patches[times.index(t)].get_data()
        row = int(np.argmax(square.max(axis=0)))
        np.testing.assert_allclose(steps.values, square[:, row], rtol=1e-12, atol=1e-12)  # two middle rows tie
        height = 0.5 * (pi.grid.edges(1)[row] + pi.grid.edges(1)[row + 1])
        law = problem.exact(t)
        assert law is not None
        line = lines_of(cut, "--")[times.index(t)]
        points = np.column_stack([line[:, 0], np.full(len(line), height)])
        np.testing.assert_allclose(line[:, 1], law.density(points), rtol=1e-12, atol=1e-12)
    low, high = cut.get_xlim()
    held = run.final.weights > 2e-3 * run.final.weights.max()
    assert low < run.final.points[held, 0].min() and run.final.points[held, 0].max() < high
    with pytest.raises(Refused, match="no density on two axes"):
        picture.spreading(solve(problems.ornstein_uhlenbeck().flow, ScharfetterGummel(20), steps=1), [0.0])


def test_numbers_are_drawn_as_they_are() -> None:
    """On a log axis; what is known dashed and without markers."""
    times = np.linspace(0.0, 2.0, 9)
    lines = {"apart": (times, np.exp(-times)), "allowed": (times, 2.0 + times)}
    (axes,) = picture.numbers(lines, known=["allowed"], value="W2 (length)").axes
    apart, allowed = axes.get_lines()
    for drawn, (_, values) in zip((apart, allowed), lines.values(), strict=True):
        np.testing.assert_array_equal(np.asarray(drawn.get_xydata()), np.column_stack([times, values]))
    assert axes.get_yscale() == "log" and axes.get_ylabel() == "W2 (length)"
    assert allowed.get_linestyle() == "--" and allowed.get_marker() == "" and apart.get_linestyle() == "-"
    (axes,) = picture.numbers({"of both signs": (times, np.cos(3.0 * times))}, value="force").axes
    assert axes.get_yscale() == "linear"


@pytest.mark.slow
def test_several_figures_stand_below_one_another(steps: dict[str, Trajectory], tmp_path: Path) -> None:
    """Each as it would be alone, the narrower in the middle of white."""
    wide, narrow = picture.moves(steps), picture.energies(steps)
    path = picture.save([wide, narrow], tmp_path / "new" / "both.png")
    with Image.open(path) as image:
        found = np.asarray(image)
        assert image.info["Software"] == "wflow"
    above, below = pixels(wide), pixels(narrow)
    left = (above.shape[1] - below.shape[1]) // 2
    assert found.shape == (len(above) + len(below), above.shape[1], 3) and left > 0
    assert np.array_equal(found[: len(above)], above)
    assert np.array_equal(found[len(above) :, left : left + below.shape[1]], below)
    assert np.all(found[len(above) :, :left] == 255)
    with pytest.raises(ValueError, match="2 figures"):
        picture.save([wide, narrow], tmp_path / "both.svg")


@pytest.mark.slow
@pytest.mark.parametrize("round_", [False, True])
def test_regions_on_one_scale_and_by_roots(round_: bool, tmp_path: Path) -> None:
    """Else each time has its own; colours by the root keep the ends of the scale. The film takes roots too."""
    mesh = sphere_mesh(1) if round_ else disk_mesh(3)
    run = run_of([noise(mesh, k) for k in range(3)])
    tops = [float(pi.values.max()) for pi in run.measures]  # type: ignore[attr-defined]

    def norms(**look: Any) -> list[Any]:
        figure = picture.regions(run, times=list(run.times), **look)
        drawn = [axes.collections[0] for axes in figure.axes if axes.collections and axes.get_title()]
        return [collection.norm for collection in (drawn[::2] if round_ else drawn)]

    assert [norm.vmax for norm in norms()] == pytest.approx(tops)
    assert [norm.vmax for norm in norms(one_scale=True)] == pytest.approx([max(tops)] * 3)
    for norm in norms(one_scale=True, root=2.0):
        assert isinstance(norm, PowerNorm) and norm.gamma == 0.5
        assert norm(0.25 * max(tops)) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="root"):
        picture.regions(run, root=0.0)
    with Image.open(picture.film(run, tmp_path / "a.gif", root=2.0)) as image:
        assert image.n_frames == 3  # type: ignore[attr-defined]


@pytest.mark.slow
def test_charges_are_drawn_on_their_sheets() -> None:
    """One axis: a path for each charge, ends at +-sqrt(mass), groups summed, a gap where a path leaves the turn; two
    axes: areas by mass. Diamonds at the known charges. Other measures are refused."""
    run = solve(problems.deconvolution_1d(filters=3, spikes=2, horizon=0.2).flow, ConicParticles(12), steps=60)
    pi = run.final
    (axes,) = picture.charges(run, pi).axes
    height = np.sign(pi.weights) * np.sqrt(np.abs(pi.weights))
    found = np.concatenate([s.get_offsets() for s in axes.collections])
    for x, y in zip(pi.domain.wrap(pi.points)[:, 0], height, strict=True):
        assert np.min(np.abs(found - [x, y]).max(axis=1)) < 1e-12
    summed = [s.get_offsets()[:, 1] for s in axes.collections if "summed" in str(s.get_label())]
    total = sum(float(np.sum(np.sign(y) * y**2)) for y in summed)
    assert len(summed) == 2 and total == pytest.approx(pi.mass, rel=1e-12)
    turned = replace(run, measures=tuple(replace(nu, points=nu.points + 3.0) for nu in run.measures))
    places = [data[:, 0] for data in lines_of(picture.charges(turned).axes[0], "-")]
    jumps = np.concatenate([np.abs(np.diff(x)) for x in places])
    assert len(places) >= 12 and np.nanmax(jumps) <= np.pi and np.isnan(jumps).any()
    assert all(np.nanmin(x) >= 0.0 and np.nanmax(x) <= 2.0 * np.pi for x in places)
    plane = solve(problems.deconvolution_2d(particles=4, horizon=0.05).flow, ConicParticles(4))
    (axes,) = picture.charges(plane, plane.final, ("x", "y")).axes
    areas = next(s.get_sizes() for s in axes.collections if "positive" in str(s.get_label()))
    assert np.argmax(areas) == np.argmax(plane.final.weights) and axes.get_xlabel() == "x"
    with pytest.raises(Refused, match="signed particles"):
        picture.charges(solve(problems.sawtooth().flow, Quantile(40), steps=1))


def test_verdicts_are_a_matrix_with_the_worst_of_each_topic() -> None:
    """Both sheets of a support share a cell; what is told beside stands in brackets; none is refused."""
    rows = (
        Hypothesis("pi_t converges in W2", "consistent", 0.5, 0.9, "seen", "antecedent"),
        Hypothesis("positive charges", "consistent", 0.1, 0.2, "seen", "support +"),
        Hypothesis("negative charges", "refuted", 3.1, 0.2, "none", "support -"),
        Hypothesis("F", "supposed", 0.0, 0.0, "not known", "conclusion", needed=False),
    )
    found = Report("a test", Setting("charges", "two charges"), rows)
    axes = picture.verdicts({"one": found, "two": found}).axes[0]
    words = [text.get_text() for text in axes.texts]
    assert words == ["consistent", "refuted", "supposed", "hypotheses fail"] * 2
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "antecedent", "support", "(conclusion)", "the whole",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="got none"):
        picture.verdicts({})
