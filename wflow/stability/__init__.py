"""When a global minimum is stable under SGD: in mean square, exactly and between proved bounds, and almost surely.

On one axis a closed factor (`factor`), on several the radius of the map of second moments (`radius`, `largest_rates`),
an example that both SGD and gradient descent are run on (`Valleys`), and what was printed of it (`box`, `sufficient`).
"""

from wflow.stability.batches import Batches, WithoutReplacement, WithReplacement
from wflow.stability.beyond import Beyond, beyond_the_box
from wflow.stability.covariance import Radius, Rate, SecondMoment, largest_rates, radius
from wflow.stability.curvatures import Curvatures
from wflow.stability.diagram import Edge, edge, placed, scattered, sufficient_rate
from wflow.stability.escape import Valleys, exit_times, paths
from wflow.stability.exponents import almost_sure_rates, exits, lyapunov, ruin
from wflow.stability.factor import best_rate, box, factor, largest_rate, smallest_batch, widest
from wflow.stability.simulated import Moments, moments

__all__ = [
    "Batches",
    "Beyond",
    "Curvatures",
    "Edge",
    "Moments",
    "Radius",
    "Rate",
    "SecondMoment",
    "Valleys",
    "WithReplacement",
    "WithoutReplacement",
    "almost_sure_rates",
    "best_rate",
    "beyond_the_box",
    "box",
    "edge",
    "exit_times",
    "exits",
    "factor",
    "largest_rate",
    "largest_rates",
    "lyapunov",
    "moments",
    "paths",
    "placed",
    "radius",
    "ruin",
    "scattered",
    "smallest_batch",
    "sufficient_rate",
    "widest",
]
