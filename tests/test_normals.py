"""Streams of standard normal numbers: words, places, moments, distribution, independence, both ways of making.

Random tests: 2^19 numbers of seeds fixed here; each says how many standard errors it allows.
"""

import math
from functools import lru_cache

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from wflow import compiled
from wflow.normals import Stream, mixed

COUNT = 1 << 19


@lru_cache(maxsize=16)
def drawn(*seed, count=COUNT):
    out = np.empty(count)
    Stream.of(*seed).fill(0, out)
    return out


def test_words_are_those_of_splitmix64():
    """The first five words from 1234567 with the golden gamma, as its implementations in many languages print them."""
    known = [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip
    steps = np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert mixed(steps + np.uint64(1234567)).tolist() == known


def test_numbers_are_box_and_muller_of_the_words(monkeypatch):
    """From the words by whole numbers of Python, both ways of making them: 1e-14 of each."""
    stream = Stream.of(5, 6)
    words = [(stream.start + k * stream.gamma) % 2**64 for k in range(1, 9)]
    shares = [int(word) / 2**52 for word in mixed(np.array(words, dtype=np.uint64)) >> np.uint64(12)]
    expected = []
    for share, turn in zip(shares[::2], shares[1::2], strict=True):
        size = math.sqrt(-2.0 * math.log(1.0 - share))
        angle = 2.0 * math.pi * (turn - 0.5)
        expected += [size * math.cos(angle), size * math.sin(angle)]
    for numba in {compiled.available(), False}:
        monkeypatch.setattr(compiled, "available", lambda numba=numba: numba)
        out = np.empty(8)
        stream.fill(0, out, 3.0)
        np.testing.assert_allclose(out, 3.0 * np.array(expected), rtol=0, atol=1e-14)


def test_compiled_and_plain_are_the_same(monkeypatch):
    """2^16 numbers at a far place, to 1e-14."""
    if not compiled.available():
        pytest.skip("numba is not installed")
    both = []
    for numba in (True, False):
        monkeypatch.setattr(compiled, "available", lambda numba=numba: numba)
        out = np.empty(1 << 16)
        Stream.of(1).fill(1 << 40, out)
        both.append(out)
    np.testing.assert_allclose(both[0], both[1], rtol=0, atol=1e-14)


def test_a_number_is_known_by_its_place():
    """From place 1000 on as from 0, to the bit, whatever the length: nothing depends on what came before."""
    whole = drawn(2, 3, count=2000)
    for first, size in ((1000, 1000), (1234, 6), (0, 2)):
        out = np.empty(size)
        Stream.of(2, 3).fill(first, out)
        np.testing.assert_array_equal(out, whole[first : first + size])


@pytest.mark.parametrize("power", [1, 2, 3, 4, 6])
def test_moments(power):
    """E x^k = (k - 1)!! for even k and 0 for odd, within 4 standard errors: Var x^k = (2k - 1)!! - (E x^k)^2."""
    x, odd = drawn(7), math.prod(range(1, 2 * power, 2))
    mean = 0.0 if power % 2 else float(math.prod(range(1, power, 2)))
    assert abs(np.mean(x**power) - mean) < 4.0 * math.sqrt((odd - mean**2) / COUNT)


def test_the_distribution_function():
    """Kolmogorov and Smirnov: n^(1/2) sup |F_n - Phi| < 1.95, which one sample in a thousand exceeds; three streams.

    Each half of the pairs too: cosines and sines. A normal law of deviation 1.02 is refused.
    """

    def apart(x):
        p, n = ndtr(np.sort(x)), len(x)
        return math.sqrt(n) * max(np.max(np.arange(1, n + 1) / n - p), np.max(p - np.arange(n) / n))

    for k in range(3):
        x = drawn(11, k)
        assert max(apart(x), apart(x[::2]), apart(x[1::2])) < 1.95
    assert apart(1.02 * x) > 1.95


def test_tails():
    """Beyond 3 and 4 on either side as often as of a normal law, within 4 standard errors; none beyond 8.5."""
    x = np.concatenate([drawn(13), drawn(14)])
    for level in (3.0, 4.0):
        expected = len(x) * float(ndtr(-level))
        for found in (np.sum(x > level), np.sum(x < -level)):
            assert abs(found - expected) < 4.0 * math.sqrt(expected)
    assert np.max(np.abs(x)) < 8.5


def test_neighbours_and_streams_are_independent():
    """Correlations of x and of x^2 at lags 1 to 8, at 8192, and between neighbouring streams: 4.5 standard errors.

    Twenty of them: the largest of so many exceeds 4.5 once in seven thousand times.
    """
    x, other = drawn(17, 0), drawn(17, 1)
    pairs = [(x[:-lag], x[lag:]) for lag in (*range(1, 9), 8192)] + [(x, other)]
    for a, b in pairs:
        assert abs(np.mean(a * b)) * math.sqrt(len(a)) < 4.5
        assert abs(np.mean((a * a - 1.0) * (b * b - 1.0))) / 2.0 * math.sqrt(len(a)) < 4.5


def test_pairs_fill_the_plane():
    """Chi-square of (x_q, x_(q + 1)) in 32 x 32 cells of equal mass, for q even and odd: 1023 within 4 deviations."""
    cuts = ndtri(np.arange(1, 32) / 32)
    x = np.searchsorted(cuts, drawn(19))
    for a, b in ((x[::2], x[1::2]), (x[1:-1:2], x[2::2])):
        seen = np.bincount(32 * a + b, minlength=1024)
        expected = len(a) / 1024
        assert abs(np.sum((seen - expected) ** 2) / expected - 1023) < 4.0 * math.sqrt(2.0 * 1023)


def test_seeds():
    """gamma is odd with 24 changes of bits or more; other seeds are other streams; the same is the same."""
    streams = [Stream.of(a, b) for a in range(30) for b in range(30)]
    assert len({s.start for s in streams}) == len({s.gamma for s in streams}) == 900
    assert all(s.gamma % 2 and (s.gamma ^ (s.gamma >> 1)).bit_count() >= 24 for s in streams)
    assert Stream.of(3, 4) == streams[3 * 30 + 4]


@pytest.mark.parametrize(("first", "size"), [(1, 2), (-2, 2), (0, 3)])
def test_numbers_come_in_pairs(first, size):
    """Odd places, odd numbers and places below 0 are refused."""
    with pytest.raises(ValueError, match="pairs"):
        Stream.of(0).fill(first, np.empty(size))
