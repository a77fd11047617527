"""KSDistance: scikit-learn's contract, and the score of the test."""

import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from kldiv import KSDistance, ks_test
from kldiv._ks._methods import METHODS


@parametrize_with_checks([KSDistance(), KSDistance(method="max-sliced")])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("method", list(METHODS))
def test_estimator_scores_the_test(method, rng):
    X, Y = rng.normal(size=(50, 3)), rng.normal(0.5, 2, (60, 3))
    distance = KSDistance(method=method, random_state=0).fit(Y)
    expected = ks_test(X, Y, method=method, n_permutations=9, random_state=0)
    assert distance.score(X) == expected.global_statistic
    found = distance.test(X, n_permutations=9)
    assert found.global_pvalue == expected.global_pvalue
    piped = make_pipeline(StandardScaler(), KSDistance(method, random_state=0)).fit(Y)
    assert 0 <= piped.score(X) <= 1
    with pytest.raises(NotFittedError):
        KSDistance().score(X)
