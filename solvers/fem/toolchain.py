"""This file owns whether DOLFINx can be used on this machine, and how it is started.

Nothing here imports DOLFINx before `start`, so `solvers.fem` is imported where the extra is missing.
"""

import importlib
import os
import shlex
import shutil
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from wflow.errors import Refused


def missing() -> str | None:
    """What solvers.fem lacks here, in one sentence; None with DOLFINx, a C compiler and the headers of Python."""
    if find_spec("dolfinx") is None:
        return (
            "DOLFINx is not installed; on Linux x86-64 pip install 'wflow[fem]', elsewhere take conda's fenics-dolfinx"
        )
    compiler = (shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "") or ["cc"])[0]
    if shutil.which(compiler) is None:
        return f"DOLFINx compiles its forms and there is no C compiler {compiler!r}; install gcc, or name one in CC"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "DOLFINx compiles its forms and the header Python.h is missing; install Python's headers (python3-dev)"
    return None


@cache
def start() -> None:
    """Import DOLFINx: MPI before all else, PETSc without its handlers of signals (on SIGTERM they would abort MPI).

    Raises Refused where what is installed cannot be used.
    """
    try:
        if find_spec("dolfinx_solver") is not None:  # the wheel, which sees to the order of its libraries
            importlib.import_module("dolfinx_solver")
        importlib.import_module("petsc4py").init(["-no_signal_handler"])
        dolfinx = importlib.import_module("dolfinx")
    except ImportError as error:
        raise Refused(f"solvers.fem: DOLFINx is installed but cannot be imported ({error}); install it anew") from error
    if dolfinx.default_scalar_type().dtype.kind != "f":
        raise Refused("solvers.fem: this DOLFINx is built for complex numbers; install the real one")
