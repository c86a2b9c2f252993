"""This file owns what a number was made with: the machine and the versions."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import wflow


def machine() -> dict[str, str | int]:
    """The machine in platform strings, and its cores."""
    return {"platform": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count() or 1}


def versions() -> dict[str, str]:
    """Versions of wflow and what it computes with."""
    return {
        "wflow": wflow.__version__,
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "scipy": version("scipy"),
        "ot": version("pot"),
    }


def accelerator() -> str:
    """The version of numba, "absent" without it: sums are rounded in another order then."""
    try:
        return version("numba")
    except PackageNotFoundError:
        return "absent"
