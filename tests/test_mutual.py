"""Lists of neighbours made mutual. Judge: the same in sets."""

import numpy as np
import pytest

from wflow.compiled import available

if not available():
    pytest.skip("numba, the extra `fast`, is not installed: the lists are compiled", allow_module_level=True)

from wflow.mutual import told


def listed(sets):
    """start and other of sets."""
    each = [np.array(sorted(one), np.int64) for one in sets]
    return np.cumsum([0, *map(len, each)]), np.concatenate([np.empty(0, np.int64), *each])


@pytest.mark.parametrize("seed", range(4))
def test_told_is_the_union_both_ways(seed):
    """D_i is what is found, or was known of those not asked or found empty: told are D and its transpose, in order.

    Alone is who stands in a pair that D has one way only.
    """
    rng, m = np.random.default_rng(seed), 40
    before = rng.random((m, m)) < 0.1
    before = (before | before.T) & ~np.eye(m, dtype=bool)
    asked, empty = np.flatnonzero(rng.random(m) < 0.4), rng.random(m) < 0.1
    found = (rng.random((m, m)) < 0.1) & ~np.eye(m, dtype=bool) & ~empty[:, None]
    d = before.copy()
    forgotten = asked[~empty[asked]]
    d[forgotten] = found[forgotten]
    start, other = listed([np.flatnonzero(one) for one in before])
    first, lists = listed([np.flatnonzero(found[i]) for i in asked])
    new, every, alone = told(start, other, asked, np.diff(first), lists, empty)
    expected = listed([np.flatnonzero(one) for one in d | d.T])
    assert new.tolist() == expected[0].tolist()
    assert every.tolist() == expected[1].tolist()
    assert alone.tolist() == (d ^ d.T).any(axis=1).tolist()
