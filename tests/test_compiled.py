"""The extra `fast` absent: everything is imported, and what has no other form refuses in one sentence."""

import math
import subprocess
import sys

import pytest

from solvers import jko
from wflow import compiled, problems, solve
from wflow.errors import Refused


def test_what_is_compiled_can_be_imported_without_numba(monkeypatch):
    """And refuses when it is called, in one sentence with the remedy."""
    monkeypatch.setitem(sys.modules, "numba", None)
    for decorate in (compiled.kernel, compiled.inlined, compiled.in_order):
        with pytest.raises(Refused, match=r"needs numba; install it with: pip install 'wflow\[fast\]'"):
            decorate(math.hypot)(3.0, 4.0)
    assert compiled.by_type(math.hypot)(math.sqrt) is math.sqrt


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        (jko.Spline(cells=16), "ornstein_uhlenbeck"), (jko.Spline(cells=16), "congestion"),
        (jko.SplineSdirk2(cells=16), "barenblatt"), (jko.Entropic(cells=16), "ornstein_uhlenbeck"),
        (jko.Hats(cells=16), "sawtooth"), (jko.RiskDual(particles=16, cells=16), "two_layer_1d"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_solve_refuses_at_the_door_without_numba(monkeypatch, method, problem):
    """Before anything is begun, by the reason that `wflow list` prints; with numba they are taken."""
    flow = problems.build(problem).flow
    assert compiled.find_spec("numba") is None or method.refusal(flow) is None
    for module in ("spline", "entropic", "hats", "risk_dual"):
        monkeypatch.setattr(f"solvers.jko.{module}.available", lambda: False)
    monkeypatch.setattr(type(method), "init", None)
    assert "needs numba" in method.refusal(flow)
    with pytest.raises(Refused, match=r"refuses this flow: it needs numba.*pip install 'wflow\[fast\]'"):
        solve(flow, method, steps=2)


def test_a_spline_without_numba_has_no_start(monkeypatch):
    """Who calls init and step by hand is told at init, too."""
    monkeypatch.setattr("solvers.jko.spline.available", lambda: False)
    with pytest.raises(Refused, match=r"Spline\(cells=16\): it needs numba"):
        jko.Spline(cells=16).init(problems.build("ornstein_uhlenbeck").flow)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_without_numba_no_method_that_takes_a_flow_asks_for_it():
    """Two problems each: what is not refused takes a first step without numba, in a process that has none."""
    said = """
import sys
sys.modules["numba"] = None
from wflow import problems
from wflow.app.methods import FURTHER, METHODS
from wflow.errors import Refused
for name in ("ornstein_uhlenbeck", "circle_teacher", "barenblatt", "sawtooth", "deconvolution_1d", "two_layer_1d"):
    flow = problems.build(name).flow
    for method in (*METHODS, *FURTHER):
        if method.refusal(flow) is None:
            state = method.init(flow)
            try:
                method.step(flow, state, min(flow.horizon / 200, 0.9 * method.largest_step(flow, state)))
            except Refused as error:
                assert "numba" not in str(error), (name, method, error)
"""
    found = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, timeout=300)
    assert found.stderr == "", found.stderr


@pytest.mark.slow
def test_the_command_line_works_without_numba():
    """All solvers are imported by it, those whose kernels have no other form too."""
    said = "import sys; sys.modules['numba'] = None; from wflow.app.cli import app; import solvers.jko"
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, timeout=120).stderr == ""
