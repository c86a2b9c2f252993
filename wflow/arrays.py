"""This file owns the array type of the house and the checks at its doors."""

import difflib
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


def finite(name: str, value: ArrayLike) -> Array:
    """`value` as a float64 array, or ValueError naming the first entry that is not a finite number."""
    try:
        raw = np.asarray(value)
        # numpy would read None as nan and "1.5" as 1.5
        if raw.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(
            f"{name}: expected real numbers, got {type(value).__name__} {_short(value)}; pass an array of floats"
        ) from None
    array = np.asarray(raw, dtype=np.float64)
    # a finite sum of squares has finite terms, and costs a tenth of the list of those that are not
    if not math.isfinite(np.vdot(array, array)) and len(bad := np.argwhere(~np.isfinite(array))):
        where = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"{name}: {len(bad)} of {array.size} entries are not finite (first at index {where}: {array[where]}); "
            "remove or replace them before building the object"
        )
    return array


def contiguous[T: NDArray[Any]](array: T) -> T:
    """`array`, or a copy in C order where it lies in memory with gaps.

    Sums of an array with gaps may be rounded in another order, and its gaps are lost when it is stored.
    """
    flags = array.flags
    return array if flags.c_contiguous or flags.f_contiguous else array.copy()


def shaped(name: str, value: ArrayLike, shape: tuple[int | None, ...]) -> Array:
    """`value` finite, contiguous and of the given shape; None stands for any length of at least one."""
    array = contiguous(finite(name, value))
    if array.shape == shape:
        return array
    fits = array.ndim == len(shape) and all(
        size > 0 if want is None else size == want for size, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = "(" + ", ".join("any" if s is None else str(s) for s in shape) + ")"
        raise ValueError(f"{name}: expected shape {wanted}, got {array.shape}; reshape it or check the dimension")
    return array


def weights_of_mass_one(name: str, value: ArrayLike, count: int) -> Array:
    """Nonnegative weights (count,) of sum 1 to 1e-9; ValueError names the first negative one or the sum."""
    weights = shaped(name, value, (count,))
    if weights.min() < 0.0:
        first = int(np.argmax(weights < 0.0))
        raise ValueError(
            f"{name}: {int(np.sum(weights < 0))} of {count} are negative (first at {first}: {weights[first]:.3g}); "
            "allowed: >= 0. A signed measure is SignedParticles"
        )
    total = float(weights.sum())
    if abs(total - 1.0) > 1e-9:
        raise ValueError(f"{name}: they sum to {total:.12g}, allowed: 1 to within 1e-9; divide them by their sum")
    return weights


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _number(name: str, value: float) -> float:
    raw = np.asarray(value)
    if raw.ndim or raw.dtype.kind not in "iuf":
        raise TypeError(f"{name}: {_short(value)} is not a number; give one int or float")
    return float(raw)


def positive(name: str, value: float) -> float:
    """`value` if it is a finite number above zero, else TypeError or ValueError."""
    number = _number(name, value)
    if not np.isfinite(number) or number <= 0.0:
        raise ValueError(f"{name}: {value!r} is not allowed; give a finite number above 0")
    return number


def rounded_down(number: float) -> str:
    """A positive number to three digits, never above itself: a bound as printed is one that can be passed back."""
    digits = 10.0 ** (np.floor(np.log10(number)) - 2.0)
    return f"{(np.ceil(number / digits) - 1.0) * digits:.3g}"


def count(name: str, value: float, least: int = 1) -> int:
    """`value` as an int of at least `least`, else TypeError or ValueError."""
    number = _number(name, value)
    # 16.0 too: what holds it would hand a float to numpy as a shape
    if not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: {value!r} is not an int; give an int of at least {least}")
    if number < least:
        raise ValueError(f"{name}: {value} is too small; give at least {least}")
    return int(value)


def nearest(word: str, known: list[str]) -> str:
    """What a refusal says of an unknown word: the nearest known one, and all of them."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(known)}"
