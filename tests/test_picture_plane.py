"""Pictures of networks on two axes and on tables: what is drawn is what was computed, in the table's own units."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from solvers.finite_volume import Muscl
from solvers.jko import Spline
from solvers.particles import GradientFlow, Sampled
from wflow import Density, Grid, Particles, Refused, Trajectory, box, geodesic, picture, problems, solve
from wflow.picture.plane import _window

DATA = Path(__file__).resolve().parent.parent / "demos" / "data"


@pytest.fixture(scope="module")
def sheets() -> tuple[problems.Problem, Trajectory, Trajectory]:
    """Two sheets a = +-6 of the motorcycle data, by cells and by particles, a tenth of a unit of time."""
    csv = str(DATA / "motorcycle.csv")
    problem = problems.regression(csv, ["time_ms"], "acceleration_g", sheets=6.0, reach=14.0, horizon=0.1)
    return problem, solve(problem.flow, Muscl(40)), solve(problem.flow, GradientFlow(60))


@pytest.fixture(scope="module")
def plane() -> tuple[Trajectory, Trajectory]:
    flow = problems.two_layer_1d(horizon=0.5).flow
    return solve(flow, Muscl(40)), solve(flow, GradientFlow(50), steps=20)


@pytest.fixture(scope="module")
def quakes() -> tuple[problems.Problem, Trajectory]:
    problem = problems.regression(str(DATA / "fiji.csv"), ["longitude_deg", "latitude_deg"], "depth_km", horizon=0.5)
    return problem, solve(problem.flow, GradientFlow(10, Sampled(0)), steps=2)


def test_a_table_comes_back_in_its_units(quakes: tuple[problems.Problem, Trajectory]) -> None:
    """Scaling and its inverse: the held-out rows are rows of the file, to rounding."""
    problem, _ = quakes
    table = np.loadtxt(DATA / "fiji.csv", delimiter=",", skiprows=1)
    assert problem.columns is not None and problem.held_out is not None
    rows = problem.columns.raw(problem.held_out)
    found = np.column_stack([rows.inputs, rows.targets])
    apart = np.abs(found[:, None, :] - table[None, :, :]).max(axis=2).min(axis=1)
    assert len(found) == 250 and apart.max() < 1e-9
    np.testing.assert_allclose(problem.columns.scaled(rows.inputs), problem.held_out.inputs, atol=1e-12)


@pytest.mark.slow
def test_a_fit_is_drawn_in_the_units_of_its_table(sheets: tuple[problems.Problem, Trajectory, Trajectory]) -> None:
    """Labels are column names; the curve is f_pi; filled and hollow points are as many as rows learnt and held out."""
    problem, cells, _ = sheets
    risk, columns = problem.flow.energy.risk, problem.columns
    assert risk is not None and columns is not None and problem.held_out is not None
    (axes,) = picture.fit(risk.data, {"cells": cells}, problem.held_out, columns).axes
    assert axes.get_xlabel() == "time_ms" and axes.get_ylabel().startswith("acceleration_g")
    x, y = axes.get_lines()[0].get_data()
    expected = columns.raw_target(risk.predict_at(columns.scaled(np.asarray(x)[:, None]), cells.final))
    np.testing.assert_allclose(y, expected, atol=1e-9)
    assert [len(c.get_offsets()) for c in axes.collections] == [len(risk.data), len(problem.held_out)]
    standardised = picture.fit(risk.data, {"cells": cells}).axes[0]
    assert "standardised" in standardised.get_xlabel()


def test_a_surface_shows_rows_and_contours_on_one_scale(quakes: tuple[problems.Problem, Trajectory]) -> None:
    problem, run = quakes
    risk = problem.flow.energy.risk
    assert risk is not None
    figure = picture.surface(risk.data, run, problem.held_out, problem.columns)
    axes, bar = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("longitude_deg", "latitude_deg")
    assert bar.get_ylabel().startswith("depth_km")
    points = axes.collections[-2:]
    assert [len(c.get_offsets()) for c in points] == [750, 250]
    assert {c.get_clim() for c in points} == {(40.0, 680.0)}
    assert picture.surface(risk.data, run).axes[0].get_xlabel() == "input x_1 (standardised)"


def test_held_out_risk_is_dotted(sheets: tuple[problems.Problem, Trajectory, Trajectory]) -> None:
    """Its last value is the mean square on the rows held out."""
    problem, cells, _ = sheets
    risk, test = problem.flow.energy.risk, problem.held_out
    assert risk is not None and test is not None
    (axes,) = picture.risk({"cells": cells}, test).axes
    dotted = [line for line in axes.get_lines() if line.get_linestyle() == ":"]
    square = float(test.weights @ (risk.predict_at(test.inputs, cells.final) - test.targets) ** 2)
    assert len(dotted) == 1 and np.asarray(dotted[0].get_ydata())[-1] == pytest.approx(square)


def panels(figure: Figure) -> list[object]:
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def test_maps_show_both_sheets_with_their_particles(sheets: tuple[problems.Problem, Trajectory, Trajectory]) -> None:
    """Two times, two sheets; on each the mass is a half, and as many dots as particles with that sign of a."""
    _, cells, cloud = sheets
    figure = picture.maps(cells, cloud)
    shown = panels(figure)
    assert len(shown) == 4
    assert [axes.get_title() for axes in shown] == [  # type: ignore[attr-defined]
        "t = 0, a < 0", "t = 0, a > 0", "t = 0.1, a < 0", "t = 0.1, a > 0",
    ]  # fmt: skip
    assert [axes.get_xlabel() for axes in shown] == ["", "", "inner weight v", "inner weight v"]  # type: ignore[attr-defined]
    assert [axes.get_ylabel() for axes in shown] == ["bias c", "", "bias c", ""]  # type: ignore[attr-defined]
    assert isinstance(cells.final, Density)
    area = float(np.prod(cells.final.grid.widths[1:]))
    positive = int(np.sum(cloud.final.points[:, 0] > 0.0))
    for axes, count in zip(shown, 2 * [60 - positive, positive], strict=True):
        mesh, *dots = axes.collections  # type: ignore[attr-defined]
        assert float(np.sum(mesh.get_array())) * area == pytest.approx(0.5, abs=1e-9)
        assert sum(len(d.get_offsets()) for d in dots) == count


@pytest.mark.slow
def test_a_map_without_sheets(plane: tuple[Trajectory, Trajectory]) -> None:
    """One column in the plane of (a, w), mass 1; the window leaves at most 0.1 % out at each side."""
    cells, cloud = plane
    figure = picture.maps(cells, cloud, [0.5])
    (axes,) = panels(figure)
    assert axes.get_xlabel() == "outer weight a" and axes.get_ylabel() == "inner weight v"  # type: ignore[attr-defined]
    mesh = axes.collections[0]  # type: ignore[attr-defined]
    assert isinstance(cells.final, Density)
    assert float(np.sum(mesh.get_array())) * cells.final.grid.cell_volume == pytest.approx(1.0)
    (low, high), _ = _window(cells, [0.5])
    inside = (cells.final.points[:, 0] > low) & (cells.final.points[:, 0] < high)
    assert cells.final.weights[inside].sum() >= 1.0 - 2e-3
    assert high - low < 7.0


def test_maps_of_a_crowd_have_one_scale_and_show_its_column() -> None:
    """0 to the largest density for both maps, one colour bar; as many cells are drawn closed as the flow closes."""
    flow = problems.crowd().flow
    run = solve(flow, Spline(24), dt=0.06, until=0.12, times=[0.12])
    figure = picture.maps(run)
    assert len(figure.axes) == 3 and len(panels(figure)) == 2
    assert isinstance(run.final, Density)
    shut = int(np.sum(flow.energy.bound(run.final.grid) == 0.0))
    for axes in panels(figure):
        mesh, closed = axes.collections[:2]  # type: ignore[attr-defined]
        assert mesh.get_clim() == (0.0, 4.0)
        assert int(np.ma.count(closed.get_array())) == shut > 0
        assert axes.collections[2].hatches == ["////"]  # type: ignore[attr-defined]


def test_paths_end_at_the_particles() -> None:
    """One line a neuron from start to end, coloured by the sign of a; teachers as dashed rays."""
    problem = problems.relu_teacher_plane(horizon=1.0)
    run = solve(problem.flow, GradientFlow(12), steps=4)
    teachers = Particles(problem.flow.domain, problem.minimiser.points)  # type: ignore[union-attr]
    (axes,) = picture.paths({"spread": run}, teachers).axes
    solid = [line for line in axes.get_lines() if line.get_linestyle() == "-"]
    ends = np.array([np.asarray(line.get_xydata())[-1] for line in solid])
    order = np.argsort(run.final.points[:, 0] < 0.0, kind="stable")
    np.testing.assert_allclose(ends, run.final.points[order, 1:])
    rays = [line for line in axes.get_lines() if line.get_linestyle() == "--" and len(line.get_xdata())]
    assert len(rays) == 3 and len({line.get_color() for line in solid}) == 2


def test_profiles_have_one_panel_a_title() -> None:
    """F at equal distances; one colour a kind of path over all panels."""
    curves = {"geodesic": np.array([0.0, 2.0, 1.0]), "mixture": np.array([0.0, 0.5, 1.0])}
    figure = picture.profiles({"tanh": curves, "relu": curves})
    assert [axes.get_title() for axes in figure.axes] == ["tanh", "relu"]
    for axes in figure.axes:
        np.testing.assert_array_equal(axes.get_lines()[0].get_xdata(), [0.0, 0.5, 1.0])
    assert len({axes.get_lines()[0].get_color() for axes in figure.axes}) == 1


def test_what_has_no_plane_is_refused(
    plane: tuple[Trajectory, Trajectory], quakes: tuple[problems.Problem, Trajectory]
) -> None:
    with pytest.raises(Refused, match="no density on two moving axes"):
        picture.maps(plane[1])
    with pytest.raises(Refused, match="does not move particles"):
        picture.paths({"plane": plane[1]})
    risk = plane[0].flow.energy.risk
    assert risk is not None
    with pytest.raises(Refused, match="contours need two"):
        picture.surface(risk.data, plane[0])


@pytest.mark.slow
def test_a_journey_shows_the_way(tmp_path: Path) -> None:
    """A bell moved by .3 of the axis: what is bright in the picture moves by about as much; .gif is the one format."""
    grid = Grid(box([0.0, 0.0], [1.0, 1.0]), (32, 32))
    ends = []
    for x in (0.35, 0.65):
        values = np.exp(-0.5 * np.sum((grid.centres - [x, 0.5]) ** 2, axis=1) / 0.08**2)
        ends.append(Density(grid, values / (values.sum() * grid.cell_volume)))
    path = geodesic(*ends)
    at = []
    with Image.open(picture.journey(path, grid, tmp_path / "way.gif", frames=5)) as film:
        assert film.n_frames == 5
        for k in (0, 4):
            film.seek(k)
            inside = np.asarray(film.convert("RGB"), dtype=float).sum(axis=2)[60:-60, 100 : int(0.7 * film.width)]
            inside[inside > 690.0] = 0.0  # paths and paper
            at.append(float(np.average(np.arange(inside.shape[1]), weights=(inside**4).sum(axis=0))) / film.width)
    assert 0.1 <= at[1] - at[0] <= 0.3
    with pytest.raises(ValueError, match=r"does not end in \.gif"):
        picture.journey(path, grid, tmp_path / "way.mp4")
