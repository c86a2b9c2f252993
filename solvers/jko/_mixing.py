"""This file owns Anderson's mixing: how a fixed point iteration goes on from its last few iterates."""

from dataclasses import dataclass, field

import numpy as np

from wflow.arrays import Array

_DEPTH = 10
_SINGULAR = 1e-12
"""Of the largest singular value: differences of residuals below it are dependent."""


@dataclass(eq=False)
class Mixing:
    """Next iterates of x = g(x): the combination of the last ones whose residuals g(x) - x are smallest together.

    With residuals r_k and weights w: alpha minimises sum w (r - sum_k alpha_k (r - r_k))^2, and the next x is
    g(x) - sum_k alpha_k (g(x) - g(x_k)). Where weights are nothing x may go anywhere: its user looks at the residual.
    Source: Anderson 1965, J. ACM 12(4), 547-560; in this form Walker & Ni 2011, SIAM J. Numer. Anal. 49(4), 1715-1735.
    """

    _past: list[tuple[Array, Array]] = field(default_factory=list)

    def after(self, x: Array, residual: Array, weights: Array) -> Array:
        """The next iterate, from x, g(x) - x and weights >= 0, all of one shape."""
        image, root = x + residual, np.sqrt(weights).ravel()
        last, self._past = self._past, [*self._past, (image, residual)][-_DEPTH:]
        if not last:
            return image
        turns = np.stack([(residual - r).ravel() * root for _, r in last], axis=1)
        shares = np.linalg.lstsq(turns, residual.ravel() * root, rcond=_SINGULAR)[0]
        for share, (old, _) in zip(shares, last, strict=True):
            image = image - share * (x + residual - old)
        return image
