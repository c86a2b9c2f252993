"""This file owns the law of the inputs with its targets: quadratures, samples and CSV files."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wflow.arrays import Array, count, finite, shaped, weights_of_mass_one

Function = Callable[[Array], Array]
Drawn = Callable[[int, np.random.Generator], "Data"]
"""n independent data of a law, by a generator."""


@dataclass(frozen=True, eq=False)
class Data:
    """Inputs (n, p), targets (n,), weights (n,) of sum 1: always a quadrature rule or a sample.

    law: draws fresh data of the law that they are a quadrature of, None where it is not known.
    """

    inputs: Array
    targets: Array
    weights: Array = None  # type: ignore[assignment]
    law: Drawn | None = None

    def __post_init__(self) -> None:
        raw = finite("Data inputs", self.inputs)
        if raw.ndim != 2:
            raise ValueError(f"Data inputs: expected shape (n, p), got {raw.shape}; use x[:, None] for one column")
        inputs = shaped("Data inputs", raw, (None, None))
        n = len(inputs)
        weights = np.full(n, 1.0 / n) if self.weights is None else self.weights
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "targets", shaped("Data targets", self.targets, (n,)))
        object.__setattr__(self, "weights", weights_of_mass_one("Data weights", weights, n))

    def __len__(self) -> int:
        return len(self.inputs)

    def with_targets(self, target: Function) -> "Data":
        """The same inputs labelled by target(x (n, p)) -> (n,); fresh ones of the law too."""
        law = self.law
        fresh = None if law is None else lambda n, rng: law(n, rng).with_targets(target)
        return Data(self.inputs, target(self.inputs), self.weights, fresh)

    def standardised(self) -> "Data":
        """Inputs and targets with mean 0 and variance 1, column by column; a constant column is refused."""
        return Scaling.of(self, "standard").applied(self)

    def split(self, share: float, seed: int) -> tuple["Data", "Data | None"]:
        """Rows to learn and a share in [0, 1) of rows held out, drawn with the seed; None for share 0.

        Rows of equal weight only. ValueError where one of the parts would be empty.
        """
        part = float(finite("held_out", share))
        if not 0.0 <= part < 1.0:
            raise ValueError(f"held_out: {share!r} is not a share in [0, 1); give for instance 0.25, or 0 for no test")
        if part == 0.0:
            return self, None
        n = len(self)
        kept_back = round(part * n)
        if not 0 < kept_back < n:
            raise ValueError(f"held_out: {share!r} of {n} rows leaves one part empty; change it")
        order = np.random.default_rng([seed, n]).permutation(n)
        test, train = np.sort(order[:kept_back]), np.sort(order[kept_back:])
        return Data(self.inputs[train], self.targets[train]), Data(self.inputs[test], self.targets[test])


@dataclass(frozen=True, eq=False)
class Scaling:
    """x -> (x - shift)/width, column by column, and y -> (y - level)/height: fitted on some rows, applied to any."""

    shift: Array
    width: Array
    level: float
    height: float

    @classmethod
    def of(cls, data: Data, kind: str, labels: bool = False) -> "Scaling":
        """Inputs "standard" (mean 0, variance 1), "unit" ([-1, 1]) or "none"; targets standard, labels as they are."""
        mean, std = _moments("inputs", data.inputs, data.weights, used=kind != "none")
        level, height = (np.zeros(1), np.ones(1)) if labels else _of_targets(data)
        low, high = data.inputs.min(axis=0), data.inputs.max(axis=0)
        known = {
            "standard": (mean, std),
            "unit": (0.5 * (low + high), 0.5 * (high - low)),
            "none": (np.zeros_like(mean), np.ones_like(mean)),
        }
        if kind not in known:
            raise ValueError(f"scaling: unknown name {kind!r}; known: {', '.join(known)}")
        return cls(*known[kind], float(level[0]), float(height[0]))

    def applied(self, data: Data) -> Data:
        """The scaled rows."""
        scaled = (data.inputs - self.shift) / self.width
        return Data(scaled, (data.targets - self.level) / self.height, data.weights)


@dataclass(frozen=True, eq=False)
class Columns:
    """The names of columns of a table, units included, and the scaling between the table and what a network sees."""

    inputs: tuple[str, ...]
    target: str
    scaling: Scaling

    def raw(self, data: Data) -> Data:
        """Scaled rows as they stand in the table."""
        return Data(data.inputs * self.scaling.width + self.scaling.shift, self.raw_target(data.targets), data.weights)

    def raw_target(self, y: Array) -> Array:
        """Scaled targets or predictions (n,) in the unit of the table."""
        return np.asarray(y * self.scaling.height + self.scaling.level)

    def scaled(self, inputs: Array) -> Array:
        """Inputs (n, p) of the table as a network sees them."""
        return np.asarray((inputs - self.scaling.shift) / self.scaling.width)


def _moments(name: str, columns: Array, weights: Array, *, used: bool) -> tuple[Array, Array]:
    """Means and standard deviations of columns; ValueError for a column without variance where it is used."""
    mean = np.asarray(weights @ columns)
    std = np.asarray(np.sqrt(weights @ (columns - mean) ** 2))
    flat = np.flatnonzero(std <= 1e-12 * np.maximum(np.abs(mean), 1e-300))
    if len(flat) and used:
        raise ValueError(
            f"Data {name}: column {int(flat[0])} has zero variance (every value is {mean[flat[0]]:g}); "
            "it cannot be scaled, drop it or do not standardise"
        )
    return mean, std


def _of_targets(data: Data) -> tuple[Array, Array]:
    return _moments("targets", data.targets[:, None], data.weights, used=True)


def _unlabelled(inputs: Array, weights: Array | None = None, law: Drawn | None = None) -> Data:
    return Data(inputs, np.zeros(len(inputs)), weights, law)  # type: ignore[arg-type]


def _normal(p: int) -> Drawn:
    """N(0, I_p)."""
    return lambda n, rng: _unlabelled(rng.standard_normal((n, p)))


def circle_inputs(n: int) -> Data:
    """x uniform on the unit circle by n equispaced points: exact for trigonometric degree below n."""
    phi = 2.0 * np.pi * np.arange(count("n", n)) / n
    return _unlabelled(_on_circle(phi), law=lambda n, rng: _unlabelled(_on_circle(2.0 * np.pi * rng.random(n))))


def _on_circle(phi: Array) -> Array:
    return np.stack([np.cos(phi), np.sin(phi)], axis=1)


def gaussian_inputs(p: int, n: int) -> Data:
    """x ~ N(0, I_p) by the tensor Gauss-Hermite rule with n points an axis: exact to degree 2n - 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count("n", n))
    return _tensor([nodes] * count("p", p), [weights / weights.sum()] * p, _normal(p))


def gaussian_plane_inputs(radii: int, angles: int) -> Data:
    """x ~ N(0, I_2) in polar form: Gauss-Laguerre in |x|^2/2, equispaced in angle; keeps rotations exact."""
    half_square, weights = np.polynomial.laguerre.laggauss(count("radii", radii))
    ring = circle_inputs(angles)
    inputs = np.sqrt(2.0 * half_square)[:, None, None] * ring.inputs
    return _unlabelled(inputs.reshape(-1, 2), np.outer(weights / weights.sum(), ring.weights).ravel(), _normal(2))


def uniform_inputs(lower: Sequence[float], upper: Sequence[float], n: int) -> Data:
    """x uniform on a box by the tensor Gauss-Legendre rule with n points an axis: exact to degree 2n - 1."""
    nodes, weights = np.polynomial.legendre.leggauss(count("n", n))
    low, high = shaped("lower", lower, (None,)), shaped("upper", upper, (len(lower),))
    if np.any(low >= high):
        raise ValueError(f"lower: {low.tolist()} is not below upper {high.tolist()}; give lower < upper on each axis")
    axes = [0.5 * (a + b) + 0.5 * (b - a) * nodes for a, b in zip(low, high, strict=True)]

    def law(size: int, rng: np.random.Generator) -> Data:
        return _unlabelled(low + (high - low) * rng.random((size, len(low))))

    return _tensor(axes, [0.5 * weights] * len(axes), law)


def _tensor(axes: Sequence[Array], weights: Sequence[Array], law: Drawn) -> Data:
    points = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
    product = np.stack([g.ravel() for g in np.meshgrid(*weights, indexing="ij")], axis=1).prod(axis=1)
    return _unlabelled(points, product / product.sum(), law)


def read_csv(path: str | Path, inputs: Sequence[str], target: str) -> Data:
    """Columns of a CSV file with a header line, rows weighted equally.

    Raises FileNotFoundError, or ValueError naming a column that is missing, there twice or asked for twice, the line
    and column of a bad entry, or the byte that is not UTF-8.
    """
    _check_roles(inputs, target)
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"CSV file {str(path)!r} does not exist; paths in a config are relative to the config")
    wanted = (*inputs, target)
    # spreadsheets begin a file with a byte order mark, which is no part of the first name
    with file.open(newline="", encoding="utf-8-sig") as stream:
        try:
            reader = csv.DictReader(stream)
            _check_header(file.name, reader.fieldnames or [], wanted)
            rows = [[_number(file.name, reader.line_num, row, name) for name in wanted] for row in reader]
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise ValueError(f"{file.name}: the byte {byte:#x} is not UTF-8; save it as UTF-8 text") from error
    if not rows:
        raise ValueError(f"{file.name}: the header is followed by no rows; give at least one")
    table = np.array(rows)
    return Data(table[:, :-1], table[:, -1])


def _check_roles(inputs: Sequence[str], target: str) -> None:
    if target in inputs:
        raise ValueError(f"target: {target!r} is one of the inputs too; take it out of inputs {list(inputs)}")
    twice = [name for k, name in enumerate(inputs) if name in inputs[:k]]
    if twice:
        raise ValueError(f"inputs: {twice[0]!r} is named twice in {list(inputs)}; name each column once")


def _check_header(file: str, header: Sequence[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in header:
            raise ValueError(f"{file}: no column {name!r}; the header has {', '.join(header) or 'nothing'}")
        if header.count(name) > 1:
            raise ValueError(f"{file}: {header.count(name)} columns are named {name!r}; rename all but one")


def _number(file: str, line: int, row: dict[str, str], name: str) -> float:
    try:
        # Python would read 1_0 as 10, and the digits of other scripts
        if "_" in row[name] or not row[name].isascii():
            raise ValueError
        value = float(row[name])
    except (TypeError, ValueError):
        raise ValueError(
            f"{file}: line {line}, column {name!r}: {row[name]!r} is not a number; correct or remove it"
        ) from None
    if not np.isfinite(value):
        raise ValueError(f"{file}: line {line}, column {name!r}: {value} is not finite; correct or remove the line")
    return value
