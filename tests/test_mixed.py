"""Discrete and mixed columns: closed forms, categories of one sample, invariances."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kldiv import (
    ConditionalKLScorer,
    DiscreteDataWarning,
    KNNDivergence,
    estimate_divergence,
    kl_divergence,
)
from kldiv._estimation._columns import _Counted, _values
from tests.notes import warned

P = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
LETTERS = np.array(list("abcde"))


def kl_of(p, q):
    return float(rel_entr(p, q).sum())


def kl_of_flags(p, q):
    return kl_of([p, 1 - p], [q, 1 - q])


def flags(rng, n, share):
    return (rng.random(n) < share).astype(float)


def within(found, truth, errors=3.5):
    return abs(found.value - truth) < errors * found.standard_error


def names_of(found):
    return [note.name for note in found.notes]


def with_flags(rng, sizes, shares, shift=0.0, d=1):
    n, m = sizes
    X = np.c_[rng.normal(shift, 1, (n, d)), flags(rng, n, shares[0])]
    return X, np.c_[rng.normal(size=(m, d)), flags(rng, m, shares[1])]


def frames(rng, n=600, m=500, shift=1.0):
    """A category of five levels, a truth value and a normal column."""
    made = []
    for size, p, mean in ((n, P, shift), (m, P[::-1], 0.0)):
        made.append(
            pd.DataFrame(
                {
                    "letter": pd.Categorical(rng.choice(LETTERS, size, p=p)),
                    "x": rng.normal(mean, 1, size),
                    "flag": rng.random(size) < 0.5,
                }
            )
        )
    return made


@pytest.mark.parametrize("correction", ["auto", None, "adaptive", "mixture"])
@pytest.mark.parametrize("d", [1, 2])
def test_a_flag_beside_normal_columns(d, correction, rng):
    X, Y = with_flags(rng, (800, 600), (0.8, 0.3), 0.5, d)
    found = estimate_divergence(X, Y, correction=correction)
    assert within(found, kl_of_flags(0.8, 0.3) + d / 8)
    assert names_of(found)[0] == "discrete columns"
    assert f"column {d} as discrete" in found.notes[0]
    assert (found.n, found.m, found.n_features) == (800, 600, d + 1)


def test_a_shift_that_depends_on_the_flag(rng):
    """Within the cells the other columns differ in opposite ways."""
    n = 1000
    a, b = flags(rng, n, 0.5), flags(rng, n, 0.5)
    X = np.c_[rng.normal(2 * a - 1, 1), a]
    Y = np.c_[rng.normal(1 - 2 * b, 1), b]
    found = estimate_divergence(X, Y)
    assert within(found, 2.0)
    assert found.value > 1.5


def test_two_flags_and_an_equal_one(rng):
    n, m = 900, 700
    X = np.c_[rng.normal(size=n), flags(rng, n, 0.7), flags(rng, n, 0.5)]
    Y = np.c_[rng.normal(size=m), flags(rng, m, 0.4), flags(rng, m, 0.5)]
    assert within(estimate_divergence(X, Y), kl_of_flags(0.7, 0.4))


def test_a_flag_that_never_varies_in_one_sample(rng):
    X, Y = with_flags(rng, (500, 500), (1.0, 0.5))
    assert (X[:, 1] == 1).all()
    found = estimate_divergence(X, Y)
    assert within(found, np.log(2))
    assert not warned(found)


@pytest.mark.parametrize("alone", [True, False])
def test_a_column_with_many_zeros(alone, rng):
    def rows(n, share):
        zeros = np.where(rng.random(n) < share, 0, np.exp(rng.normal(size=n)))
        return zeros if alone else np.c_[rng.normal(size=(n, 2)), zeros]

    found = estimate_divergence(rows(1000, 0.6), rows(700, 0.2))
    assert within(found, kl_of_flags(0.6, 0.2))
    assert "as a point mass" in found.notes[0]


def test_masses_at_both_ends(rng):
    def rows(n, mean):
        return np.clip(rng.normal(mean, 1, n), -1, 1)[:, None]

    from scipy.stats import norm

    ends = [norm.cdf([-1, 1], mean) for mean in (0.5, 0.0)]
    p, q = ([low, 1 - high] for low, high in ends)
    grid = np.linspace(-1, 1, 4001)
    density = norm.pdf(grid, 0.5)
    middle = np.trapezoid(density * (0.5 * grid - 0.125), grid)
    truth = rel_entr(p, q).sum() - 0 + middle
    assert within(estimate_divergence(rows(1500, 0.5), rows(1000, 0)), truth)


@pytest.mark.parametrize("divergence", ["kl", "jeffreys", "hellinger", "chi2"])
def test_only_categories(divergence, rng):
    q = np.array([0.1, 0.2, 0.2, 0.2, 0.3])
    x, y = rng.choice(5, 3000, p=P), rng.choice(5, 2000, p=q)
    found = estimate_divergence(x, y, divergence=divergence, discrete=[0])
    truth = {
        "kl": kl_of(P, q),
        "jeffreys": kl_of(P, q) + kl_of(q, P),
        "hellinger": 1 - np.sqrt(P * q).sum(),
        "chi2": (P**2 / q).sum() - 1,
    }
    assert within(found, truth[divergence])
    assert (found.correction, found.n_features) == (None, 1)


def test_bias_and_coverage_of_categories():
    """Few rows: the frequencies themselves would be off by 4 / 80 + 4 / 60."""
    q = np.full(5, 0.2)
    values, held = [], 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x, y = rng.choice(5, 80, p=P), rng.choice(5, 60, p=q)
        found = estimate_divergence(x, y, discrete=[0])
        values.append(found.value)
        low, high = found.confidence_interval
        held += low < kl_of(P, q) < high
    assert abs(np.mean(values) - kl_of(P, q)) < 4 * np.std(values) / np.sqrt(200)
    assert 0.9 <= held / 200 <= 0.99


def test_coverage_with_a_flag():
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        X, Y = with_flags(rng, (300, 200), (0.7, 0.4), 0.5)
        found = estimate_divergence(X, Y, correction=None)
        low, high = found.confidence_interval
        held += low < kl_of_flags(0.7, 0.4) + 1 / 8 < high
    assert held >= 53


@pytest.mark.parametrize("divergence", ["kl", "hellinger", "renyi", "jeffreys"])
def test_a_frame_tells_by_its_dtypes(divergence, rng):
    A, B = frames(rng)
    found = estimate_divergence(A, B, divergence=divergence)
    q, root = P[::-1], np.sqrt(P * P[::-1]).sum() * np.exp(-1 / 8)
    truth = {
        "kl": kl_of(P, q) + 0.5,
        "hellinger": 1 - root,
        "renyi": -2 * np.log(root),
        "jeffreys": 2 * kl_of(P, q) + 1,
    }
    assert found.value == pytest.approx(truth[divergence], abs=0.1, rel=0.15)
    assert "letter, flag as discrete" in found.notes[0]


@pytest.mark.parametrize("dtype", ["category", "object", "string"])
def test_kinds_of_words(dtype, rng):
    A, B = frames(rng, 300, 200)
    value = kl_divergence(A, B)
    A, B = (frame.assign(letter=frame.letter.astype(dtype)) for frame in (A, B))
    assert kl_divergence(A, B) == pytest.approx(value, abs=1e-12)


def test_polars_frames(rng):
    polars = pytest.importorskip("polars")
    A, B = frames(rng, 300, 200)
    value = kl_divergence(A, B)
    A, B = (frame.assign(letter=frame.letter.astype(str)) for frame in (A, B))
    A, B = (polars.DataFrame({c: f[c].to_list() for c in f}) for f in (A, B))
    assert kl_divergence(A, B) == pytest.approx(value, abs=1e-12)


@given(st.integers(0, 2**31), st.booleans())
def test_order_of_rows_and_names_of_categories(seed, codes):
    rng = np.random.default_rng(seed)
    x, y = rng.choice(4, 60), rng.choice(4, 50, p=[0.1, 0.2, 0.3, 0.4])
    names = rng.permutation(4) if codes else LETTERS[rng.permutation(5)][:4]
    before = estimate_divergence(x, y, discrete=[0])
    x, y = (names[rng.permutation(one)].reshape(-1, 1) for one in (x, y))
    after = estimate_divergence(x, y, discrete=[0])
    assert after.value == pytest.approx(before.value, abs=1e-12)
    assert after.standard_error == pytest.approx(before.standard_error, rel=1e-9)


@pytest.mark.parametrize(
    ("n", "divergence"), [(300, "kl"), (300, "jensen-shannon"), (120, "kl")]
)
def test_each_row_keeps_its_effect_in_every_order(n, divergence, rng):
    """With 120 rows, cells are joined."""
    A, B = frames(rng, n, n - 50)
    moved = [rng.permutation(len(frame)) for frame in (A, B)]
    before = estimate_divergence(A, B, divergence=divergence)
    A, B = (frame.iloc[order] for frame, order in zip((A, B), moved, strict=True))
    after = estimate_divergence(A, B, divergence=divergence)
    assert after.value == pytest.approx(before.value, abs=1e-9)
    assert after.standard_error == pytest.approx(before.standard_error, rel=1e-9)
    old, new = before.effects, after.effects
    for one, other, order in ((old.x, new.x, moved[0]), (old.y, new.y, moved[1])):
        np.testing.assert_allclose(other.rows, one.rows[:, order], atol=1e-9)


def test_effects_are_those_of_the_rows(rng):
    """A row far out in its cell has a large effect, wherever it stands."""
    X, Y = with_flags(rng, (400, 300), (0.6, 0.4), 1.0)
    found = estimate_divergence(X, Y, correction=None)
    assert np.corrcoef(found.effects.x.rows[0], X[:, 0])[0, 1] > 0.5


def test_names_of_categories_beside_a_normal_column(rng):
    A, B = frames(rng, 300, 200)
    other = dict(zip("abcde", "vzwyx", strict=True))
    before = kl_divergence(A, B)
    A, B = (frame.assign(letter=frame.letter.map(other)) for frame in (A, B))
    assert kl_divergence(A, B) == pytest.approx(before, abs=1e-9)


def test_a_category_that_the_reference_never_shows(rng):
    A, B = frames(rng)
    A["letter"] = A.letter.astype(str).where(rng.random(600) < 0.8, "z")
    with pytest.warns(DiscreteDataWarning, match="Y never shows.*'z'.*is infinite"):
        found = estimate_divergence(A, B)
    assert found.value == np.inf
    assert found.trust == "do not use"
    assert found.standard_error is None
    assert np.isfinite(estimate_divergence(A, B, divergence="hellinger").value)
    # the other way round nothing is lacking
    assert np.isfinite(estimate_divergence(B, A).value)


def test_a_rare_category_that_the_reference_does_not_show(rng):
    x, y = rng.choice(3, 400, p=[0.5, 0.48, 0.02]), rng.choice(2, 300)
    found = estimate_divergence(x, y, discrete=[0])
    assert np.isfinite(found.value)
    assert "unseen cells" in names_of(found)
    assert found.trust == "caution"


def test_cells_that_are_joined_or_thin(rng):
    A, B = frames(rng, 120, 90)
    assert "joined cells" in names_of(estimate_divergence(A, B))
    many = rng.integers(0, 4, (200, 6)), rng.integers(0, 4, (150, 6))
    found = estimate_divergence(*many, discrete=range(6), confidence_level=None)
    assert "thin cells" in names_of(found)
    assert found.trust == "do not use"


def test_images_and_whole_numbers_in_many_columns_stay_numbers(rng):
    X, Y = rng.poisson(3, (300, 12)), rng.poisson(3, (200, 12))
    options = {"duplicates": "dither", "random_state": 0, "correction": None}
    found = estimate_divergence(X, Y, **options)
    assert "discrete columns" not in names_of(found)
    dark = [np.where(rng.random((300, 30)) < 0.5, 0, rng.random((300, 30)))] * 2
    dark[1] = dark[1] + 0.01 * (dark[1] > 0)
    found = estimate_divergence(*dark, correction=None, confidence_level=None)
    assert "discrete columns" not in names_of(found)


def test_nothing_is_discrete_if_one_says_so(rng):
    X, Y = with_flags(rng, (300, 200), (0.7, 0.4))
    with pytest.warns(DiscreteDataWarning):
        found = estimate_divergence(X, Y, discrete=None)
    assert "discrete columns" not in names_of(found)


@pytest.mark.parametrize("discrete", [[1], ["flag"], [-1], [False, True]])
def test_columns_are_named_in_several_ways(discrete, rng):
    X, Y = with_flags(rng, (300, 200), (0.7, 0.4))
    value = kl_divergence(X, Y)
    X, Y = (pd.DataFrame(rows, columns=["x", "flag"]) for rows in (X, Y))
    assert kl_divergence(X, Y, discrete=discrete) == value


@pytest.mark.parametrize(
    ("discrete", "kind", "message"),
    [
        ("flag", ValueError, "For one column write \\['flag'\\]"),
        (["colour"], ValueError, "'colour', which the samples lack.*x, flag"),
        ([2], ValueError, "column 2, but there are 2 columns"),
        ([True], ValueError, "1 bools, but there are 2 columns"),
        (1, TypeError, "list of names or positions"),
        ([0.5], TypeError, "list of names or positions"),
    ],
)
def test_columns_that_are_not_there(discrete, kind, message, rng):
    X, Y = with_flags(rng, (30, 30), (0.7, 0.4))
    X, Y = (pd.DataFrame(rows, columns=["x", "flag"]) for rows in (X, Y))
    with pytest.raises(kind, match=message):
        kl_divergence(X, Y, discrete=discrete)


def test_missing_categories_are_refused(rng):
    A, B = frames(rng, 60, 50)
    A["letter"] = A.letter.astype(object).where(A.index != 7, None)
    with pytest.raises(ValueError, match="1 missing values in column 'letter'.*row 7"):
        kl_divergence(A, B)


def test_repeated_rows_are_still_refused(rng):
    X, Y = with_flags(rng, (300, 200), (0.7, 0.4))
    X[5] = X[3]
    with pytest.raises(ValueError, match="1 rows of X repeat"):
        kl_divergence(X, Y)
    assert estimate_divergence(X, Y, duplicates="drop").n == 299


def test_drop_that_leaves_nothing_is_refused(rng):
    Y = np.column_stack([rng.normal(size=25), rng.integers(0, 2, 25)])
    for X in (Y, np.concatenate([Y, Y + np.array([9, 0])])):
        with pytest.raises(
            ValueError, match=r"leaves \d+ rows of X and 0 of Y with val"
        ):
            estimate_divergence(X, Y, duplicates="drop")


@pytest.mark.filterwarnings("ignore:.*takes them as weight:UserWarning")
@pytest.mark.parametrize(("duplicates", "n"), [("drop", 81), ("expand", 90)])
def test_rows_taken_for_copies_are_no_point_mass(duplicates, n, rng):
    X, Y = rng.normal(size=(90, 2)), rng.normal(size=(80, 2))
    X[:10] = X[0]
    options = {"duplicates": duplicates, "correction": None}
    found = estimate_divergence(X, Y, **options)
    assert (found.n, found.n_duplicates) == (n, 9)
    assert found.value == estimate_divergence(X, Y, discrete=None, **options).value


@pytest.mark.parametrize("divergence", ["energy", "mmd"])
def test_distances_need_numbers(divergence, rng):
    A, B = frames(rng, 60, 50)
    with pytest.raises(ValueError, match="letter, flag.*'hellinger'"):
        estimate_divergence(A, B, divergence=divergence)
    X, Y = with_flags(rng, (60, 50), (0.7, 0.4))
    found = estimate_divergence(X, Y, divergence=divergence)
    assert "discrete columns" not in names_of(found)


def test_pvalues_are_uniform_and_see_a_flag():
    def pvalue(seed, share):
        rng = np.random.default_rng(seed)
        X, Y = with_flags(rng, (80, 60), (share, 0.5))
        options = {"correction": None, "confidence_level": None}
        return estimate_divergence(
            X, Y, n_permutations=99, random_state=seed, **options
        ).pvalue

    null = [pvalue(seed, 0.5) for seed in range(100)]
    assert (np.array(null) <= 0.1).mean() <= 0.2
    assert np.mean([pvalue(seed, 0.95) for seed in range(5)]) < 0.05


def test_the_estimator_in_pipelines_and_copies(rng):
    A, B = frames(rng, 300, 200)
    model = KNNDivergence(discrete=["letter", "flag"])
    assert clone(model).get_params()["discrete"] == ["letter", "flag"]
    fitted = model.fit(B)
    assert fitted.categories_ == {0: tuple("abcde"), 2: (False, True)}
    assert fitted.n_features_in_ == 3
    assert fitted.score(A) == pytest.approx(kl_divergence(A, B), abs=1e-9)
    X, Y = with_flags(rng, (300, 200), (0.7, 0.4))
    piped = make_pipeline(StandardScaler(), KNNDivergence()).fit(Y).score(X)
    assert piped == pytest.approx(kl_divergence(X, Y), abs=0.05)


def test_a_new_category_at_scoring(rng):
    A, B = frames(rng, 300, 200)
    A["letter"] = A.letter.astype(str).where(rng.random(300) < 0.5, "new")
    with pytest.warns(DiscreteDataWarning, match="'new'"):
        assert KNNDivergence().fit(B).score(A) == np.inf


def test_the_scorer_by_class(rng):
    A, B = frames(rng, 1600, 1600, shift=0.0)
    y = np.repeat([0, 1], 800)
    A.loc[y == 1, "x"] += 1
    report = ConditionalKLScorer().fit((A, y), (B, y)).report()
    base = kl_of(P, P[::-1])
    assert report["kl"] == pytest.approx([base, base + 0.5], abs=0.25)
    assert "letter, flag as discrete" in report.notes[0]


def test_the_scorer_takes_components_of_the_other_columns(rng):
    def rows(n, share):
        frame = pd.DataFrame(
            rng.normal(size=(n, 20)), columns=list("abcdefghijklmnopqrst")
        )
        return frame.assign(flag=rng.random(n) < share)

    y = np.zeros(500, dtype=int)
    scorer = ConditionalKLScorer(KNNDivergence(correction=None))
    scorer.fit((rows(500, 0.8), y), (rows(500, 0.3), y))
    assert scorer.score_per_class()[0] == pytest.approx(kl_of_flags(0.8, 0.3), abs=0.15)
    assert "20 features" in scorer.report().settings["transformer"]


@given(st.integers(0, 2**32 - 1), st.integers(20, 200), st.integers(20, 300))
def test_counts_of_two_samples_are_those_of_their_union(seed, n, m):
    rng = np.random.default_rng(seed)
    d = 5
    whole = rng.integers(0, rng.integers(1, 60, d), size=(n + m, d)).astype(float)
    held = rng.random((n + m, d)) < rng.uniform(0, 1, d)
    rows = np.where(held, whole, rng.normal(size=(n + m, d)))
    X, Y = rows[:n], rows[n:]
    for column in range(d):
        counted = _Counted.of(_values(X, column), _values(Y, column))
        values, of_row = np.unique(rows[:, column], return_inverse=True)
        np.testing.assert_array_equal(counted.values, values)
        x, y = np.bincount(of_row[:n]), np.bincount(of_row[n:])
        np.testing.assert_array_equal(counted.x, np.pad(x, (0, len(values) - len(x))))
        np.testing.assert_array_equal(counted.y, np.pad(y, (0, len(values) - len(y))))


def test_coverage_is_a_share_where_no_cell_is_shared(rng):
    X, Y = rng.normal(size=(80, 3)), rng.normal(size=(60, 3))
    result = estimate_divergence(X, Y, discrete=[0])  # every value once
    assert result.coverage == 0
    assert result.trust == "do not use"
    half = np.where(np.arange(80) < 40, 0.0, 1.0)
    X[:, 0], Y[:, 0] = half, 0.0  # Y lacks one of two cells
    with pytest.warns(DiscreteDataWarning, match="cells that Y never shows"):
        covered = estimate_divergence(X, Y, discrete=[0]).coverage
    alone = estimate_divergence(X[:40, 1:], Y[:, 1:]).coverage
    assert covered == pytest.approx(alone / 2)


def test_columns_whose_names_repeat_may_hold_categories(rng):
    A, B = frames(rng, 60, 50)
    value = kl_divergence(A, B)
    A.columns = B.columns = ["same"] * A.shape[1]
    assert kl_divergence(A, B) == value
