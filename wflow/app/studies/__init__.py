"""Studies: many runs of one question, over sizes, starts and seeds. `STUDIES` is the list that `wflow study` takes."""

from wflow.app.studies.active import ACTIVE
from wflow.app.studies.akiyama import AKIYAMA
from wflow.app.studies.barriers import BARRIERS
from wflow.app.studies.chaos import CHAOS
from wflow.app.studies.clouds import CLOUDS
from wflow.app.studies.collapse import COLLAPSE
from wflow.app.studies.convergence import CONVERGENCE
from wflow.app.studies.corrupted import CORRUPTED
from wflow.app.studies.coupling import COUPLING
from wflow.app.studies.dmft import DMFT
from wflow.app.studies.escape import ESCAPE
from wflow.app.studies.fluctuations import FLUCTUATIONS
from wflow.app.studies.heat_map import HEAT_MAP
from wflow.app.studies.landscape import LANDSCAPE
from wflow.app.studies.limits import LIMITS
from wflow.app.studies.minima import MINIMA
from wflow.app.studies.nearness import NEARNESS
from wflow.app.studies.parametrisations import PARAMETRISATIONS
from wflow.app.studies.quenching import QUENCHING
from wflow.app.studies.regularisation import REGULARISATION
from wflow.app.studies.resnet import RESNET
from wflow.app.studies.sharpness import SHARPNESS
from wflow.app.studies.stability import STABILITY
from wflow.app.studies.starts import STARTS
from wflow.app.studies.stationary import STATIONARY
from wflow.app.studies.success import SUCCESS
from wflow.app.studies.sweep import CELLS, Entry, Study, sweep
from wflow.app.studies.widths import WIDTHS
from wflow.app.studies.written import write_study

_EVERY: tuple[Study, ...] = (
    SUCCESS,
    STARTS,
    LIMITS,
    AKIYAMA,
    CLOUDS,
    CHAOS,
    FLUCTUATIONS,
    QUENCHING,
    ACTIVE,
    WIDTHS,
    HEAT_MAP,
    NEARNESS,
    REGULARISATION,
    SHARPNESS,
    MINIMA,
    CORRUPTED,
    STABILITY,
    ESCAPE,
    COLLAPSE,
    COUPLING,
    DMFT,
    LANDSCAPE,
    BARRIERS,
    RESNET,
    PARAMETRISATIONS,
    STATIONARY,
    CONVERGENCE,
)
STUDIES: dict[str, Study] = {study.name: study for study in _EVERY}
__all__ = ["CELLS", "STUDIES", "Entry", "Study", "sweep", "write_study"]
