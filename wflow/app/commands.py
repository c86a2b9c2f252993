"""This file owns the commands of the command line: their arguments and messages.

What draws is imported where it is used: matplotlib takes a second, in workers too.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import wflow
from wflow.app.catalogue import show_catalogue
from wflow.app.config import read
from wflow.app.deep import DEEP
from wflow.app.exits import FAILED, Stopper, exit_codes
from wflow.app.progress import progress
from wflow.app.provenance import machine, versions
from wflow.app.rows import as_json
from wflow.app.settings import UsageError, assignments, problem
from wflow.app.show import show as show_folder
from wflow.app.table import console, show_rows
from wflow.app.together import launched, together
from wflow.app.verify import SEED, VERIFIED, Report
from wflow.app.verify import verify as verify_problems
from wflow.problems import nearest
from wflow.ranks import Ranks
from wflow.store import EVERY, RunFolder, write_whole

if TYPE_CHECKING:
    from wflow.app.run import Session

_PAUSE = 10.0
DEMO = Path("results") / "demo"
STUDIES_FOLDER = Path("results") / "studies"

Names = Annotated[list[str] | None, typer.Argument(help="Problems; all that need no file by default.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value, a parameter of the one problem.")]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Wasserstein gradient flows of mean-field neural networks: solved by independent methods and certified.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wflow {wflow.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Problems, or deep (multilayer networks); all without a file by default.")
    ] = None,
    settings: Settings = None,
    quick: Annotated[bool, typer.Option("--quick", help="Half the resolution, one refinement level less.")] = False,
    further: Annotated[bool, typer.Option("--further", help="Also the methods that only run takes.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows into this file.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write report.html into this folder.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = max(1, min(4, os.cpu_count() or 1)),
    ranks: Annotated[int, typer.Option(min=1, help="Only compare methods of solvers.fem on N ranks with one.")] = 1,
) -> None:
    """Solve problems by every method that takes them and certify the answers, one row a claim."""
    with exit_codes():
        if launched():
            raise UsageError("verify: it starts its own ranks; without mpiexec: wflow verify --ranks N")
        given, chosen = chosen_problems(names, settings)
        if DEEP in chosen and (set(given) - {"rows"} or ranks > 1):
            raise UsageError(
                "verify deep: the table runs on one rank and has no parameters but the names of its rows, "
                "--set rows=V16; leave others, and --ranks, out"
            )
        for name in chosen:
            if name != DEEP:
                problem(name, given)
        parameters = given if chosen == [DEEP] else problem(chosen[0], given).parameters if given else {}
        writable(json_file, report)
        with progress() as told:
            found = verify_problems(
                names or (),
                {key: parameters[key] for key in given},
                quick=quick,
                further=further,
                workers=workers,
                ranks=ranks,
                progress=told,
                keep=None if json_file is None else _keeping(json_file),
            )
        show_rows(found.rows, console())
        if json_file is not None:
            write_json(json_file, found)
        if report is not None:
            from wflow.app.report import write_report

            typer.echo(f"report: {write_report(report, [found])}")
        typer.echo(f"{found.seconds:.1f} s")
    if not found.holds:
        raise typer.Exit(FAILED)


def chosen_problems(names: Names, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """The parameters, and the problems: exactly one of them where there are parameters."""
    given, chosen = assignments(settings or ()), list(dict.fromkeys(names or VERIFIED))
    if given and len(chosen) != 1:
        raise UsageError(f"--set: parameters need exactly one problem, got {len(chosen)}; name one")
    return given, chosen


def writable(json_file: Path | None, report: Path | None, option: str = "--report") -> None:
    """Refuse before the work what could not be written after it."""
    if json_file is not None and (json_file.is_dir() or not json_file.absolute().parent.is_dir()):
        raise UsageError(f"--json: {json_file} is a folder or lies in none; name a file in an existing folder")
    if report is not None:
        try:
            report.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{option}: {report} cannot be made ({error.strerror}); name another folder") from error


def _keeping(path: Path) -> Callable[[Report], None]:
    """Writes what there is so far, at most every few seconds: hours of studies outlive an interrupt."""
    last = -math.inf

    def keep(report: Report) -> None:
        nonlocal last
        if time.monotonic() - last >= _PAUSE:
            write_json(path, report)
            last = time.monotonic()

    return keep


def write_json(path: Path, report: Report) -> None:
    """machine, versions, seed and rows, as strict JSON."""
    rows = [as_json(row) for row in report.rows]
    whole: dict[str, Any] = {"machine": machine(), "versions": versions(), "seed": SEED, "rows": rows}
    write_whole(path, json.dumps(whole, indent=1, allow_nan=False).encode())


Pause = Annotated[float, typer.Option("--checkpoint-every", min=0.0, help="Seconds between checkpoints.")]


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="A TOML file: [problem], [solver] or several [[solver]], [solve].")],
    out: Annotated[Path, typer.Option(help="The new run folder is made in here.")] = Path("results"),
    every: Pause = EVERY,
) -> None:
    """Solve one flow into a new run folder. Under `mpiexec -n N` ranks share the flows of methods of solvers.fem."""
    with exit_codes() as stopper, together() as ranks:
        asked = read(config)
        folder = ranks.told(RunFolder.create(out, config.stem) if ranks.number == 0 else None)
        assert folder is not None
        typer.echo(f"run folder: {folder.path}", err=True)
        from wflow.app.run import run as run_config

        holds = _in_folder(folder, every, ranks, stopper, lambda session: run_config(asked, session))
    if not holds:
        raise typer.Exit(FAILED)


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(help="A folder of `wflow run` that was interrupted, killed or failed.")],
    every: Pause = EVERY,
) -> None:
    """Continue a run from its last checkpoint; it ends with the bits of one that was never interrupted."""
    with exit_codes() as stopper, together() as ranks:
        found = RunFolder.open(folder)
        from wflow.app.run import resume as resume_run

        holds = _in_folder(found, every, ranks, stopper, resume_run)
    if not holds:
        raise typer.Exit(FAILED)


def _in_folder(
    folder: RunFolder, every: float, ranks: Ranks, stopper: Stopper, work: "Callable[[Session], None]"
) -> bool:
    """Do the work of a session and show the folder; whether every claim in it holds."""
    from wflow.app.run import Session

    def warn(line: str) -> None:
        typer.echo(f"wflow: {line}", err=True)

    stopper.patient = ranks.size > 1
    try:
        with progress() as told:
            work(Session(folder, told, warn, 100 if sys.stderr.isatty() else 4, every, ranks, stopper.asked))
    except KeyboardInterrupt:
        if folder.status != "done":  # stopped after the last word there is nothing to continue
            warn(f"`wflow resume {folder.path}` continues it")
        raise
    return ranks.told(show_folder(folder, console()) if ranks.number == 0 else False)


@app.command()
def show(folder: Annotated[Path, typer.Argument(help="A folder that `wflow run` wrote.")]) -> None:
    """Print what a run folder says, after checking its files."""
    with exit_codes():
        show_folder(RunFolder.open(folder), console())


@app.command()
def study(
    names: Annotated[list[str] | None, typer.Argument(help="Studies; without names they are listed.")] = None,
    out: Annotated[Path, typer.Option(help="A folder is made in here for each study.")] = STUDIES_FOLDER,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer sizes and seeds.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = max(1, min(4, os.cpu_count() or 1)),
) -> None:
    """Many runs of one question, over sizes, starts and seeds; what is measured is kept, and continued after a stop."""
    from wflow.app.studies import STUDIES, write_study

    with exit_codes():
        for name in names or ():
            if name not in STUDIES:
                raise UsageError(f"study: unknown name {name!r}; {nearest(name, list(STUDIES))}")
        if not names:
            for one in STUDIES.values():
                typer.echo(f"{one.name:10} {one.question}")
            return
        holds = True
        for name in dict.fromkeys(names):
            writable(None, out / name, "--out")
            with progress() as told:
                rows, paths = write_study(STUDIES[name], out / name, quick=quick, workers=workers, told=told)
            show_rows(rows, console())
            for path in paths:
                typer.echo(f"written: {path}")
            holds = holds and all(row.holds for row in rows)
    if not holds:
        raise typer.Exit(FAILED)


@app.command("list")
def catalogue() -> None:
    """Print the problems, the solvers, and who takes what."""
    show_catalogue(console())


@app.command()
def demo(out: Annotated[Path, typer.Option(help="The folder of the report and the animation.")] = DEMO) -> None:
    """The main job on one flow of the circle theorem and on its counterexample, with a report and an animation."""
    from wflow.app.demo import demonstrate, write_demo

    with exit_codes():
        writable(None, out, "--out")
        with progress() as told:
            reports = demonstrate(told)
        show_rows([row for report in reports for row in report.rows], console())
        typer.echo("drawing", err=True)
        for path in write_demo(reports, out):
            typer.echo(f"written: {path}")
    if not all(report.holds for report in reports):
        raise typer.Exit(FAILED)
