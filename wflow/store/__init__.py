"""Run folders, the trajectories in them, and checkpoints: files that are whole or absent, checked, never pickled."""

from wflow.store.checkpoints import EVERY, Checkpoints
from wflow.store.folder import RunFolder, now, slug
from wflow.store.trajectories import Saved, pack, unpack
from wflow.store.whole import write_whole

__all__ = ["EVERY", "Checkpoints", "RunFolder", "Saved", "now", "pack", "slug", "unpack", "write_whole"]
