"""This file owns compilation by numba, the extra `fast`: one decorator for every compiled kernel of the house.

Importing numba takes most of a second, so modules with kernels are imported where their arrays are large enough to pay
(`available()` asked first); plain numpy is both the fallback and the oracle of the tests.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, cast

# 'nnan' would make tests for NaN inside a kernel void; sums may be reordered, so results are equal to rounding only
_FAST = {"contract", "nsz", "reassoc", "arcp"}


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether numba is installed."""
    return find_spec("numba") is not None


def kernel[F: Callable[..., Any]](function: F) -> F:
    """Compile at the first call, kept on disk. Division follows numpy: Python's zero test would stop vectorisation.

    A cache folder that cannot be written is no failure: the kernel is then compiled once a process.
    """
    import numba

    options: dict[str, Any] = {"error_model": "numpy", "fastmath": _FAST}
    try:
        made = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache
        made = numba.njit(**options)(function)
    return cast("F", made)


def inlined[F: Callable[..., Any]](function: F) -> F:
    """A scalar function for use inside kernels, always inlined."""
    import numba

    made = numba.njit(error_model="numpy", fastmath=_FAST, inline="always")(function)
    return cast("F", made)
