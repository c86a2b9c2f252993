"""The catalogue: one function a problem, one file a family."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wflow.arrays import nearest
from wflow.problems.circle import circle_teacher, linear_neuron, quadratic_neuron, sawtooth
from wflow.problems.diffusion import drift_diffusion, heat_mode, ornstein_uhlenbeck
from wflow.problems.network import two_layer_1d
from wflow.problems.plane import relu_teacher_plane
from wflow.problems.problem import Problem
from wflow.problems.regression import regression
from wflow.problems.rough import atom_start, jump_start

CATALOGUE: dict[str, Callable[..., Problem]] = {
    function.__name__: function
    for function in (
        circle_teacher,
        sawtooth,
        linear_neuron,
        quadratic_neuron,
        ornstein_uhlenbeck,
        heat_mode,
        drift_diffusion,
        atom_start,
        jump_start,
        two_layer_1d,
        relu_teacher_plane,
        regression,
    )
}


def parameters_of(name: str) -> dict[str, Any]:
    """Parameter names of a problem with their defaults; ValueError for an unknown problem, with the nearest."""
    if name not in CATALOGUE:
        raise ValueError(f"problem: unknown name {name!r}; {nearest(name, list(CATALOGUE))}")
    return {key: p.default for key, p in inspect.signature(CATALOGUE[name]).parameters.items()}


def build(name: str, **given: Any) -> Problem:
    """The named problem with these parameters (the rest at their defaults), which it remembers.

    Raises ValueError for an unknown problem or parameter, naming the nearest known one, and for a missing parameter.
    """
    known = parameters_of(name)
    for key in given:
        if key not in known:
            raise ValueError(f"{name}: unknown parameter {key!r}; {nearest(key, list(known))}")
    full = {**known, **given}
    missing = [key for key, value in full.items() if value is inspect.Parameter.empty]
    if missing:
        raise ValueError(f"{name}: parameter {missing[0]!r} has no default; set it")
    return replace(CATALOGUE[name](**full), name=name, parameters=full)


__all__ = [
    "CATALOGUE",
    "Problem",
    "atom_start",
    "build",
    "circle_teacher",
    "drift_diffusion",
    "heat_mode",
    "jump_start",
    "linear_neuron",
    "nearest",
    "ornstein_uhlenbeck",
    "parameters_of",
    "quadratic_neuron",
    "regression",
    "relu_teacher_plane",
    "sawtooth",
    "two_layer_1d",
]
