"""What Ljko asks of PETSc and DOLFINx, what it leaves behind there, and from where Newton finds its way."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from solvers.fem import Ljko, Ljko2, toolchain
from wflow import NotConverged, problems
from wflow.ranks import ALONE

pytestmark = [
    pytest.mark.fem,
    pytest.mark.skipif(toolchain.missing() is not None, reason=toolchain.missing() or ""),
]


def newton(earlier=1, centred=False, cells=16):
    """The flow, its start, and the workspace on its grid."""
    toolchain.start()
    from solvers.fem.linearised_step import newton_on

    flow = problems.drift_diffusion(g=(1.0, 0.5), start=0.02, horizon=0.1).flow
    state = Ljko(cells).init(flow)
    return flow, state, newton_on(state.measure.grid, ALONE, earlier, centred)


def test_bits_do_not_depend_on_what_was_solved_before():
    """MUMPS analyses the matrix of the first step; a workspace whose first step was another gives the same bits."""
    flow, state, _ = newton()
    from solvers.fem.linearised_step import newton_on

    other = problems.drift_diffusion(g=(9.0, 3.0), start=0.0, horizon=0.1).flow
    ends = []
    for before in (None, 1e-5, 3.0):
        newton_on.cache_clear()
        if before is not None:
            Ljko(16).step(other, Ljko(16).init(other), before)
        ends.append(Ljko(16).step(flow, state, 0.01).state.measure.values)
    np.testing.assert_array_equal(ends[0], ends[1])
    np.testing.assert_array_equal(ends[0], ends[2])


@pytest.mark.parametrize("method", [Ljko(16), Ljko2(16)], ids=str)
def test_steps_bind_and_compile_nothing(method, monkeypatch):
    """After the first two steps no form is made, nor a vector of DOLFINx, in whose `__del__` an interrupt is lost."""
    flow, state, _ = newton()
    from dolfinx import fem, la

    now = method.step(flow, method.step(flow, state, 0.01).state, 0.01).state
    made, original = [], la.Vector.__init__
    monkeypatch.setattr(fem, "create_form", lambda *a, **k: made.append("form"))
    monkeypatch.setattr(fem, "compile_form", lambda *a, **k: made.append("compiled"))
    monkeypatch.setattr(la.Vector, "__init__", lambda self, *a: made.append("vector") or original(self, *a))
    method.step(flow, now, 0.01)
    assert not made


def test_an_interrupt_in_newton_comes_through_and_leaves_a_workspace_that_serves(monkeypatch):
    """Raised in SNES's third residual; afterwards the same step has its bits."""
    flow, state, _ = newton()
    expected = Ljko(16).step(flow, state, 0.01).state.measure.values
    from dolfinx import fem

    assembled, seen = fem.assemble_vector, []

    def interrupting(*arguments):
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return assembled(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(fem, "assemble_vector", interrupting)
        with pytest.raises(KeyboardInterrupt):
            Ljko(16).step(flow, state, 0.01)
    np.testing.assert_array_equal(Ljko(16).step(flow, state, 0.01).state.measure.values, expected)


def test_newton_that_stops_says_snes_reason():
    """One iteration is too few from t = 0: NotConverged, with the residual and SNES's word for it."""
    flow = problems.drift_diffusion(start=0.0, horizon=0.1).flow
    with pytest.raises(NotConverged, match=r"DIVERGED_MAX_IT.*shorten dt or raise `limit`") as raised:
        Ljko(16, limit=1).step(flow, Ljko(16).init(flow), 0.05)
    assert raised.value.residual > 1e-9


def test_newtons_matrix_of_two_densities_is_regular():
    """Its least singular value is above 1e-9 of the largest; without the pinned potential it is rounding, 1e-16."""
    flow, state, workspace = newton(earlier=2, centred=True, cells=6)
    for _ in range(2):
        state = Ljko2(6).step(flow, state, 0.01).state
    rows, columns, values = workspace._matrix.getValuesCSR()
    matrix = csr_array((values, columns, rows)).toarray()
    sizes = np.linalg.svd(matrix, compute_uv=False)
    assert sizes[-1] > 1e-9 * sizes[0]


@pytest.mark.slow
def test_the_two_step_formula_is_reached_in_stages():
    """Around an obstacle with dt = 3/80 Newton fails from the continued densities, and from one density in one leap."""
    flow = problems.around_obstacle().flow
    state = Ljko2(16).init(flow)
    for _ in range(4):
        taken = Ljko2(16).step(flow, state, 3.0 / 80.0)
        state = taken.state
        assert taken.residual <= 1e-9
