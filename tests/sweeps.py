"""A small study whose cells workers can find: it leaves a mark each time a cell is measured."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from wflow.app.studies import Entry, Study
from wflow.certificates import Certificate
from wflow.errors import NotConverged
from wflow.picture import save, success

UNLUCKY = 13


def squared(folder: str, n: int) -> dict[str, float]:
    """n^2; that of 13 does not converge while a file `bad` is there."""
    home = Path(folder)
    (home / f"{n}.{len(list(home.glob(f'{n}.*')))}").touch()
    if n == UNLUCKY and (home / "bad").exists():
        raise NotConverged("thirteen did not converge", 1.0)
    return {"square": float(n * n)}


def squares(folder: Path, numbers: Sequence[int]) -> Study:
    """One cell a number, for `quick` the first alone; claims the sum of the squares."""

    def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
        yield Certificate("sum", "equal", sum(e["square"] for e in entries), float(sum(n * n for n in numbers)))

    return Study(
        "squares",
        "what are squares?",
        lambda quick: [{"folder": str(folder), "n": n} for n in numbers[: 1 if quick else None]],
        squared,
        claims,
        lambda entries, path: save(success({int(e["n"]): (0.5, 0.0, 1.0) for e in entries}, {}, 1e-3), path),
    )
