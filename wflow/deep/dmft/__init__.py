"""Dynamical mean-field theory of gradient descent in wide networks: the limit of infinite width, at any depth.

`linear_limit` solves the equations of deep linear networks exactly, `sampled_limit` those of any smooth activation by
Monte Carlo; solvers.deep.networks trains finite ones, and `difference` says how far they are.
"""

from wflow.deep.dmft.compare import Difference, difference
from wflow.deep.dmft.limit import Estimate, Limit, LinearLimit
from wflow.deep.dmft.linear import linear_limit
from wflow.deep.dmft.nonlinear import first_fields, sampled_limit
from wflow.deep.dmft.setting import Setting

__all__ = [
    "Difference",
    "Estimate",
    "Limit",
    "LinearLimit",
    "Setting",
    "difference",
    "first_fields",
    "linear_limit",
    "sampled_limit",
]
