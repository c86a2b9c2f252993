"""This file owns how a command ends: what becomes of failures and of signals.

Exit codes: 0 every claim holds, 1 a claim or a promise fails or a file is damaged, 2 wrong use, 3 not converged,
130 interrupted (143 by SIGTERM).
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import typer

from wflow.app.settings import UsageError
from wflow.errors import Busy, NotConverged, Refused, StepTooLarge, WflowError

FAILED, USAGE, NOT_CONVERGED, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143
IGNORED = 2
"""The signal that is not heard: people press Ctrl-C twice."""


class Stopper:
    """The handler of both signals: the first ends the workers and the work, the second waits for what is being closed.

    A third stops that too. patient: the first one is only remembered; ranks agree on the step after which they stop.
    """

    def __init__(self) -> None:
        self.told, self.number, self.patient = 0, signal.SIGINT, False

    def asked(self) -> bool:
        """Whether a signal came."""
        return self.told > 0

    def __call__(self, number: int, frame: object) -> None:
        """Called by the interpreter between two of its instructions."""
        self.told, self.number = self.told + 1, signal.Signals(number)
        if self.told == IGNORED or (self.patient and self.told < IGNORED):
            return
        for worker in multiprocessing.active_children():  # the pool would wait for them
            worker.kill()
        raise KeyboardInterrupt


def at_once() -> None:
    """Before and after a command there is nothing to save: a signal ends the process by its exit code, without a trace.

    For the process's own entry point: handlers are never given back.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: os._exit(128 + number))


@contextmanager
def exit_codes() -> Iterator[Stopper]:
    """Failures that are the user's or the method's become one message and an exit code; faults of wflow stay faults."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stopper = Stopper()
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stopper)
    try:
        yield stopper
    except KeyboardInterrupt:
        _leave("interrupted", TERMINATED if stopper.number == signal.SIGTERM else INTERRUPTED)
    except (UsageError, Refused, StepTooLarge, Busy) as error:
        _leave(str(error), USAGE)
    except NotConverged as error:
        _leave(str(error), NOT_CONVERGED)
    except WflowError as error:
        _leave(str(error), FAILED)
    except BrokenProcessPool:
        _leave("a worker process died, for lack of memory if it left no message; pass --workers 1", FAILED)
    except OSError as error:
        _leave(str(error), USAGE)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(message: str, code: int) -> None:
    typer.echo(f"wflow: {message}", err=True)
    raise typer.Exit(code)
