"""One test per row against its slow twin and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kldiv import ks_test
from tests import reference
from tests.ks_samples import draw, seeds
from tests.tolerances import ITERATED, OTHER_ORDER


@given(
    st.sampled_from(["normal", "ties"]), st.integers(1, 30), st.integers(1, 30), seeds
)
def test_rows_agree_with_their_slow_twin(kind, n, m, seed):
    rng = np.random.default_rng(seed)
    X, Y = draw(kind, rng, (n, 4)), draw(kind, rng, (m, 4))
    result = ks_test(X, Y, method="rows", n_permutations=3)
    assert result.statistic == pytest.approx(reference.ks_rows(X, Y), abs=OTHER_ORDER)
    expected = [stats.ks_2samp(row, Y.ravel()).pvalue for row in X]
    np.testing.assert_allclose(result.row_pvalue, expected, atol=ITERATED)


def test_rows_against_a_law(rng):
    X = rng.normal(size=(20, 30))
    result = ks_test(X, stats.norm(), method="rows")
    expected = [stats.ks_1samp(row, stats.norm.cdf).pvalue for row in X]
    np.testing.assert_allclose(result.row_pvalue, expected, atol=ITERATED)
    assert result.pvalue == pytest.approx(np.mean(expected), abs=ITERATED)
    assert result.global_pvalue == min(1, 2 * result.pvalue)
