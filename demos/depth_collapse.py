r"""Is a deep network of independent weights, when it is wide, still deep?                          Slides: Theorem 6.

Claim: layers 2 .. L - 2 come to act as ONE neuron each: whole layers are translated, up to n^{-1/2}.       [derived]

    H_1 = <w_1(c_1), x>,  H_i = E_{C_{i-1}}[w_i(C_{i-1}, c_i) phi(H_{i-1})],  prediction = E[w_L(C) phi(H_{L-1})]
    w_i' = -E_Z[Delta_i(c_i) phi(H_{i-1}(c_{i-1}))]:   gradient flow in L2(P_1) x .. x L2(P_{L-1})       [cited: 1]
    independent entries: E[w_i^0(C, c') psi(C)] = m_i E psi(C), the same for every c': so H_2 is one number, and
    w_2 - w_2^0 = g(c_1) whatever c_2.   S^2 = E_{c_1} Var_{c_2}[w_2 - w_2^0]/E (w_2 - w_2^0)^2 -> 0
    correlated starts, where a label v(c) enters every layer (w_1 = A v + a, w_2 = m + l <v, v'>): S stays O(1)

The target is sin pi x on 16 points; laws without symmetry, since with it the limit would not move at all.
"""

import numpy as np

from solvers.deep import GradientFlow
from wflow import picture
from wflow.deep import DeepTrajectory, Sampled, Tensor, solve
from wflow.deep.collapse import collapse
from wflow.deep.problems import DeepProblem, sine_collapse, sine_latent

# Problem
SIZES, SEEDS, TIMES = (16, 32, 64, 128), 6, [0.0, 1.0, 2.0, 3.0, 4.0]
ROWS = {"independent, L = 4": sine_collapse(4), "latent, L = 4": sine_latent(4), "independent, L = 3": sine_collapse(3)}


# Solve
def run(problem: DeepProblem, n: int, seed: int) -> DeepTrajectory:
    return solve(problem.flow, GradientFlow(Sampled(n, 100 * n + seed)), dt=0.2, times=TIMES)


# Check
def statistic(problem: DeepProblem, n: int) -> float:
    """S of w_2 along c_2, root mean square over seeds."""
    runs, x = [run(problem, n, seed) for seed in range(SEEDS)], problem.flow.data.inputs
    return float(np.sqrt(np.mean([collapse(r.networks[0], r.final, x).translations[0] ** 2 for r in runs])))


def slope(problem: DeepProblem) -> float:
    return float(np.polyfit(np.log(SIZES), np.log([statistic(problem, n) for n in SIZES]), 1)[0])


# Picture: S over the width for three starts


# What would refute this
def refutation(problem: DeepProblem = ROWS["independent, L = 4"]) -> tuple[bool, float, float]:
    """A slope of S in the width further from -1/2 than .1."""
    off = abs(slope(problem) + 0.5)
    print(f"refuted: {'yes' if off > 0.1 else 'no'} ({off:.3f}, 0.1)")
    return off > 0.1, off, 0.1


# Exercise: independent weights, but L = 3: there is no layer between 2 and L - 2. What is S(128)/S(32)? (1)
def exercise(depth: int = 3) -> tuple[float, float]:
    return 1.0, statistic(sine_collapse(depth), 128) / statistic(sine_collapse(depth), 32)


if __name__ == "__main__":
    curves = {name: [(n, statistic(problem, n)) for n in SIZES] for name, problem in ROWS.items()}
    for name, found in curves.items():
        print(f"{name}: S = {', '.join(f'{s:.3f} (n = {n})' for n, s in found)}")
    limit = solve(ROWS["independent, L = 4"].flow, GradientFlow(Tensor(12)), dt=0.2, times=TIMES)
    print(f"the limit has {limit.final.widths} nodes; F(4) = {limit.energies[-1]:.5f}")
    figure = picture.falls({"translation of w_2": curves}, slope=-0.5, size="width n", value="S")
    print(picture.save(figure, "results/demos/depth_collapse.png"))
    refutation()
    print("exercise: predicted {:.2f}, measured {:.2f}".format(*exercise()))

# References: [1] Nguyen & Pham 2020, arXiv:2001.11443. [2] Araujo, Oliveira & Yukimura 2019, arXiv:1906.00193.
# [3] Pham & Nguyen 2021, arXiv:2105.05228.    Next lesson: unseen_input.py
