"""This file owns how the table of multilayer networks is run: checks, each a function that yields certificates."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass

import numpy as np

from wflow.app.powers import exponents
from wflow.app.settings import UsageError
from wflow.app.study import Row
from wflow.app.workers import workers as processes
from wflow.arrays import nearest
from wflow.certificates import Certificate
from wflow.errors import Refused, WflowError

DEEP = "deep"
"""What `wflow verify` calls the table."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Check:
    """A name, such as V5, the method that is asked, and a function (quick) -> certificates of a module.

    slow: left out of a quick table.
    """

    name: str
    method: str
    measure: Callable[[bool], Iterator[Certificate]]
    slow: bool = False


def checked(check: Check, quick: bool) -> list[Row]:
    """A row a certificate; a run that ends in a named failure is a claim that fails, a refusal (no images) is a row."""
    began, parameters = time.monotonic(), {"quick": True} if quick else {}
    try:
        found = list(check.measure(quick))
    except Refused as error:
        return [Row(DEEP, parameters, (check.method,), None, time.monotonic() - began, f"{check.name}: {error}")]
    except WflowError as error:
        found = [Certificate(f"no run fails; {type(error).__name__}: {error}", "equal", 1.0, 0.0)]
    seconds = (time.monotonic() - began) / max(1, len(found))
    claims = [Certificate(f"{check.name}: {c.claim}", c.relation, c.measured, c.expected, c.tolerance) for c in found]
    return [Row(DEEP, parameters, (check.method,), claim, seconds) for claim in claims]


def chosen(checks: Sequence[Check], rows: str | Sequence[str] | None, quick: bool) -> list[Check]:
    """Those of the names `rows`, one or a list, None: all but, in a quick table, the slow ones.

    Raises UsageError for unknown names, and for slow ones of a quick table.
    """
    if rows is None:
        return [check for check in checks if not (quick and check.slow)]
    known = {check.name: check for check in checks}
    named = [rows] if isinstance(rows, str) else list(rows)
    for name in named:
        if name not in known:
            raise UsageError(f"rows: {name!r} is no row of the table. {nearest(str(name), list(known))}")
        if quick and known[name].slow:
            raise UsageError(f"rows: {name!r} is too long for --quick; leave that out")
    return [known[name] for name in dict.fromkeys(named)]


def table(
    checks: Sequence[Check],
    *,
    rows: str | Sequence[str] | None = None,
    quick: bool = False,
    workers: int = 2,
    progress: Progress | None = None,
) -> list[Row]:
    """The rows of those names, by default all, in the order of the checks; in a quick table at smaller sizes."""
    told = progress or (lambda what, done, total: None)
    asked = chosen(checks, rows, quick)
    if workers <= 1 or quick or len(asked) == 1:  # a worker takes longer to start than a quick check
        found = []
        for k, check in enumerate(asked, 1):
            found += checked(check, quick)
            told(f"{DEEP} {check.name}", k, len(asked))
        return found
    with processes(workers) as pool:
        futures = {pool.submit(checked, check, quick): check for check in asked}
        for k, future in enumerate(as_completed(futures), 1):
            told(f"{DEEP} {futures[future].name}", k, len(asked))
        return [row for future in futures for row in future.result()]


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Of log values over log sizes, by least squares."""
    return float(exponents(sizes, values))


def mean_square(values: Sequence[Sequence[float]]) -> list[float]:
    """Roots of the means of squares, column by column."""
    return [float(v) for v in np.sqrt(np.mean(np.square(values), axis=0))]
