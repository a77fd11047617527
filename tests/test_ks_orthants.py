"""Fasano-Franceschini statistics against their slow twin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kldiv import ks_test
from tests import reference
from tests.ks_samples import draw, seeds
from tests.tolerances import OTHER_ORDER


@given(
    st.sampled_from(["normal", "ties", "float32"]),
    st.integers(1, 4),
    st.integers(1, 40),
    st.integers(1, 40),
    seeds,
)
def test_orthants_agree_with_their_slow_twin(kind, d, n, m, seed):
    rng = np.random.default_rng(seed)
    X, Y = draw(kind, rng, (n, d)), draw(kind, rng, (m, d))
    found = ks_test(X, Y, method="fasano-franceschini").statistic
    assert found == pytest.approx(reference.ks_orthants(X, Y), abs=OTHER_ORDER)


def test_orthants_beyond_one_word_of_rows(rng):
    X, Y = rng.normal(size=(70, 5)), rng.normal(0.3, 1, (67, 5))
    found = ks_test(X, Y, method="fasano-franceschini").statistic
    assert found == pytest.approx(reference.ks_orthants(X, Y), abs=OTHER_ORDER)


def test_orthants_refuse_many_columns(rng):
    with pytest.raises(ValueError, match=r"2\^d orthants.*max-sliced"):
        ks_test(
            rng.normal(size=(9, 6)),
            rng.normal(size=(9, 6)),
            method="fasano-franceschini",
        )
