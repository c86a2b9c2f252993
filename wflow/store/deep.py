"""This file owns checkpoints of deep networks' runs: as those of measures, but for what is in them.

head, a JSON text of format, name, mark, plan and seconds;   kept (k, 6), time, steps, energy, dissipated, residual and
tally of the saved times, and state (6,), of the last step;   net.K.NAME, the arrays of the K-th saved network, and
net.now.NAME, of the last.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from wflow.deep.march import Kept, Marched
from wflow.errors import Damaged
from wflow.store.archive import UNREADABLE, Arrays, packed, unpacked
from wflow.store.checkpoints import CheckpointFiles, framed, unframed

FORMAT = 1
_NOW = "now"


class DeepCheckpoints(CheckpointFiles[Marched]):
    """A Store of `wflow.deep.solve` and `wflow.deep.residual.solve` on a disk, used as `wflow.store.Checkpoints` is."""

    def encoded(self, now: Marched, path: Path) -> bytes:
        """What `decoded` reads."""
        head = {"format": FORMAT, "name": path.stem, "mark": self.mark, "plan": now.plan, "seconds": self.seconds}
        state = now.state
        last = Kept(state.time, state.network, state.count, now.energy, now.dissipated, now.residual, state.tally())
        arrays: Arrays = {
            "head": np.array(json.dumps(head)),
            "kept": np.array([_numbers(k) for k in now.kept]),
            "state": np.array(_numbers(last)),
        }
        for place, one in [*enumerate(now.kept), (_NOW, last)]:
            arrays |= {f"net.{place}.{name}": array for name, array in one.network.arrays().items()}
        return framed(packed(arrays))

    def decoded(self, data: bytes, path: Path) -> tuple[Marched, float]:
        """The run with its networks as arrays, which `march` puts in their place; Damaged if it is anything else."""
        body = unframed(data)
        try:
            arrays = unpacked(body)
            head = json.loads(str(arrays["head"]))
            if head["format"] != FORMAT:
                raise Damaged(f"it has format {head['format']}, this version reads {FORMAT}")
            if (head["name"], head["mark"]) != (path.stem, self.mark):
                raise Damaged(f"it belongs to another run or step, {head['name']}")
            kept = tuple(_kept(row, arrays, str(k)) for k, row in enumerate(arrays["kept"].tolist()))
            last = _kept(arrays["state"].tolist(), arrays, _NOW)
            run = Marched(str(head["plan"]), last, last.energy, last.dissipated, last.residual, kept)
            return run, float(head["seconds"])
        except UNREADABLE as error:
            raise Damaged(f"it is no checkpoint ({error})") from error


def _numbers(one: Kept) -> list[float]:
    return [one.time, float(one.count), one.energy, one.dissipated, one.residual, one.tally]


def _kept(row: list[float], arrays: Arrays, place: str) -> Kept:
    mark = f"net.{place}."
    net: Any = {name.removeprefix(mark): array for name, array in arrays.items() if name.startswith(mark)}
    time, steps, *others = row
    return Kept(time, net, int(steps), *others)
