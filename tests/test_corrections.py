"""Which corrections run, and what a result says about it."""

from kldiv import datasets, estimate_divergence
from kldiv._ratio import _corrections


def test_auto_says_what_it_did():
    X, Y, _ = datasets.make_lognormal_pair(n_features=10, random_state=0)
    result = estimate_divergence(X, Y)
    assert (result.correction, result.n_components, result.scale) == (
        "mixture",
        1,
        "normal",
    )
    few = estimate_divergence(X[:12], Y[:12])
    assert (few.correction, few.n_components, few.scale) == (None, None, None)
    assert estimate_divergence(X[:12, :2], Y[:12, :2]).correction == "adaptive"


def test_threads_do_not_change_the_value(rng):
    X, Y = rng.normal(size=(300, 5)), rng.normal(1, 1, size=(200, 5))
    one, two = (estimate_divergence(X, Y, n_jobs=jobs).value for jobs in (None, 2))
    assert one == two


def test_choose_corrections():
    choose = _corrections.choose_corrections
    candidates = ("common", "mixture", "marginal", "classifier")
    assert choose("auto", 100, 100, 50) == candidates
    assert choose("auto", 500, 500, 784) == ("common", "gaussian", "classifier")
    assert choose("auto", 100, 100, 784) == ("common", "gaussian", "classifier")
    assert choose("auto", 100, 10, 2) == ("adaptive",)
    assert choose("auto", 100, 10, 20) == (None,)
    assert choose("auto", 100, 100, 2, "manhattan") == ("adaptive",)
    assert choose(None, 100, 100, 2) == (None,)
