"""Images of installed wheels: what they are, how they are split, and labels that are not theirs."""

import numpy as np
import pytest

from wflow import images as module
from wflow.errors import Damaged, Refused
from wflow.images import DIGITS, MNIST, Images, corrupted, images, one_hot, parity, random_labels


def installed(name):
    """The images, or a skip where the extra is not there."""
    try:
        return images(name)
    except Refused as lacking:
        pytest.skip(str(lacking))


@pytest.mark.parametrize(
    ("name", "n", "side"), [(DIGITS, 1797, 8), pytest.param(MNIST, 5000, 28, marks=pytest.mark.slow)]
)
def test_images_are_what_their_sources_say(name, n, side):
    """Numbers of rows and pixels, all ten digits, grey values between 0 and 1 that reach both."""
    found = installed(name)
    assert found.inputs.shape == (n, side * side)
    assert (found.inputs.min(), found.inputs.max()) == (0.0, 1.0)
    counts = np.bincount(found.labels)
    assert len(counts) == 10
    assert counts.min() >= 0.09 * n


@pytest.mark.slow
def test_digits_are_scikit_learn_s_own():
    """Pixel by pixel what its loader says."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    x, y = datasets.load_digits(return_X_y=True)
    found = installed(DIGITS)
    assert np.array_equal(16.0 * found.inputs, x)
    assert np.array_equal(found.labels, y)


def few(n=60, side=4):
    rng = np.random.default_rng(0)
    return Images(rng.random((n, side * side)), rng.integers(10, size=n))


def test_splits_part_and_scales_are_those_of_one_part():
    """Each row once; in the scaled part mean 0 and E|x|^2 = pixels; means over squares keep the mean."""
    whole = few()
    train, test = whole.split(40, seed=3)
    both = np.concatenate([train.inputs, test.inputs])
    assert np.array_equal(np.sort(both, axis=0), np.sort(whole.inputs, axis=0))
    assert not np.array_equal(train.labels, whole.split(40, seed=4)[0].labels)
    scaled = train.scaled(train)
    assert scaled.inputs.mean(axis=0) == pytest.approx(0.0, abs=1e-14)
    assert np.mean(np.sum(scaled.inputs**2, axis=1)) == pytest.approx(16.0, rel=1e-13)
    pooled = whole.pooled(2)
    assert pooled.inputs[0, 0] == pytest.approx(np.mean(whole.inputs[0].reshape(4, 4)[:2, :2]), rel=1e-15)
    assert pooled.inputs.mean() == pytest.approx(whole.inputs.mean(), rel=1e-13)


def test_labels_wrong_and_random():
    """Exactly a fifth are wrong, whatever the classes; random ones are right by chance: 1/10 within 4 deviations."""
    labels = np.random.default_rng(1).integers(10, size=1000)
    assert np.sum(corrupted(labels, 0.2, seed=0) != labels) == 200
    two = labels % 2
    wrong = corrupted(two, 0.2, seed=0, classes=2)
    assert np.sum(wrong != two) == 200
    assert set(wrong) == {0, 1}
    right = np.mean(random_labels(labels, seed=0) == labels)
    assert abs(right - 0.1) < 4.0 * (0.09 / 1000) ** 0.5
    assert np.array_equal(np.argmax(one_hot(labels), axis=1), labels)
    assert np.array_equal(parity(labels)[:, 0] > 0.0, labels % 2 == 1)


def test_what_is_refused(monkeypatch, tmp_path):
    """Unknown names, an extra that is not there, a wheel without its file, shares that are none."""
    with pytest.raises(ValueError, match="did you mean 'digits'"):
        images("digit")
    with pytest.raises(ValueError, match="none to test"):
        few().split(60, seed=0)
    with pytest.raises(ValueError, match="does not divide"):
        few().pooled(3)
    with pytest.raises(ValueError, match="random_labels seed: -1"):
        random_labels(np.arange(3), -1)
    with pytest.raises(ValueError, match="share"):
        corrupted(few().labels, 1.5, seed=0)
    for package, error, words in (
        ("no_such_package", Refused, r"wflow\[images\]"),
        ("hollow", Damaged, "another version"),
    ):
        (tmp_path / "hollow").mkdir(exist_ok=True)
        (tmp_path / "hollow" / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
        place = (package, package, ("data.csv.gz",), (1, 1), 1.0)
        monkeypatch.setitem(module._PLACES, package, place)
        with pytest.raises(error, match=words):
            images(package)
