"""The documentation names only what exists: files, links, headings, `wflow` commands and `make` targets.

Reads README.md, CONTRIBUTING.md and every Markdown file under docs/ and demos/. Prints one line for each
fault and ends with status 1 if there is one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from wflow.app import cli

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = {"results", ".venv", ".venv-core"}  # made by running something: absent from a fresh clone

FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^(?: {4}|\t)\S.*$", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#+ +(.+?)\s*#*$", re.MULTILINE)
ABSOLUTE = re.compile(r"(?<![\w.:/~<>$})\]*-])/[a-z][\w.-]*/[\w.]")
ALLOWED = re.compile(r"/(path|dev|proc|usr|etc)/")  # placeholders and what every system has
UPWARD = re.compile(r"(?:\.\./)+[\w./-]*")
PATH = re.compile(r"^(?:\./)?[\w.*-]+(?:/[\w.*-]+)*/?$")
PLACEHOLDER = re.compile(r"(?:^|/)[A-Z][A-Z_]+\.[a-z]+$")  # CONFIG.toml: the reader's own file
README_LIKE = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"}
PROMPT = r"^(?:\$ )?(?:[A-Z]\w*=\S+ )*(?:\.venv/bin/)?"
COMMAND = re.compile(PROMPT + r"(wflow|make)(?:\s+(.*?))?(?: {2,}.*|\s+#.*)?$")


def documents() -> list[Path]:
    named = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    found = [path for folder in ("docs", "demos") for path in sorted((ROOT / folder).rglob("*.md"))]
    return [path for path in named if path.exists()] + found


def code(text: str) -> Iterator[str]:
    """Every line of a code block and every piece of inline code."""
    for block in FENCE.finditer(text):
        yield from block.group().splitlines()[1:-1]
    prose = FENCE.sub("", text)
    yield from (line.group() for line in INDENTED.finditer(prose))
    yield from INLINE.findall(INDENTED.sub("", prose))


def slug(heading: str) -> str:
    """The anchor that a Markdown viewer gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(document: Path) -> set[str]:
    return {slug(heading) for heading in HEADING.findall(document.read_text(encoding="utf-8"))}


def broken_links(document: Path, text: str) -> Iterator[str]:
    for target in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.is_relative_to(ROOT) or not path.exists():
            yield f"link to {target}, which does not exist in the project"
        elif anchor and path.suffix == ".md" and anchor not in anchors(path):
            yield f"link to {target}: no such heading"


def exists(document: Path, name: str) -> bool:
    bases = (ROOT, document.parent)
    return any(next(base.glob(name), None) is not None for base in bases)


def missing_files(document: Path, text: str) -> Iterator[str]:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} | {"docs", "tests", "benchmarks"}
    for word in (word.strip("\"',;()") for line in code(text) for word in line.split()):
        name = word.removeprefix("./")
        first = name.split("/")[0]
        is_file = name in README_LIKE or ("/" in name and first in folders)
        if not is_file or first in WRITTEN or not PATH.match(name) or PLACEHOLDER.search(name):
            continue
        if not exists(document, name.rstrip("/")):
            yield f"names {name}, which does not exist"


def foreign_paths(document: Path, text: str) -> Iterator[str]:
    for match in ABSOLUTE.finditer(text):
        if not ALLOWED.match(match.group()):
            line = text[: match.start()].count("\n") + 1
            yield f"line {line}: an absolute path of one machine, {text[match.start() :].split()[0]}"
    for match in UPWARD.finditer(text):
        target = (document.parent / match.group().rstrip(".")).resolve()
        if not target.is_relative_to(ROOT):
            yield f"{match.group()} leads out of the project"


def subcommands() -> dict[str, set[str]]:
    """The options of each subcommand of `wflow`."""
    app = next(value for value in vars(cli).values() if isinstance(value, typer.Typer))
    commands: dict[str, Any] = getattr(typer.main.get_command(app), "commands", {})
    return {
        name: {option for item in command.params for option in (*item.opts, *item.secondary_opts)} | {"--help"}
        for name, command in commands.items()
    }


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def unknown_commands(_: Path, text: str) -> Iterator[str]:
    known = subcommands()
    for match in filter(None, (COMMAND.match(line.strip()) for line in code(text))):
        program, words = match[1], (match[2] or "").split()
        if program == "make":
            named = (word for word in words if re.fullmatch(r"[a-z][a-z-]*", word))
            yield from (f"`make {word}` is no target" for word in named if word not in targets())
        elif words and not words[0].startswith("-"):
            if words[0] not in known:
                yield f"`wflow {words[0]}` is no subcommand"
                continue
            options = (word.strip("[]").split("=")[0] for word in words if word.strip("[]").startswith("--"))
            yield from (f"`wflow {words[0]}` has no option {word}" for word in options if word not in known[words[0]])


CHECKS: tuple[Callable[[Path, str], Iterator[str]], ...] = (
    broken_links,
    missing_files,
    foreign_paths,
    unknown_commands,
)


def main() -> int:
    found = documents()
    faults = 0
    for document in found:
        text = document.read_text(encoding="utf-8")
        for fault in (fault for check in CHECKS for fault in check(document, text)):
            print(f"{document.relative_to(ROOT)}: {fault}")
            faults += 1
    print(f"{len(found)} documents read, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
