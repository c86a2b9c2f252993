"""The catalogue: one function a problem, one file a family; variants are names for some of its parameters."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wflow.arrays import nearest
from wflow.problems.anisotropic import anisotropic_gaussians
from wflow.problems.chemotaxis import keller_segel
from wflow.problems.circle import circle_teacher, linear_neuron, quadratic_neuron, sawtooth
from wflow.problems.concave import displacement_convex
from wflow.problems.crowd import congestion, crowd
from wflow.problems.diffusion import drift_diffusion, heat_mode, ornstein_uhlenbeck
from wflow.problems.isotropic import isotropic_gaussians
from wflow.problems.network import two_layer_1d
from wflow.problems.noisy import gaussian_langevin, von_mises_langevin
from wflow.problems.pairs import aggregation
from wflow.problems.plane import relu_teacher_plane
from wflow.problems.porous import barenblatt, porous_well
from wflow.problems.problem import Problem
from wflow.problems.quenching import quenching
from wflow.problems.regions import around_obstacle, barenblatt_disk, blown_region, porous_well_disk
from wflow.problems.regression import regression
from wflow.problems.rough import atom_start, jump_start
from wflow.problems.space import planar_optimum, relu_teacher_space
from wflow.problems.sparse import deconvolution_1d, deconvolution_2d, one_spike, relu_teacher
from wflow.problems.sphere import sphere_drift, sphere_teacher
from wflow.problems.symmetric import axis_target, odd_target
from wflow.problems.univariate import univariate_relu

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
        gaussian_langevin,
        von_mises_langevin,
        barenblatt,
        porous_well,
        displacement_convex,
        aggregation,
        keller_segel,
        congestion,
        crowd,
        around_obstacle,
        barenblatt_disk,
        porous_well_disk,
        atom_start,
        jump_start,
        two_layer_1d,
        relu_teacher_plane,
        relu_teacher_space,
        regression,
        univariate_relu,
        blown_region,
        sphere_teacher,
        sphere_drift,
        one_spike,
        deconvolution_1d,
        deconvolution_2d,
        relu_teacher,
        odd_target,
        axis_target,
        isotropic_gaussians,
        anisotropic_gaussians,
        quenching,
    )
}


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ornstein_uhlenbeck_2d": ("ornstein_uhlenbeck", {"mean": (3.0, -3.0), "std": (1.0, 1.5), "horizon": 0.1}),
    "drift_diffusion_2d": ("drift_diffusion", {"g": (2.0, 1.0), "start": 0.1, "horizon": 0.01}),
    "aggregation_quadratic": ("aggregation", {"kind": "quadratic"}),
    "aggregation_log_line": ("aggregation", {"kind": "log_line"}),
    "aggregation_log_plane": ("aggregation", {"kind": "log_plane", "reach": 2.0, "horizon": 0.1}),
    "congestion_2d": ("congestion", {"dim": 2, "horizon": 0.3}),
    "circle_teacher_conic": ("circle_teacher", {"b": 2.0, "masses": "conserved", "horizon": 40.0}),
    "displacement_convex_noisy": ("displacement_convex", {"temperature": 0.1}),
    "barenblatt_2d": ("barenblatt", {"dim": 2, "horizon": 0.003}),
    "isotropic_gaussians_limit": ("isotropic_gaussians", {"d": "infinity", "delta": 0.2, "window": (0.4, 1.8)}),
    "two_layer_1d_square": (
        "two_layer_1d",
        {"target": "tanh", "initial": "uniform", "spread": 1.0, "reach": 4.0, "horizon": 3.0},
    ),
    "two_layer_1d_waves": (
        "two_layer_1d",
        {"activation": "cos_minus_sin", "target": "tanh", "initial": "uniform", "reach": 2.0, "horizon": 2.4},
    ),
}
"""Names for a problem of the catalogue at other defaults, verified like the others: name -> (problem, parameters)."""
NAMES = (*CATALOGUE, *VARIANTS)


def function_of(name: str) -> Callable[..., Problem]:
    """The function behind a name; ValueError for an unknown one, with the nearest."""
    if name not in NAMES:
        raise ValueError(f"problem: unknown name {name!r}; {nearest(name, list(NAMES))}")
    return CATALOGUE[VARIANTS[name][0] if name in VARIANTS else name]


def parameters_of(name: str) -> dict[str, Any]:
    """Parameter names of a problem with their defaults; ValueError for an unknown problem, with the nearest."""
    own = {key: p.default for key, p in inspect.signature(function_of(name)).parameters.items()}
    return {**own, **(VARIANTS[name][1] if name in VARIANTS else {})}


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
    return replace(function_of(name)(**full), name=name, parameters=full)


__all__ = [
    "CATALOGUE",
    "NAMES",
    "VARIANTS",
    "Problem",
    "aggregation",
    "anisotropic_gaussians",
    "atom_start",
    "axis_target",
    "barenblatt",
    "blown_region",
    "build",
    "circle_teacher",
    "congestion",
    "crowd",
    "deconvolution_1d",
    "deconvolution_2d",
    "displacement_convex",
    "drift_diffusion",
    "function_of",
    "gaussian_langevin",
    "heat_mode",
    "isotropic_gaussians",
    "jump_start",
    "keller_segel",
    "linear_neuron",
    "nearest",
    "odd_target",
    "one_spike",
    "ornstein_uhlenbeck",
    "parameters_of",
    "planar_optimum",
    "porous_well",
    "quadratic_neuron",
    "quenching",
    "regression",
    "relu_teacher",
    "relu_teacher_plane",
    "relu_teacher_space",
    "sawtooth",
    "sphere_drift",
    "sphere_teacher",
    "two_layer_1d",
    "univariate_relu",
    "von_mises_langevin",
]
