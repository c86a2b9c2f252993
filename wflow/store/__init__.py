"""Run folders, the trajectories in them, checkpoints, files for ParaView: whole or absent, checked, never pickled."""

from wflow.store.checkpoints import EVERY, Checkpoints
from wflow.store.deep import DeepCheckpoints
from wflow.store.folder import RunFolder, now, slug
from wflow.store.shared import SharedCheckpoints
from wflow.store.trajectories import Saved, pack, unpack
from wflow.store.vtk import write_vtk
from wflow.store.whole import write_whole
from wflow.store.xdmf import write_xdmf

__all__ = [
    "EVERY", "Checkpoints", "DeepCheckpoints", "RunFolder", "Saved", "SharedCheckpoints", "now", "pack", "slug",
    "unpack", "write_vtk", "write_whole", "write_xdmf",
]  # fmt: skip
