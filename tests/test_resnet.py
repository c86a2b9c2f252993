"""Deep mean-field residual networks: adjoint, energy identity, JKO steps, and the two errors of finite nets.

z_{l+1} = z_l + (1/L) sum_j p_j u_lj sigma(v_lj.z_l + c_lj)      dF/dw_lj = (p_j/L) grad V_l(w_lj)
dF/dt = -int |grad V|^2 dpi - xi |dF/d(g, b)|^2
|z_L - z(1)|^2 ~ |E|^2/L^2 + tr P_layerwise/(m L), or tr P_tied/m with the same draws in all layers
"""

import math
from itertools import permutations

import numpy as np
import pytest
from scipy.special import erf

from solvers.deep.residual import GradientDescent, GradientFlow, Jko, optimal_partners
from wflow import Data, activation
from wflow.deep import residual
from wflow.deep.residual.net import changed
from wflow.deep.residual.problems import INPUTS, moons, turning_law, two_moons
from wflow.errors import EnergyRose, NotConverged, Refused
from wflow.loss import HalfSquare, Huber, Logistic

TANH, ERF = activation("tanh"), activation("erf")
LOSSES = {"half_square": HalfSquare(), "huber": Huber(0.5), "logistic": Logistic()}


def net_of(depth=3, width=4, dim=2, seed=0, sigma=TANH, equal=False):
    """Random weights, and masses unless equal."""
    rng = np.random.default_rng(seed)
    p = np.full(width, 1.0 / width) if equal else rng.uniform(0.5, 1.5, width)
    atoms = rng.standard_normal((depth, width, 2 * dim + 1))
    return residual.ResidualNet(atoms, rng.standard_normal(dim), sigma, 0.3, p / p.sum())


def data_of(rows=6, dim=2, seed=1):
    """Random inputs, labels, weights."""
    rng = np.random.default_rng(seed)
    q = rng.uniform(0.5, 1.5, rows)
    return Data(rng.standard_normal((rows, dim)), np.where(rng.random(rows) < 0.5, -1.0, 1.0), q / q.sum())


def test_forward_by_hand():
    """D = 1, two layers of one neuron: z_1 = x + u tanh(v x + c)/2, and so on."""
    w = np.array([[[0.7, 1.1, -0.2]], [[-0.4, 0.5, 0.9]]])
    net, x = residual.ResidualNet(w, np.array([2.0]), TANH, 0.1), 0.8
    first = x + 0.5 * 0.7 * math.tanh(1.1 * x - 0.2)
    second = first - 0.5 * 0.4 * math.tanh(0.5 * first + 0.9)
    assert net.predict(np.array([[x]]))[0] == pytest.approx(2.0 * second + 0.1, rel=1e-14)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("loss", list(LOSSES))
def test_adjoint_is_the_derivative_of_the_finite_net(dim, loss):
    """Every entry of (p_j/L) grad V_l, and of the readout, against central differences: error h^2 = 1e-10 of F'''."""
    net, data, ridge, h = net_of(dim=dim, seed=dim), data_of(dim=dim), 0.2, 1e-5
    found = residual.gradient(net, data, LOSSES[loss], ridge)

    def value(atoms=net.atoms, readout=net.readout, offset=net.offset):
        return residual.risk(changed(net, atoms, readout, offset), data, LOSSES[loss], ridge)

    assert found.value == pytest.approx(value(), rel=1e-14)
    for l, j, k in np.ndindex(net.atoms.shape):  # noqa: E741
        kick = np.zeros_like(net.atoms)
        kick[l, j, k] = h
        raw = (value(net.atoms + kick) - value(net.atoms - kick)) / (2.0 * h)
        assert net.masses[j] / net.depth * found.atoms[l, j, k] == pytest.approx(raw, abs=1e-8)
    for k, kick in enumerate(h * np.eye(dim)):
        raw = (value(readout=net.readout + kick) - value(readout=net.readout - kick)) / (2.0 * h)
        assert found.readout[k] == pytest.approx(raw, abs=1e-8)
    raw = (value(offset=net.offset + h) - value(offset=net.offset - h)) / (2.0 * h)
    assert found.offset == pytest.approx(raw, abs=1e-8)


def test_first_variation_is_that_of_a_measure():
    """d/de F((1 - e) pi_l + e delta_w in one layer) = (1/L)(V_l(w) - int V_l dpi_l), by masses that leak to w."""
    net, data, loss, layer, h = net_of(width=4), data_of(), HalfSquare(), 1, 1e-5
    w = np.random.default_rng(9).standard_normal((1, 5))
    found = residual.potentials(net, data, loss, w, 0.3)[layer, 0]
    own = residual.potentials(net, data, loss, net.atoms[layer], 0.3)[layer] @ net.masses

    def leaked(e):
        """Rescaled u stand for masses that only one layer has; the ridge is added by hand."""
        atoms = np.concatenate([net.atoms, np.tile(w, (net.depth, 1, 1))], axis=1)
        p = np.append(net.masses, 0.5)
        p = p / p.sum()
        atoms[:, :-1, :2] *= (net.masses / p[:-1])[:, None]
        atoms[:, -1, :2] = 0.0
        atoms[layer, :-1, :2] *= 1.0 - e
        atoms[layer, -1, :2] = e / p[-1] * w[0, :2]
        fit = residual.risk(residual.ResidualNet(atoms, net.readout, TANH, 0.3, p), data, loss)
        ridge = [net.masses @ np.sum(layer_of**2, axis=1) for layer_of in net.atoms]
        ridge[layer] = (1.0 - e) * ridge[layer] + e * np.sum(w**2)
        return fit + 0.15 * float(np.mean(ridge))

    slope = (leaked(h) - leaked(-h)) / (2.0 * h)
    assert slope == pytest.approx((found - own) / net.depth, abs=1e-8)
    velocity = residual.gradient(net, data, loss, 0.3).atoms[layer, 2]
    kicks = net.atoms[layer, 2] + h * np.vstack([np.eye(5), -np.eye(5)])
    ends = residual.potentials(net, data, loss, kicks, 0.3)[layer]
    assert (ends[:5] - ends[5:]) / (2.0 * h) == pytest.approx(velocity, abs=1e-8)


@pytest.mark.parametrize("rate", [0.0, 0.7])
def test_energy_identity_and_orders(rate):
    """F_0 - F = dissipated and the atoms themselves to order 4 by Runge-Kutta; descent is of order 1."""
    flow = residual.ResidualFlow(data_of(), net_of(), 1.0, ridge=0.1, rate=rate)
    gaps, ends = [], []
    for steps in (8, 16, 32):
        run = residual.solve(flow, GradientFlow(), steps=steps)
        gaps.append(abs(run.energies[0] - run.energies[-1] - run.dissipated[-1]))
        ends.append(run.final.atoms)
    assert gaps[-1] < 1e-7 * run.energies[0]
    assert math.log2(gaps[0] / gaps[1]) > 3.7
    assert np.log2(np.linalg.norm(ends[0] - ends[1]) / np.linalg.norm(ends[1] - ends[2])) > 3.7
    off = [np.linalg.norm(residual.solve(flow, GradientDescent(), steps=n).final.atoms - ends[-1]) for n in (64, 128)]
    assert np.log2(off[0] / off[1]) == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
def test_jko_is_of_first_order():
    """Equal masses: against a fine flow, halving the step halves the distance."""
    flow = residual.ResidualFlow(data_of(), net_of(equal=True), 1.0, ridge=0.1, rate=0.5)
    exact = residual.solve(flow, GradientFlow(), steps=64).final.atoms
    off = [np.linalg.norm(residual.solve(flow, Jko(), steps=n).final.atoms - exact) for n in (8, 16, 32)]
    assert math.log2(off[1] / off[2]) == pytest.approx(1.0, abs=0.1)


def test_jko_step_solves_its_equations():
    """w - w_k = -dt grad V(w), the readout with its rate; F + COT^2/(2 dt) <= F_k; layers keep their atoms."""
    flow = residual.ResidualFlow(data_of(), net_of(equal=True), 1.0, ridge=0.1, rate=0.5)
    run = residual.solve(flow, Jko(), steps=2)
    for before, after in zip(run.networks, run.networks[1:], strict=False):
        found = flow.gradient(after)
        assert np.abs(after.atoms - before.atoms + 0.5 * found.atoms).max() < 1e-8
        assert np.abs(after.readout - before.readout + 0.25 * found.readout).max() < 1e-8
        assert after.offset - before.offset == pytest.approx(-0.25 * found.offset, abs=1e-8)
    assert np.all(np.diff(run.energies) + np.diff(run.dissipated) <= 1e-13)
    moved = np.mean(np.sum((run.networks[1].atoms - run.networks[0].atoms) ** 2, axis=2))
    readout = np.sum((run.networks[1].readout - run.networks[0].readout) ** 2)
    offset = (run.networks[1].offset - run.networks[0].offset) ** 2
    assert run.dissipated[1] == pytest.approx(moved + (readout + offset) / 0.5, rel=1e-12)  # 2 dt = 1
    assert run.residuals.max() <= 1e-10


def test_partners_are_optimal():
    """By trying all permutations of five atoms; the identity where it is one of several best."""
    rng = np.random.default_rng(4)
    before, after = rng.standard_normal((3, 5, 2)), rng.standard_normal((3, 5, 2))
    found = optimal_partners(before, after)
    for a, b, chosen in zip(before, after, found, strict=True):
        best = min(np.sum((a - b[list(s)]) ** 2) for s in permutations(range(5)))
        assert np.sum((a - b[chosen]) ** 2) == pytest.approx(best, rel=1e-12)
    twins = np.ones((1, 4, 3))
    assert optimal_partners(twins, 2.0 * twins).tolist() == [[0, 1, 2, 3]]


def test_couplings_keep_the_layer():
    """Atoms of two layers exchanged: pooled over s they are one measure, at distance 0; in COT they are not.

    COT_2^2 = mean over layers of W2^2(pi_s, rho_s), each by all permutations; pooled: min over those of all atoms.
    """
    rng = np.random.default_rng(5)
    here = rng.standard_normal((2, 3, 3))
    there = here[::-1].copy()
    partners = optimal_partners(here, there)
    moved = np.take_along_axis(there, partners[:, :, None], axis=1)
    best = [
        min(np.sum((a - b[list(s)]) ** 2) for s in permutations(range(3))) for a, b in zip(here, there, strict=True)
    ]
    assert np.sum((here - moved) ** 2) == pytest.approx(sum(best), rel=1e-12)
    assert min(best) > 0.1
    pooled = optimal_partners(here.reshape(1, 6, 3), there.reshape(1, 6, 3))
    assert np.array_equal(there.reshape(6, 3)[pooled[0]], here.reshape(6, 3))


@pytest.mark.parametrize("method", [GradientFlow(), GradientDescent(), Jko()], ids=lambda method: type(method).__name__)
def test_the_marginal_in_s_is_kept_exactly(method):
    """A layer that F does not see (u = v = c = 0: its gradient is 0) keeps its atoms bit by bit; masses stay."""
    net = net_of(equal=True)
    atoms = net.atoms.copy()
    atoms[1, :, :4] = 0.0  # sigma(c) u with u = 0; dV/du = E[P] sigma(c) is 0 with c = 0
    atoms[1, :, 4] = 0.0
    flow = residual.ResidualFlow(data_of(), changed(net, atoms, net.readout, net.offset), 2.0)
    run = residual.solve(flow, method, steps=2)
    assert np.array_equal(run.final.atoms[1], atoms[1])
    assert np.array_equal(run.final.masses, net.masses)
    assert run.final.atoms.shape == atoms.shape
    assert np.abs(run.final.atoms[0] - atoms[0]).max() > 1e-3


def test_changes_of_partners_are_summed():
    """A step adds to what the state has counted."""
    flow = residual.ResidualFlow(data_of(), net_of(equal=True), 1.0)
    found = Jko().step(flow, residual.ResidualState(0.0, flow.start, crossed=5), 0.1)
    assert found.state.crossed == 5


@pytest.mark.slow
def test_long_jko_steps_change_partners():
    """A step of length 64 leaves some atom nearer to another's start; it ends where the identity is optimal again."""
    flow = moons(2, 12, seed=3, horizon=64.0)
    run = residual.solve(flow, Jko(), dt=64.0)
    assert run.crossed[-1] > 0
    partners = optimal_partners(run.networks[0].atoms, run.final.atoms)
    assert np.array_equal(partners, np.tile(np.arange(12), (2, 1)))
    spent = np.mean(np.sum((run.final.atoms - run.networks[0].atoms) ** 2, axis=2)) / 128.0
    assert run.dissipated[-1] == pytest.approx(spent, rel=1e-12)
    assert run.energies[-1] + spent <= run.energies[0]


def test_width_is_exact():
    """Each atom twice is the same flow: doubled atoms move as one, F the same."""
    one = net_of(equal=True)
    two = residual.ResidualNet(np.repeat(one.atoms, 2, axis=1), one.readout, TANH, one.offset)
    ends = [residual.solve(residual.ResidualFlow(data_of(), n, 1.0), GradientFlow(), steps=8).final for n in (one, two)]
    assert np.abs(np.repeat(ends[0].atoms, 2, axis=1) - ends[1].atoms).max() < 1e-13


def test_depth_one_is_two_layers_beside_a_skip():
    """L = 1: g.x + (1/m) sum (g.u) sigma(v.x + c) + b."""
    net, x = net_of(depth=1, equal=True), data_of().inputs
    u, v, c = net.atoms[0, :, :2], net.atoms[0, :, 2:4], net.atoms[0, :, 4]
    shallow = np.tanh(x @ v.T + c) @ (u @ net.readout) / 4 + x @ net.readout + net.offset
    assert np.abs(net.predict(x) - shallow).max() < 1e-14


def test_field_of_a_law_in_closed_form():
    """erf: E erf(N(mu, tau^2)) = erf(mu/(1 + 2 tau^2)^(1/2)); E[u sigma] by Stein; against the tensor rule for tanh."""
    law, s, z = turning_law(), 0.3, INPUTS
    mean, a = law.mean(s), law.factor(s)
    row = np.hstack([np.zeros_like(z), z, np.ones((len(z), 1))])
    mu, wide = row @ mean, 1.0 + 2.0 * np.sum((row @ a) ** 2, axis=1)
    slope = 2.0 / math.sqrt(math.pi) / np.sqrt(wide) * np.exp(-(mu**2) / wide)
    exact = np.outer(erf(mu / np.sqrt(wide)), mean[:2]) + slope[:, None] * (row @ a @ a[:2].T)
    assert np.abs(law.field(ERF, s, z) - exact).max() < 1e-13


@pytest.mark.slow
def test_covariance_of_a_law_by_draws():
    """4e5 draws: each entry within five standard errors."""
    law, s, z = turning_law(), 0.6, INPUTS[:2]
    w = law.mean(s) + np.random.default_rng(0).standard_normal((400000, 5)) @ law.factor(s).T
    psi = w[:, None, :2] * np.tanh(np.einsum("mk,nk->mn", w[:, 2:4], z) + w[:, 4:])[..., None]
    assert np.abs(law.field(TANH, s, z) - psi.mean(axis=0)).max() < 5.0 * psi.std(axis=0).max() / 400000**0.5
    centred = psi - psi.mean(axis=0)
    outer = np.einsum("mni,mnj->mnij", centred, centred)
    gap = np.abs(law.covariance(TANH, s, z) - outer.mean(axis=0))
    assert np.all(gap < 5.0 * outer.std(axis=0) / 400000**0.5)


def test_field_without_spread():
    """A law of one point: B = psi, Cov = 0."""
    law = residual.GaussianPath(lambda s: np.array([1.0, 0.5, s]), lambda s: np.zeros((3, 1)))
    z = np.array([[0.4], [-2.0]])
    assert np.abs(law.field(TANH, 0.2, z) - np.tanh(0.5 * z + 0.2)).max() < 1e-15
    assert np.abs(law.covariance(TANH, 0.2, z)).max() < 1e-15


def test_limit_of_a_linear_field():
    """sigma = id, D = 1, w = (1 + xi, 1, 0): z' = z, z(1) = e x, E = -e x/2, P_layerwise = P_tied = e^2 x^2.

    psi = (1 + xi) z, Phi(1, s) = e^(1-s), z(s) = e^s x: int Phi z ds = e x, both squared integrals e^2 x^2.
    """
    factor = np.array([[1.0], [0.0], [0.0]])
    law = residual.GaussianPath(lambda s: np.array([1.0, 1.0, 0.0]), lambda s: factor)
    x = np.array([[0.5], [-1.5]])
    found, linear = residual.limit(law, activation("linear"), x), activation("linear")
    assert found.end == pytest.approx(math.e * x, rel=1e-10)
    assert found.euler == pytest.approx(-0.5 * math.e * x, rel=1e-8)
    assert found.layerwise == pytest.approx(math.e**2 * x[:, 0] ** 2, rel=1e-8)
    assert found.tied == pytest.approx(math.e**2 * x[:, 0] ** 2, rel=1e-8)
    net = residual.euler_state(law, linear, x, 10)
    assert net == pytest.approx(1.1**10 * x, rel=1e-13)


def test_tied_and_layerwise_differ_where_sources_turn():
    """w = (2^(1/2) (cos, sin)(pi s).xi, 0, c), D = 1: psi = u s_0 with s_0 = tanh c, so P_layerwise = 2 s_0^2 and
    P_tied = 2 s_0^2 |int (cos, sin)(pi s) ds|^2 = 2 s_0^2 (2/pi)^2."""

    def rows(s):
        turned = math.sqrt(2.0) * np.array([math.cos(math.pi * s), math.sin(math.pi * s)])
        return np.vstack([turned, np.zeros((2, 2))])

    law = residual.GaussianPath(lambda s: np.array([0.0, 0.0, 0.7]), rows)
    found = residual.limit(law, TANH, np.array([[0.3]]))
    square = 2.0 * math.tanh(0.7) ** 2
    assert found.layerwise[0] == pytest.approx(square, rel=1e-10)
    assert found.tied[0] == pytest.approx(square * (2.0 / math.pi) ** 2, rel=1e-10)
    assert found.expected(10, 5, tied=False) == pytest.approx(math.sqrt(square / 50.0), rel=1e-8)
    assert found.expected(10, 5, tied=True) == pytest.approx(math.sqrt(square / 5.0) * 2.0 / math.pi, rel=1e-8)


def test_euler_nets_of_infinite_width_by_their_constant():
    """L |z_L - z(1)| -> |E|: the difference is O(1/L), so that Richardson's doubling leaves O(1/L^2)."""
    law = turning_law()
    found = residual.limit(law, TANH, INPUTS, nodes=3)
    errors = [n * (residual.euler_state(law, TANH, INPUTS, n) - found.end) for n in (32, 64)]
    assert 2.0 * errors[1] - errors[0] == pytest.approx(found.euler, abs=5e-3)
    assert np.abs(errors[1] - found.euler).max() > 1e-4  # the constant is not that of a finite depth


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True])
def test_fluctuations_have_their_constant(tied):
    """m L (layerwise) or m (tied) times the mean square off the net of infinite width, 150 draws at m = 128, L = 16:
    within four standard errors and 5 %, the next order in 1/m and 1/L."""
    law, depth, m = turning_law(), 16, 128
    draw, found = (law.tied if tied else law.layerwise), residual.limit(law, TANH, INPUTS)
    wide = residual.euler_state(law, TANH, INPUTS, depth)
    off = [residual.ResidualNet(draw(depth, m, s), np.ones(2)).run(INPUTS).states[-1] - wide for s in range(150)]
    scaled = np.sum(np.square(off), axis=2).mean(axis=1) * m * (1 if tied else depth)
    known = float(np.mean(found.tied if tied else found.layerwise))
    assert scaled.mean() == pytest.approx(known, abs=4.0 * scaled.std() / 150**0.5 + 0.05 * known)


def test_two_moons():
    """Rows on half circles about (-.5, -.25) and (.5, .25); no line parts them: perceptron's dual has a solution."""
    data = two_moons(32)
    assert np.hypot(*(data.inputs[:16] + np.array([0.5, 0.25])).T) == pytest.approx(np.ones(16))
    assert np.hypot(*(data.inputs[16:] - np.array([0.5, 0.25])).T) == pytest.approx(np.ones(16))
    fit = np.column_stack([data.inputs, np.ones(32)])
    best = fit @ np.linalg.lstsq(fit, data.targets, rcond=None)[0]
    assert np.any(best * data.targets < 0.0)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_moons_are_learnt():
    """Depth 8, 16 neurons a layer, fixed readout: F < 1e-3 at t = 200 by the flow and by JKO steps of 2."""
    for method, dt in ((GradientFlow(), 0.5), (Jko(), 2.0)):
        run = residual.solve(moons(horizon=200.0), method, dt=dt, times=[200.0])
        assert run.energies[-1] < 1e-3


def test_doors():
    """Wrong shapes, values, methods and steps, each by name."""
    net, data = net_of(), data_of()
    with pytest.raises(ValueError, match="ResidualNet atoms"):
        residual.ResidualNet(np.zeros((2, 3, 4)), np.ones(2))
    with pytest.raises(TypeError, match="activation"):
        residual.ResidualNet(np.zeros((2, 3, 5)), np.ones(2), "tanh")
    with pytest.raises(ValueError, match="masses"):
        residual.ResidualNet(np.zeros((2, 3, 5)), np.ones(2), TANH, 0.0, np.ones(3))
    with pytest.raises(ValueError, match="pad"):
        residual.ResidualFlow(data_of(dim=3), net, 1.0)
    with pytest.raises(ValueError, match="rate: -1"):
        residual.ResidualFlow(data, net, 1.0, rate=-1.0)
    with pytest.raises(ValueError, match="ridge"):
        residual.ResidualFlow(data, net, 1.0, ridge=-1.0)
    flow = residual.ResidualFlow(data, net, 1.0)
    with pytest.raises(Refused, match="masses differ"):
        residual.solve(flow, Jko(), steps=1)
    with pytest.raises(ValueError, match="exactly one"):
        residual.solve(flow, GradientFlow(), steps=1, dt=0.1)
    with pytest.raises(TypeError, match="ResidualFlow"):
        residual.solve(net, GradientFlow(), steps=1)
    with pytest.raises(ValueError, match="2 D"):
        residual.GaussianPath(lambda s: np.zeros(4), lambda s: np.zeros((4, 1)))
    with pytest.raises(ValueError, match="tolerance"):
        Jko(tolerance=0.0)


def test_failures_have_names():
    """A step too long raises EnergyRose; an inner iteration that may not go on, NotConverged."""
    flow = residual.ResidualFlow(data_of(), net_of(equal=True), 400.0)
    with pytest.raises(EnergyRose, match="shorter step"):
        residual.solve(flow, GradientDescent(), dt=100.0)
    with pytest.raises(NotConverged, match="Jko: stopped"):
        residual.solve(flow, Jko(limit=1), dt=1.0)


def test_until_ends_the_run():
    """After the first step at which F is below a value."""
    flow = moons(4, 8, horizon=40.0)
    run = residual.solve(flow, GradientFlow(), dt=0.5, until=lambda state: state.energy(flow) < 0.2)
    assert run.energies[-1] < 0.2 <= run.energies[-2]
    assert run.times[-1] < 40.0
