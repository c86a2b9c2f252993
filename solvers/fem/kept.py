"""This file owns what is kept of DOLFINx and PETSc for the last few meshes, and given back in the same order on all
ranks.

On several ranks a PETSc object that Python drops waits for the others to drop it, and so does its communicator, of
which there are 2000: what leaves the cache is destroyed here.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol


class Freed(Protocol):
    """What has PETSc objects."""

    def free(self) -> None:
        """Destroy them; it is not used again."""


class Kept[**P, Made: Freed]:
    """`make` with its last `most` answers; arguments are compared as keys, meshes by identity."""

    def __init__(self, most: int, make: Callable[P, Made]) -> None:
        self.most, self.make = most, make
        self._held: OrderedDict[tuple[object, ...], Made] = OrderedDict()

    def __call__(self, *key: P.args, **none: P.kwargs) -> Made:
        """The answer for these arguments."""
        if key not in self._held:
            while len(self._held) >= self.most:
                self._held.popitem(last=False)[1].free()
            self._held[key] = self.make(*key, **none)
        self._held.move_to_end(key)
        return self._held[key]

    def cache_clear(self) -> None:
        """Give all back."""
        while self._held:
            self._held.popitem(last=False)[1].free()
