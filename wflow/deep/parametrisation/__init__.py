"""Parametrisations of deep networks by width: the (a, b, c) table, verdicts, networks, features, descent to rest."""

from wflow.deep.parametrisation.features import Journey, gram, independence, journey, movement, rank
from wflow.deep.parametrisation.rest import (
    Fall,
    Rest,
    falls,
    gradient_size,
    rested,
    stochastically_rested,
    trained,
)
from wflow.deep.parametrisation.scaled import ScaledNetwork
from wflow.deep.parametrisation.table import IP, MEAN_FIELD, MUP, NTK, SP, SP_LAZY, TABLE, Parametrisation, between
from wflow.deep.parametrisation.units import odd_cubic, silu
from wflow.deep.parametrisation.verdict import Regime, Verdict, verdict

__all__ = [
    "IP",
    "MEAN_FIELD",
    "MUP",
    "NTK",
    "SP",
    "SP_LAZY",
    "TABLE",
    "Fall",
    "Journey",
    "Parametrisation",
    "Regime",
    "Rest",
    "ScaledNetwork",
    "Verdict",
    "between",
    "falls",
    "gradient_size",
    "gram",
    "independence",
    "journey",
    "movement",
    "odd_cubic",
    "rank",
    "rested",
    "silu",
    "stochastically_rested",
    "trained",
    "verdict",
]
