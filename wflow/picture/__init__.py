"""Every plot and animation of the project, and the only place that imports matplotlib.

Functions take trajectories and return a matplotlib Figure made without pyplot, so they work headless; `save` writes
it, `png_base64` embeds it in a page. `runs` is a mapping from the name in the legend to a Trajectory; a sequence of
trajectories or a single one is named by its solvers.
"""

from wflow.picture.against_width import against_width
from wflow.picture.bias import active_in_time, by_width, heat_maps, magnitudes_in_time, nearness, projected
from wflow.picture.boundaries import boundaries
from wflow.picture.charges import charges
from wflow.picture.clouds import blocks, clouds, phases
from wflow.picture.curves import energies, ledger, numbers, order_plot, relaxation, w2_curves
from wflow.picture.falls import falls
from wflow.picture.journey import journey
from wflow.picture.knots import knots
from wflow.picture.landscape import barriers, ways
from wflow.picture.measures import densities
from wflow.picture.minima import escapes, minima, regularisers, sharpness_by_step
from wflow.picture.moves import moves
from wflow.picture.movie import animation
from wflow.picture.network import fit, risk, surface
from wflow.picture.over_time import Panel, over_time
from wflow.picture.paths import profiles
from wflow.picture.phase import phase_space
from wflow.picture.plane import maps, neurons, paths
from wflow.picture.regions import film, regions
from wflow.picture.rest import at_rest
from wflow.picture.sheets import sheets
from wflow.picture.spreading import spreading
from wflow.picture.stability import descents, escape, stability
from wflow.picture.studies import chaos, fluctuations, limits, starts, success, two_phases
from wflow.picture.style import Runs, png_base64, save
from wflow.picture.two_errors import two_errors
from wflow.picture.verdicts import verdicts
from wflow.picture.widths import widths

__all__ = [
    "Panel",
    "Runs",
    "active_in_time",
    "against_width",
    "animation",
    "at_rest",
    "barriers",
    "blocks",
    "boundaries",
    "by_width",
    "chaos",
    "charges",
    "clouds",
    "densities",
    "descents",
    "energies",
    "escape",
    "escapes",
    "falls",
    "film",
    "fit",
    "fluctuations",
    "heat_maps",
    "journey",
    "knots",
    "ledger",
    "limits",
    "magnitudes_in_time",
    "maps",
    "minima",
    "moves",
    "nearness",
    "neurons",
    "numbers",
    "order_plot",
    "over_time",
    "paths",
    "phase_space",
    "phases",
    "png_base64",
    "profiles",
    "projected",
    "regions",
    "regularisers",
    "relaxation",
    "risk",
    "save",
    "sharpness_by_step",
    "sheets",
    "spreading",
    "stability",
    "starts",
    "success",
    "surface",
    "two_errors",
    "two_phases",
    "verdicts",
    "w2_curves",
    "ways",
    "widths",
]
