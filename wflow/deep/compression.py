"""This file owns recompression: sums of products with fewer of them, nearest in L2(P x P')."""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, count, finite
from wflow.deep.network import Network, replace_weights
from wflow.deep.pairs import Pairs


@dataclass(frozen=True)
class Compression:
    """Keep middle layers as sums of products: memory linear in the widths.

    limit: a layer with more products than this is recompressed after the step, to those singular values above
    `tolerance` times the largest, in L2(P x P'). What is left out is summed in DeepTrajectory.diagnostics["discarded"].
    Exact in between: a step adds as many products as there are data. More than `limit` above the tolerance stay.
    """

    limit: int
    tolerance: float = 1e-12

    def __post_init__(self) -> None:
        count("Compression limit", self.limit)
        if not 0.0 <= float(finite("Compression tolerance", self.tolerance)) < 1.0:
            raise ValueError(f"Compression tolerance: {self.tolerance!r} is no share in [0, 1); give 1e-12")

    def applied(self, net: Network) -> tuple[Network, float]:
        """The network with layers above the limit recompressed, and (sum of squares of what is left out)^(1/2)."""
        made, lost = [], 0.0
        for w, p, q in zip(net.middle, net.masses, net.masses[1:], strict=False):
            if w.rank > self.limit:
                w, left_out = compressed(w, p, q, self.tolerance)
                lost += left_out**2
            made.append(w)
        return replace_weights(net, middle=tuple(made)), float(np.sqrt(lost))


def compressed(w: Pairs, p: Array, q: Array, tolerance: float) -> tuple[Pairs, float]:
    """The sum of products with singular values above `tolerance` times the largest, and the L2(p x q) norm of the rest.

    With sqrt(p) left^T right sqrt(q) = U S V^T by QR of both factors and the SVD of a small core. The new functions are
    u s = w v q and v = w^T u p / s, which are defined at passive nodes (mass 0) too.
    ValueError where w has a table.
    """
    if w.table is not None:
        raise ValueError("compressed: these weights have a table, whose memory stays; start from Pairs.products")
    ahead, behind = np.linalg.qr(w.left.T * np.sqrt(p)[:, None]), np.linalg.qr(w.right.T * np.sqrt(q)[:, None])
    u, s, vt = np.linalg.svd(ahead[1] @ behind[1].T, full_matrices=False)
    kept = s > tolerance * s[0]
    left = ((w.right * np.sqrt(q)) @ (behind[0] @ vt[kept].T)).T @ w.left
    right = ((w.left * np.sqrt(p)) @ (ahead[0] @ u[:, kept])).T @ w.right
    return Pairs(None, left, right / s[kept, None]), float(np.sqrt(np.sum(s[~kept] ** 2)))
