r"""Does a wide deep network reach zero loss, also if no neuron listens to one input?      Slides: beyond two layers.

Claim: with w_1 of full support F falls far below what any start on one coordinate can ever reach, E Var(y | x_1)/2.

    f = E[w_3(C_2) phi(E[w_2(C_1, C_2) phi(<w_1(C_1), x>)])],   x = (x_1, x_2, 1),   y = (sin pi x_1 + cos pi x_2)/2
    w_1 of full support in R^3, independent layers: F -> inf F = 0 if weights converge             [cited: 1, 2]
    w_1 = 0 on x_2: d_t w_1 = -E[Delta_1 X], Delta_1 even in x_2 since y and the data are: 0 on x_2 for ever
    so f = f(x_1) and F >= E Var(y | x_1)/2 = E (cos pi x_2)^2/8 = 1/16, at any width and depth         [proved]
    the monitor: d(B; g) = min |g - E[a(C_1) phi_1(C_1)]| over |a| <= B; g = cos pi x_2 stays at 1      [measured]

At a finite time numerics prove no limit: the verdict is *consistent* at these nodes and this time.
"""

import numpy as np

from solvers.deep import GradientFlow
from wflow import Data, picture
from wflow.deep import DeepFlow, DeepTrajectory, Tensor, solve
from wflow.deep.problems import DeepProblem, plane_full_support, plane_one_axis
from wflow.deep.universal import least_risk, plane_monitor, watch

# Problem
FULL, AXIS = plane_full_support(), plane_one_axis()
BOUND, TIMES = 1.0 / 16.0, [0.0, 1.0, 3.0, 10.0, 20.0, 40.0, 60.0]


# Solve
def run(problem: DeepProblem, *, second: float = 0.5) -> DeepTrajectory:
    """y = (sin pi x_1)/2 + second cos pi x_2."""
    x = problem.flow.data.inputs
    y = 0.5 * np.sin(np.pi * x[:, 0]) + second * np.cos(np.pi * np.abs(x[:, 1]))
    return solve(DeepFlow(Data(x, y), problem.flow.start, TIMES[-1]), GradientFlow(Tensor((5, 6))), dt=0.2, times=TIMES)


# Check: the bound by data and loss alone, over all functions of columns 0 and 2
def excess(ended: DeepTrajectory) -> float:
    return float(ended.energies[-1]) - least_risk(ended.flow.data, ended.flow.loss, [0, 2])


# Picture: F of both starts with the bound, and distances of cos pi x_2 to first features at norm 100


# What would refute this
def refutation(problem: DeepProblem = FULL) -> tuple[bool, float, float]:
    """The start of full support ends above a third of the bound."""
    share = float(run(problem).energies[-1]) / BOUND
    print(f"refuted: {'yes' if share > 1 / 3 else 'no'} ({share:.3f}, 0.333)")
    return share > 1 / 3, share, 1 / 3


# Exercise: a second wave twice as high, y = (sin pi x_1)/2 + cos pi x_2. Where does the start of one axis stay? (1/4)
def exercise(second: float = 1.0) -> tuple[float, float]:
    return 0.25, float(run(AXIS, second=second).energies[-1])


if __name__ == "__main__":
    runs, monitor = {"both coordinates": run(FULL), "one coordinate": run(AXIS)}, plane_monitor()
    at = [t.name for t in monitor.targets].index("cos pi (0, 1).x")
    losses, distances = {}, {}
    for name, ended in runs.items():
        seen = [float(one.distances[0, 1, at]) for one in watch(ended, monitor)]
        losses[name, ""], distances[name, ""] = (ended.times, ended.energies), (ended.times, seen)
        print(f"{name}: F = {ended.energies[-1]:.4f}, F less the bound {excess(ended):.4f}, distance {seen[-1]:.3f}")
    panels = [picture.Panel("two waves, 8 x 8 data", "F", losses, {"bound of one coordinate": BOUND})]
    panels += [picture.Panel("$\\cos \\pi x_2$ by first features, norm 100", "relative distance", distances)]
    print(picture.save(picture.over_time(panels), "results/demos/unseen_input.png"))
    refutation()
    print("exercise: predicted {:.3f}, measured {:.3f}".format(*exercise()))

# References: [1] Nguyen & Pham 2020, arXiv:2001.11443. [2] Pham & Nguyen 2021, arXiv:2105.05228 (three layers).
# [3] Chizat & Bach 2018, arXiv:1805.09545 (two layers).    Next lesson: mup_features.py
