"""This file owns the report: one HTML page that needs nothing but itself."""

import inspect
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from wflow.app.figures import Picture, of_refinements, of_runs
from wflow.app.provenance import machine, versions
from wflow.app.rows import cells, counts, parameters, verdict
from wflow.app.verify import SEED, Outcome, Report, Row
from wflow.certificates import APPROACHES, REFUTED
from wflow.problems import Problem, function_of
from wflow.store import now, write_whole

REPORT = "report.html"
NEAR = 0.1
"""Share of the first W2 to the predicted limit below which a finite run counts as consistent with it."""
LEAD = (
    "Wasserstein gradient flows of mean-field neural networks, each solved by several independent methods, "
    "compared in W2, and held against what is known."
)
CIRCLE = (
    "<p>On the circle the mass is fixed and only the directions of the neurons move. The global convergence theorem "
    "of Chizat &amp; Bach 2018 needs parameters whose size can change (homogeneous neurons, or signed mass), so it "
    "does not speak about these flows; a limit predicted here rests on the reason given in its section.</p>"
)
_COLUMNS = ("solver(s)", "claim", "measured", "expected", "tolerance", "holds")
_CLASSES = {"yes": "yes", "NO": "no", "refused": "refused"}


def write_report(folder: Path, reports: Sequence[Report], title: str = "wflow verify") -> Path:
    """Write report.html into a folder, whole; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / REPORT
    write_whole(target, page(reports, title).encode())
    return target


def page(reports: Sequence[Report], title: str) -> str:
    """The HTML of some reports on one page."""
    parts = [(report, problem) for report in reports for problem in report.problems]
    sections, contents = [], []
    for k, (report, problem) in enumerate(parts, 1):
        sections.append(_section(k, problem, report))
        contents.append(f'<li><a href="#problem-{k}">{_title(problem)}</a></li>')
    template = Template(files("wflow.app").joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        lead=escape(LEAD),
        made=escape(_made(reports)),
        summary=_summary(reports),
        contents="\n".join(contents),
        circle=CIRCLE if any(problem.flow.domain.is_circle for _, problem in parts) else "",
        sections="\n".join(sections),
    )


def _made(reports: Sequence[Report]) -> str:
    seconds = sum(report.seconds for report in reports)
    made = ", ".join(f"{name} {number}" for name, number in versions().items())
    there = machine()
    quick = "quick: half the resolution; " if any(report.quick for report in reports) else ""
    where = f"{there['platform']}, {there['cores']} cores"
    return f"{now()}; {quick}{seconds:.0f} s of computing; seed {SEED}; {made}; {where}"


def _title(problem: Problem) -> str:
    own = {key: value for key, value in problem.parameters.items() if key in ("activation", "b", "modes")}
    told = f" ({escape(parameters(own))})" if own else ""
    return f"{escape(problem.name)}{told}"


def _summary(reports: Sequence[Report]) -> str:
    rows = [row for report in reports for row in report.rows]
    held, wrong, refused = counts(rows)
    said = f"{held + wrong} claims: {held} hold, {wrong} fail. {refused} flows were refused by a method."
    failed = [row for row in rows if not row.holds]
    verdicts = "".join(f"<li>{_title(p)}: {_verdict(p, r)}</li>" for r in reports for p in r.problems)
    return (
        f'<p class="banner {"no" if wrong else ""}">{said}</p>'
        + (f"<h3>Failed claims</h3>{_table(failed, with_problem=True)}" if failed else "")
        + f"<h3>Limits for t &rarr; &infin;</h3><ul>{verdicts}</ul>"
        + f"<h3>Claims that hold, by problem and method</h3>{_matrix(reports)}"
    )


def _matrix(reports: Sequence[Report]) -> str:
    """Problem by method: claims that hold of all, or refused."""
    names = list(dict.fromkeys(type(o.solver).__name__ for report in reports for o in report.outcomes))
    lines = []
    for report in reports:
        for problem in report.problems:
            own = {type(o.solver).__name__: o for o in report.outcomes if o.problem == problem.name}
            row = "".join(f"<td>{_held(own[name]) if name in own else ''}</td>" for name in names)
            lines.append(f"<tr><th>{_title(problem)}</th>{row}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    return f'<div class="scroll"><table class="matrix"><tr><th></th>{head}</tr>{"".join(lines)}</table></div>'


def _held(outcome: Outcome) -> str:
    held, wrong, refused = counts(outcome.rows)
    if refused:
        return '<span class="refused">refused</span>'
    return f'<span class="{"no" if wrong else "yes"}">{held} of {held + wrong}</span>'


def _verdict(problem: Problem, report: Report) -> str:
    """What the rows about the limit say, with the reason for which the limit is expected."""
    reason = escape(problem.limit_reason)
    rows = [row for row in report.rows if row.problem == problem.name and row.certificate is not None]
    against = [row for row in rows if row.certificate and row.certificate.claim == REFUTED]
    about = [row for row in rows if row.certificate and APPROACHES in row.certificate.claim]
    if against and all(row.holds for row in against):
        return f"<strong>refuted</strong>: W2 to the minimiser does not go to 0; {reason}"
    if problem.limit is None or not about:
        return f"<strong>no verdict</strong>: no limit is predicted for this start; {reason}"
    if not all(row.holds for row in about):
        return f"<strong>refuted</strong>: the end contradicts the predicted limit; {reason}"
    left = max(row.certificate.measured / row.certificate.expected for row in about if row.certificate)
    if left > NEAR and problem.exact(problem.flow.horizon) is None:
        return f"<strong>undecided at this horizon</strong>: {left:.0%} of the first W2 is left; {reason}"
    return f"<strong>consistent at the stated resolution</strong>: {left:.2g} of the first W2 is left; {reason}"


def _section(k: int, problem: Problem, report: Report) -> str:
    outcomes = report.of(problem)
    rows = [row for row in report.rows if row.problem == problem.name]
    claims = [row for row in rows if row.certificate is not None]
    facts = {
        "What it shows": problem.note,
        "Source": problem.source,
        "Tested under H": f"{parameters(problem.parameters)}",
    }
    told = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    return (
        f'<section id="problem-{k}"><h2>{_title(problem)}</h2>'
        f'<div class="known">{_known(problem)}</div><dl>{told}<dt>Limit</dt><dd>{_verdict(problem, report)}</dd></dl>'
        f"<h3>Pictures</h3>{_pictures(problem, outcomes)}"
        f"<h3>Claims</h3>{_table(sorted(claims, key=lambda row: row.holds))}{_refusals(rows)}"
        '<p class="meta"><a href="#contents">Contents</a></p></section>'
    )


def _known(problem: Problem) -> str:
    """The paragraphs of the docstring of the problem: its equation and what its parameters are."""
    paragraphs = (inspect.getdoc(function_of(problem.name)) or "").split("\n\n")
    return "".join(f"<p>{escape(' '.join(paragraph.split()))}</p>" for paragraph in paragraphs)


def _pictures(problem: Problem, outcomes: Sequence[Outcome]) -> str:
    runs = {str(o.solver): run for o in outcomes if (run := o.trajectory(problem)) is not None}
    if not runs:
        return "<p>Every method refused this flow.</p>"
    return (
        f'<div class="pictures">{"".join(_images([*of_runs(problem, runs), *of_refinements(problem, outcomes)]))}</div>'
    )


def _images(pictures: Sequence[Picture]) -> Iterator[str]:
    for drawn in pictures:
        kind, caption = "wide" if drawn.wide else "", escape(drawn.caption)
        image = f'<img src="data:image/png;base64,{drawn.compact()}" alt="{caption}">'
        yield f'<figure class="{kind}"><div class="scroll">{image}</div><figcaption>{caption}</figcaption></figure>'


def _table(rows: Sequence[Row], *, with_problem: bool = False) -> str:
    columns = (("problem",) if with_problem else ()) + _COLUMNS
    head = "".join(f"<th>{name}</th>" for name in columns)
    lines = []
    for row in rows:
        values = ((row.problem,) if with_problem else ()) + cells(row)
        kind = _CLASSES[verdict(row)]
        entries = (_entry(name, value, kind) for name, value in zip(columns, values, strict=True))
        lines.append(f'<tr class="{kind if kind == "no" else ""}">{"".join(entries)}</tr>')
    return f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def _entry(name: str, value: str, kind: str) -> str:
    number = {"holds": kind, "measured": "number", "expected": "number"}.get(name, "")
    return f'<td class="{number}" data-label="{name}">{_signs(escape(value))}</td>'


def _signs(text: str) -> str:
    """<= and >= as one sign each."""
    return text.replace("&lt;=", "&le;").replace("&gt;=", "&ge;")


def _refusals(rows: Sequence[Row]) -> str:
    refused = [row for row in rows if row.certificate is None]
    lines = "".join(f"<li>{escape(row.solvers[0])}: {escape(row.refusal)}</li>" for row in refused)
    return f"<h3>Refused</h3><ul>{lines}</ul>" if refused else ""
