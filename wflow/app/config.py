"""This file owns what a config of `wflow run` may say, and reads one.

[problem]        name = "circle_teacher", then its parameters; `csv` and `mesh` are relative to the config
[solver]         name = "Muscl", then its fields (particles: start = "sampled", seed = 1;
                 StochasticGradient: rows = "replaced", "epochs", "one_pass" or "fresh"); or several [[solver]]
                 schedule = {name = "Exponential", temperature = 0.1, rate = 0.05}: annealed, see wflow.schedules
[solve]          at most one of steps, dt, tolerance; times = [...]; may be left out
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from solvers.annealed import Annealed
from solvers.rows import Epochs, Fresh, OnePass, Replaced, Rows
from solvers.starts import Quantised, Sampled
from solvers.stochastic import StochasticGradient
from wflow.app.methods import FURTHER, METHODS
from wflow.app.settings import MOST_BYTES, UsageError, fitted, parsed, problem, refused
from wflow.problems import Problem, nearest
from wflow.schedules import SCHEDULES
from wflow.solver import Solver

TABLES = ("problem", "solver", "solve")
LARGEST_RESOLUTION = 1_000_000
MOST_STEPS = 10_000_000
MOST_SOLVERS = 32
_SOLVE_HINTS = {"steps": int, "dt": float, "tolerance": float, "times": list}
_FILES = ("csv", "mesh")
"""Parameters of problems that name a file, of which a problem has one at most."""
_PACES = ("steps", "dt", "tolerance")


@dataclass(frozen=True)
class Config:
    """A config that has been read: text, file, the problem, the solvers by their label, and the options of `solve`.

    csv: the file that the problem reads, whatever it holds.
    """

    text: str
    path: Path
    problem: Problem
    solvers: Mapping[str, Solver]
    options: Mapping[str, Any]
    csv: Path | None = None


def read(path: Path) -> Config:
    """The config in a file; UsageError names the file, the field, what is allowed and what to try."""
    return interpret(_text(path), path)


def interpret(text: str, path: Path) -> Config:
    """The config in a text, with paths relative to the file `path`."""
    tables = parsed(text, path.name)
    for name in tables:
        if name not in TABLES:
            raise UsageError(f"{path.name}: unknown table [{name}]; {nearest(str(name), list(TABLES))}")
    settings = dict(_table(path.name, tables, "problem"))
    csv = None
    for key in _FILES:
        if isinstance(settings.get(key), str):
            csv = (path.parent / settings[key]).absolute()
            settings[key] = str(csv)
    here = f"{path.name}: [problem]"
    posed = problem(_named(here, settings), settings, here)
    solvers = _solvers(path.name, tables.get("solver"), posed)
    options = _options(f"{path.name}: [solve]", tables.get("solve", {}), posed.flow.horizon)
    return Config(text, path.absolute(), posed, solvers, options, csv)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)  # a device may have no end
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"config {path}: it cannot be read ({error.strerror}); give a TOML file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"config {path}: byte {error.start} is not UTF-8; save it as UTF-8 text") from error
    return text


def _table(where: str, tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if name not in tables:
        raise UsageError(f"{where}: the table [{name}] is missing; add [{name}] with name = ...")
    if not isinstance(tables[name], dict):
        raise refused(f"{where}: {name}", tables[name], f"a table [{name}]", f"write [{name}] on a line of its own")
    return dict(tables[name])


def _named(where: str, settings: dict[str, Any]) -> str:
    """Take the key `name` out of a table."""
    if "name" not in settings:
        raise UsageError(f"{where}: the key name is missing; add name = ...")
    name = settings.pop("name")
    if not isinstance(name, str):
        raise refused(f"{where}: name", name, "a text", "put it in quotes")
    return name


def _solvers(where: str, given: Any, posed: Problem) -> dict[str, Solver]:
    """Solvers by their label, each able to begin the flow."""
    tables = given if isinstance(given, list) else [given]
    if not given or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{where}: the table [solver] (or several [[solver]]) is missing; add it with name = ...")
    if len(tables) > MOST_SOLVERS:
        raise refused(f"{where}: [[solver]]", f"{len(tables)} of them", f"{MOST_SOLVERS}", "use several configs")
    found: dict[str, Solver] = {}
    for k, table in enumerate(tables, 1):
        here = f"{where}: [solver]" if len(tables) == 1 else f"{where}: [[solver]] {k}"
        solver = _solver(here, dict(table))
        _begins(here, solver, posed)
        label = str(solver)
        found[label if label not in found else f"{label} #{k}"] = solver
    return found


def _solver(where: str, settings: dict[str, Any]) -> Solver:
    """One solver, annealed where the table has a schedule."""
    given = settings.pop("schedule", None)
    method = _method(where, settings)
    if given is None:
        return method
    here = f"{where}: schedule"
    if not isinstance(given, dict):
        raise refused(here, given, "a table", 'write schedule = {name = "Exponential", temperature = 0.1, rate = 0.05}')
    table = dict(given)
    known = {kind.__name__: kind for kind in SCHEDULES}
    name = _named(here, table)
    if name not in known:
        raise UsageError(f"{here}: unknown schedule {name!r}; {nearest(name, list(known))}")
    kind = known[name]
    hints = {key: hint for key, hint in get_type_hints(kind).items() if not key.startswith("_")}
    try:
        return Annealed(method, kind(**fitted(here, table, hints)))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{here}: {error}") from error


def _method(where: str, settings: dict[str, Any]) -> Solver:
    """The default instance of THE list with the given fields."""
    known = {type(method).__name__: method for method in (*METHODS, *FURTHER)}
    name = _named(where, settings)
    if name not in known:
        raise UsageError(f"{where}: unknown solver {name!r}; {nearest(name, list(known))}")
    default = known[name]
    hints = get_type_hints(type(default))
    taken = {f.name: hints[f.name] for f in fields(default) if f.name not in ("start", "rows")}  # type: ignore[arg-type]
    has_start = any(f.name == "start" for f in fields(default))  # type: ignore[arg-type]
    drawn = {"rows": str} if isinstance(default, StochasticGradient) else {}
    values = fitted(where, settings, {**taken, **drawn, **({"start": str, "seed": int} if has_start else {})})
    size = values.get(default.resolution, 0)
    if size > LARGEST_RESOLUTION:
        raise refused(f"{where}: {default.resolution}", size, f"up to {LARGEST_RESOLUTION}", "lower it")
    try:
        if has_start:
            values |= _start(where, values, own_seed="seed" in taken)
        if "rows" in values:
            values["rows"] = _rows(where, values["rows"])
        return replace(default, **values)  # type: ignore[type-var]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{where}: {error}") from error


def _rows(where: str, name: str) -> Rows:
    """rows = "replaced", "epochs", "one_pass" or "fresh" as the object that it stands for."""
    known: dict[str, Rows] = {"replaced": Replaced(), "epochs": Epochs(), "one_pass": OnePass(), "fresh": Fresh()}
    if name not in known:
        raise UsageError(f"{where}: unknown rows {name!r}; {nearest(name, list(known))}")
    return known[name]


def _start(where: str, values: dict[str, Any], *, own_seed: bool) -> dict[str, Any]:
    """start = "quantised" or "sampled" with its seed, taken out of the values, as the object that it stands for.

    Where the method has a seed of its own, a sampled start has the same.
    """
    if own_seed:
        start, seed = values.pop("start", "quantised"), values.get("seed", 0)
        return _start(where, {"start": start, **({"seed": seed} if start == "sampled" else {})}, own_seed=False)
    seed = values.pop("seed", None)
    start = values.pop("start", "quantised" if seed is None else "sampled")
    if start == "sampled":
        return {"start": Sampled(0 if seed is None else seed)}
    if start != "quantised":
        raise UsageError(f"{where}: unknown start {start!r}; {nearest(start, ['quantised', 'sampled'])}")
    if seed is not None:
        raise refused(f"{where}: seed", seed, 'a seed with start = "sampled"', "leave one of the two out")
    return {"start": Quantised()}


def _begins(where: str, solver: Solver, posed: Problem) -> None:
    """Refuse what the solver refuses, and starts that cannot be built, before a run folder is made."""
    reason = solver.refusal(posed.flow)
    if reason is not None:
        raise UsageError(f"{where}: {solver} refuses {posed.name}: {reason}")
    try:
        solver.init(posed.flow)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{where}: {solver} cannot start: {error}") from error
    except MemoryError as error:
        raise UsageError(f"{where}: {solver} does not fit into memory ({error}); lower the resolution") from error


def _options(where: str, given: Any, horizon: float) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise refused(where, given, "a table [solve]", "write [solve] on a line of its own")
    times = given.get("times")
    options = fitted(where, {k: v for k, v in given.items() if k != "times"}, _SOLVE_HINTS)
    paces = [name for name in _PACES if name in options]
    if len(paces) > 1:
        raise refused(where, " and ".join(paces), "one of steps, dt, tolerance", f"leave {paces[-1]} out")
    for name in paces:
        if not 0 < options[name] <= MOST_STEPS:
            raise refused(f"{where}: {name}", options[name], f"above 0, up to {MOST_STEPS}", "correct it")
    shortest = horizon / MOST_STEPS
    if options.get("dt", horizon) < shortest:
        raise refused(f"{where}: dt", options["dt"], f"at least {shortest:.3g}, ten million steps", "lengthen it")
    return options if times is None else options | {"times": _times(f"{where}: times", times, horizon)}


def _times(where: str, times: Any, horizon: float) -> list[float]:
    if not isinstance(times, list) or not times or not all(type(t) in (int, float) for t in times):
        raise refused(where, times, "a list of numbers", "write for instance times = [0.5, 1.0]")
    outside = [t for t in times if not 0.0 <= t <= horizon]
    if outside or not any(math.isfinite(t) and t > 0.0 for t in times):
        raise refused(where, (outside or times)[0], f"times from 0 to the horizon {horizon:g}", "correct it")
    return [float(t) for t in times]
