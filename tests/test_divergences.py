"""Every divergence of the registry against closed forms, and its limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import gammaln

from kldiv import SamplesApartWarning, TrustWarning, divergence, estimate_divergence
from kldiv._divergences import DIVERGENCES, Divergence, power_mean
from tests.tolerances import ITERATED, LOGARITHMS, MAPPED, OTHER_ORDER

SHIFT = 0.8
SCALE_FREE = [name for name, entry in DIVERGENCES.items() if entry.needs != "samples"]


def integrate(f):
    """Integral of f(p, q) for p = N(SHIFT, 1), q = N(0, 1)."""
    p, q = stats.norm(SHIFT, 1).pdf, stats.norm(0, 1).pdf
    return quad(lambda x: f(p(x), q(x)), -9, 9)[0]


TRUTH = {
    "kl": SHIFT**2 / 2,
    "jeffreys": SHIFT**2,
    "renyi": 0.5 * SHIFT**2 / 2,
    "tsallis": 2 * (1 - np.exp(-(SHIFT**2) / 8)),
    "hellinger": 1 - np.exp(-(SHIFT**2) / 8),
    "bhattacharyya": SHIFT**2 / 8,
    "chi2": np.exp(SHIFT**2) - 1,
    "jensen-shannon": integrate(
        lambda p, q: (p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))) / 2
    ),
    "total-variation": integrate(lambda p, q: abs(p - q) / 2),
    "energy": 2 * (2 / np.sqrt(np.pi)) * (np.exp(-(SHIFT**2) / 4) - 1)
    + 2 * SHIFT * (1 - 2 * stats.norm.cdf(-SHIFT / np.sqrt(2))),
}


def mmd_of_gaussians():
    """Gaussian kernel; its width is the median distance of pooled rows."""
    near, far = stats.norm(0, np.sqrt(2)), stats.norm(SHIFT, np.sqrt(2))

    def share(width):
        apart = far.cdf(width) - far.cdf(-width)
        return (near.cdf(width) - near.cdf(-width) + apart) / 2 - 0.5

    squared = brentq(share, 0, 10) ** 2
    return (
        2
        * np.sqrt(squared / (squared + 2))
        * (1 - np.exp(-(SHIFT**2) / (2 * (squared + 2))))
    )


TRUTH["mmd"] = mmd_of_gaussians()
# Plug-in formulas see the noise of the ratio; these are their limits at k = 20.
TOLERANCE = {"jensen-shannon": 0.03, "total-variation": 0.05, "chi2": 0.25}


def test_every_divergence_has_a_truth():
    assert set(TRUTH) == set(DIVERGENCES)


@pytest.mark.parametrize("name", TRUTH)
def test_closed_forms(name):
    estimates = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, Y = rng.normal(SHIFT, 1, (1000, 1)), rng.normal(size=(1000, 1))
        estimates.append(divergence(X, Y, divergence=name, n_neighbors=20))
    spread = np.std(estimates, ddof=1) / np.sqrt(5)
    allowed = 3 * spread + TOLERANCE.get(name, 0.02)
    assert np.mean(estimates) == pytest.approx(TRUTH[name], abs=allowed)


def test_mmd_agrees_with_its_definition(rng):
    X, Y = rng.normal(size=(30, 2)), rng.normal(1, 1, size=(20, 2))
    pooled = np.concatenate([X, Y])
    gaps = np.sqrt(((pooled[:, None] - pooled[None]) ** 2).sum(axis=2))
    width = np.median(gaps[np.triu_indices(50, 1)])
    kernel = np.exp(-(gaps**2) / (2 * width**2))
    np.fill_diagonal(kernel, 0)
    expected = (
        kernel[:30, :30].sum() / (30 * 29)
        + kernel[30:, 30:].sum() / (20 * 19)
        - 2 * kernel[:30, 30:].mean()
    )
    assert divergence(X, Y, divergence="mmd") == pytest.approx(
        expected, rel=OTHER_ORDER
    )


@given(st.floats(-2.5, 2.5), st.integers(3, 20))
def test_power_mean_removes_the_noise_of_the_ratio(s, k):
    rng = np.random.default_rng(0)
    noise = np.log(rng.gamma(k, size=(2, 200_000)))
    noisy = np.exp(s * (noise[0] - noise[1]))
    factor = np.exp(gammaln(k + s) + gammaln(k - s) - 2 * gammaln(k))
    found = power_mean(noise[0] - noise[1], s, k)
    assert found == pytest.approx(noisy.mean() / factor, rel=ITERATED)
    if abs(s) <= k / 4:
        assert found == pytest.approx(1, abs=0.05)


def test_power_needs_more_neighbours(rng):
    X, Y = rng.normal(size=(50, 1)), rng.normal(size=(50, 1))
    with pytest.raises(ValueError, match="only for n_neighbors above 1"):
        divergence(X, Y, divergence="chi2", n_neighbors=1, correction=None)


@pytest.mark.parametrize("name", ["renyi", "tsallis"])
def test_order_one_is_kullback_leibler(name, rng):
    X, Y = rng.normal(size=(60, 2)), rng.normal(1, 1, size=(60, 2))
    found = divergence(X, Y, divergence=name, order=1)
    assert found == divergence(X, Y, correction="mixture")
    near = divergence(X, Y, divergence=name, order=1 + 1e-6)
    assert near == pytest.approx(found, abs=1e-3)
    with pytest.raises(ValueError, match="order must be a positive number"):
        divergence(X, Y, divergence=name, order=-1)


@pytest.mark.parametrize("name", ["jeffreys", "jensen-shannon", "total-variation"])
def test_symmetric_divergences(name, rng):
    X, Y = rng.normal(size=(60, 2)), rng.normal(1, 1, size=(50, 2))
    for correction in (None, "adaptive"):
        options = {"divergence": name, "correction": correction}
        assert divergence(X, Y, **options) == pytest.approx(divergence(Y, X, **options))


@pytest.mark.parametrize("name", SCALE_FREE)
def test_invariances(name, rng):
    X, Y = rng.normal(size=(80, 2)), rng.normal(0.5, 1, size=(70, 2))
    expected = divergence(X, Y, divergence=name)
    order = rng.permutation(80)
    # the references are fitted by sums over rows: the order moves the last digits
    found = divergence(X[order], Y, divergence=name)
    assert found == pytest.approx(expected, rel=0.2, abs=0.1)
    moved = divergence(3 * X + 7, 3 * Y + 7, divergence=name)
    assert moved == pytest.approx(expected, rel=MAPPED, abs=ITERATED)


def test_generator_gives_kullback_leibler(rng):
    X, Y = rng.normal(size=(100, 2)), rng.normal(0.5, 1, size=(100, 2))
    result = estimate_divergence(X, Y, divergence=lambda r: r * np.log(r))
    expected = divergence(X, Y, correction="mixture")
    assert result.value == pytest.approx(expected, rel=ITERATED)
    assert result.standard_error > 0


@pytest.mark.parametrize("name", DIVERGENCES)
def test_every_divergence_reports(name, rng):
    X, Y = rng.normal(size=(100, 2)), rng.normal(0.5, 1, size=(90, 2))
    result = estimate_divergence(X, Y, divergence=name, n_permutations=19)
    assert result.divergence == name
    assert np.isfinite(result.value)
    if DIVERGENCES[name].needs == "samples":
        assert (result.correction, result.standard_error) == (None, None)
    else:
        low, high = result.confidence_interval
        assert low < result.value < high
    assert 0.05 <= result.pvalue <= 1


@pytest.mark.filterwarnings("ignore::kldiv.DivergenceWarning")
@pytest.mark.parametrize("order", [0.5, 2.0])
@pytest.mark.parametrize("name", SCALE_FREE)
def test_only_unbounded_divergences_may_be_infinite(name, order, rng):
    X, Y = rng.normal(size=(50, 2)), rng.normal(1000, 1, size=(50, 2))
    result = estimate_divergence(X, Y, divergence=name, order=order)
    unbounded = not DIVERGENCES[name].is_finite(order)
    told = SamplesApartWarning in [note.category for note in result.notes]
    assert told == unbounded


def test_a_new_divergence_says_itself_whether_it_is_bounded(monkeypatch, rng):
    X, Y = rng.normal(size=(50, 2)), rng.normal(1000, 1, size=(50, 2))
    for bounded in (True, False):
        entry = Divergence(lambda x, y, k, order: float(x.mean()), bounded=bounded)
        monkeypatch.setitem(DIVERGENCES, "new", entry)
        with pytest.warns(TrustWarning if bounded else SamplesApartWarning):
            result = estimate_divergence(X, Y, divergence="new")
        assert any("infinite" in note for note in result.notes) != bounded


def test_unknown_divergence():
    with pytest.raises(ValueError, match="divergence must be one of 'kl', 'jeffreys'"):
        divergence([[0.0], [1.0]], [[0.0], [1.0]], divergence="nothing")


def plain_energy(X, Y):
    def total(A, B):
        return np.sqrt(((A[:, None] - B[None]) ** 2).sum(axis=2)).sum()

    n, m = len(X), len(Y)
    within = total(X, X) / (n * (n - 1)) + total(Y, Y) / (m * (m - 1))
    return 2 * total(X, Y) / (n * m) - within


def test_energy_is_of_the_samples_as_they_are():
    """Neither projected, nor scaled, nor rid of ties or of constant columns."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)) * [100, 1]
    Y = rng.normal([1, 1], 1, (50, 2)) * [100, 1]
    pairs = [[np.c_[rows, rows.sum(axis=1)] for rows in (X, Y)]]
    pairs += [[np.c_[rows, np.ones(len(rows))] for rows in (X, Y)]]
    pairs += [[rng.integers(0, 3, (40, 2)).astype(float) for _ in range(2)]]
    pairs += [[X[:2], Y[:3]], [X, X], [np.zeros((4, 1)), np.ones((3, 1))]]
    for P, Q in pairs:
        result = estimate_divergence(P, Q, divergence="energy")
        assert result.value == pytest.approx(
            plain_energy(P, Q), rel=LOGARITHMS, abs=ITERATED
        )
        assert result.correction is None
        assert np.isnan(result.coverage)


@pytest.mark.parametrize("name", ["energy", "mmd"])
def test_comparisons_of_samples_search_no_neighbours(name, monkeypatch, rng):
    monkeypatch.setattr("kldiv._backends.BACKENDS", {})
    X, Y = rng.normal(size=(3, 2)), rng.normal(size=(2, 2))
    few = estimate_divergence(X, Y, divergence=name, n_neighbors=5)
    assert few.trust == "do not use"
    assert "few" in few.notes[0]
    with pytest.raises(ValueError, match="at least 2 rows.*X has n_samples=1"):
        divergence(X[:1], Y, divergence=name)


def test_a_kernel_without_a_width_is_refused():
    ones = np.ones((10, 1))
    with pytest.raises(ValueError, match=r"median distance .* which is 0.*'energy'"):
        divergence(ones, ones, divergence="mmd")


BOUNDED = ["hellinger", "tsallis", "jensen-shannon", "total-variation"]


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("d", [1, 10])
def test_bounded_divergences_of_one_law_are_zero(name, d):
    rng = np.random.default_rng(d)
    X, Y = rng.normal(size=(600, d)), rng.normal(size=(400, d))
    result = estimate_divergence(X, Y, divergence=name)
    assert result.value == pytest.approx(0, abs=0.04)
    assert result.value < result.confidence_interval[1] < 0.1


@pytest.mark.parametrize("name", BOUNDED)
def test_intervals_of_bounded_divergences_hold_the_truth(name):
    held = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, Y = rng.normal(SHIFT, 1, (500, 1)), rng.normal(size=(400, 1))
        low, high = estimate_divergence(X, Y, divergence=name).confidence_interval
        held += low < TRUTH[name] < high
    assert held >= 5


@pytest.mark.parametrize("name", BOUNDED)
@given(st.lists(st.floats(-30, 30), min_size=2, max_size=8))
def test_terms_never_exceed_what_the_true_ratio_gives(name, logs):
    """Two laws on a few points, and any log ratio."""
    entry, n = DIVERGENCES[name], len(logs)
    p, q = np.arange(1.0, n + 1), np.ones(n)
    p, q = p / p.sum(), q / q.sum()

    def value(log_ratios):
        x, y = entry.terms(log_ratios, log_ratios, 0.5)
        return p @ x + q @ y

    true = np.log(p / q)
    assert value(np.array(logs)) <= value(true) + 0.03 * (name == "total-variation")
    exact = {
        "hellinger": 1 - np.sqrt(p * q).sum(),
        "tsallis": 2 * (1 - np.sqrt(p * q).sum()),
        "jensen-shannon": (p @ np.log(2 * p / (p + q)) + q @ np.log(2 * q / (p + q)))
        / 2,
        "total-variation": np.abs(p - q).sum() / 2,
    }
    assert value(true) == pytest.approx(
        exact[name], abs=0.05 if name == "total-variation" else LOGARITHMS
    )


@pytest.mark.parametrize("name", ["jensen-shannon", "total-variation"])
def test_plug_in_formulas_have_no_interval(name, rng):
    X, Y = rng.normal(size=(100, 2)), rng.normal(0.5, 1, size=(90, 2))
    result = estimate_divergence(X, Y, divergence=name, correction=None)
    assert (result.standard_error > 0, result.confidence_interval) == (True, None)
    assert "no interval" in [note.name for note in result.notes]
    weighted = estimate_divergence(
        X, Y, divergence=name, sample_weight=rng.exponential(size=100)
    )
    assert weighted.confidence_interval is None
