r"""What is left of a method's order when all neurons start at a few points?   Slides: (0.5)-(0.7), on a grid.

Claim: from atoms cells err by h^(1/2) (upwind) or h^(2/3) (MUSCL) in W2, from jumps by h^(3/4) or h; particles by 0.

    V = 1 - cos theta:   theta' = -sin theta,   tan(theta_t / 2) = e^{-t} tan(theta_0 / 2)                     [proved]
    upwind adds a diffusion |v| h / 2: layers of width d ~ h^(1/2);  MUSCL a third derivative: d ~ h^(2/3)     [derived]
    atom:  W2 ~ d.     jump:  the quantiles shift by d over a mass of d,  W2^2 ~ d^2 d,  W2 ~ d^(3/2)          [derived]
    upwind, one atom:  W2 = sin(theta_t) (h (cot theta_t - cot theta_0))^(1/2) + O(h), no constant to fit      [derived]
    particles from atoms: w_j' = -V'(w_j) is the PDE itself, whatever their number                             [proved]

`wflow verify atom_start jump_start` checks these orders; heat forgives jumps, and atoms but for their place in a cell.
"""

from functools import cache

import numpy as np

from solvers.finite_volume import Muscl, Upwind
from solvers.particles import GradientFlow
from wflow import Atoms, Energy, Flow, activation, circle, circle_kernel, picture, population_risk, problems, solve, w2
from wflow.problems.rough import moved
from wflow.solver import Solver

# Problem
ANGLE, CELLS = 2.0, (64, 128, 256, 512)
STARTS = {"atom": problems.atom_start((ANGLE,)), "jump": problems.jump_start()}
ROWS = {(Upwind, "atom"): 1 / 2, (Muscl, "atom"): 2 / 3, (Upwind, "jump"): 3 / 4, (Muscl, "jump"): 1.0}


# Solve
@cache  # dt = h / 25: the error is that of the cells
def error(scheme: type[Solver], start: str, cells: int) -> float:
    return w2(solve(STARTS[start].flow, scheme(cells), steps=4 * cells).final, STARTS[start].exact(1.0))


# Check
def slope(errors: list[float]) -> float:
    return -float(np.polyfit(np.log(CELLS), np.log(errors), 1)[0])


def predicted(cells: int) -> float:
    end = moved(ANGLE, 1.0)
    return float(np.sin(end) * np.sqrt(2 * np.pi / cells * (1 / np.tan(end) - 1 / np.tan(ANGLE))))


# Picture: the errors against the number of cells, each with its predicted slope


# What would refute this
def refutation(start: str = "atom") -> tuple[bool, float, float]:
    """A slope of upwind from an atom that is off 1/2 by more than 0.05."""
    off, limit = abs(slope([error(Upwind, start, n) for n in CELLS]) - 0.5), 0.05
    print(f"refuted: {'yes' if off > limit else 'no'} ({off:.3f}, {limit})")
    return off > limit, off, limit


# Exercise: let two neurons cos - sin learn the teachers 1 and 2.5. At which order does upwind find where they go?
def exercise() -> tuple[float, float]:
    teacher, start = (Atoms(circle(), np.array([[a], [b]])) for a, b in ((1.0, 2.5), (0.2, 4.0)))
    energy = Energy(*population_risk(circle_kernel(activation("cos_minus_sin", 1.0), "gaussian"), teacher))
    ends = [
        solve(Flow(energy, circle(), start, 1.0), s, steps=600).final for s in (GradientFlow(2), *map(Upwind, CELLS))
    ]
    return 0.5, slope([w2(end, ends[0]) for end in ends[1:]])


if __name__ == "__main__":
    errors = {f"{scheme.__name__}, {start}": [error(scheme, start, n) for n in CELLS] for scheme, start in ROWS}
    slopes = dict(zip(errors, (-order for order in ROWS.values()), strict=True))
    for name, row in errors.items():
        print(f"{name}: {', '.join(f'{e:.2e}' for e in row)}, slope {-slope(row):.2f}, predicted {slopes[name]:.2f}")
    print(f"Upwind, atom, 512 cells: {error(Upwind, 'atom', 512):.4f}, predicted {predicted(512):.4f}")
    print(f"one particle from the atom, RK4: {error(GradientFlow, 'atom', 16):.0e}")
    figure = picture.order_plot(CELLS, errors, slopes, across="cells", error="W2 error (radian)")
    print(picture.save(figure, "results/demos/singular_start.png"))
    refutation()
    print("exercise: predicted {}, measured {:.3f}".format(*exercise()))

# References: [1] Delarue & Lagoutiere 2011, Arch. Ration. Mech. Anal. 199 (upwind, h^(1/2)). [2] LeVeque 2002, Finite
# Volume Methods. [3] Carrillo, Chertock & Huang 2015, CiCP 17(1).    Next lesson: relu_teacher_plane.py
