"""This package owns the way from charges near a minimum of a penalised risk to the minimum, to machine precision."""

from wflow.finish.charges import Finished, finish

__all__ = ["Finished", "finish"]
