"""Mean weights around rows."""

import numpy as np
import pytest

from kldiv._ratio._weighting import log_mean


@pytest.mark.parametrize("k", [5, 20, 200])
def test_the_log_of_a_mean_weight_is_corrected(k):
    rng = np.random.default_rng(0)
    weights = rng.gamma(2.0, 0.5, (20_000, k))  # of mean one and variance a half
    plain = np.log(weights.mean(axis=1)).mean()
    corrected = log_mean(np.log(weights)).mean()
    assert plain == pytest.approx(-1 / (4 * k), abs=0.2 / k)
    assert abs(corrected) < 0.15 * abs(plain)


def test_one_weight_and_huge_ones():
    assert log_mean(np.array([[3.0]])) == pytest.approx([3.0])
    assert log_mean(np.array([[900.0, 900.0]])) == pytest.approx([900.0])
    # a mean that hangs on one row is corrected by a half at most
    assert log_mean(np.array([[0.0, -900.0]]))[0] == pytest.approx(0.5 - np.log(2))
