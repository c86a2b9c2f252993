"""Dynamical mean-field theory: processor time of one run of 6000 samples, 3 data, 12 steps, by depth.

Ends with status 1 if two hidden layers take 10 s or more. Run with OMP_NUM_THREADS=1.
"""

import sys
import time

from solvers.deep import networks
from wflow.activation import linear, tanh
from wflow.app.studies.dmft import three_data
from wflow.deep.dmft import linear_limit, sampled_limit

LIMIT = 10.0


def seconds(call) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> int:
    settings = {hidden: three_data(hidden, gamma0=1.5, rate=0.25, steps=12) for hidden in (1, 2, 3)}
    times = {}
    for hidden, setting in settings.items():
        times[hidden] = seconds(lambda s=setting: sampled_limit(s, tanh(), samples=6000, runs=1))
        print(f"tanh, {hidden} hidden, 6000 samples, P = 3, T = 12: {times[hidden]:.2f} s")
    deep = three_data(3, rate=0.05, steps=100)
    print(f"linear, 3 hidden, P = 3, T = 100: {seconds(lambda: linear_limit(deep)):.2f} s")
    wide = seconds(lambda: networks(settings[2], tanh(), width=512, seeds=12))
    print(f"12 networks of width 512, 2 hidden, T = 12: {wide:.2f} s")
    once = linear_limit(three_data(3, rate=0.05, steps=12))
    same = sampled_limit(three_data(3, rate=0.05, steps=12), linear(), samples=6000, runs=1).mean
    print(f"samples of a linear network are off its closed solution by {abs(once.f - same.f).max():.1e}")
    return int(times[2] >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
