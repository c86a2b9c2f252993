"""This file owns how rows are written down: as cells of a table and as JSON."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from wflow.app.study import Row
from wflow.certificates import Certificate

RESULTS = "results.json"
"""The file of a run folder with its rows and distances."""
SIGNS = {"equal": "=", "at most": "<=", "at least": ">="}


def verdict(row: Row) -> str:
    """yes, NO, or refused."""
    if row.certificate is None:
        return "refused"
    return "yes" if row.holds else "NO"


def number(value: float) -> str:
    """Three digits; what is small beyond meaning in its own words."""
    return f"{value:.3g}"


def expected(certificate: Certificate) -> str:
    """The relation with its number."""
    return f"{SIGNS[certificate.relation]} {number(certificate.expected)}"


def tolerance(certificate: Certificate) -> str:
    """The tolerance, and the floor where there is one."""
    if not certificate.floor:
        return number(certificate.tolerance)
    return f"{number(certificate.tolerance)} + floor {number(certificate.floor)}"


def cells(row: Row) -> tuple[str, ...]:
    """solver(s), claim, measured, expected, tolerance or floor, holds."""
    solvers, c = " and ".join(row.solvers), row.certificate
    if c is None:
        return solvers, f"refused: {row.refusal}", "", "", "", "refused"
    return solvers, c.claim, number(c.measured), expected(c), tolerance(c), verdict(row)


def parameters(given: Mapping[str, Any]) -> str:
    """Parameters as one would read them."""
    return ", ".join(f"{key}={_read(value)}" for key, value in given.items() if value is not None)


def _read(value: object) -> str:
    """A parameter without quotes around its keys, be they whole numbers or the texts that JSON made of them."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_read(entry)}" for key, entry in value.items()) + "}"
    return f"[{', '.join(map(_read, value))}]" if isinstance(value, list | tuple) else str(value)


def plain(value: Any) -> Any:
    """A value as strict JSON has it: no nan or inf (null), no numpy, text keys."""
    match value:
        case None | bool() | str() | int():
            return value
        case float() | np.floating():
            return float(value) if math.isfinite(value) else None
        case np.integer():
            return int(value)
        case np.ndarray():
            return plain(value.tolist())
        case Mapping():
            return {str(k): plain(v) for k, v in value.items()}
        case Sequence():
            return [plain(v) for v in value]
    return str(value)


def as_json(row: Row) -> dict[str, Any]:
    """One row of the JSON; a refusal has null for its numbers and its sentence as the claim."""
    c = row.certificate
    return {
        "problem": row.problem,
        "parameters": plain(row.parameters),
        "solvers": list(row.solvers),
        "claim": f"refused: {row.refusal}" if c is None else c.claim,
        "measured": None if c is None else plain(c.measured),
        "expected": None if c is None else plain(c.expected),
        "relation": None if c is None else c.relation,
        "tolerance": None if c is None else plain(c.tolerance),
        "floor": None if c is None else plain(c.floor),
        "holds": row.holds,
        "seconds": plain(row.seconds),
    }


def from_json(entry: Mapping[str, Any]) -> Row:
    """The row that `as_json` wrote; null numbers become nan."""
    solvers, claim = tuple(entry["solvers"]), entry["claim"]
    if entry["relation"] is None:
        reason = claim.removeprefix("refused: ")
        return Row(entry["problem"], entry["parameters"], solvers, None, entry["seconds"], refusal=reason)
    numbers = (math.nan if entry[k] is None else entry[k] for k in ("measured", "expected", "tolerance", "floor"))
    return Row(
        entry["problem"],
        entry["parameters"],
        solvers,
        Certificate(claim, entry["relation"], *numbers),
        entry["seconds"],
    )


def counts(rows: Iterable[Row]) -> tuple[int, int, int]:
    """How many claims hold, how many fail, how many flows were refused."""
    found = [verdict(row) for row in rows]
    return found.count("yes"), found.count("NO"), found.count("refused")
