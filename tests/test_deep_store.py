"""Deep runs that are kept on a disk: what stopped goes on and ends with the same bits; another run is refused."""

from dataclasses import replace

import numpy as np
import pytest

from solvers.deep import GradientFlow, Proximal, StochasticGradient
from solvers.deep.residual import GradientFlow as ResidualGradientFlow
from solvers.deep.residual import Jko
from wflow import deep
from wflow.deep import Compression, DeepFlow, Sampled, Tensor, residual
from wflow.deep.problems import sine_independent, sine_latent
from wflow.deep.residual.problems import moons
from wflow.errors import Damaged, EnergyRose
from wflow.schedules import Exponential
from wflow.store import DeepCheckpoints


class Stopped(DeepCheckpoints):
    """Interrupts the run after so many steps, as Ctrl-C does."""

    at = 5

    def offer(self, now):
        super().offer(now)
        if now.state.count == self.at:
            raise KeyboardInterrupt


class Given:
    """A store that holds one run."""

    def __init__(self, run):
        self.run = run

    def latest(self):
        return self.run


def other_energy(flow):
    """F of the start."""
    return deep.risk(flow.start, flow.data, flow.loss)


def same(a, b):
    """Two trajectories, bit by bit."""
    for one, other in zip(a.networks, b.networks, strict=True):
        mine, its = one.arrays(), other.arrays()
        assert mine.keys() == its.keys()
        assert all(np.array_equal(mine[name], its[name]) for name in mine)
    for name in ("times", "energies", "dissipated"):
        assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)
    assert a.steps == b.steps


RUNS = {
    "flow": (sine_independent(0.8).flow, GradientFlow(Tensor((3, 2)))),
    "low rank": (sine_latent(4, horizon=0.8).flow, GradientFlow(Sampled(80), Compression(40))),
    "samples": (sine_independent(0.8).flow, StochasticGradient(Sampled(6), seed=3)),
    "proximal": (sine_independent(0.8).flow, Proximal(Sampled(4))),
}


@pytest.mark.parametrize("name", list(RUNS))
def test_a_stopped_run_ends_with_the_same_bits(name, tmp_path):
    """Stopped in the middle of a stretch between saved times, and continued by another object."""
    flow, method = RUNS[name]
    asked = {"dt": 0.1, "times": [0.3, 0.8]}
    whole = deep.solve(flow, method, **asked)
    with pytest.raises(KeyboardInterrupt):
        deep.solve(flow, method, **asked, store=Stopped(tmp_path, "a"))
    store = DeepCheckpoints(tmp_path, "a")
    assert store.latest().state.count == 5
    again = deep.solve(flow, method, **asked, store=store)
    same(whole, again)
    assert np.array_equal(whole.diagnostics["discarded"], again.diagnostics["discarded"])
    store.keep(store.latest())
    store.clear()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", [ResidualGradientFlow(), Jko()], ids=str)
def test_residual_runs_too(method, tmp_path):
    """Crossed partners and residuals are carried on."""
    flow = moons(2, 4, horizon=2.0, rate=0.5)
    whole = residual.solve(flow, method, dt=0.25)
    with pytest.raises(KeyboardInterrupt):
        residual.solve(flow, method, dt=0.25, store=Stopped(tmp_path, "a", every=0.0))
    again = residual.solve(flow, method, dt=0.25, store=DeepCheckpoints(tmp_path, "a"))
    same(whole, again)
    assert np.array_equal(whole.residuals, again.residuals)
    assert again.crossed.dtype == np.int64


def test_until_is_not_asked_beyond_its_end(tmp_path):
    """A run that had ended stays ended."""
    flow, method = RUNS["flow"]
    asked = {"dt": 0.1, "until": lambda state: state.count >= 3}
    store = DeepCheckpoints(tmp_path, "a", every=0.0)
    whole = deep.solve(flow, method, **asked, store=store)
    same(whole, deep.solve(flow, method, **asked, store=DeepCheckpoints(tmp_path, "a")))
    assert whole.steps == 3


def test_another_run_is_refused(tmp_path):
    """Another step, start, data or rates: the store names what it keeps."""
    flow, method = RUNS["flow"]
    deep.solve(flow, method, dt=0.4, store=DeepCheckpoints(tmp_path, "a", every=0.0))

    def refused(words, flow=flow, method=method, dt=0.4):
        with pytest.raises(ValueError, match=words):
            deep.solve(flow, method, dt=dt, store=DeepCheckpoints(tmp_path, "a"))

    refused("store: it keeps", dt=0.2)
    refused("store: it keeps", method=GradientFlow(Tensor((2, 2))))
    refused("store: it keeps", flow=DeepFlow(flow.data, flow.start, 0.8, rates=(1.0, Exponential(1.0, 1.0), 1.0)))
    shifted = sine_latent(3, horizon=0.8).flow
    refused("another start or energy", flow=DeepFlow(flow.data, shifted.start, 0.8))
    net = shifted.network(Sampled(4))
    turned = net.holding({name: array[::-1] if name == "first" else array for name, array in net.arrays().items()})
    one, other = (DeepFlow(flow.data, start, 0.8) for start in (net, turned))
    deep.solve(one, Proximal(), dt=0.8, store=DeepCheckpoints(tmp_path / "b", "a", every=0.0))
    stored = DeepCheckpoints(tmp_path / "b", "a").latest()
    kept = (replace(stored.kept[0], energy=other_energy(other)), *stored.kept[1:])
    with pytest.raises(ValueError, match="another start"):  # though F is the same
        deep.solve(other, Proximal(), dt=0.8, store=Given(replace(stored, kept=kept)))
    with pytest.raises(Damaged, match="none of the checkpoints"):
        DeepCheckpoints(tmp_path, "a", mark="other", tell=lambda line: None).latest()


def test_a_damaged_file_is_not_believed(tmp_path):
    """One byte changed: the file before it is used, and told of; a failure leaves the last good step."""
    flow, method = RUNS["flow"]
    store, said = DeepCheckpoints(tmp_path, "a", every=0.0), []
    whole = deep.solve(flow, method, dt=0.1, store=store)
    last = store.files[0]
    data = bytearray(last.read_bytes())
    data[-9] ^= 1
    last.write_bytes(bytes(data))
    found = DeepCheckpoints(tmp_path, "a", tell=said.append)
    same(whole, deep.solve(flow, method, dt=0.1, store=found))
    assert "checksum" in said[0]
    far = DeepFlow(flow.data, flow.start, 4000.0)
    with pytest.raises(EnergyRose):
        deep.solve(far, method, dt=400.0, store=DeepCheckpoints(tmp_path / "b", "a"))
    assert DeepCheckpoints(tmp_path / "b", "a").latest() is not None
