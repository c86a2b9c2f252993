"""The table of multilayer networks, `wflow verify deep`: CHECKS is THE list of its rows."""

from wflow.app.deep.check import DEEP, Check, table
from wflow.app.deep.collapsing import COLLAPSING
from wflow.app.deep.converging import CONVERGING
from wflow.app.deep.coupled import COUPLED
from wflow.app.deep.lecture import LECTURE
from wflow.app.deep.limits import LIMITS
from wflow.app.deep.networks import NETWORKS
from wflow.app.deep.parametrised import PARAMETRISED
from wflow.app.deep.resnet import RESNET
from wflow.app.deep.theory import THEORY

CHECKS: tuple[Check, ...] = (
    *NETWORKS, *LIMITS, *COUPLED, *COLLAPSING, *CONVERGING, *LECTURE, *PARAMETRISED, *THEORY, *RESNET,
)  # fmt: skip
__all__ = ["CHECKS", "DEEP", "Check", "table"]
