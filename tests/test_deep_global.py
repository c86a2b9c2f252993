"""Global convergence of deep networks: distances to spans, holes, what a start cannot see, verdicts, long runs."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import ndtr

from solvers.deep import GradientFlow
from wflow import Data, activation, deep
from wflow.app.deep.converging import CONVERGING
from wflow.app.studies import STUDIES, Entry, write_study
from wflow.app.studies import convergence as study
from wflow.deep import Independent, Interval, Latent, Normal, Point, Sampled, Tensor, Watched
from wflow.deep.gradient import gradient
from wflow.deep.losses import Cauchy, TanhSquare
from wflow.deep.problems import LOSSES, TANH, deep_problem, plane_data, sine_data
from wflow.deep.universal import (
    Monitor,
    Span,
    Target,
    hypotheses,
    least_risk,
    line_monitor,
    line_targets,
    plane_monitor,
    plane_targets,
    reflected,
    seen_share,
    verdict,
    watch,
)
from wflow.deep.universal.monitor import greatest_speeds, last_speeds
from wflow.deep.universal.targets import tabled
from wflow.deep.universal.theorem import FAILS, HOLDS
from wflow.errors import NotConverged, Refused
from wflow.holes import largest_hole
from wflow.loss import HalfSquare

EVEN = np.full(6, 1.0 / 6.0)


def of(features, masses=None, weights=None):
    """A Span of features (n, m) with even masses and weights."""
    n, m = features.shape
    return Span(
        features,
        np.full(m, 1.0 / m) if masses is None else masses,
        np.full(n, 1.0 / n) if weights is None else weights,
    )


def test_distance_to_one_feature_is_known():
    """phi = c g: |g - a c g| with |a| <= B is max(0, 1 - B c), relative; orthogonal to g: 1."""
    g = np.array([[1.0], [-2.0], [0.5], [3.0]])
    span = of(0.2 * g / np.linalg.norm(g / 2.0))
    for bound in (1.0, 2.0, 4.0):
        assert span.distance(g, bound)[0] == pytest.approx(1.0 - 0.2 * bound, abs=1e-9)
    assert span.distance(g, 5.0)[0] < 1e-9
    away = np.array([[2.0], [1.0], [0.0], [0.0]])
    assert span.distance(away, 1e6)[0] == pytest.approx(1.0, abs=1e-12)
    assert span.unbounded(away)[0] == pytest.approx(1.0, abs=1e-12)


def test_distance_is_the_constrained_minimum():
    """Against a general minimiser over |a|_{L2(P)} <= B, with uneven masses and weights."""
    rng = np.random.default_rng(0)
    features, g = rng.standard_normal((6, 4)), rng.standard_normal((6, 2))
    masses, weights = (w / w.sum() for w in (rng.uniform(0.2, 1.0, 4), rng.uniform(0.2, 1.0, 6)))
    span = of(features, masses, weights)
    for bound in (0.3, 0.7):
        for k in range(2):
            size = math.sqrt(weights @ g[:, k] ** 2)

            def square(a, k=k):
                return weights @ (g[:, k] - features @ (masses * a)) ** 2

            inside = {"type": "ineq", "fun": lambda a, r=bound * size: r**2 - masses @ a**2}
            found = minimize(square, np.zeros(4), constraints=[inside], tol=1e-14, options={"maxiter": 500})
            assert span.distance(g, bound)[k] == pytest.approx(math.sqrt(found.fun) / size, abs=1e-6)


def test_distance_is_a_number_of_the_law():
    """A node split into two of half its mass, a node of mass 0 more: nothing changes. Distances fall with the bound
    and end at the least squares distance."""
    rng = np.random.default_rng(1)
    features, g = np.tanh(rng.standard_normal((9, 5))), rng.standard_normal((9, 3))
    span = of(features)
    split = Span(
        np.column_stack([features, features[:, 0], rng.standard_normal(9)]),
        np.array([0.1, 0.2, 0.2, 0.2, 0.2, 0.1, 0.0]),
        np.full(9, 1.0 / 9.0),
    )
    bounds = (0.1, 1.0, 10.0, 1e6)
    found = [span.distance(g, bound) for bound in bounds]
    for bound, d in zip(bounds, found, strict=True):
        assert split.distance(g, bound) == pytest.approx(d, abs=1e-10)
    assert split.rank == span.rank == 5
    assert np.all(np.diff(found, axis=0) < 1e-12)
    truth = [np.linalg.norm(v - features @ np.linalg.lstsq(features, v)[0]) / np.linalg.norm(v) for v in g.T]
    assert found[-1] == pytest.approx(truth, abs=1e-10)
    assert span.unbounded(g) == pytest.approx(truth, abs=1e-12)


def test_doors_of_spans_and_monitors():
    """A vanishing target, a bad bound, masses that are none."""
    span = of(np.eye(3))
    with pytest.raises(ValueError, match="number 0 is 0"):
        span.distance(np.zeros((3, 1)), 1.0)
    with pytest.raises(ValueError, match="norm"):
        span.distance(np.ones((3, 1)), 0.0)
    with pytest.raises(ValueError, match="masses"):
        Span(np.eye(3), np.ones(3), np.full(3, 1.0 / 3.0))
    with pytest.raises(ValueError, match="at least one of each"):
        Monitor(np.eye(3), np.full(3, 1.0 / 3.0), (), -np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="neurons"):
        Monitor(np.eye(3), np.full(3, 1.0 / 3.0), line_targets(), -np.ones(3), np.ones(3), neurons=0)


@pytest.mark.parametrize(("dim", "points"), [(1, 9), (2, 30), (3, 20)])
def test_largest_hole_against_a_search(dim, points):
    """No place of a fine lattice is further from the points than the hole, its own centre is just so far, and the
    lattice comes as near as its spacing; a third of the points lie outside the box."""
    w = 1.5 * np.random.default_rng(dim).standard_normal((points, dim))
    hole = largest_hole(w, -2.0 * np.ones(dim), 2.0 * np.ones(dim))
    steps = {1: 2001, 2: 101, 3: 25}[dim]
    axis = np.linspace(-2.0, 2.0, steps)
    lattice = np.stack([g.ravel() for g in np.meshgrid(*[axis] * dim)], axis=1)
    away = np.min(np.linalg.norm(lattice[:, None] - w, axis=2), axis=1)
    spacing = 4.0 / (steps - 1) * math.sqrt(dim)
    assert np.max(away) <= hole.radius + 1e-12 <= np.max(away) + spacing
    assert np.min(np.linalg.norm(hole.centre - w, axis=1)) == pytest.approx(hole.radius, abs=1e-12)
    assert np.all(np.abs(hole.centre) <= 2.0)


def test_largest_holes_that_are_known():
    """A lattice: half a diagonal. A lattice on a plane through the box: that, and a corner's height. One point: the
    farthest corner. A point outside the box closes a hole at the wall."""
    lattice = np.stack([g.ravel() for g in np.meshgrid(*[np.linspace(-1.0, 1.0, 5)] * 2)], axis=1)
    assert largest_hole(lattice, [-1.0, -1.0], [1.0, 1.0]).radius == pytest.approx(0.25 * math.sqrt(2.0), abs=1e-12)
    flat = np.column_stack([g.ravel() for g in np.meshgrid(np.linspace(-3.0, 3.0, 13), [0.0], np.linspace(-3, 3, 13))])
    assert largest_hole(flat, [-2.0] * 3, [2.0] * 3).radius == pytest.approx(math.sqrt(4.125), abs=1e-12)
    assert largest_hole([[0.5, 0.0]], [-1.0, -1.0], [1.0, 1.0]).radius == pytest.approx(math.hypot(1.5, 1.0))
    assert largest_hole([[0.0], [1.2]], [-1.0], [1.0]).radius == pytest.approx(1.0)
    assert largest_hole([[0.0], [-1.2], [1.2]], [-1.0], [1.0]).radius == pytest.approx(0.6)
    with pytest.raises(ValueError, match="empty"):
        largest_hole([[0.0]], [1.0], [1.0])


def test_holes_of_hard_clouds():
    """Points far away beside near ones, alone, or too far to tell; four dimensions; points on a line, in one place."""
    low, high = -np.ones(2), np.ones(2)
    for far in (1e3, 1e8, 1e200):
        assert largest_hole([[far, 5.0], [0.0, 0.0]], low, high).radius == pytest.approx(math.sqrt(2.0), rel=1e-14)
    assert largest_hole([[500.0, 5.0], [600.0, 7.0]], low, high).radius == pytest.approx(math.hypot(501.0, 6.0))
    for far in (1e8, 1e200):
        with pytest.raises(ValueError, match="boxes away"):
            largest_hole([[far, 5.0], [6.0 * far, 7.0]], low, high)
    with pytest.raises(ValueError, match="too thin"):
        largest_hole([[0.0, 0.0]], [-1.0, 0.0], [1.0, 1e-18])
    line = np.linspace(-2.0, 2.0, 41)[:, None] * [1.0, 1.0]
    assert largest_hole(line, low, high).radius == pytest.approx(math.sqrt(2.0), abs=1e-12)
    assert largest_hole([[0.5, 0.0]] * 3, low, high).radius == pytest.approx(math.hypot(1.5, 1.0))
    lattice = np.stack([g.ravel() for g in np.meshgrid(*[np.linspace(-1.0, 1.0, 4)] * 4)], axis=1)
    assert largest_hole(lattice, -np.ones(4), np.ones(4)).radius == pytest.approx(2.0 / 3.0, abs=1e-12)


def test_distances_know_no_unit():
    """Features times c are readouts divided by c, for any c that can be written; features 0 reach nothing."""
    rng = np.random.default_rng(2)
    features, g = np.tanh(rng.standard_normal((7, 4))), rng.standard_normal((7, 3))
    plain = of(features).distance(g, 2.0)
    for c in (1e-200, 1e-9, 1e200):
        assert of(c * features).distance(g, 2.0 / c) == pytest.approx(plain, rel=1e-9)
    assert of(features).distance(g, 1e-300) == pytest.approx(np.ones(3), abs=1e-12)
    assert of(features).distance(g, 1e300) == pytest.approx(of(features).unbounded(g), abs=1e-12)
    assert of(0.0 * features).distance(g, 2.0) == pytest.approx(np.ones(3), abs=1e-15)
    assert of(0.0 * features).rank == 0
    one = Span([[0.3]], [1.0], [1.0])  # one row, one neuron: 1 - .3 B
    assert one.distance(np.array([[2.0]]), 2.0)[0] == pytest.approx(0.4, abs=1e-12)


def test_a_bisection_that_stops_early_is_told(monkeypatch):
    """Three halvings leave the square above its dual bound."""
    span, g = of(np.tanh(np.random.default_rng(3).standard_normal((7, 4)))), np.linspace(-1.0, 1.0, 7)[:, None]
    monkeypatch.setattr("wflow.deep.universal.span._HALVINGS", 3)
    with pytest.raises(NotConverged, match="dual bounds"):
        span.distance(g, 0.5)


def test_doors_of_monitors_and_of_what_is_seen():
    """Boxes and networks of other dimensions, grids on which targets vanish, columns that are none."""
    net = deep_problem("plane_full_support").flow.network(Sampled(4, 1))
    with pytest.raises(ValueError, match="a network of 3"):
        line_monitor(16).seen(net)
    with pytest.raises(ValueError, match="Monitor lower"):
        Monitor(np.eye(3), np.full(3, 1.0 / 3.0), line_targets(), -np.ones(2), np.ones(3))
    for made, least in ((line_monitor, 11), (plane_monitor, 5)):
        with pytest.raises(ValueError, match=f"at least {least}"):
            made(least - 1)
        monitor = made(least)
        assert np.min(np.sqrt(monitor.weights @ monitor.table**2)) > 0.05
    data = plane_data(4)
    for columns in ([3], [-1], [0, 0]):
        for door in (
            lambda c: least_risk(data, HalfSquare(), c),
            lambda c: seen_share(data.targets[:, None], data.inputs, data.weights, c),
            lambda c: reflected(data, c),
        ):
            with pytest.raises(ValueError, match="from 0 to 2"):
                door(columns)
    with pytest.raises(ValueError, match="none is given"):
        reflected(data, [])
    with pytest.raises(ValueError, match="number 0 is 0"):
        seen_share(np.zeros((16, 1)), data.inputs, data.weights, [0])
    # without any column: the best constant and the mean
    assert least_risk(data, HalfSquare(), []) == pytest.approx(0.5 * np.var(data.targets))
    assert seen_share(np.ones((16, 1)), data.inputs, data.weights, [])[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["sine_full_support", "plane_full_support", "plane_one_axis"])
def test_doors_of_problems(name):
    """A loss without a name, a depth that is none."""
    with pytest.raises(ValueError, match=f"{name} loss: unknown name 'huber'"):
        deep_problem(name, loss="huber")
    with pytest.raises(ValueError, match="depth"):
        deep_problem(name, depth=1)


def test_there_are_twenty_targets_on_the_line_and_in_the_plane():
    """All different, none a multiple of another, none 0."""
    for monitor, targets in ((line_monitor(64), line_targets()), (plane_monitor(12), plane_targets())):
        assert len(targets) == len({t.name for t in targets}) == 20
        table = tabled(targets, monitor.inputs)
        unit = table / np.linalg.norm(table, axis=0)
        assert np.max(np.abs(unit.T @ unit - np.eye(20))) < 0.999


def test_waves_and_polynomials_are_what_they_say():
    """On Gauss nodes sin 2 pi x and P_3 have squares 1/2 and 1/7; a hat is 1 in the middle, 0 at its end."""
    z, q = np.polynomial.legendre.leggauss(40)
    named = {t.name: t.function for t in line_targets()}
    assert 0.5 * q @ named["sin 2 pi x"](z[:, None]) ** 2 == pytest.approx(0.5, abs=1e-12)
    assert 0.5 * q @ named["P_3"](z[:, None]) ** 2 == pytest.approx(1.0 / 7.0, abs=1e-12)
    hat = named["hat at 0.1, 0.4 wide"]
    assert hat(np.array([[0.1, 1.0], [0.3, 1.0], [0.2, 1.0]])) == pytest.approx([1.0, 0.0, 0.5], abs=1e-12)


def test_the_least_risk_of_what_is_seen():
    """Half square: E Var(y | x_1)/2 = 1/16; all columns: 0; other losses: a search over constants, since y - E[y | x_1]
    has one law for all x_1."""
    data = plane_data()
    assert least_risk(data, HalfSquare(), [0, 2]) == pytest.approx(1.0 / 16.0, abs=1e-15)
    data = plane_data(4)
    rest = 0.5 * np.cos(np.pi * np.unique(data.inputs[:, 1]))
    tried = np.linspace(-0.5, 0.5, 20001)
    for loss in (TanhSquare(), Cauchy()):
        best = min(np.mean(loss.value(np.full(4, c), rest)) for c in tried)
        assert least_risk(data, loss, [0, 2]) == pytest.approx(best, abs=1e-8)
    assert least_risk(data, TanhSquare(), [0, 1, 2]) < 1e-20
    uneven = Data([[0.0], [0.0], [1.0]], [0.0, 4.0, 7.0], [0.25, 0.25, 0.5])
    assert least_risk(uneven, HalfSquare(), [0]) == pytest.approx(0.5 * 0.5 * 4.0)


def test_the_share_of_a_target_that_is_not_seen():
    """sin pi x_1: 0; cos pi x_2: 1; their sum: half of its square."""
    x = plane_data().inputs
    a, b = np.sin(np.pi * x[:, 0]), np.cos(np.pi * x[:, 1])
    found = seen_share(np.column_stack([a, b, a + b]), x, np.full(64, 1.0 / 64.0), [0, 2])
    assert found == pytest.approx([0.0, 1.0, math.sqrt(0.5)], abs=1e-12)


def test_data_without_the_symmetry_are_refused():
    """One target moved: no bound for all times is claimed."""
    data = plane_data()
    reflected(data, [1])
    y = data.targets.copy()
    y[3] += 1e-6
    with pytest.raises(Refused, match="moves the data by 1e-06"):
        reflected(Data(data.inputs, y), [1])


def _starts():
    """Starts at several depths with w_1 = 0 on x_2."""
    plain = [Normal(0.0, 2.0), Point(0.0), Normal(0.0, 2.0)]
    into = np.array([[1.5, 0.5], [0.0, 0.0], [-0.5, 1.5]])
    latent = Latent(into, np.zeros(3), [0.7, 0.7], 1.5, np.array([1.0, -1.0]), 1.0, TANH)
    return {
        "two": Independent(plain, [], Normal(), TANH),
        "three, sigmoid": Independent(plain, [Interval(-0.5, 1.5)], Normal(), activation("sigmoid")),
        "four, latent": latent,
        "five, biases": Independent(plain, [Interval(0.0, 1.5)] * 3, Normal(), TANH, biases=[Normal()] * 4),
    }


@pytest.mark.parametrize("name", list(_starts()))
@pytest.mark.parametrize("loss", list(LOSSES))
def test_a_start_that_does_not_see_never_does(name, loss):
    """Sampled nets at every depth and loss: w_1 stays 0 on x_2 to rounding, F above the bound, and it moves."""
    data = plane_data(6)
    run = deep.solve(deep.DeepFlow(data, _starts()[name], 2.0, LOSSES[loss]), GradientFlow(Sampled(5, 3)), dt=0.25)
    assert max(float(np.abs(net.first[:, 1]).max()) for net in run.networks) < 1e-14
    # of one row x_2 is not odd: descent by samples does not keep the plane
    one = Data(data.inputs[3:4], data.targets[3:4])
    assert np.abs(gradient(run.final, one, LOSSES[loss]).first[:, 1]).max() > 1e-7
    assert run.energies[-1] < run.energies[0] - 1e-4
    assert np.min(run.energies) >= least_risk(data, LOSSES[loss], [0, 2])


def test_with_the_coordinate_seen_or_the_symmetry_broken_it_leaves():
    """A kick of 1e-3 on x_2, or a target with a part odd in x_2: w_1 leaves the plane."""
    data = plane_data(6)
    odd = Data(data.inputs, data.targets + 0.5 * data.inputs[:, 1])
    start = _starts()["three, sigmoid"].network(Sampled(5, 3))
    run = deep.solve(deep.DeepFlow(odd, start, 2.0), GradientFlow(), dt=0.25)
    assert np.abs(run.final.first[:, 1]).max() > 1e-7


def test_what_is_not_seen_bounds_every_distance_of_the_monitor():
    """Distances of a start on one axis are at least the shares not seen, at every bound; the full one is below them."""
    monitor, rule = plane_monitor(10), Tensor((6, 3))
    shares = seen_share(monitor.table, monitor.inputs, monitor.weights, [0, 2])
    blind = monitor.seen(deep_problem("plane_one_axis").flow.network(rule))
    full = monitor.seen(deep_problem("plane_full_support").flow.network(rule))
    assert np.all(blind.distances >= shares - 1e-12)
    assert blind.hole >= 2.0
    assert blind.cap == pytest.approx(0.5 * math.pi, abs=1e-9)
    unseen = shares > 0.5
    assert np.sum(unseen) >= 8
    assert np.all(full.distances[0, 2, unseen] < shares[unseen])


@pytest.mark.slow
def test_the_monitor_of_a_network_drawn_from_the_limit():
    """Distances of n neurons come near those of the rule; fewer neurons are a worse law but as many targets."""
    flow = deep_problem("sine_independent").flow
    monitor = line_monitor(32)

    def distances(rule):
        return monitor.spans(flow.network(rule))[0].distance(monitor.table, 100.0)

    limit = distances(Tensor(12))
    # passive nodes take no part
    assert distances(Watched(Tensor(12), Sampled((500, 1), 5))) == pytest.approx(limit, abs=1e-12)
    off = [np.max(np.abs(distances(Sampled((n, 2), 5)) - limit)) for n in (100, 4000)]
    # n^(-1/2) = .1 and .016, times the reach of a singular value to its neighbours
    assert off[1] < 0.05 < off[0]
    few = Monitor(monitor.inputs, monitor.weights, monitor.targets, monitor.lower, monitor.upper, neurons=40)
    spans = few.spans(flow.network(Sampled((4000, 2), 5)))
    assert spans[0].features.shape[1] == 40
    assert spans[1].features.shape[1] == 2


def test_passive_nodes_show_the_support_and_change_nothing():
    """F with and without 300 watched labels; their holes are smaller."""
    flow = deep_problem("sine_full_support", horizon=1.0).flow
    plain = deep.solve(flow, GradientFlow(Tensor(5)), dt=0.25)
    watched = deep.solve(flow, GradientFlow(Watched(Tensor(5), Sampled((300, 1)))), dt=0.25)
    assert watched.energies == pytest.approx(plain.energies, abs=1e-13)
    monitor = line_monitor(32)
    assert monitor.seen(watched.final).hole < 0.5 * monitor.seen(plain.final).hole
    assert len(watch(plain, monitor)) == len(plain.times)


class _At(Sampled):
    """Labels u of w_1 ~ N(0, 4)^2 at given places; the other coordinate of a two-layer label at its median."""

    def __init__(self, places, depth):
        super().__init__((len(places), 1) if depth == 3 else len(places), 0)
        object.__setattr__(self, "places", places)

    def _unit(self, layer, n, k):
        if layer:
            return super()._unit(layer, n, k)
        return np.column_stack([ndtr(self.places / 2.0), np.full((n, k - 2), 0.5)])


def _labels_at(depth, places, t, dt=0.25):
    """w_1(t, u) of labels that watch."""
    flow = deep_problem("sine_full_support", depth=depth, horizon=t).flow
    rule = Watched(Tensor(6), _At(places, depth))
    return deep.solve(flow, GradientFlow(rule), dt=dt, times=[t]).final.first[-len(places) :]


def _turns(loop, places):
    """How often a closed polygon (n, 2) goes round places (k, 2), and the largest angle of one side."""
    d = np.append(loop, loop[:1], axis=0)[:, None] - places
    cross = d[:-1, :, 0] * d[1:, :, 1] - d[:-1, :, 1] * d[1:, :, 0]
    angles = np.arctan2(cross, np.sum(d[:-1] * d[1:], axis=2))
    return angles.sum(axis=0) / (2.0 * math.pi), float(np.abs(angles).max())


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3])
def test_labels_go_round_every_place_of_the_box(depth):
    """Onto by degree: the image at t = 100 of the circle |u| = 10 goes round each place of [-2, 2]^2 just once, so that
    each is some w_1(t, u). No side of the polygon is seen under an angle near pi. A circle outside goes round none."""
    z = np.stack([g.ravel() for g in np.meshgrid(*[np.linspace(-2.0, 2.0, 9)] * 2)], axis=1)
    angle = 2.0 * math.pi * np.arange(400) / 400
    circle = 10.0 * np.column_stack([np.cos(angle), np.sin(angle)])
    turns, largest = _turns(_labels_at(depth, circle, 100.0), z)
    assert turns == pytest.approx(np.ones(81), abs=1e-9)
    assert largest < 1.0
    assert _turns(0.1 * circle + [5.0, 0.0], z)[0] == pytest.approx(np.zeros(81), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3])
def test_the_flow_of_labels_folds(depth):
    """u -> w_1(t, u) is onto but no homeomorphism: det D_u w_1, 1 at t = 0, is below 0 at some labels at t = 100, alike
    at half the step of time; positive at all of them at t = 10."""
    h, side = 1e-5, np.linspace(-4.0, 4.0, 21)
    u = np.stack([g.ravel() for g in np.meshgrid(side, side)], axis=1)
    places = np.concatenate([u + shift for shift in h * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])])

    def least(t, dt=0.25):
        a, b, c = np.split(_labels_at(depth, places, t, dt), 3)
        return float(np.linalg.det(np.stack([b - a, c - a], axis=1) / h).min())

    assert least(10.0) > 0.0
    assert least(100.0) < -5e-3
    assert least(100.0, 0.125) == pytest.approx(least(100.0), rel=1e-3)


def _statuses(flow):
    return [h.status for h in hypotheses(flow)]


def test_hypotheses_are_told_of_each_start():
    """Full support holds; a box, two labels, four independent layers fail; a loss without convexity needs y = y(x)."""
    assert _statuses(deep_problem("sine_full_support").flow)[:4] == [HOLDS] * 4
    assert _statuses(deep_problem("sine_staircase").flow)[0] == HOLDS
    for name in ("sine_independent", "sine_collapse", "sine_latent", "plane_one_axis"):
        assert _statuses(deep_problem(name).flow)[0] == FAILS
    start = deep_problem("sine_full_support").flow.start
    double = Data([[0.0, 1.0], [0.0, 1.0]], [1.0, -1.0])
    assert _statuses(deep.DeepFlow(double, start, 1.0, TanhSquare()))[3] == FAILS
    assert _statuses(deep.DeepFlow(double, start, 1.0))[3] == HOLDS
    lines = Independent([Normal()] * 2, [Normal()], Normal(), [activation("quadratic"), activation("relu")])
    found = _statuses(deep.DeepFlow(double, lines, 1.0))
    assert found[1:3] == [FAILS, FAILS]
    for name, status in (("gelu", FAILS), ("cos_minus_sin", FAILS), ("linear", HOLDS), ("elu", HOLDS)):
        later = Independent([Normal()] * 2, [Normal()], Normal(), [activation("tanh"), activation(name)])
        assert _statuses(deep.DeepFlow(double, later, 1.0))[2] == status
    plain, tanh = Data([[0.0], [1.0]], [1.0, -1.0]), activation("tanh")
    for bias, status in ((Normal(), HOLDS), (Point(1.0), "not tested"), (None, "not tested")):
        begun = Independent([Normal()], [], Normal(), tanh, biases=[bias])
        assert _statuses(deep.DeepFlow(plain, begun, 1.0))[1] == status
    with pytest.raises(ValueError, match="collapse from 4 on"):
        deep_problem("sine_full_support", depth=4)


def test_words_of_verdicts():
    """Consistent, not decided, refuted where hypotheses hold; silent where one fails."""
    flow, box = deep_problem("sine_full_support").flow, deep_problem("sine_independent").flow
    assert verdict(flow, 1e-5, 1e-3, tolerance=5e-4).startswith("consistent: F - inf F = 1e-05")
    assert verdict(flow, 1e-2, 1e-3, tolerance=5e-4).startswith("not decided")
    assert verdict(flow, 1e-2, 1e-12, tolerance=5e-4).startswith("refuted at this resolution")
    assert verdict(box, 1e-5, 1e-3, tolerance=5e-4).startswith("theorem silent (the start is diverse enough")
    # a frozen layer rests at any F; of relu it is not known whether the theorem speaks
    frozen = deep.DeepFlow(flow.data, flow.start, 1.0, rates=(1.0, 1.0, 0.0))
    assert verdict(frozen, 1e-2, 0.0, tolerance=5e-4).startswith("theorem silent (all layers are trained: fails")
    fading = deep.DeepFlow(flow.data, flow.start, 1.0, rates=(1.0, 1.0, lambda t: math.exp(-t)))
    assert verdict(fading, 1e-2, 0.0, tolerance=5e-4).startswith("theorem silent (all layers are trained: not tested")
    relu = Independent([Normal()] * 2, [Normal()], Normal(), [TANH, activation("relu")])
    words = verdict(deep.DeepFlow(flow.data, relu, 1.0), 1e-2, 0.0, tolerance=5e-4)
    assert words.startswith("theorem silent (derivatives beyond the first layer")
    with pytest.raises(ValueError, match="verdict"):
        verdict(flow, math.nan, 0.0, tolerance=5e-4)


def test_rest_is_of_all_layers():
    """Middle weights of mean 0: H_2 = 0, so that w_3 rests and w_1 too, while d_t w_2 = E[l' w_3 phi_1] does not."""
    start = Independent([Normal(0.0, 2.0)] * 2, [Normal()], Normal(), TANH)
    run = deep.solve(deep.DeepFlow(sine_data(), start, 0.1), GradientFlow(Tensor((4, 4))), dt=0.1)
    assert last_speeds(run)[0] < 1e-14
    assert greatest_speeds(run)[0] > 0.05


def test_a_row_of_mass_zero_has_no_say():
    """Two targets of one input, one of mass 0: y is a function of x."""
    data = Data([[0.0, 1.0], [0.0, 1.0]], [1.0, -1.0], [1.0, 0.0])
    assert _statuses(deep.DeepFlow(data, deep_problem("sine_full_support").flow.start, 1.0, TanhSquare()))[3] == HOLDS


def test_a_target_of_ones_own():
    """The prediction of a network is in the span of its last features, at the norm of its own readout."""
    net = deep_problem("sine_latent").flow.network(Sampled(6, 2))
    x = line_monitor(32).inputs
    own = Target("own", lambda x: net.predict(x))
    monitor = Monitor(x, np.full(32, 1.0 / 32.0), (own,), -np.ones(2), np.ones(2))
    span, size = monitor.spans(net)[1], math.sqrt(np.mean(net.predict(x) ** 2))
    norm = math.sqrt(net.masses[-1] @ net.last**2) / size
    assert span.distance(monitor.table, norm * (1.0 + 1e-9))[0] < 1e-6
    assert span.distance(monitor.table, 1e-3 * norm)[0] > 0.9


def _entries(**changes):
    """Records of every cell as the claims want them, some changed."""
    found = []
    for cell in study.cells(False):
        times = list(study.case(cell["start"], cell["depth"]).times)
        above = 1.0 / 16.0 if cell["start"] == study.AXIS else 1e-4
        energies = [above + 0.04 * math.exp(-t / 20.0) for t in times]
        if cell["start"] == study.INDEPENDENT:
            energies = [0.1 if t < 150.0 else 0.05 - 1e-6 * t if t < 400.0 else 1.0 / t for t in times]
        record = {
            "times": times, "energies": energies, "words": "consistent", "bound": 1.0 / 16.0, "nearer": 0.0,
            "listens": 0.0, "holes": [2.5] * len(times), "first median": [0.2] * len(times),
            "last median": [0.5] * len(times),
        }  # fmt: skip
        record |= changes.get(cell["start"].replace(" ", "_").replace(",", ""), {})
        found.append(Entry(cell, record))
    return found


BOX_TIMES, LONG_TIMES = study.TIMES, study.case("independent", 4).times


def _ending(times, last):
    """Energies that fall and end there: early above it, flat to 1e-9 from 150 on."""
    return [last + (0.1 if t < 150.0 else 0.0) + 1e-12 * (2000.0 - t) for t in times]


@pytest.mark.parametrize(
    ("start", "change", "claim"),
    [
        ("plane_one_coordinate", {"listens": 1e-9}, "largest w_1 on the other"),
        ("plane_one_coordinate", {"bound": 0.07}, "least F less its bound"),
        ("plane_one_coordinate", {"bound": 0.05}, "F(300) less its bound"),
        ("plane_one_coordinate", {"nearer": -0.01}, "distances less shares"),
        ("plane_one_coordinate", {"holes": [2.0, 1.9]}, "least hole"),
        ("plane_both_coordinates", {"bound": 1e-3}, "bound of one coordinate over F(300)"),
        ("full_support", {"holes": [0.5, 1.1]}, "largest hole of w_1 over"),
        ("full_support", {"first median": [0.2, 0.31]}, "median distance to first features"),
        ("full_support", {"words": "refuted at this resolution"}, "runs at rest above inf F"),
        ("box", {"energies": _ending(BOX_TIMES, 6e-4)}, "F(300)"),
        ("full_support", {"energies": _ending(BOX_TIMES, 2e-3)}, "F(300)"),
        ("box", {"energies": [0.1, 0.2, *_ending(BOX_TIMES, 1e-4)[2:]]}, "largest rise of F"),
        ("independent", {"energies": _ending(LONG_TIMES, 0.05)}, "F(1500)/F(300)"),
        ("independent", {"energies": [0.09 - 3e-5 * t if t < 600.0 else 1e-3 for t in LONG_TIMES]}, "F(200)/F(300)"),
        ("staircase", {"energies": _ending(study.case("staircase", 4).times, 0.048)}, "over F(300) of independent"),
    ],
)
def test_claims_of_the_study_can_fail(start, change, claim):
    """Records as they should be pass; each one that is changed fails the claim it belongs to, and no other."""
    assert all(c.holds for c in study.claims(_entries()))
    failed = [c.claim for c in study.claims(_entries(**{start: change})) if not c.holds]
    assert failed
    assert all(claim in one for one in failed)


@pytest.mark.slow
def test_the_study_draws(tmp_path):
    """From records alone; a quick study takes cells of the full one."""
    assert all(cell in study.cells(False) for cell in study.cells(True))
    path = study.draw(_entries(), tmp_path / "convergence.png")
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_quick_study_holds(tmp_path):
    """Five long runs: cells, claims and a picture."""
    rows, paths = write_study(STUDIES["convergence"], tmp_path, quick=True, workers=2)
    assert all(row.holds for row in rows), [row.certificate for row in rows if not row.holds]
    assert paths[-1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("check", [c for c in CONVERGING if not c.slow], ids=lambda c: c.name)
def test_quick_rows_hold(check):
    """The control and the monitor at small sizes."""
    assert [c for c in check.measure(True) if not c.holds] == []
