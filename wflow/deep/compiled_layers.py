"""This file owns the compiled loops of `wflow.deep.layers`. Importing it imports numba."""

from functools import partial

from wflow import elementary, formulas
from wflow.arrays import Array
from wflow.compiled import kernel
from wflow.formulas import Formula, slope, value

_kernel = partial(kernel, uses=(elementary, formulas))


@_kernel
def fill_values(sigma: Formula, z: Array, out: Array) -> None:
    """out = sigma(z), each (q,)."""
    for i in range(len(z)):
        out[i] = value(sigma, z[i])


@_kernel
def times_slopes(sigma: Formula, z: Array, out: Array) -> None:
    """out = out sigma'(z), each (q,)."""
    for i in range(len(z)):
        out[i] *= slope(sigma, z[i])
