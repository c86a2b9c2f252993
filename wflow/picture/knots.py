"""This file owns pictures of knots: a network of one input at falling temperatures, and its bends between inputs."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from wflow.knots import MOST_CLOSED, MOST_INSIDE, Verdict
from wflow.picture.style import KNOWN, canvas, legend, styled

_MESH, _MARGIN = 600, 0.15
_COLOURS = ("#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#D55E00")


@styled
def knots(found: Verdict) -> Figure:
    """f_T over the data with the network without noise and its knots; below |f''|; the most knots an interval by T."""
    data = found.still.data
    low, high = float(data.inputs.min()), float(data.inputs.max())
    edge = _MARGIN * (high - low)
    x = np.linspace(low - edge, high + edge, _MESH)
    near = np.geomspace(1e-5 * edge, 0.5 * edge, 60)
    x = np.sort(np.concatenate([x, *(place + side * near for place in found.known.places for side in (-1.0, 1.0))]))
    x = x[(low - edge <= x) & (x <= high + edge)]
    figure = canvas(9.6, 5.6)
    grid = figure.add_gridspec(2, 2, width_ratios=[1.7, 1.0])
    above, below, side = (figure.add_subplot(grid[place]) for place in ((0, 0), (1, 0), (slice(None), 1)))
    for fit, colour in zip(found.fits, _COLOURS * len(found.fits), strict=False):
        above.plot(x, fit.predicted(x), color=colour, label=f"T = {fit.temperature:.0e}")
        below.semilogy(x, np.abs(fit.bend(x)), color=colour)
    above.plot(x, found.still.predicted(x), "--", color=KNOWN, label="without noise")
    at = found.known.places
    above.plot(at, found.still.predicted(at), "o", color="black", mfc="none", label="knots")
    above.plot(data.inputs[:, 0], data.targets, "x", color="black", label="data")
    for place in at:
        below.axvline(place, color=KNOWN, lw=0.7, ls=":")
    above.set(ylabel="f(x)", xlim=(x[0], x[-1]))
    below.set(xlabel="input x", ylabel="|f''(x)|", xlim=(x[0], x[-1]))
    t = [fit.temperature for fit in found.fits]
    for name, bound, colour, marker, counts in (
        ("closed", MOST_CLOSED, "#0072B2", "s", [k.closed for k in found.found]),
        ("open", MOST_INSIDE, "#D55E00", "o", [k.inside for k in found.found]),
    ):
        most = [int(np.max(k, initial=0)) for k in counts]
        side.semilogx(t, most, marker=marker, color=colour, label=f"most on {name} intervals")
        side.axhline(bound + 0.02, color=colour, ls="--", lw=0.9)
    side.set(xlabel="temperature T", ylabel="knots (dashed: bounds)", ylim=(-0.2, MOST_CLOSED + 0.5))
    side.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure, above)
    side.legend(loc="lower left", frameon=False)
    return figure
