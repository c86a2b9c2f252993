r"""Do a grid and finite elements, which share no line of code, find the same flow of neurons on the circle?

Claim: at every time they are no further apart in W2 than both errors together, each measured by itself.

    d_t rho = (rho V')',    F = (1/2) E (f_pi - f_uniform)^2,    sigma = cos - 2 sin
    grid       rho_i' = -(J_{i+1/2} - J_{i-1/2}) / h, slopes limited (MUSCL)              order 2 in h, 2 in dt
    elements   int_K rho' w = int_K rho v w' - [rho_up v w], linear in each K (DG1)       order 2 in h, 2 in dt
    d(t) = W2(run, run refined by 2 in h and dt): the error of the refined run, or more   [derived, leading order]
    W2(grid, elements) <= W2(grid, flow) + W2(flow, elements) <= d_grid + d_elements       [the triangle, proved]

One line changes from one to the other: solvers.fem.DG1 for solvers.finite_volume.Muscl.   Slides: the flow (0.1).
"""

from functools import cache

import numpy as np

from solvers.fem import DG1
from solvers.finite_volume import Muscl
from solvers.spectral import Fourier
from wflow import Trajectory, picture, problems, solve, w2
from wflow.solver import Solver

# Problem
TIMES, GRID, ELEMENTS = np.linspace(0.5, 10.0, 20), Muscl(cells=64), DG1(cells=64)


# Solve
@cache
def run(solver: Solver, steps: int = 160, b: float = 2.0) -> Trajectory:
    problem = problems.circle_teacher("cos_minus_sin", b=b, horizon=TIMES[-1])
    return solve(problem.flow, solver, steps=steps, times=list(TIMES))


def finer(solver: Solver, b: float = 2.0) -> Trajectory:
    return run(solver.refined(2), 320, b)


# Check
def apart(one: Trajectory, other: Trajectory) -> np.ndarray:
    return np.array([w2(a, b) for a, b in zip(one.measures, other.measures, strict=True)])


def table(b_of_elements: float = 2.0) -> dict[str, np.ndarray]:
    grid, elements = finer(GRID), finer(ELEMENTS, b_of_elements)
    errors = apart(run(GRID), grid), apart(run(ELEMENTS, b=b_of_elements), elements)
    names = ("grid to elements", "error of the grid", "error of the elements", "both errors")
    return dict(zip(names, (apart(grid, elements), *errors, errors[0] + errors[1]), strict=True))


# Picture: both densities at three times, and how far apart they are at each


# What would refute this
def refutation(b_of_elements: float = 2.0) -> tuple[bool, float, float]:
    """A time at which W2 is more than is allowed."""
    found, _, _, allowed = table(b_of_elements).values()
    worst = float(np.max(found / allowed))
    print(f"refuted: {'yes' if worst > 1 else 'no'} ({worst:.2f}, 1)")
    return worst > 1, worst, 1.0


# Exercise: by what factor does the error of DG1 at t = 10 fall from 64 to 128 cells? (Its order is 2.)
def exercise() -> tuple[float, float]:
    exact = run(Fourier(modes=48), 400)
    coarse, fine = (w2(pi.final, exact.final) for pi in (run(ELEMENTS), finer(ELEMENTS)))
    return 4.0, coarse / fine


if __name__ == "__main__":
    lines = {name: (finer(GRID).times, values) for name, values in table().items()}
    print("\n".join(f"{name:22} at most {max(values):.2e}" for name, (_, values) in lines.items()))
    densities = picture.densities({str(r.solver): r for r in map(finer, (GRID, ELEMENTS))}, [0.0, 4.0, 10.0])
    distances = picture.numbers(lines, known=["both errors"], value="W2 (radian)")
    print(picture.save([densities, distances], "results/demos/grid_and_elements.png"))
    refutation()
    print("exercise: predicted {:.2f}, measured {:.2f}".format(*exercise()))

# References: [1] van Leer 1979, J. Comput. Phys. 32, 101-136. [2] Cockburn & Shu 1998, J. Comput. Phys. 141, 199-224.
# [3] Villani 2003, Topics in Optimal Transportation, AMS.    Next lesson: convex_in_mixtures.py
