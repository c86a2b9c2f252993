"""This file owns the twenty fixed targets of a monitor: waves, polynomials, steps, hats; on a line, in a plane."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import Legendre

from wflow.arrays import Array

Function = Callable[[Array], Array]


@dataclass(frozen=True)
class Target:
    """A name and a function of inputs (n, p) -> (n,); a constant column behind the coordinates is not read."""

    name: str
    function: Function


def line_targets() -> tuple[Target, ...]:
    """On [-1, 1]: sin, cos k pi x, k = 1 .. 4; Legendre 1, 2, 3, 5, 8; steps at -.5, 0, .6; hats; |x|."""
    waves = [Target(f"{name} {k} pi x", _wave(wave, (k,))) for k in range(1, 5) for name, wave in _WAVES]
    powers = [Target(f"P_{k}", _legendre((k,))) for k in (1, 2, 3, 5, 8)]
    steps = [Target(f"step at {s:g}", _step((1.0,), s)) for s in (-0.5, 0.0, 0.6)]
    hats = [Target(f"hat at {c:g}, {w:g} wide", _hat((c,), w)) for c, w in ((-0.5, 0.8), (0.1, 0.4), (0.6, 0.2))]
    return (*waves, *powers, *steps, *hats, Target("|x|", _cone(1)))


def plane_targets() -> tuple[Target, ...]:
    """On [-1, 1]^2: waves of four wave vectors; products of Legendre's; steps along lines; hats; a disk; |x|."""
    waves = [
        Target(f"{name} pi ({k[0]}, {k[1]}).x", _wave(wave, k))
        for k in ((1, 0), (0, 1), (1, 1), (2, -1)) for name, wave in _WAVES
    ]  # fmt: skip
    powers = [Target(f"P_{i}(x_1) P_{j}(x_2)", _legendre((i, j))) for i, j in ((1, 1), (2, 0), (0, 2), (1, 2), (3, 3))]
    steps = [
        Target(f"step across ({v[0]:g}, {v[1]:g}).x = {s:g}", _step(v, s))
        for v, s in (((1.0, 0.0), 0.2), ((0.0, 1.0), -0.3), ((1.0, 1.0), 0.0))
    ]
    hats = [Target(f"hat at {c}, {w:g} wide", _hat(c, w)) for c, w in (((0.5, 0.5), 1.0), ((-0.4, 0.3), 0.8))]
    return (*waves, *powers, *steps, *hats, Target("disk of radius .7", _disk), Target("|x|", _cone(2)))


def tabled(targets: Sequence[Target], inputs: Array) -> Array:
    """(n, t)."""
    return np.stack([target.function(inputs) for target in targets], axis=1)


_WAVES: tuple[tuple[str, Function], ...] = (("sin", np.sin), ("cos", np.cos))


def _wave(wave: Function, k: Sequence[int]) -> Function:
    return lambda x: wave(np.pi * (x[:, : len(k)] @ np.array(k, dtype=np.float64)))


def _legendre(degrees: Sequence[int]) -> Function:
    made = [Legendre.basis(k) for k in degrees]
    return lambda x: np.asarray(np.prod([p(x[:, j]) for j, p in enumerate(made)], axis=0))


def _step(v: Sequence[float], s: float) -> Function:
    return lambda x: np.sign(x[:, : len(v)] @ np.array(v) - s)


def _hat(centre: Sequence[float], width: float) -> Function:
    def hat(x: Array) -> Array:
        away = np.abs(x[:, : len(centre)] - np.array(centre))
        return np.asarray(np.prod(np.maximum(1.0 - 2.0 * away / width, 0.0), axis=1))

    return hat


def _cone(dim: int) -> Function:
    return lambda x: np.linalg.norm(x[:, :dim], axis=1)


def _disk(x: Array) -> Array:
    return np.where(np.linalg.norm(x[:, :2], axis=1) < 0.7, 1.0, -1.0)
