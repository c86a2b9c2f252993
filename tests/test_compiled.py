"""The extra `fast` absent: everything is imported, and what has no other form refuses in one sentence."""

import math
import subprocess
import sys

import pytest

from wflow import compiled
from wflow.errors import Refused


def test_what_is_compiled_can_be_imported_without_numba(monkeypatch):
    """And refuses when it is called, in one sentence with the remedy."""
    monkeypatch.setitem(sys.modules, "numba", None)
    for decorate in (compiled.kernel, compiled.inlined, compiled.in_order):
        with pytest.raises(Refused, match=r"needs numba; install it with: pip install 'wflow\[fast\]'"):
            decorate(math.hypot)(3.0, 4.0)
    assert compiled.by_type(math.hypot)(math.sqrt) is math.sqrt


@pytest.mark.slow
def test_the_command_line_works_without_numba():
    """All solvers are imported by it, those whose kernels have no other form too."""
    said = "import sys; sys.modules['numba'] = None; from wflow.app.cli import app; import solvers.jko"
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, timeout=120).stderr == ""
