"""The table of multilayer networks, its studies, coupling by hand, recompression, and the fit of depth four."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from solvers.deep import GradientFlow, StochasticGradient
from solvers.finite_volume import Upwind
from wflow import Data, activation, deep
from wflow.app import cli, verify
from wflow.app.deep import CHECKS, Check, table
from wflow.app.deep.check import checked
from wflow.app.powers import exponents
from wflow.app.settings import UsageError
from wflow.app.studies import STUDIES, Entry, write_study
from wflow.app.studies import collapse as collapse_study
from wflow.app.studies import coupling as coupling_study
from wflow.app.studies.intervals import power, power_of_draws
from wflow.certificates import Certificate
from wflow.deep import Compression, Sampled, Tensor, Watched
from wflow.deep.best_fit import best_depth_four
from wflow.deep.compression import compressed
from wflow.deep.coupling import coupled, distance
from wflow.deep.pairs import Pairs
from wflow.deep.problems import CATALOGUE, deep_problem
from wflow.errors import EnergyRose, Refused


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_quick_table_holds():
    """By the command, in a few seconds of processor time."""
    done = CliRunner().invoke(cli.app, ["verify", "deep", "--quick"])
    assert done.exit_code == 0, done.output
    assert " 0 fail" in done.output


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_whole_table_holds(check):
    """Every row within its target, as `wflow verify deep` runs it."""
    rows = checked(check, quick=False)
    assert rows and all(row.certificate is not None for row in rows), rows[0].refusal
    assert [row.certificate for row in rows if not row.holds] == []


@pytest.mark.slow
def test_a_run_of_everything_has_the_table(monkeypatch):
    """Where no problem is named; beside named ones and on several ranks it is left out."""
    monkeypatch.setattr(verify, "VERIFIED", ("linear_neuron",))
    monkeypatch.setattr(verify, "METHODS", (Upwind(16),))
    asked = Check("one", "nothing", lambda quick: iter([Certificate("one is one", "equal", 1.0, 1.0)]))
    monkeypatch.setattr(verify, "CHECKS", (asked,))
    kept = []
    found = verify.verify(quick=True, workers=1, keep=kept.append)
    assert found.rows[0].problem == "deep" and "linear_neuron" in {row.problem for row in found.rows}
    assert all(report.rows[0].problem == "deep" for report in kept) and kept
    assert "deep" not in {row.problem for row in verify.verify(["linear_neuron"], quick=True, workers=1).rows}


def test_rows_are_taken_by_name():
    """One, some, each once, in the order asked; unknown ones, and slow ones of a quick table, are refused by name."""
    checks = [
        Check(name, "x", lambda quick: iter([Certificate("c", "equal", 0.0, 0.0)]), name == "c") for name in "abc"
    ]
    for rows, found in (("b", "b"), (["c", "a", "c"], "ca"), (None, "abc")):
        assert [row.certificate.claim[0] for row in table(checks, rows=rows, workers=1)] == list(found)
    assert len(table(checks, quick=True)) == 2
    with pytest.raises(UsageError, match=r"'d' is no row of the table.*Known: a, b, c"):
        table(checks, rows=["a", "d"])
    with pytest.raises(UsageError, match="'c' is too long for --quick"):
        table(checks, rows="c", quick=True)


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [("rows=V27", 0, "0 fail"), ("rows=V61", 2, "did you mean 'V6'"), ("row=V27", 2, "--set rows=V16")],
)
def test_a_row_by_the_command(given, code, said):
    done = CliRunner().invoke(cli.app, ["verify", "deep", "--quick", "--set", given])
    assert done.exit_code == code and said in " ".join(done.output.split())


def test_rows_can_fail_and_are_in_order():
    """A claim that is false, a run that fails by name, and a slow check that a quick table leaves out."""

    def false(quick):
        yield Certificate("one is two", "equal", 1.0, 2.0)

    def fails(quick):
        raise EnergyRose("F rose")

    def refuses(quick):
        raise Refused("no images")

    rows = table(
        [Check("a", "x", false), Check("b", "x", fails), Check("c", "x", false, slow=True), Check("d", "x", refuses)],
        quick=True,
    )
    assert [row.holds for row in rows] == [False, False, True]
    assert rows[2].certificate is None and rows[2].refusal == "d: no images"
    assert rows[0].certificate.claim == "a: one is two"
    assert "EnergyRose: F rose" in rows[1].certificate.claim
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)


def test_the_table_takes_no_parameters():
    """--set and --ranks are refused."""
    done = CliRunner().invoke(cli.app, ["verify", "deep", "--set", "depth=4"])
    assert done.exit_code == 2


def test_coupling_of_a_network_with_itself():
    """The limit by a network's own nodes is that network: distance 0 for a start that labels determine."""
    problem = deep_problem("sine_latent", depth=4, horizon=0.5)
    sample = Sampled(6, 2)
    found = coupled(problem.flow, GradientFlow(sample), GradientFlow(Watched(sample, sample)), [0.25, 0.5], 0.25)
    assert max(found.sup, found.rms, found.prediction) < 1e-13
    other = coupled(problem.flow, GradientFlow(sample), GradientFlow(Watched(Tensor(4), sample)), [0.25, 0.5], 0.25)
    assert other.sup > other.rms / 4.0 > 1e-3


def test_distance_by_hand():
    """Two runs whose last weights differ by d at one of two neurons: sup d, rms d/sqrt 2, to the start's rounding."""
    x = np.array([[1.0], [2.0]])
    net = deep.finite_network(np.ones((2, 1)), (), np.zeros(2), activation("tanh"))
    runs = [
        deep.solve(deep.DeepFlow(Data(x, y), net, 1e-3), GradientFlow(), steps=1) for y in (np.zeros(2), np.ones(2))
    ]
    change = runs[1].final.last - net.last
    found = distance(*runs)
    assert found.sup == pytest.approx(np.abs(change).max(), rel=1e-6)
    assert found.rms == pytest.approx(np.sqrt(np.mean(change**2)), rel=1e-6)
    biased = deep.finite_network(np.ones((2, 1)), (), np.ones(2), activation("tanh"), biases=[np.zeros(2)])
    frozen = {"rates": (1.0, 0.0)}
    pair = [
        deep.solve(deep.DeepFlow(Data(0.0 * x, y), biased, 1e-3, **frozen), GradientFlow(), steps=1)
        for y in (np.zeros(2), np.ones(2))
    ]
    change = pair[1].final.biases[0] - pair[0].final.biases[0]  # at x = 0 nothing but biases moves
    assert distance(*pair).sup == pytest.approx(np.abs(change).max(), rel=1e-12)
    assert distance(*pair).rms == pytest.approx(np.sqrt(np.mean(change**2)), rel=1e-12)
    late = deep.solve(deep.DeepFlow(Data(x, np.ones(2)), net, 1e-2), GradientFlow(), steps=1)
    further = replace(net, last=net.last + np.array([3.0, 0.0]))
    away = replace(runs[0], networks=(net, further, net), times=np.array([0.0, 0.5e-3, 1e-3]))
    home = replace(runs[0], networks=(net, net, net), times=away.times)
    home = replace(home, flow=deep.DeepFlow(Data(x, np.ones(2), np.array([0.9, 0.1])), net, 1e-3))
    found = distance(replace(away, flow=home.flow), home)  # the largest over times, not that of the end
    assert (found.sup, found.rms) == pytest.approx((3.0, 4.5**0.5))
    gap = 1.5 * np.tanh(x[:, 0])
    assert found.prediction == pytest.approx((0.9 * gap[0] ** 2 + 0.1 * gap[1] ** 2) ** 0.5)
    with pytest.raises(ValueError, match="different times"):
        distance(runs[0], late)


def test_descent_by_samples_repeats_itself():
    """Same seed, same bits; another seed, another path."""
    flow = deep_problem("sine_latent", horizon=0.5).flow
    a, b, c = (deep.solve(flow, StochasticGradient(Sampled(5), seed=s), dt=0.1).final.last for s in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_recompression_is_the_nearest_in_the_weighted_norm():
    """What is left out is the root of the sum of the squares of the other singular values, passive nodes included."""
    rng = np.random.default_rng(0)
    w = Pairs.products(rng.standard_normal((12, 30)), rng.standard_normal((12, 20)))
    p, q = rng.uniform(0.5, 1.0, 30), rng.uniform(0.5, 1.0, 20)
    p[-3:] = 0.0
    p, q = p / p.sum(), q / q.sum()
    scaled = np.sqrt(p)[:, None] * w.values() * np.sqrt(q)
    s = np.linalg.svd(scaled, compute_uv=False)
    found, left_out = compressed(w, p, q, 0.5 * (s[4] + s[5]) / s[0])
    assert found.rank == 5
    gap = np.sqrt(p)[:, None] * (w.values() - found.values()) * np.sqrt(q)
    assert np.linalg.norm(gap) == pytest.approx(np.sqrt(np.sum(s[5:] ** 2)), rel=1e-10)
    assert left_out == pytest.approx(np.linalg.norm(gap), rel=1e-10)
    exact, nothing = compressed(Pairs.products(np.tile(w.left[:4], (3, 1)), w.right), p, q, 1e-13)
    whole = np.tile(w.left[:4], (3, 1)).T @ w.right
    assert exact.rank == 4
    assert nothing < 1e-13
    assert np.abs(exact.values() - whole).max() < 1e-12  # rows of passive nodes too
    with pytest.raises(ValueError, match="table"):
        compressed(Pairs.full(w.values()), p, q, 0.1)


def test_memory_of_low_rank_is_linear():
    """At twice the width twice the numbers, and the prediction of the same network with tables."""
    flow, held = deep_problem("sine_latent", horizon=0.5).flow, []
    for n in (40, 80):
        run = deep.solve(flow, GradientFlow(Sampled(n), Compression(70)), dt=0.25)
        whole = deep.solve(flow, GradientFlow(Sampled(n)), dt=0.25)
        x = flow.data.inputs
        assert np.abs(run.final.predict(x) - whole.final.predict(x)).max() < 1e-10
        held.append(sum(w.left.size + w.right.size for w in run.final.middle))
    assert held[1] <= 2.2 * held[0]


def test_low_rank_makes_no_table_on_the_way():
    """The most that is allocated in two steps, 23 MB at width 1500, is at most 2.1 times that of half the width.

    One table of 18 MB on the way, and 4.5 at half the width, would make it 2.5.
    """
    flow, peaks = deep_problem("sine_latent", horizon=0.2).flow, []
    for n in (750, 1500):
        tracemalloc.start()
        deep.solve(flow, GradientFlow(Sampled(n), Compression(70)), dt=0.1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2.1 * peaks[0]


def test_every_deep_problem_solves():
    """Each name of the catalogue: energies fall by its flow at a few nodes."""
    for name in CATALOGUE:
        problem = deep_problem(name, horizon=0.2)
        run = deep.solve(problem.flow, GradientFlow(Tensor(2)), dt=0.1)
        assert run.energies[-1] < run.energies[0]
        assert problem.note
        assert problem.source
    with pytest.raises(ValueError, match=r"did you mean .* Known: sine_independent"):
        deep_problem("sine")


def test_fit_of_depth_four_recovers_its_own():
    """A depth-5 chain with phi_3 linear is of depth four: exactly w_4 on nodes that hold it."""
    tanh, line = activation("tanh"), activation("linear")
    grid, one = np.linspace(-3.0, 3.0, 6), np.ones((1, 1))
    last = np.array([0.3, -1.0, 0.7, 0.2, 0.5, -0.4])
    net = deep.finite_network(
        np.array([[0.7, 0.2], [1.5, -0.3]]), (np.array([[1.0], [0.5]]), one, grid[None, :]), last,
        [tanh, tanh, line, tanh],
    )  # fmt: skip
    x = np.column_stack([np.linspace(-1.0, 1.0, 30), np.ones(30)])
    fit = best_depth_four(net, x, nodes=6, reach=3.0)
    assert fit.largest < 1e-10
    assert fit.network.depth == 4
    with pytest.raises(Refused, match="one node in layer 2"):
        best_depth_four(fit.network, x)


def test_exponents_of_power_laws():
    """Each column of c size^r gives its r; a value without a logarithm gives nan, which no claim survives."""
    sizes = np.array([2.0, 3.0, 7.0])
    columns = np.stack([5.0 * sizes**-0.5, sizes**2, np.ones(3)], axis=1)
    assert exponents(sizes, columns) == pytest.approx([-0.5, 2.0, 0.0], abs=1e-14)
    found = power(sizes, columns[:, 0])
    assert (found.slope, found.low, found.high) == pytest.approx((-0.5, -0.5, -0.5), abs=1e-12)
    columns[1] = [0.0, np.nan, -1.0]
    assert np.all(np.isnan(exponents(sizes, columns)))
    assert not Certificate("a slope", "equal", float(exponents(sizes, columns)[0]), -0.5, 10.0).holds
    with pytest.raises(ValueError, match="two sizes or more"):
        exponents([4.0, 4.0], [1.0, 2.0])


def test_intervals_by_draws_cover():
    """Draws n^(-1/2) |normal|, 16 at each of three sizes, 300 times: 95 % intervals hold the exponent as often.

    Within 90 and 98 %: the delta method at 16 draws, and three standard deviations of the count, 1.3 % each.
    """
    rng, sizes = np.random.default_rng(3), [16, 64, 256]
    hits = 0
    for _ in range(300):
        found = power_of_draws(sizes, [n**-0.5 * np.abs(rng.standard_normal(16)) for n in sizes])
        hits += found.low <= -0.5 <= found.high
    assert 0.9 < hits / 300 < 0.98


def test_claims_of_the_studies_can_fail():
    """True rates hold; a collapse that stops, and a distance that does not fall, are found."""

    def twice(value):
        return [value, value]

    def of_collapse(slope):
        return [
            Entry({"start": s, "depth": d, "n": n}, {
                "statistics": twice(n ** (slope if s == "independent" and d > 3 else 0)),
            })
            for s, depths in collapse_study.STARTS.items() for d in depths for n in (32, 64, 128)
        ]  # fmt: skip

    assert all(c.holds for c in collapse_study.claims(of_collapse(-0.5)))
    assert sum(not c.holds for c in collapse_study.claims(of_collapse(-0.3))) == 3

    def of_coupling(slope):
        return [
            Entry({"horizon": t, "n": n}, {
                "sup": twice(n**slope * np.log(n) ** 0.5), "rms": twice(n**slope), "prediction": twice(n**slope),
            })
            for t in (3.0, 10.0) for n in (32, 64, 128)
        ] + [
            Entry({"descent": way, "eps": eps}, {"rms": twice(eps ** (rate + 0.5 + slope))})
            for way, rate in coupling_study.RATES.items() for eps in (0.1, 0.05, 0.025)
        ]  # fmt: skip

    assert all(c.holds for c in coupling_study.claims(of_coupling(-0.5)))
    assert sum(not c.holds for c in coupling_study.claims(of_coupling(-0.1))) > 6


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["collapse", "coupling"])
def test_quick_studies_hold_and_draw(name, tmp_path):
    """Cells, claims and a picture."""
    rows, paths = write_study(STUDIES[name], tmp_path, quick=True, workers=2)
    assert all(row.holds for row in rows), [row.certificate for row in rows if not row.holds]
    assert paths[-1].read_bytes().startswith(b"\x89PNG")
