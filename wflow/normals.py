"""This file owns streams of standard normal numbers in which each is a function of its place alone.

    z_k = mix(start + k gamma) mod 2^64,  k = 1, 2, ..        SplitMix64: whole numbers of 64 bits, mix a bijection
    u = 1 - (z_{2p+1} >> 12)/2^52,  v = (z_{2p+2} >> 12)/2^52 - 1/2        in (0, 1] and [-1/2, 1/2)
    numbers 2p and 2p + 1 of the stream:  (-2 log u)^(1/2) cos 2 pi v  and  (-2 log u)^(1/2) sin 2 pi v

No number depends on another, so that a loop over them is vector code (wflow.compiled_normals, a quarter to a third of
the time of numpy's generators); plain numpy gives the same to rounding. The largest is (104 log 2)^(1/2) = 8.49, beyond
which one in 5e16 would lie. start and gamma are of numpy's SeedSequence, gamma odd, with 24 changes of bits or more.
Source: Steele, Lea & Flood 2014, OOPSLA, 453-472 (SplitMix64 and its gammas); Box & Muller 1958, Ann. Math. Stat.
29(2), 610-611.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wflow import compiled
from wflow.arrays import Array

__all__ = ["Stream", "mixed"]

FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_CHANGES = 24


@dataclass(frozen=True)
class Stream:
    """start and gamma, whole numbers below 2^64, gamma odd."""

    start: int
    gamma: int

    @classmethod
    def of(cls, *seed: int) -> "Stream":
        """The stream of one or more whole numbers >= 0; other numbers are other streams."""
        words = (int(word) for word in np.random.SeedSequence(seed).generate_state(64, np.uint64))
        start, gammas = next(words), (word | 1 for word in words)
        return cls(start, next(g for g in gammas if (g ^ (g >> 1)).bit_count() >= _CHANGES))

    def fill(self, first: int, out: Array, scale: float = 1.0) -> None:
        """out (n,) becomes scale times the numbers first .. first + n - 1 of the stream; first and n even."""
        if first < 0 or first % 2 or out.ndim != 1 or len(out) % 2:
            raise ValueError(f"Stream fill: {len(out)} numbers from {first}; they come in pairs, give even ones, >= 0")
        if compiled.available():
            from wflow.compiled_normals import fill

            fill(np.uint64(self.start), np.uint64(self.gamma), np.uint64(first), out, scale)
            return
        at = np.uint64(self.start) + np.uint64(self.gamma) * (np.arange(1, len(out) + 1, dtype=np.uint64) + first)
        share = (mixed(at) >> np.uint64(12)) * 2.0**-52
        size, turn = scale * np.sqrt(-2.0 * np.log(1.0 - share[::2])), 2.0 * math.pi * (share[1::2] - 0.5)
        out[::2], out[1::2] = size * np.cos(turn), size * np.sin(turn)


def mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The bijection of words (n,): twice a shift, an exclusive or and a product mod 2^64, then a shift again."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
    return z ^ (z >> np.uint64(31))
