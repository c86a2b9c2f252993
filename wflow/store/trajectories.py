"""This file owns trajectory files.

format, steps, times (k,), energies (k,), dissipated (k,), diagnostics.NAME (k,), what `Form` says of the measures, and
measure.FIELD (k, ...) with one row a saved time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.errors import Damaged
from wflow.flow import Flow
from wflow.measure import Measure
from wflow.solver import Solver
from wflow.store.archive import UNREADABLE, Arrays, packed, unpacked
from wflow.store.forms import FIELDS, Form
from wflow.trajectory import Trajectory

FORMAT = 2
_DIAGNOSTIC, _FIELD = "diagnostics.", "measure."


@dataclass(frozen=True, eq=False)
class Saved:
    """A trajectory as it was stored: all but the flow and the solver, which are code."""

    times: Array
    measures: tuple[Measure, ...]
    energies: Array
    dissipated: Array
    diagnostics: dict[str, Array]
    steps: int

    def trajectory(self, flow: Flow, solver: Solver) -> Trajectory:
        """With the flow and the solver it came from."""
        return Trajectory(
            flow, solver, self.times, self.measures, self.energies, self.dissipated, self.diagnostics, self.steps
        )


def pack(run: Trajectory) -> bytes:
    """A trajectory as the bytes of an npz file."""
    arrays = {"format": np.array(FORMAT), "steps": np.array(run.steps), "times": run.times}
    arrays |= {"energies": run.energies, "dissipated": run.dissipated}
    arrays |= {f"{_DIAGNOSTIC}{name}": values for name, values in run.diagnostics.items()}
    return packed(arrays | stacked(run.measures))


def unpack(data: bytes) -> Saved:
    """What `pack` wrote; Damaged if the bytes are anything else, or would unpack to more than 2 GiB."""
    try:
        return _saved(unpacked(data))
    except (Damaged, *UNREADABLE) as error:
        raise Damaged(f"trajectory: this is no trajectory file ({error}); run it again") from error


def _saved(arrays: Arrays) -> Saved:
    if int(arrays["format"]) != FORMAT:
        raise ValueError(f"format {int(arrays['format'])}, this version reads {FORMAT}")
    diagnostics = {name.removeprefix(_DIAGNOSTIC): a for name, a in arrays.items() if name.startswith(_DIAGNOSTIC)}
    return Saved(
        arrays["times"], unstacked(arrays, Form.read(arrays)), arrays["energies"], arrays["dissipated"], diagnostics,
        int(arrays["steps"]),
    )  # fmt: skip


def stacked(measures: Sequence[Measure]) -> Arrays:
    """The measures of one run as arrays with one row each, and their form."""
    form = Form.of(measures)
    fields = {name: np.stack([getattr(pi, name) for pi in measures]) for name in FIELDS[form.kind]}
    return form.arrays() | {f"{_FIELD}{name}": rows for name, rows in fields.items()}


def unstacked(arrays: Arrays, form: Form) -> tuple[Measure, ...]:
    """What `stacked` took."""
    columns = [arrays[f"{_FIELD}{name}"] for name in FIELDS[form.kind]]
    return tuple(form.measure(row) for row in zip(*columns, strict=True))
