"""The hypothesis report: which theorem speaks of a flow, each row against an exact answer, and starts that fail."""

import inspect
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from solvers.conic import ConicParticles
from solvers.finite_volume import ConicMuscl
from solvers.particles import GradientFlow, Quantised, Sampled
from solvers.spectral import Fourier
from wflow import (
    Atoms,
    Charged,
    Constant,
    Data,
    Energy,
    Flow,
    FourierDensity,
    Gaussian,
    Law,
    Particles,
    Refused,
    RidgeNeuron,
    Risk,
    Uniform,
    activation,
    circle,
    population_risk,
    problems,
    solve,
)
from wflow.activation import ONE_PARAMETER, PARAMETERLESS, Activation
from wflow.bump import BumpNeuron
from wflow.domain import Box, box, cylinder
from wflow.hypotheses import Hypothesis, Report, antecedent, report, saved_times, setting_of
from wflow.hypotheses.antecedent import doublings
from wflow.hypotheses.densities import where_empty
from wflow.hypotheses.null import in_words, null_of, span_row
from wflow.hypotheses.regularity import decay
from wflow.hypotheses.support import sheet
from wflow.kernel import circle_kernel, sawtooth_kernel
from wflow.loss import Logistic
from wflow.neuron import Neuron, TranslationNeuron
from wflow.problems import NAMES, Problem, build, parameters_of
from wflow.signed_density import SignedDensity
from wflow.solver import Solver
from wflow.spectrum import null_modes
from wflow.sphere_kernel import sphere_kernel
from wflow.sphere_spectrum import null_degrees
from wflow.steps import Steps
from wflow.terms import Potential

RNG = np.random.default_rng(0)
ROWS = Data(np.array([[-1.0, 0.3], [0.5, -0.7], [1.0, 0.8]]), np.array([1.0, -1.0, 0.3]))
LABELS = Data(np.array([[-1.0], [0.5], [1.0]]), np.array([1.0, -1.0, -1.0]))


def posed(neuron: Neuron, start: Law | None = None, data: Data = ROWS, horizon: float = 1.0, **loss: Any) -> Problem:
    """A flow on a few rows."""
    domain = neuron.domain
    law = start or (Uniform(domain) if domain.bounded else Gaussian(dim=domain.dim))
    return Problem(Flow(Energy(Risk(neuron, data, **loss)), domain, law, horizon), "a test", "rows", name="a test")


def reported(problem: Problem, solver: Solver, **steps: Any) -> Report:
    return report(problem, solve(problem.flow, solver, times=saved_times(problem.flow.horizon), **steps))


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


def row(found: Report, topic: str) -> Hypothesis:
    return next(one for one in found.rows if one.topic == topic)


# Which theorem


def ridge(name: str, b: float | None = None, inputs: int = 2, **given: bool) -> RidgeNeuron:
    return RidgeNeuron(activation(name, b), inputs=inputs, **given)


@pytest.mark.parametrize(
    ("neuron", "kind"),
    [
        (ridge("relu", outer=True), "2-homogeneous"),
        (ridge("leaky_relu", outer=True, bias=True), "2-homogeneous"),
        (ridge("linear", outer=True), "2-homogeneous"),
        (ridge("relu_squared"), "2-homogeneous"),
        (ridge("quadratic"), "2-homogeneous"),
        (ridge("relu", 0.3, outer=True), "partially 1-homogeneous"),
        (ridge("tanh", outer=True), "partially 1-homogeneous"),
        (ridge("quadratic", outer=True), "partially 1-homogeneous"),
        (TranslationNeuron(activation("dirichlet"), inputs=2, outer=True), "partially 1-homogeneous"),
        (ridge("tanh"), "none"),
        (ridge("relu"), "none"),
        (TranslationNeuron(activation("dirichlet"), inputs=2), "none"),
        (BumpNeuron(0.3, box([-1.0, -1.0], [1.0, 1.0])), "none"),
    ],
)
def test_the_class_of_networks_on_data(neuron: Neuron, kind: str) -> None:
    """Degrees: a relu(b . x) and relu(b . x)^2 have 2, a phi(theta) has 1 in a; relu(b . x) alone has no class."""
    flow = posed(neuron, start=Atoms(neuron.domain, neuron.domain.retract(RNG.random((9, neuron.domain.dim))))).flow
    found = setting_of(flow)
    assert found.kind == kind
    expected = {"2": "Theorem 3.3", "p": "Theorem 3.5", "n": "none"}[kind[0]]
    assert found.theorem == expected


CLASSES = {
    "circle_teacher": "none", "sawtooth": "none", "linear_neuron": "none", "quadratic_neuron": "none",
    "sphere_teacher": "none", "circle_teacher_conic": "none",
    "two_layer_1d": "partially 1-homogeneous", "relu_teacher_plane": "2-homogeneous",
    "one_spike": "charges", "deconvolution_1d": "charges", "deconvolution_2d": "charges", "relu_teacher": "charges",
    "odd_target": "2-homogeneous", "axis_target": "charges", "relu_teacher_space": "2-homogeneous",
    "quenching": "2-homogeneous",
    "anisotropic_gaussians": "2-homogeneous", "isotropic_gaussians": "none", "isotropic_gaussians_limit": "none",
    "two_layer_1d_square": "partially 1-homogeneous", "two_layer_1d_waves": "partially 1-homogeneous",
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in NAMES if inspect.Parameter.empty not in parameters_of(n).values()])
def test_every_problem_has_a_report(name: str) -> None:
    """Networks have their class and every row a topic and a reason; of the others one sentence says why not."""
    problem = build(name, horizon=0.1)
    if name not in CLASSES:
        found = report(problem)
        assert found.setting.kind == "none" and not found.rows and found.sentence.startswith("theorem silent: ")
        return
    charged = problem.flow.charged
    found = reported(problem, ConicParticles(8) if charged else GradientFlow(8), dt=0.002)
    assert found.setting.kind == CLASSES[name]
    assert found.verdict == ("silent" if CLASSES[name] == "none" else found.verdict)
    assert all(one.topic and one.reason for one in found.rows) and found.rows[0].topic == "antecedent"
    assert {"degree", "loss", "psi", "Sard", "conclusion"} <= {one.topic for one in found.rows}


def test_a_run_on_cells_is_reported() -> None:
    """Sheets by their cells: uniform ones have mass in all, one of two sheets that is missing stays so."""
    found = reported(build("deconvolution_1d", horizon=0.05), ConicMuscl(32), dt=0.0005)
    assert row(found, "support +").verdict == row(found, "support -").verdict == "consistent"
    assert "dual norm" in row(found, "antecedent").reason
    found = reported(build("one_spike", horizon=0.05), ConicMuscl(32), dt=0.0005)
    assert row(found, "support -").verdict == "proved" and row(found, "support +").measured == 0.0


def test_cells_without_mass_refute_support() -> None:
    """A quarter of 32 cells is empty of positive charges."""
    problem = build("deconvolution_1d", horizon=0.05)
    run = solve(problem.flow, ConicMuscl(32), dt=0.0005, times=saved_times(0.05))
    start = run.measures[0]
    assert isinstance(start, SignedDensity)
    cut = replace(start, positive=np.where(np.arange(32) < 8, 0.0, start.positive))
    found = report(problem, replace(run, measures=(cut, *run.measures[1:])))
    assert row(found, "support +").verdict == "refuted" and row(found, "support +").measured == 0.25
    assert row(found, "support -").verdict == "consistent"


def test_the_class_does_not_depend_on_the_start() -> None:
    """Where the start is the target V vanishes, whose degree is every degree: tanh has still no 2."""
    neuron = ridge("tanh", outer=True)
    at = Particles(neuron.domain, np.eye(3))
    data = Data(ROWS.inputs, neuron.value(ROWS.inputs, at.points) @ at.weights)
    assert setting_of(posed(neuron, Atoms(neuron.domain, at.points), data).flow).kind == "partially 1-homogeneous"


def test_a_law_of_full_support_decides_where_points_are_few() -> None:
    """axis_target: sin^18 phi has mass everywhere, its 60 points none near the poles; psi is an average, and bends."""
    found = reported(build("axis_target", horizon=0.1), ConicParticles(60), dt=0.005)
    support = row(found, "support +")
    assert support.verdict == "supposed" and support.measured > support.limit and "too few" in support.reason
    assert row(found, "psi").verdict == row(found, "infinity").verdict.replace("consistent", "proved") == "proved"
    assert row(found, "infinity").verdict == "consistent"


def test_a_gap_of_the_law_that_the_points_do_not_show() -> None:
    """A gap of .3 among 12 charges .6 apart: the law decides, by its share of 720 places; without one points do."""
    law = Steps(circle(), np.array([0.0, 1.0, 1.3, 2.0 * math.pi]), np.array([0.2, 0.0, 0.8]))
    gap, even = sheet("support +", "", law, law.quantised(12)), sheet("support +", "", EVEN, EVEN.quantised(12))
    assert gap.fails and gap.measured == pytest.approx(0.3 / (2.0 * math.pi), abs=2.0 / 720)
    assert even.verdict == "consistent" and even.measured == pytest.approx(math.pi / 12.0)


def test_noise_frozen_weights_and_missing_runs() -> None:
    """A temperature is another theorem's; frozen axes move in no homogeneous direction; a network needs a run of it."""
    noisy = problems.two_layer_1d(temperature=0.1)
    assert "noise" in report(noisy).sentence
    frozen = Box((-math.inf,) * 3, (math.inf,) * 3, (False,) * 3, (True, False, False))
    flow = Flow(Energy(Risk(ridge("relu", outer=True), ROWS)), frozen, Atoms(frozen, np.eye(3)), 1.0)
    assert "frozen" in setting_of(flow).reason
    problem, other = problems.circle_teacher(), problems.circle_teacher()
    with pytest.raises(Refused, match="saved_times"):
        report(problem)
    with pytest.raises(ValueError, match="of another flow"):
        report(problem, solve(other.flow, GradientFlow(5), dt=1.0, until=1.0))


# The antecedent


def test_doublings_of_an_exact_flow() -> None:
    """sawtooth: X_t(s) - 2 pi s ~ e^(-nu t), so W2(pi_t, pi_2t) = W2(0) (e^(-nu t) - e^(-2 nu t)) exactly."""
    problem = problems.sawtooth(horizon=64.0)
    run = solve(problem.flow, GradientFlow(20), times=saved_times(64.0), dt=0.5)
    t, d = doublings(run)
    start = math.sqrt(float(np.mean((run.measures[0].points[:, 0] - 2.0 * math.pi * (np.arange(20) + 0.5) / 20) ** 2)))
    nu = 1.0 / (2.0 * math.pi)
    np.testing.assert_allclose(d, [start * (math.exp(-nu * s) - math.exp(-2.0 * nu * s)) for s in t], rtol=1e-5)
    assert t == [2.0 ** (k - 1) for k in range(7)]
    found = antecedent(run, setting_of(run.flow))
    assert found.verdict == "consistent" and found.measured == pytest.approx(max(d[-1] / d[-2], d[-2] / d[-3]))


def test_what_does_not_fall_is_not_seen_to_converge() -> None:
    """The same flow to t = 4: distances double still. At rest they are 0; with two saved times nothing is said."""
    flow = problems.sawtooth(horizon=4.0).flow
    setting = setting_of(flow)
    early = solve(flow, GradientFlow(20), times=saved_times(4.0), steps=40)
    assert antecedent(early, setting).verdict == "not reached"
    rest = problems.circle_teacher("relu", modes={3: 0.5}).flow
    still = solve(rest, Fourier(16), times=saved_times(20.0), steps=40)
    assert antecedent(still, setting).reason == "nothing moves"
    assert antecedent(solve(flow, GradientFlow(5), steps=1, times=[4.0]), setting).verdict == "supposed"


@pytest.mark.parametrize(
    ("neuron", "axes", "degree"),
    [(ridge("relu", inputs=1, outer=True), 2, 2.0), (ridge("tanh", inputs=1, outer=True), 1, 1.0)],
)
def test_the_moment_of_a_logistic_flow_grows_as_derived(neuron: RidgeNeuron, axes: int, degree: float) -> None:
    """d/dt int |w|^2 dpi (a^2 for tanh) = 2 p sum omega_i s_i/(1 + e^(s_i)), by centred differences of RK4: 1e-5."""
    points = np.random.default_rng(3).standard_normal((20, 2))
    flow = posed(neuron, Atoms(neuron.domain, points), LABELS, 0.02, loss=Logistic()).flow
    run = solve(flow, GradientFlow(20), steps=2, times=[0.01, 0.02])
    moment = [float(np.mean(np.sum(pi.points[:, :axes] ** 2, axis=1))) for pi in run.measures]
    assert flow.energy.risk is not None
    s = LABELS.targets * flow.energy.risk.predict(run.measures[1])
    grown = 2.0 * degree * float(LABELS.weights @ (s / (1.0 + np.exp(s))))
    assert (moment[2] - moment[0]) / 0.02 == pytest.approx(grown, rel=1e-3)


def test_separable_classes_refute_convergence_by_an_argument() -> None:
    """relu on separable labels: once F < min omega log 2 the moment cannot settle; before, F has no minimiser."""
    neuron = ridge("relu", inputs=1, outer=True)
    start = Atoms(neuron.domain, np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]))
    verdicts = {}
    for horizon in (2.0, 40.0):
        problem = posed(neuron, start, LABELS, horizon, loss=Logistic())
        found = reported(problem, GradientFlow(4), steps=100)
        verdicts[horizon] = row(found, "antecedent")
        assert row(found, "antecedent").limit == pytest.approx(math.log(2.0) / 3.0)
    assert verdicts[2.0].verdict == "not reached" and "no minimiser" in verdicts[2.0].reason
    assert verdicts[40.0].verdict == "not satisfied" and verdicts[40.0].measured < verdicts[40.0].limit
    assert found.verdict == "silent" and "does not converge" in found.sentence
    shifted = Flow(Energy(Risk(neuron, LABELS, Logistic()), Constant(-1.0)), neuron.domain, start, 2.0)
    early = report(
        Problem(shifted, "a test", "shifted"), solve(shifted, GradientFlow(4), times=saved_times(2.0), steps=50)
    )
    assert row(early, "antecedent").verdict == "not reached"  # of F - 1 the same is true
    ridged = Flow(Energy(Risk(neuron, LABELS, Logistic()), Potential.quadratic(0.5)), neuron.domain, start, 40.0)
    settled = report(
        Problem(ridged, "a test", "ridge"), solve(ridged, GradientFlow(4), times=saved_times(40.0), steps=100)
    )
    assert row(settled, "antecedent").verdict == "consistent"


# Supports


def deconvolved(start: Charged, horizon: float = 8.0) -> Problem:
    """Two spikes seen through a filter of degree 3."""
    base = problems.deconvolution_1d(filters=3, spikes=2, lam=0.3, seed=1, separation=1.5)
    return Problem(Flow(base.flow.energy, circle(), start, horizon), "a test", "charges", name="charges")


ARC = Steps(circle(), np.array([1.0, 1.5]), np.ones(1))
EVEN = Uniform(circle())
HERE = Atoms(circle(), np.array([[1.0]]))


@pytest.mark.parametrize(
    ("start", "failing", "radius"),
    [
        (Charged(EVEN, EVEN), (), 2.0 * math.pi / 24),
        (Charged(ARC, ARC), ("support +", "support -"), math.pi - 0.25),
        slow(Charged(HERE, HERE), ("support +", "support -"), math.pi),
        slow(Charged(EVEN, ARC), ("support -",), 2.0 * math.pi / 24),
        slow(Charged(EVEN, None), ("support -",), 2.0 * math.pi / 48),
    ],
)
def test_starts_that_fail_and_one_that_holds(start: Charged, failing: tuple[str, ...], radius: float) -> None:
    """Spread charges of both signs: hold. An arc, a point, one sign: fail by that sheet; convergence is seen in all."""
    found = reported(deconvolved(start), ConicParticles(24))
    assert row(found, "antecedent").verdict == "consistent"
    assert found.failing == failing
    assert found.verdict == ("fail" if failing else "hold")
    assert row(found, "support +").measured == pytest.approx(radius, abs=0.06)
    assert "hypotheses " + ("fail: " + ", ".join(failing) if failing else "hold") in found.sentence


@pytest.mark.parametrize(
    ("edges", "masses", "share", "where"),
    [
        ([0.0, 2.0, 4.0, 2.0 * math.pi], [0.5, 0.0, 0.5], 2.0, "between 2 and 4"),
        ([1.0, 2.0], [1.0], 2.0 * math.pi - 1.0, "between 2 and 1"),
        ([0.0, 2.0 * math.pi], [1.0], 0.0, "least density 0.16"),
    ],
)
def test_where_a_density_vanishes(edges: list[float], masses: list[float], share: float, where: str) -> None:
    """Told beside of neurons on the circle: the share that is empty to 2/720, and the widest gap."""
    kernel = circle_kernel(activation("cos_minus_sin"), "circle")
    start = Steps(circle(), np.array(edges), np.array(masses))
    flow = Flow(Energy(*population_risk(kernel, EVEN)), circle(), start, 0.1)
    found = row(reported(Problem(flow, "a test", "a gap"), GradientFlow(8), steps=8), "support")
    assert found.measured == pytest.approx(share / (2.0 * math.pi), abs=2.0 / 720)
    assert where in found.reason and found.fails == (share > 0.0) and not found.needed


@pytest.mark.parametrize(
    ("start", "failing"),
    [
        ("spread", ("psi",)),
        ("clumped", ("support a > 0", "support a < 0", "psi")),
        ("positive", ("support a < 0", "psi")),
    ],
)
def test_relu_in_the_plane_fails_by_its_derivative_at_least(start: str, failing: tuple[str, ...]) -> None:
    """Balanced starts are read on their sheets; as printed the support is told beside."""
    problem = build("relu_teacher_plane", start=start, horizon=1.0)
    found = reported(problem, GradientFlow(40), steps=10)
    assert found.failing == failing and found.verdict == "fail"
    assert not row(found, "support").needed and row(found, "support").verdict == "not satisfied"


def test_directions_of_starts_that_are_not_balanced() -> None:
    """Points on S^2 by their largest cap; N(0, I) has full support and no bound; three points leave half a space."""
    neuron = ridge("relu", outer=True)
    fibonacci = np.random.default_rng(0).standard_normal((300, 3))
    verdicts = {}
    for name, law in {
        "many": Atoms(neuron.domain, fibonacci), "few": Atoms(neuron.domain, fibonacci[:3]), "normal": Gaussian(dim=3),
    }.items():  # fmt: skip
        found = reported(
            posed(neuron, law, horizon=0.1), GradientFlow(50, Sampled(0) if name == "normal" else Quantised()), steps=8
        )
        verdicts[name] = row(found, "support").verdict, row(found, "bounded start").verdict
    assert verdicts == {
        "many": ("consistent", "proved"), "few": ("refuted", "proved"), "normal": ("proved", "not satisfied"),
    }  # fmt: skip


def test_only_outer_weights_have_sheets() -> None:
    """(b . x)^2 from (+-1, +-1): |w_1| = |w_2| is no balance there; four directions, caps of pi/4, limit pi/2."""
    neuron = ridge("quadratic")
    start = Atoms(neuron.domain, np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]))
    found = row(reported(posed(neuron, start, horizon=0.1), GradientFlow(4), steps=8), "support")
    assert found.needed and found.measured == pytest.approx(math.pi / 4.0) and found.limit == math.pi / 2.0


@pytest.mark.parametrize(("height", "verdict"), [(2.0 * math.pi, "consistent"), slow(3.0, "refuted")])
def test_a_partially_homogeneous_network_on_the_cylinder(height: float, verdict: str) -> None:
    """a D(x - t), |a| <= 1: holds where every angle is met, in the words of Theorem 3.5."""
    neuron = TranslationNeuron(activation("dirichlet", 2), outer=True)
    a, t = np.meshgrid([-1.0, 1.0], height * (np.arange(10) + 0.5) / 10)
    x = 2.0 * math.pi * np.arange(5)[:, None] / 5
    data = Data(x, np.cos(x[:, 0]))
    start = Atoms(cylinder(), np.column_stack([a.ravel(), t.ravel()]))
    found = reported(posed(neuron, start, data, horizon=16.0), GradientFlow(20), steps=200)
    assert found.setting.theorem == "Theorem 3.5"
    assert row(found, "support").verdict == verdict
    assert row(found, "bounded").verdict == row(found, "infinity").verdict == "proved"
    assert found.verdict == ("hold" if verdict == "consistent" else "fail")


@pytest.mark.parametrize(
    ("name", "bounded", "infinity"),
    [
        ("tanh", "proved", "proved"),
        ("cos_minus_sin", "proved", "not satisfied"),
        ("gelu", "not satisfied", "not satisfied"),
    ],
)
def test_boundedness_of_partially_homogeneous_networks(name: str, bounded: str, infinity: str) -> None:
    """tanh: bounded with limits; waves: bounded without; gelu grows. A ridge is not |a| times a function: refuted."""
    found = reported(build("two_layer_1d", activation=name, ridge=0.1, horizon=0.1), GradientFlow(10), steps=8)
    assert row(found, "bounded").verdict == bounded and row(found, "infinity").verdict == infinity
    assert row(found, "degree").verdict == "refuted"


# What is not seen, and regularity


def activations() -> list[Activation]:
    return [activation(name) for name in (*PARAMETERLESS, *ONE_PARAMETER)] + [activation("relu", -0.3)]


@pytest.mark.parametrize("sigma", activations(), ids=str)
def test_null_modes_of_kernels_are_those_of_parity(sigma: Activation) -> None:
    """From coefficients alone the modes that the parity of sigma proves null, and no other; circle and sphere."""
    kernels = [(circle_kernel(sigma, "circle"), null_modes(sigma, "circle"))]
    if not sigma.kinks or (sigma.name in ("relu", "leaky_relu") and not sigma.parameter):
        kernels.append((sphere_kernel(sigma, "sphere"), null_degrees(sigma, "sphere")))
    for kernel, known in kernels:
        found = null_of(kernel)
        seen = int(np.flatnonzero(np.asarray(kernel.coefficients(36)) > 1e-20 * max(kernel.coefficients(36))).max())
        expected = tuple(n for n in range(1, 25) if (n in known or n in known.unseen) and (n < seen or seen < 4))
        assert tuple(n for n in found if n < seen or seen < 4) == expected


def test_null_modes_in_words() -> None:
    """relu: odd n >= 3 on the circle and on the sphere (mu_n = 0 in closed form); cos - sin: none."""
    for of, inputs in ((circle_kernel, "circle"), (sphere_kernel, "sphere")):
        assert in_words(null_of(of(activation("relu"), inputs))) == "odd n >= 3"  # type: ignore[arg-type]
        assert in_words(null_of(of(activation("tanh"), inputs))).startswith("even n >= 2")  # type: ignore[arg-type]
        assert null_of(of(activation("cos_minus_sin"), inputs)) == ()  # type: ignore[arg-type]
        assert in_words(null_of(of(activation("linear"), inputs))) == "all n >= 2"  # type: ignore[arg-type]
    assert in_words(()) == "none up to 24"


def test_what_a_start_has_in_null_modes() -> None:
    """h_3 = 1/2 is c_3 = 1/4 and all of it null; of h_1 = 1/2, h_3 = .3 the .15 of mode 3."""
    for modes, hidden in (({3: 0.5}, 0.25), ({1: 0.5, 3: 0.3}, 0.15)):
        found = reported(build("circle_teacher", activation="relu", modes=modes, horizon=0.1), Fourier(16), steps=8)
        assert row(found, "null modes").measured == pytest.approx(hidden, abs=1e-12)
        assert "circle theorem" in row(found, "null modes").reason


def test_a_target_in_a_null_mode_leaves_min_f_at_zero() -> None:
    """relu, target (1 + .4 cos 3 t)/2 pi: uniform has F = 0, c_3 = .2 apart. On S^2 h_3 = .3 is int P_3 = .3/7."""
    target = FourierDensity.cosines({3: 0.4})
    flow = Flow(Energy(*population_risk(circle_kernel(activation("relu"), "circle"), target)), circle(), EVEN, 0.1)
    found = reported(Problem(flow, "a test", "a target in a null mode"), GradientFlow(24), steps=8)
    assert row(found, "null modes").measured == pytest.approx(0.2, abs=1e-12)
    assert flow.energy.value(FourierDensity.cosines({})) == pytest.approx(0.0, abs=1e-16)
    sphere = reported(
        build("sphere_teacher", activation="relu", modes={3: 0.3}, horizon=0.1), GradientFlow(24), steps=8
    )
    assert row(sphere, "null modes").measured == pytest.approx(0.3 / 7.0, abs=1e-12)


def test_the_conclusion_is_a_share_of_what_could_be_gained() -> None:
    """min F = 0 is known: F(T)/F(0) to the digit."""
    problem = build("circle_teacher", horizon=4.0)
    run = solve(problem.flow, GradientFlow(24), times=saved_times(4.0), steps=32)
    found = row(report(problem, run), "conclusion")
    assert found.measured == run.energies[-1] / run.energies[0] and found.verdict == "not reached"


def test_what_data_have_beyond_the_features_stays_in_f() -> None:
    """y = cos 3 phi at 8 equispaced angles is odd under x -> -x and no a . x: relu reaches none of it, F >= E y^2/2."""
    phi = 2.0 * math.pi * np.arange(8) / 8
    data = Data(np.stack([np.cos(phi), np.sin(phi)], axis=1), np.cos(3.0 * phi))
    for name, share in (("relu", 1.0), ("tanh", 0.0)):
        problem = posed(ridge(name, outer=True), Atoms(ridge(name, outer=True).domain, np.eye(3)), data)
        found = span_row(solve(problem.flow, GradientFlow(3), steps=1))
        assert found is not None and found.measured == pytest.approx(share, abs=1e-9)
        assert found.verdict == ("not reached" if share else "consistent")


AFFINE = ridge("relu", outer=True, bias=True)


def rough(sigma: Activation, e: float) -> float:
    """E |dpsi(t + e) - dpsi(t)|^2 over x on the unit circle, by 2^16 angles."""
    phi = 2.0 * math.pi * (np.arange(1 << 16) + 0.5) / (1 << 16)
    slopes = [sigma.slope(np.cos(phi - t)) * np.sin(phi - t) for t in (0.0, e)]
    return float(np.mean((slopes[1] - slopes[0]) ** 2))


@pytest.mark.parametrize(("name", "p", "holder"), [("relu", 4.0, 0.5), ("leaky_relu", 4.0, 0.5), ("elu", 6.0, 1.0)])
def test_the_decay_of_coefficients_is_the_hoelder_exponent(name: str, p: float, holder: float) -> None:
    """a_n ~ n^-p and |dpsi - dpsi'| ~ e^min(1, (p - 3)/2), the latter by quadrature over x."""
    assert decay(circle_kernel(activation(name), "circle")) == pytest.approx(p, abs=0.05)
    measured = 0.5 * math.log2(rough(activation(name), 0.02) / rough(activation(name), 0.01))
    assert measured == pytest.approx(holder, abs=0.02)


@pytest.mark.slow
def test_decays_of_other_kernels() -> None:
    """relu on the sphere 4, the sawtooth 2; finite sums end; relu squared 6, of which one parity is null."""
    assert decay(sphere_kernel(activation("relu"), "sphere")) == pytest.approx(4.0, abs=0.05)
    assert decay(sawtooth_kernel()) == pytest.approx(2.0, abs=1e-9)
    for smooth in (activation("cos_minus_sin"), activation("softplus", 5.0)):
        assert decay(circle_kernel(smooth, "gaussian")) == math.inf
    assert decay(circle_kernel(activation("relu_squared"), "gaussian")) == pytest.approx(6.0, abs=0.05)
    for threshold, inputs in ((0.3, "gaussian"), (-0.7, "circle")):  # the latter oscillates
        assert decay(circle_kernel(activation("relu", threshold), inputs)) == pytest.approx(4.0, abs=0.15)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("problem", "psi", "v", "sard"),
    [
        (problems.relu_teacher_plane(horizon=0.1), "not satisfied", "proved", "proved"),
        (problems.relu_teacher(horizon=0.1), "not satisfied", "proved", "proved"),
        (problems.circle_teacher("tanh", horizon=0.1), "proved", "proved", "proved"),
        (problems.circle_teacher("relu", b=0.3, horizon=0.1), "not satisfied", "proved", "proved"),
        (problems.sawtooth(horizon=0.1), "not satisfied", "not satisfied", "supposed"),
        (problems.two_layer_1d("relu", horizon=0.1), "not satisfied", "not satisfied", "proved"),
        (problems.two_layer_1d("elu", horizon=0.1), "proved", "proved", "proved"),
        (posed(AFFINE, Atoms(AFFINE.domain, np.eye(4))), "not satisfied", "not satisfied", "proved"),
        (posed(ridge("relu_squared"), Atoms(ridge("relu_squared").domain, np.eye(2))), "proved", "proved", "proved"),
    ],
)  # fmt: skip
def test_regularity_of_activation_and_law_together(problem: Problem, psi: str, v: str, sard: str) -> None:
    """relu with a density of x: dpsi Hoelder 1/2, V C^(2,1); on rows both jump; elu and relu^2: Lipschitz."""
    found = reported(problem, ConicParticles(8) if problem.flow.charged else GradientFlow(8), steps=8)
    assert [row(found, topic).verdict for topic in ("psi", "V", "Sard")] == [psi, v, sard]


def test_where_a_density_vanishes_on_the_sphere_and_in_the_plane() -> None:
    """All with w_3 > 1/2: a cap of pi/3 about the pole. In the plane one such place is named."""
    j = np.arange(2000)
    z, angle = 1.0 - (2.0 * j + 1.0) / 2000, 2.4 * j
    places = np.stack([np.sqrt(1.0 - z * z) * np.cos(angle), np.sqrt(1.0 - z * z) * np.sin(angle), z], axis=1)
    said = where_empty(places, z > 0.5)
    assert said.startswith("within 1 of (") and said.endswith(", 1)")
    assert where_empty(np.eye(2), np.array([False, True])) == "about (0, 1) and elsewhere"
