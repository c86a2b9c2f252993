"""This file owns the networks of the study of implicit bias: any scaling from a = 0, teachers of three kinds."""

import numpy as np

from wflow.arrays import count
from wflow.flow import Flow
from wflow.implicit.population import Inputs
from wflow.implicit.scaling import Scaling
from wflow.implicit.targets import Kind, drawn, empirical, population, teacher
from wflow.law import Atoms
from wflow.problems.problem import Problem


def quenching(
    target: Kind = "single",
    dim: int = 5,
    neurons: int = 50,
    scaling: float = 0.0,
    frozen: bool = False,
    samples: int | None = None,
    inputs: Inputs = "gaussian",
    teachers: int = 5,
    seed: int = 0,
    horizon: float = 10.0,
) -> Problem:
    """m = `neurons` relu neurons, scaled by m^-scaling, from a = 0, b ~ N(0, I/d), learn a teacher of d = `dim` inputs.

    target: "single", "several" (the mean of `teachers` neurons) or "ring"; frozen: b stays, the random-feature model;
    samples: None for the closed population risk, else n rows of inputs drawn with the seed, which several teachers are
    drawn with too. As a mean-field flow: from the start m^((1-scaling)/2) times as large, in the time m^-scaling t of
    w' = -grad F (wflow.implicit.scaling); to be solved with as many particles as neurons, start=Sampled(seed).
    """
    size = Scaling(neurons, scaling)
    law = teacher(target, dim, teachers=teachers, seed=seed)
    if samples is None:
        energy = population(law, inputs)
    else:
        rng = np.random.default_rng([count("seed", seed, least=0), 2])
        energy = empirical(drawn(law, count("samples", samples), rng, inputs))
    start = size.start(dim, frozen=frozen)
    return Problem(
        Flow(energy, start.domain, start, horizon),
        "E, Ma & Wu 2019, arXiv:1904.04326 (random features); formulas derived for this project",
        "outer weights move at once; inner ones, if free, follow: a few from a large start, most from a small one",
        minimiser=law if samples is None and not frozen and isinstance(law, Atoms) else None,
    )
