"""Studies: many runs of one question, over sizes, starts and seeds. `STUDIES` is the list that `wflow study` takes."""

from wflow.app.studies.akiyama import AKIYAMA
from wflow.app.studies.barriers import BARRIERS
from wflow.app.studies.chaos import CHAOS
from wflow.app.studies.clouds import CLOUDS
from wflow.app.studies.corrupted import CORRUPTED
from wflow.app.studies.fluctuations import FLUCTUATIONS
from wflow.app.studies.landscape import LANDSCAPE
from wflow.app.studies.limits import LIMITS
from wflow.app.studies.minima import MINIMA
from wflow.app.studies.regularisation import REGULARISATION
from wflow.app.studies.sharpness import SHARPNESS
from wflow.app.studies.starts import STARTS
from wflow.app.studies.success import SUCCESS
from wflow.app.studies.sweep import CELLS, Entry, Study, sweep
from wflow.app.studies.written import write_study

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        SUCCESS, STARTS, LIMITS, AKIYAMA, CLOUDS, CHAOS, FLUCTUATIONS,
        REGULARISATION, SHARPNESS, MINIMA, CORRUPTED, LANDSCAPE, BARRIERS,
    )
}  # fmt: skip
__all__ = ["CELLS", "STUDIES", "Entry", "Study", "sweep", "write_study"]
