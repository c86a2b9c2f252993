r"""What does a deep network learn when it is infinitely wide and its features move?         Slides: beyond two layers.

Claim: networks of width N tend to mean-field theory, N^{-1/2} each and 1/N in the mean; with its responses. [measured]

    h^1 = W^1 x/D^(1/2),   h^2 = W^2 phi(h^1)/N^(1/2),   f = w . phi(h^2)/(gamma0 N),   rate eta gamma0^2 N    [network]
    h(t) = u(t) + gamma0 sum_{s<t}  [A(t,s) + eta Delta(s) Phi(t,s)] g(s),        u ~ GP(Phi of the layer below) [limit]
    z(t) = r(t) + gamma0 sum_{s<=t} [B(t,s) + eta Delta(s) G(t,s) 1_{s<t}] phi(h(s)),   r ~ GP(G of the layer above)
    g = phi'(h) z,  f = <z phi(h)>/gamma0,  Delta = y - f,  A = <d phi(h)/dr>/gamma0,  B = <dg/du>/gamma0      [derived]

W^2 is used forwards and backwards, so what comes back remembers what went forth: A and B are those memories. Without
them the limit is another one, which no width tends to. In twelve steps Phi^2 changes by twice its size.
"""

import math
from functools import cache

import numpy as np

from solvers.deep import networks
from wflow import activation, picture
from wflow.deep.dmft import Setting, difference, linear_limit, sampled_limit

# Problem
INPUTS = np.random.default_rng(0).standard_normal((3, 24))
SETTING = Setting(INPUTS, [1.0, -1.0, 0.5], hidden=2, gamma0=1.5, rate=0.25, steps=12)
SIGMA, WIDTHS = activation("tanh"), (16, 32, 64, 128, 256)


# Solve
@cache
def limit(responses=True):
    return sampled_limit(SETTING, SIGMA, samples=12000, runs=2, responses=responses).mean


@cache
def errors(width, responses=True):
    """rms and mean error of f, over all times and data, of networks of this width."""
    found = networks(SETTING, SIGMA, width=width, seeds=2000 if width < 65 else 9600 // width)
    return difference(found.f, limit(responses).f)


# Check
def slopes(off):
    """Of log rms over all widths, and of log mean error over the first three, where noise leaves it to be seen."""
    rms, bias = np.log([d.rms for d in off]), np.log([d.bias for d in off[:3]])
    return np.polyfit(np.log(WIDTHS), rms, 1)[0], np.polyfit(np.log(WIDTHS[:3]), bias, 1)[0]


# Picture: both errors against N, and the mean error against the theory without A and B


# What would refute this
def refutation(responses: bool = True) -> tuple[bool, float, float]:
    """A mean over 2000 networks of width 64 that is off by more than .02 (the rms of one of them is .04)."""
    off = errors(64, responses).bias
    print(f"refuted: {'yes' if off > 0.02 else 'no'} ({off:.4f}, 0.02)")
    return off > 0.02, off, 0.02


# Exercise: one hidden layer, phi(h) = h, x = y = gamma0 = 1: where is f at time 1? (f' = 2 (1 - f) (1 + f^2)^(1/2))
def exercise() -> tuple[float, float]:
    q = math.sinh(2 * math.sqrt(2) + math.asinh(1))
    return (q - 1) / (q + 1), float(linear_limit(Setting([[1.0]], [1.0], rate=0.01, steps=100)).f[-1, 0])


if __name__ == "__main__":
    found = [errors(n) for n in WIDTHS]
    without = [errors(n, responses=False).bias for n in WIDTHS[:3]]
    print("N = {}: rms {}".format(WIDTHS, " ".join(f"{d.rms:.4f}" for d in found)))
    print("slope of the rms {:.3f} (-1/2), of the mean's error {:.3f} (-1)".format(*slopes(found)))
    print("mean error without A and B, N = 16, 32, 64: {:.4f} {:.4f} {:.4f}".format(*without))
    one = [(n, errors(n).rms, errors(n).rms_error) for n in WIDTHS]
    mean = [(n, errors(n).bias, errors(n).bias_error) for n in WIDTHS[:3]]
    rows = {"off the limit": mean, "without A and B": [(WIDTHS[k], e, 0.0) for k, e in enumerate(without)]}
    print(picture.save(picture.widths({"f: one network": one}, rows), "results/demos/infinite_width.png"))
    refutation()
    print("exercise: predicted {:.5f}, measured {:.5f}".format(*exercise()))

# References: [1] Bordelon & Pehlevan 2022, arXiv:2205.09653. [2] Yang & Hu 2021, arXiv:2011.14522 (tensor programs).
# [3] Bordelon & Pehlevan 2023, arXiv:2304.03408 (fluctuations at finite width).    Next lesson: fluctuations.py
