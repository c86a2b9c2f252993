"""This file owns compilation by numba, the extra `fast`: one decorator for every compiled kernel of the house.

Importing numba takes most of a second, so modules with kernels are imported where their arrays are large enough to pay
(`available()` asked first); plain numpy is both the fallback and the oracle of the tests. Where there is no numpy
form, as for splines on grids, modules can still be imported without numba, and what they compile refuses when called.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any, cast

from wflow.errors import Refused

# 'nnan' would make tests for NaN inside a kernel void; sums may be reordered, so results are equal to rounding only
_FAST = {"contract", "nsz", "reassoc", "arcp"}
_IN_ORDER = {"contract"}


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether numba is installed."""
    return find_spec("numba") is not None


def _numba() -> ModuleType | None:
    """The package, or None where it is not installed."""
    try:
        import numba
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        return None
    return numba


def _refusing[F: Callable[..., Any]](function: F) -> F:
    """What stands in the place of a compiled function without numba."""

    def refused(*_args: object, **_more: object) -> None:
        raise Refused(f"{function.__module__}: this needs numba; install it with: pip install 'wflow[fast]'")

    return cast("F", refused)


def kernel[F: Callable[..., Any]](function: F, *, uses: Sequence[ModuleType] = (), beside: bool = False) -> F:
    """Compile at the first call, kept on disk. Division follows numpy: Python's zero test would stop vectorisation.

    beside: other threads run meanwhile (the interpreter's lock is given back).
    uses: modules whose functions end up inside the kernel. numba asks only the kernel's own file whether what is on
    disk is out of date, so the kernel's name carries a mark of theirs (and of this one's).
    A cache folder that cannot be written is no failure: the kernel is then compiled once a process.
    """
    if (numba := _numba()) is None:
        return _refusing(function)
    function.__qualname__ = f"{function.__qualname__}_{mark([sys.modules[__name__], *uses])}"
    try:
        made = numba.njit(cache=True, nogil=beside, **options())(function)
    except RuntimeError:  # no folder for the cache
        made = numba.njit(nogil=beside, **options())(function)
    return cast("F", made)


def mark(modules: Sequence[ModuleType]) -> str:
    """Eight hexadecimal digits that change with the text of the modules."""
    text = "".join(inspect.getsource(module) for module in modules)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def options() -> dict[str, Any]:
    """How kernels are compiled."""
    return {"error_model": "numpy", "fastmath": set(_FAST)}


def inlined[F: Callable[..., Any]](function: F) -> F:
    """A scalar function for use inside kernels, always inlined."""
    if (numba := _numba()) is None:
        return _refusing(function)
    return cast("F", numba.njit(forceinline=True, **options())(function))


def in_order[F: Callable[..., Any]](function: F) -> F:
    """A scalar function for use inside kernels that keeps its order of operations there: a sum is not regrouped.

    x - k hi - k lo and (p 2^a) 2^b are right in this order alone. a b + c may still be rounded once.
    """
    if (numba := _numba()) is None:
        return _refusing(function)
    return cast("F", numba.njit(error_model="numpy", fastmath=set(_IN_ORDER), forceinline=True)(function))


def by_type(function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator of what `function` means inside kernels: called with the types of the arguments, returns the code."""
    if _numba() is None:
        return lambda typed: typed
    from numba.extending import overload

    chosen: Any = {**options(), "forceinline": True}
    decorate: Callable[[Callable[..., Any]], Callable[..., Any]] = overload(function, jit_options=chosen, strict=False)
    return decorate
