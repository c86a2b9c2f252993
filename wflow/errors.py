"""This file owns the named failures of the house; each message says what, where, the value and one remedy."""


class WflowError(Exception):
    """Base of every failure that wflow raises on purpose while running."""


class Refused(WflowError, ValueError):
    """The question is wrong mathematics for this method: a method on a domain it cannot take, entropy of atoms."""


class StepTooLarge(WflowError, ValueError):
    """An explicit step beyond its stability bound; `largest` is the largest step allowed at this state."""

    def __init__(self, message: str, largest: float) -> None:
        super().__init__(message)
        self.largest = largest

    def __reduce__(self) -> tuple[type["StepTooLarge"], tuple[str, float]]:
        """Both arguments, so that it comes back from a worker process."""
        return type(self), (str(self), self.largest)


class NotConverged(WflowError, RuntimeError):
    """An iteration stopped above its tolerance; `residual` is where it stopped."""

    def __init__(self, message: str, residual: float) -> None:
        super().__init__(message)
        self.residual = residual

    def __reduce__(self) -> tuple[type["NotConverged"], tuple[str, float]]:
        """Both arguments, so that it comes back from a worker process."""
        return type(self), (str(self), self.residual)


class EnergyRose(WflowError, RuntimeError):
    """A method that promises a decreasing energy was seen to raise it."""


class LostDensity(WflowError, RuntimeError):
    """A density went negative or lost mass beyond rounding."""


class Truncated(LostDensity):
    """Mass came near a wall that stands for infinity: the window is too small for the question."""


class Concentrated(WflowError, RuntimeError):
    """The density grew beyond what the flow allows (Flow.densest): it blows up, or cells no longer resolve it."""


class Damaged(WflowError, RuntimeError):
    """A file of a run folder is not what was written."""


class Busy(WflowError, RuntimeError):
    """Another process is writing this run folder."""
