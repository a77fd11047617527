"""How "auto" weighs its candidates."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kldiv import (
    DiscreteDataWarning,
    TrustWarning,
    datasets,
    estimate_divergence,
    neighbor_distances,
)
from kldiv._ratio._balls import local_dimension
from kldiv._ratio._classifier import log_loss
from kldiv._ratio._correction import Evidence
from kldiv._ratio._corrections import CANDIDATES
from kldiv._ratio._judge import (
    _ahead_of_all,
    _parts_of,
    behind_the_best,
    judged_ratio,
    proven_by,
    weights_of,
)
from kldiv._ratio._log_ratio import Settings
from kldiv._ratio._single_rows import single_rows
from tests.ratios import log_ratio


def losses_of(log_ratios, n):
    return np.array([log_loss(ratio, n) for ratio in log_ratios])


@given(st.integers(0, 1000), st.integers(1, 6))
def test_weights_sum_to_one(seed, candidates):
    rng = np.random.default_rng(seed)
    weights = weights_of(rng.exponential(size=(candidates, 50)))
    assert weights.sum() == pytest.approx(1)
    assert ((weights == 0) | (weights >= 0.05)).all()


def test_equal_candidates_have_equal_weights(rng):
    losses = rng.exponential(size=50)
    np.testing.assert_allclose(weights_of(np.tile(losses, (4, 1))), 0.25)


def test_the_order_of_candidates_and_rows_does_not_count(rng):
    losses = rng.exponential(size=(4, 300)) + 0.02 * np.arange(4)[:, None]
    expected = weights_of(losses)
    np.testing.assert_allclose(weights_of(losses[::-1])[::-1], expected)
    np.testing.assert_allclose(weights_of(losses[:, rng.permutation(300)]), expected)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_the_truth_has_most_weight(shift, rng):
    n, m = 1000, 500
    rows = np.concatenate([rng.normal(shift, 1, n), rng.normal(size=m)])
    truth = shift * rows - shift**2 / 2
    nothing, too_large, noisy = 0 * truth, 2 * truth, truth + rng.normal(size=n + m)
    weights = weights_of(losses_of([nothing, truth, too_large, noisy], n))
    assert weights.argmax() == 1
    assert weights[1] > 0.99


def test_candidates_that_no_row_tells_apart_share_the_weight(rng):
    rows = rng.normal(size=800)
    close = [0.1 * rows, 0.1 * rows + 0.01 * rng.normal(size=800), 0.1 * rows + 0.002]
    assert (weights_of(losses_of(close, 400)) > 0.05).all()


def test_the_estimate_is_the_weighed_mean():
    X, Y, _ = datasets.make_gaussian_pair(
        n_features=3, n_samples=(300, 200), random_state=0
    )
    found = log_ratio(X, Y, correction="auto")
    assert len(found.parts) > 1
    weights = np.array([weight for weight, _ in found.parts])
    assert weights.sum() == pytest.approx(1)
    means = np.array([part.values.mean() for _, part in found.parts])
    assert found.values.mean() == pytest.approx(weights @ means)
    best = found.parts[weights.argmax()][1]
    assert found.correction == best.correction
    alone = {name: log_ratio(X, Y, correction=name).values for name in CANDIDATES}
    for _, part in found.parts:
        np.testing.assert_array_equal(part.values, alone[part.correction])


def test_what_candidates_differ_by_is_in_the_standard_error():
    X, Y, _ = datasets.make_gaussian_pair(
        n_features=3, n_samples=(300, 200), random_state=0
    )
    found = estimate_divergence(X, Y)
    parts = log_ratio(X, Y, correction="auto").parts
    weights = np.array([weight for weight, _ in parts])
    means = np.array([part.values.mean() for _, part in parts])
    between = weights @ (means - weights @ means) ** 2
    assert found.standard_error**2 > between


def test_only_candidates_with_weight_are_estimated(rng):
    X, Y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    estimate = log_ratio(X, Y, correction="common")

    class Candidate:
        def __init__(self, ratios):
            self.ratios = ratios

        def evidence(self, *_):
            return Evidence(self.ratios, self.estimate)

        def estimate(self):
            if self.ratios is wrong:
                raise AssertionError("an estimate that nobody needs")
            return estimate

    class Pair:
        X = np.zeros(200)

    right = np.repeat([2.0, -2.0], 200)
    wrong = -right
    candidates = {"right": Candidate(right), "wrong": Candidate(wrong)}
    found = judged_ratio(candidates, Pair(), Settings(5))
    assert found.values is estimate.values


def test_ratios_that_name_the_fold_of_a_row_are_no_evidence(rng):
    """Rows left out of a fit are rarer in it, so that it bets against each of them."""
    fold = np.repeat([-0.05, 0.05], 30) + 0.001 * rng.normal(size=60)
    noise = rng.normal(size=60)
    assert np.abs(behind_the_best([fold, noise], 30)).max() < 3
    assert (behind_the_best([-fold, noise], 30)[1:] > 5).all()
    fold_alone, nothing = behind_the_best([fold], 30)
    assert fold_alone == nothing == 0


def test_rows_unseen_prove_no_more_than_there_is(rng):
    X, Y = rng.normal(1, 1, 2000), rng.normal(size=2000)
    truth = np.concatenate([X, Y]) - 0.5
    assert 0.35 < proven_by(truth, 2000) < 0.5
    # neither what claims too much nor noise proves anything
    assert proven_by(20 * truth, 2000) < 0.5
    assert proven_by(rng.normal(size=4000), 2000) < 0
    # nor do m rows prove more than about log m, however far away they are
    for far in (20, 1000, 1e6):
        apart = np.repeat([far, -far], 200)
        assert 0.9 * np.log(200) < proven_by(apart, 200) <= np.log(200) + 1e-9


@pytest.mark.parametrize("at_y", [-500.0, -2000.0, -1e6])
def test_what_is_proven_of_samples_far_apart(at_y):
    """No exp T of a row of Y is a number above zero."""
    ratios = np.repeat([2000.0, at_y], 100)
    assert proven_by(ratios, 100) == pytest.approx(np.log(100))


@pytest.mark.parametrize("size", [1e3, 1e30, 1e300])
def test_huge_ratios_of_samples_that_leave_each_other(size, rng):
    """Squares overflow, and nothing is left of exp of a ratio."""
    n, m = 200, 150
    known = size * np.concatenate([rng.uniform(1, 2, n), -rng.uniform(1, 2, m)])
    nothing, wrong = rng.normal(size=n + m), -known
    assert proven_by(known, n) == pytest.approx(np.log(m))
    assert proven_by(wrong, n) == pytest.approx(-np.log(m))
    np.testing.assert_array_equal(
        weights_of(losses_of([nothing, known, wrong], n)), [0.0, 1.0, 0.0]
    )
    behind = behind_the_best([nothing, known, known / 2], n)
    assert behind[0] > 5
    assert behind[1:3] == pytest.approx(0, abs=1e-6)
    assert behind[3] > 5


@pytest.mark.parametrize("correction", ["auto", "marginal", "classifier"])
def test_flags_and_columns_that_are_almost_the_same(correction, rng):
    X, Y = rng.normal(0.5, 1, (300, 3)), rng.normal(size=(200, 3))
    X = np.column_stack([X, X[:, 0] + 1e-7 * rng.normal(size=300)])
    Y = np.column_stack([Y, Y[:, 0] + 1e-7 * rng.normal(size=200)])
    X, Y = (np.column_stack([Z, rng.random(len(Z)) < 0.5]) for Z in (X, Y))
    with pytest.warns(DiscreteDataWarning):  # as numbers
        found = estimate_divergence(X, Y, correction=correction, discrete=None)
    assert np.isfinite(found.value)
    assert found.standard_error > 0


@pytest.mark.parametrize("seed", [*range(4), 9, 14])
def test_no_single_row_of_a_heavy_tail_decides(seed):
    rng = np.random.default_rng(seed)
    X, Y = (rng.random((1000, 1)) ** (-1 / index) for index in (0.3, 0.5))
    # E log p/q of Pareto distributions: log(a/b) + b/a - 1
    truth = np.log(0.3 / 0.5) + 0.5 / 0.3 - 1
    result = estimate_divergence(X, Y)
    assert abs(result.value - truth) < max(0.1, 4 * result.standard_error)
    assert result.standard_error < 0.1


def test_a_row_far_out_decides_nothing_of_a_value_that_is_large(rng):
    values = rng.normal(size=1000)
    values[0] = 150.0
    assert single_rows(values).tolist() == [True] + 999 * [False]
    assert not single_rows(values + 30, 30).any()


def test_a_noisy_density_that_knows_more_is_taken_alone(rng):
    """Log loss prefers ratios that are too small to those that overstate themselves."""
    n = 2000
    truth = np.concatenate([rng.normal(2, 2, n), rng.normal(-2, 2, n)])
    noisy = truth + rng.normal(0, 6, 2 * n)
    small = 0.05 * truth + rng.normal(0, 0.6, 2 * n)
    losses = losses_of([noisy, small], n)
    assert weights_of(losses).argmax() == 1
    behind = behind_the_best([noisy, small], n)
    assert behind[0] == 0
    assert (behind[1:] > 5).all()


def test_samples_that_lie_apart_do_not_say_which_candidate_is_right(rng):
    n = 1000
    apart = np.repeat([50.0, -50.0], n)
    one, other = (apart + rng.normal(0, scale, 2 * n) for scale in (0.1, 5.0))
    behind = behind_the_best([one, other, apart / 100], n)
    assert np.all(np.abs(behind[:3]) < 1)
    assert behind[3] > 5


class SaidBefore:
    """A candidate whose held-out ratios and estimate are given."""

    def __init__(self, ratios, estimate):
        self.ratios, self.found = ratios, estimate

    def evidence(self, *_):
        return Evidence(self.ratios, lambda: self.found)


class PairOfSizes:
    def __init__(self, n):
        self.X = np.zeros((n, 1))


def test_references_that_balls_contradict_have_to_be_far_ahead(rng):
    n = 300
    known = np.concatenate([rng.normal(1, 1, n), rng.normal(-1, 1, n)])
    X, Y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    modest = log_ratio(X, Y, correction="common")
    for misfit, lead, alone in ((0.3, 4, 1), (3.0, 4, 0), (3.0, 6, 1), (0.3, 2, 0)):
        large = replace(modest, values=modest.values + 10, misfit=misfit)
        evidence = [Evidence(-known, lambda large=large: large)]
        evidence.append(Evidence(known, lambda: modest))
        ((weight, found),) = _parts_of(evidence, n, np.array([0.0, lead, 9.0]))
        assert weight == 1
        assert found.mean == (large if alone else modest).mean


def test_no_lead_helps_references_that_balls_contradict_on_a_surface(rng):
    n, across = 300, rng.normal(size=(2, 7))
    known = np.concatenate([rng.normal(1, 1, n), rng.normal(-1, 1, n)])
    X, Y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    for turned, misfit, alone in (
        (np.eye(2), 3.0, 1),
        (across, 3.0, 0),
        (across, 0.4, 0),
        (across, 0.2, 1),
    ):
        modest = log_ratio(X @ turned, Y @ turned, correction="common", scale=None)
        modest = replace(modest, X=X @ turned)
        large = replace(modest, values=modest.values + 10, misfit=misfit)
        evidence = [Evidence(-known, lambda large=large: large)]
        evidence.append(Evidence(known, lambda modest=modest: modest))
        ((_, found),) = _parts_of(evidence, n, np.array([0.0, 20.0, 9.0]))
        assert found.mean == (large if alone else modest).mean


@pytest.mark.parametrize(("d", "latent"), [(1, 1), (5, 5), (20, 2)])
def test_dimensions_in_which_rows_vary(d, latent, rng):
    Z = rng.random((2000, latent)) @ rng.normal(size=(latent, d))
    distances = neighbor_distances(Z, Z[:1000], n_neighbors=5).block("xx")
    assert local_dimension(distances) == pytest.approx(latent, rel=0.25)
    assert local_dimension(distances[:, :1]) == np.inf
    assert local_dimension(np.zeros((4, 3))) == np.inf


@pytest.mark.parametrize("says", [np.inf, -np.inf, np.nan])
def test_infinite_ratios_at_rows_unseen_are_left_out(says, rng):
    n = 300
    known = np.concatenate([rng.normal(1, 1, n), rng.normal(-1, 1, n)])
    refuted = known.copy()
    refuted[[3, n + 3]] = says
    X, Y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    modest = log_ratio(X, Y, correction="common")
    infinite = replace(modest, values=np.full(200, np.inf))
    candidates = {
        "known": SaidBefore(known, modest),
        "refuted": SaidBefore(refuted, infinite),
    }
    found = judged_ratio(candidates, PairOfSizes(n), Settings(5))
    assert found.mean == modest.mean
    assert np.isfinite([found.proven, found.claimed]).all()


def test_maps_of_columns_that_balls_contradict(rng):
    """Rows on a sphere have no density in the columns that hold it."""

    def full(n):
        return rng.normal(size=(n, 5))

    def on_sphere(n):
        rows = full(n)
        return rows / np.linalg.norm(rows, axis=1)[:, None]

    for draw, low, high in ((full, 0, 0.25), (on_sphere, 0.5, np.inf)):
        found = log_ratio(draw(400), draw(300), correction="marginal")
        assert low <= found.misfit < high


def test_no_candidate_is_taken_alone_where_nothing_tells_as_much():
    assert _ahead_of_all(np.array([4.0, 6.0, 0.0])) is None
    assert _ahead_of_all(np.array([0.0, 9.0, 4.0])) is None
    assert _ahead_of_all(np.array([9.0, 0.0, 9.0])) == 1


def test_references_that_balls_contradict_have_no_weight(rng):
    n = 300
    known = np.concatenate([rng.normal(1, 1, n), rng.normal(-1, 1, n)])
    X, Y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    modest = log_ratio(X, Y, correction="common")
    off = replace(modest, values=modest.values + 1, misfit=0.5)
    ratios = (known, known + 0.01 * rng.normal(size=2 * n))
    candidates = dict(enumerate(map(SaidBefore, ratios, (off, modest))))
    found = judged_ratio(candidates, PairOfSizes(n), Settings(5))
    assert found.mean == modest.mean
    # what all of them are does not count
    candidates = dict(enumerate(map(SaidBefore, ratios, (off, off))))
    found = judged_ratio(candidates, PairOfSizes(n), Settings(5))
    assert found.mean == pytest.approx(off.mean)


def test_noise_of_rows_is_forgiven_where_something_is_surely_told(rng):
    """Two that know the same and have different scales: log loss prefers one of them,
    both count where rows are told apart for sure, and only there."""
    n = 1000
    X, Y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    estimate = log_ratio(X, Y, correction="common")
    for size, both in ((2.0, True), (0.0, False)):
        truth = np.repeat([size, -size], n) + rng.normal(0, 2, 2 * n)
        large = truth + rng.normal(0, 0.1, 2 * n)
        small = 0.4 * (truth + rng.normal(0, 0.1, 2 * n))
        evidence = [Evidence(one, lambda: estimate) for one in (large, small)]
        ratios = [one.log_ratios for one in evidence]
        assert sorted(weights_of(losses_of(ratios, n))) == [0, 1]
        parts = _parts_of(evidence, n, behind_the_best(ratios, n))
        assert (len(parts) == 2) == both


def test_few_rows_know_the_scale_where_samples_hardly_overlap(rng):
    """Of two that tell the same rows apart the one whose scale is right counts."""
    n = 1000
    X, Y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    estimate = log_ratio(X, Y, correction="common")
    truth = np.repeat([8.0, -8.0], n) + rng.normal(0, 4, 2 * n)
    evidence = [Evidence(ratios, lambda: estimate) for ratios in (truth, truth / 3)]
    parts = _parts_of(evidence, n, behind_the_best([e.log_ratios for e in evidence], n))
    assert [weight for weight, _ in parts] == [1.0]


def test_many_columns_of_large_samples_are_no_surface():
    """Distances of a thousand rows in five hundred columns tell of few dimensions."""
    X, Y, truth = datasets.make_gaussian_pair(
        n_features=400, n_samples=(800, 400), random_state=0
    )
    with pytest.warns(TrustWarning, match="can prove"):
        found = estimate_divergence(X, Y, confidence_level=None)
    assert found.value == pytest.approx(truth, rel=0.1)
