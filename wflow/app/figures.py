"""This file owns which pictures a problem and its runs get."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wflow import picture
from wflow.app.verify import Outcome
from wflow.convergence import Refinement
from wflow.domain import Box
from wflow.measure import Density, SignedParticles
from wflow.mesh_density import MeshDensity
from wflow.problems import Problem
from wflow.signed_density import SignedDensity
from wflow.trajectory import Trajectory

Runs = Mapping[str, Trajectory]
EARLY = 0.15
"""The middle panel of the densities: this part of the horizon, where much has happened but not all."""
MOST_LIMIT, MOST_EXACT = 33, 9
"""Times at which a run is compared with one law, and with the exact law of each time, which may be slow to evaluate."""
COMPACT = (5.6, 4.2)
"""Inches of a picture in a page: on a phone of 390 px its letters keep nine tenths of their nominal size."""
WIDE = 8.0
"""Pictures wider than this many inches have panels side by side and keep their size."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure with a file name (without suffix) and a caption that says what it shows."""

    name: str
    caption: str
    figure: Any

    @property
    def wide(self) -> bool:
        """Panels side by side."""
        return bool(self.figure.get_figwidth() > WIDE)

    @property
    def png(self) -> bytes:
        """The file."""
        return base64.b64decode(picture.png_base64(self.figure))

    def compact(self) -> str:
        """A PNG in base64 for a page, drawn smaller unless it is wide."""
        if not self.wide:
            self.figure.set_size_inches(*COMPACT)
        return picture.png_base64(self.figure)


def of_runs(problem: Problem, runs: Runs) -> Iterator[Picture]:
    """Pictures of one problem solved several times: densities, energies and distances, or the network on its data."""
    if not runs:
        return
    free = problem.flow.charged and not problem.flow.conserved
    if free:
        yield from _charges(problem, runs)
    elif problem.flow.domain.dim == 1:
        yield _densities(problem, runs)
    if problem.flow.energy.risk is not None:
        yield from _of_network(problem, runs)
    elif any(np.isfinite(run.energies).all() for run in runs.values()):
        yield Picture("energies", "The energy F over time.", picture.energies(runs))
    yield from _relaxation(problem, runs)
    if free:
        return  # W2 and neurons of one sign are no pictures of them
    if problem.flow.domain.dim == 1:
        yield from _distances(problem, runs)
    else:
        yield from _in_plane(problem, runs)


def _relaxation(problem: Problem, runs: Runs) -> Iterator[Picture]:
    """At a temperature, where inf F is known: of the first W2 flow of a density, between what is proved of it."""
    if not problem.flow.energy.temperature or problem.lowest is None:
        return
    for name, run in runs.items():
        if not run.solver.equation and isinstance(run.final, Density) and np.all(run.energies > problem.lowest):
            caption = f"{name}: F - inf F over time, between the gap that is proved and the log-Sobolev bound."
            yield Picture("relaxation", caption, picture.relaxation(run, problem.lowest))
            return


def _charges(problem: Problem, runs: Runs) -> Iterator[Picture]:
    """Charges of at most three runs, and densities of as many, beside the minimiser where it is known."""
    dim, known = problem.flow.domain.dim, problem.charges
    if dim > 2:
        return
    names = problem.flow.energy.names(dim)
    points = {name: run for name, run in runs.items() if isinstance(run.final, SignedParticles)}
    if points:
        caption = "Charges of both signs: their paths, and where they end."
        yield Picture("charges", caption, picture.charges(points, known, names))
    cells = {name: run for name, run in runs.items() if isinstance(run.final, SignedDensity)}
    if cells:
        yield Picture("sheets", "Densities of both signs on cells, at the end.", picture.sheets(cells, known, names))


def _densities(problem: Problem, runs: Runs) -> Picture:
    """All runs at the start, early, and at the end."""
    shared = shared_times(list(runs.values()))
    early = min(shared, key=lambda t: abs(t - EARLY * shared[-1]))
    times = sorted({shared[0], early, shared[-1]})
    known = problem.exact if problem.exact(shared[-1]) is not None else None
    caption = "Every method on one axis. Ticks below zero: particles and quantiles (at most 100)."
    return Picture("densities", caption, picture.densities(runs, times, known))


def shared_times(runs: Sequence[Trajectory]) -> list[float]:
    """The saved times that all runs have in common, 0 and the end among them."""
    return [
        float(t) for t in runs[0].times if all(np.min(np.abs(run.times - t)) <= 1e-9 * max(1.0, t) for run in runs[1:])
    ]


def _of_network(problem: Problem, runs: Runs) -> Iterator[Picture]:
    risk = problem.flow.energy.risk
    assert risk is not None
    yield Picture("risk", "The risk R = E (f - y)^2 over time.", picture.risk(runs, problem.held_out))
    if risk.data.inputs.shape[1] == 1:
        caption = "The data, and the networks at the end."
        yield Picture("fit", caption, picture.fit(risk.data, runs, problem.held_out, problem.columns))
    if risk.data.inputs.shape[1] == 2:
        name, run = max(runs.items(), key=lambda pair: len(pair[1].final.points))
        drawn = picture.surface(risk.data, run, problem.held_out, problem.columns)
        yield Picture("surface", f"The network {name} at the end, and the data.", drawn)


def _in_plane(problem: Problem, runs: Runs) -> Iterator[Picture]:
    """Densities on two moving axes with particles on top; the neurons of the largest cloud."""
    cells = next((run for run in runs.values() if isinstance(run.final, Density)), None)
    clouds = [(name, run) for name, run in runs.items() if run.final.atomic]
    yield from _on_shapes(problem, runs)
    if not isinstance(problem.flow.domain, Box):
        return
    if cells is not None and len(problem.flow.domain.moving) == 2:
        cloud = max(clouds, key=lambda pair: len(pair[1].final.points))[1] if clouds else None
        caption = "The density at the start and at the end, with particles on top."
        yield Picture("maps", caption, picture.maps(cells, cloud))
    if clouds and problem.flow.domain.dim in (2, 3):
        name, largest = max(clouds, key=lambda pair: len(pair[1].final.points))
        caption = f"The neurons of {name} at the end; crosses: where they started."
        names = problem.flow.energy.names(problem.flow.domain.dim)
        yield Picture("neurons", caption, picture.neurons(largest.final, largest.measures[0], names))


def _on_shapes(problem: Problem, runs: Runs) -> Iterator[Picture]:
    """A density on a mesh of two axes or of the sphere with particles on top; without one the largest cloud there."""
    domain = problem.flow.domain
    meshed = next((run for run in runs.values() if isinstance(run.final, MeshDensity)), None)
    clouds = [run for run in runs.values() if run.final.atomic]
    cloud = max(clouds, key=lambda run: len(run.final.points)) if clouds else None
    if domain.intrinsic != 2 or any(domain.frozen):
        return
    if meshed is not None:
        caption = "The density at the start and at the end, with particles on top."
        yield Picture("regions", caption, picture.regions(meshed, cloud))
    elif cloud is not None and not isinstance(domain, Box):
        yield Picture("regions", "The particles at the start and at the end.", picture.regions(cloud))


def _distances(problem: Problem, runs: Runs) -> Iterator[Picture]:
    """W2 to the predicted limit, to the minimiser where that is another law, and to the exact answer, where known."""
    some = {name: thinned(run, MOST_LIMIT) for name, run in runs.items()}
    if problem.limit is not None and problem.limit is not problem.flow.initial:
        caption = f"W2 to the predicted limit; {problem.limit_reason}."
        yield Picture("w2_limit", caption, picture.w2_curves(some, problem.limit))
    if problem.minimiser is not None and problem.minimiser != problem.limit:
        caption = "W2 to the global minimiser, which this start is not predicted to reach."
        yield Picture("w2_minimiser", caption, picture.w2_curves(some, problem.minimiser))
    if problem.exact(problem.flow.horizon) is not None:
        few = {name: thinned(run, MOST_EXACT) for name, run in runs.items()}
        caption = "W2 to the exact answer at the same time: the error of each method."
        yield Picture("w2_exact", caption, picture.w2_curves(few, problem.exact))


def thinned(run: Trajectory, most: int) -> Trajectory:
    """The run at `most` of its saved times, both ends among them."""
    kept = np.unique(np.linspace(0, len(run.times) - 1, min(len(run.times), most)).round().astype(int))
    return replace(
        run,
        times=run.times[kept],
        measures=tuple(run.measures[i] for i in kept),
        energies=run.energies[kept],
        dissipated=run.dissipated[kept],
        diagnostics={name: values[kept] for name, values in run.diagnostics.items()},
    )


def of_refinements(problem: Problem, outcomes: Sequence[Outcome]) -> Iterator[Picture]:
    """Orders in time and space and of the energy identity, log-log, each against its declared slope."""
    for kind, caption in (
        ("time", "Order in time: W2 of the ends of two runs, one with twice the steps of the other."),
        ("space", "Order in space: W2 of the ends of two runs, one with twice the resolution of the other."),
        ("dissipation", "Energy identity: what F lost and was not dissipated."),
    ):
        studies = [(o, o.refinements[kind]) for o in outcomes if kind in o.refinements]
        seen = [(o, study) for o, study in studies if not study.at_rounding and min(study.distances) > 0.0]
        lengths = sorted({len(study.distances) for _, study in seen})
        for length in lengths:  # methods refined equally often share an axis
            some = [(o, study) for o, study in seen if len(study.distances) == length]
            name = kind if len(lengths) == 1 else f"{kind}_{length}"
            yield Picture(f"order_{name}", caption, _orders(problem, kind, some))


def _orders(problem: Problem, kind: str, studies: Sequence[tuple[Outcome, Refinement]]) -> Any:
    """One curve a method over its own levels, each counted from the coarsest; the declared slopes dashed."""
    errors, declared = {}, {}
    for outcome, study in studies:
        order = outcome.solver.order(problem.flow)
        name = f"{outcome.solver} {study.levels[0]}..{study.levels[-1]}"
        if kind != "dissipation":
            name += f", {study.norm}"
        errors[name] = study.distances
        declared[name] = -(order.space if kind == "space" else order.time)
    levels = [2.0**k for k in range(len(studies[0][1].distances))]
    across = f"{'resolution' if kind == 'space' else 'steps'}, as a multiple of the coarsest"
    error = "residual" if kind == "dissipation" else "distance"
    return picture.order_plot(levels, errors, declared, across=across, error=error)
