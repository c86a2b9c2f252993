r"""Do two processes that share one flow, each with half of the triangles, end where one process does?

Claim: two ranks and one agree to rounding, and what they exchange is a line of cells and a few sums. [measured]

    d_t rho = div(rho grad V + T grad rho),  V = -w_1,  no flux through the walls and round the disk
    F(rho) = T int rho log rho + int V rho, a sum over the ranks' cells
    ghosts = cut facets = (height of the cut)/(row of triangles) = 1.2/(sqrt(3)/2 h),  h = 4/cells       [derived]

In a script:  with wflow.on_ranks(): run = solve(flow, TwoPoint(64)).  Slides: none.
"""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from solvers.fem import TwoPoint
from wflow import Trajectory, picture, problems, solve
from wflow.part import owners
from wflow.store import unpack

# Problem
FLOW = problems.around_obstacle().flow
CELLS, STEPS = 64, 48
CONFIG = f'problem.name = "around_obstacle"\nsolver = {{name = "TwoPoint", cells = {CELLS}}}\nsolve.steps = {STEPS}'


# Solve
@lru_cache
def two() -> Trajectory:
    launcher = shutil.which("mpiexec", path=sysconfig.get_path("scripts")) or "mpiexec"
    with tempfile.TemporaryDirectory() as folder:
        (config := Path(folder) / "shared.toml").write_text(CONFIG, encoding="utf-8")
        command = [launcher, "-n", "2", sys.executable, "-m", "wflow.app.cli", "run", config, "--out", folder]
        subprocess.run(command, check=True, capture_output=True)
        return unpack(next(Path(folder).glob("shared-001/*.npz")).read_bytes()).trajectory(FLOW, TwoPoint(CELLS))


@lru_cache
def one(steps: int) -> Trajectory:
    return solve(FLOW, TwoPoint(CELLS), steps=steps)


# Check
def apart(steps: int) -> float:
    return float(np.abs(two().final.weights - one(steps).final.weights).sum())


# Picture: the density at the start and at the end, as two ranks found it


# What would refute this
def refutation(steps: int = STEPS) -> tuple[bool, float, float]:
    """Ends more than 1e-10 apart in L1; steps: of the one process."""
    value, limit = apart(steps), 1e-10
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.1e}, {limit:.1e})")
    return value > limit, value, limit


# Exercise: how many sides of triangles lie between the ranks' halves, on 64 triangles along the box?
def exercise() -> tuple[float, float]:
    owner = owners(mesh := one(STEPS).final.mesh, 2)[mesh.facets.cells]
    return 1.2 / (np.sqrt(0.75) * 4.0 / CELLS), float(np.sum(owner[:, 0] != owner[:, 1]))


if __name__ == "__main__":
    print(f"F on two ranks {two().energies[-1]:.15f}, on one {one(STEPS).energies[-1]:.15f}")
    print(picture.save(picture.regions(two()), "results/demos/two_ranks.png"))
    refutation()
    print("exercise: predicted {:.1f}, measured {:.0f}".format(*exercise()))

# References: [1] Gropp, Lusk & Skjellum, Using MPI. [2] Baratta et al. 2023, DOLFINx. [3] Berger & Bokhari 1987.
# Next lesson: depth_collapse.py
