"""Parametrisations of deep networks by width: the (a, b, c) table, verdicts, networks, features, slopes by layer."""

from wflow.deep.parametrisation.features import Journey, gram, independence, journey, movement, rank, spectrum
from wflow.deep.parametrisation.scaled import ScaledNetwork
from wflow.deep.parametrisation.slopes import Fall, bounds, gradient_size, per_layer, size_of, slopes
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
    "ScaledNetwork",
    "Verdict",
    "between",
    "bounds",
    "gradient_size",
    "gram",
    "independence",
    "journey",
    "movement",
    "odd_cubic",
    "per_layer",
    "rank",
    "silu",
    "size_of",
    "slopes",
    "spectrum",
    "verdict",
]
