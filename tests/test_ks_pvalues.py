"""P-values of Kolmogorov-Smirnov: every order counted, scipy's law, adjustments."""

import numpy as np
import pytest
from scipy import stats

from kldiv import ks_test
from kldiv._ks._pvalues import ADJUSTMENTS, kstwo_sf
from tests import reference


@pytest.mark.parametrize(("n", "m"), [(4, 5), (5, 3), (4, 4), (1, 6)])
def test_exact_pvalue_counts_every_order(n, m, rng):
    x, y = rng.normal(size=n), rng.normal(0.5, size=m)
    assert ks_test(x, y).pvalue == pytest.approx(
        reference.ks_exact_tail(x, y), rel=1e-12
    )


@pytest.mark.parametrize("n", [1, 2, 140, 141, 857, 4999, 5001, 20_000])
def test_law_of_the_statistic_equals_scipy(n):
    x = np.concatenate(
        [
            np.linspace(0, 1, 21),
            np.linspace(0.3, 3, 9) / n,
            np.linspace(0.2, 3, 30) / n**0.5,
        ]
    )
    x = x[x <= 1]
    np.testing.assert_allclose(kstwo_sf(x, n), stats.kstwo.sf(x, n), rtol=0, atol=1e-10)


def test_adjusted_pvalues(rng):
    p = np.concatenate([rng.uniform(0, 0.02, 5), rng.uniform(size=20)])
    bonferroni, holm, hochberg = (ADJUSTMENTS[name](p) for name in ADJUSTMENTS)
    np.testing.assert_allclose(hochberg, stats.false_discovery_control(p))
    np.testing.assert_allclose(bonferroni, np.minimum(1, 25 * p))
    order = np.argsort(p)
    expected = [max((25 - j) * p[order[j]] for j in range(i + 1)) for i in range(25)]
    np.testing.assert_allclose(holm[order], np.minimum(1, expected))
    result = ks_test(rng.normal(size=(50, 4)), rng.normal(size=(60, 4)))
    assert result.global_pvalue == result.pvalue_bonferroni.min()
    assert result.global_statistic == result.statistic.max()
