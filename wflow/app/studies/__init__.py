"""Studies: many runs of one question, over sizes, starts and seeds. `STUDIES` is the list that `wflow study` takes."""

from wflow.app.studies.akiyama import AKIYAMA
from wflow.app.studies.chaos import CHAOS
from wflow.app.studies.clouds import CLOUDS
from wflow.app.studies.collapse import COLLAPSE
from wflow.app.studies.coupling import COUPLING
from wflow.app.studies.fluctuations import FLUCTUATIONS
from wflow.app.studies.limits import LIMITS
from wflow.app.studies.resnet import RESNET
from wflow.app.studies.starts import STARTS
from wflow.app.studies.success import SUCCESS
from wflow.app.studies.sweep import CELLS, Entry, Study, sweep
from wflow.app.studies.written import write_study

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (SUCCESS, STARTS, LIMITS, AKIYAMA, CLOUDS, CHAOS, FLUCTUATIONS, COLLAPSE, COUPLING, RESNET)
}
__all__ = ["CELLS", "STUDIES", "Entry", "Study", "sweep", "write_study"]
