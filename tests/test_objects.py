"""What is no array of numbers is named, with its place and what to do about it."""

import datetime

import numpy as np
import pytest
from scipy import stats

from kldiv import (
    ConditionalKLScorer,
    DivergenceWarning,
    KNNDivergence,
    estimate_divergence,
    kl_divergence,
    ks_test,
    neighbor_distances,
)

X = np.random.default_rng(0).normal(size=(60, 2))
Y = np.random.default_rng(1).normal(size=(50, 2))
MOMENTS = np.datetime64("2020-01-01", "s") + np.arange(50)
CALLS = {
    "kl_divergence": kl_divergence,
    "estimate_divergence": estimate_divergence,
    "ks_test": ks_test,
    "neighbor_distances": lambda x, y: neighbor_distances(x, y, n_neighbors=1),
    "KNNDivergence": lambda x, y: KNNDivergence().fit(y).score(x),
}
call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


class OnlyDLPack:
    """An array that is handed over by DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


OBJECTS = {
    "text": ("norm", TypeError, "is the text 'norm'.*scipy.stats.norm"),
    "bytes": (b"x", TypeError, "is the text"),
    "a cdf": (stats.norm.cdf, TypeError, r"is a function \(cdf\).*not its cdf"),
    "function": (len, TypeError, r"is a function \(len\)"),
    "mapping": ({"a": [1.0]}, TypeError, "is a dict.*pandas.DataFrame"),
    "set": ({1.0, 2.0}, TypeError, "is a set"),
    "generator": ((x for x in X), TypeError, "read only once.*list"),
    "ragged": (
        [[1.0, 2.0], [3.0]],
        ValueError,
        r"different lengths or depths \(1 to 2 entries\)",
    ),
    "dates": (MOMENTS, TypeError, "holds dates or times in row 0.*in one unit"),
    "lengths": (MOMENTS - MOMENTS[0], TypeError, "holds dates or times"),
    "dates of Python": ([datetime.date(2020, 1, 2)] * 9, TypeError, "dates or times"),
    "words": ([["a"], ["b"]], TypeError, "in row 0, column 0, which is no number"),
    "words of objects": (
        np.array([[1.0, 2.0], [3.0, "x"]], dtype=object),
        TypeError,
        r"holds 'x' \(str\) in row 1, column 1",
    ),
}


@call
@pytest.mark.parametrize(
    ("given", "error", "message"), OBJECTS.values(), ids=list(OBJECTS)
)
def test_what_holds_no_numbers_is_named(call, given, error, message):
    with pytest.raises(error, match=message):
        call(X, given)


@call
def test_missing_dates_are_refused_as_missing_numbers_are(call):
    gap = MOMENTS.copy()
    gap[7] = np.datetime64("NaT")
    with pytest.raises(ValueError, match="1 missing values.*the first in row 7"):
        call(gap, gap)


def test_two_units_of_time_are_never_compared():
    for other in (MOMENTS.astype("M8[ms]"), MOMENTS.astype("M8[D]")):
        with pytest.raises(TypeError, match="whose unit nobody knows"):
            ks_test(MOMENTS, other)
    seconds = (MOMENTS - MOMENTS[0]) / np.timedelta64(1, "s")
    assert ks_test(seconds, seconds).statistic == 0


@call
def test_frames_name_the_column(call):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b"])
    when = frame.assign(when=pd.date_range("2020", periods=60, tz="UTC"))
    with pytest.raises(TypeError, match="dates or times in row 0, column 'when'"):
        call(when, when)
    missing = frame.astype("Float64")
    missing.loc[3, "b"] = pd.NA
    with pytest.raises(
        ValueError, match="missing values.*row 3, column .b|contains NaN"
    ):
        call(missing, frame)


def test_renamed_and_reordered_columns():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b"])
    with pytest.raises(ValueError, match=r"only X has a\. only Y has A\..*rename"):
        kl_divergence(frame, frame.rename(columns={"a": "A"}))
    with pytest.raises(ValueError, match=r"only Y has c\. Leave out"):
        kl_divergence(frame, frame.assign(c=1.0))
    for names in (["a", "b"], [0, 1]):
        named = pd.DataFrame(X, columns=names)
        with pytest.raises(ValueError, match="in another order"):
            kl_divergence(named, named[names[::-1]])


@call
def test_arrays_by_dlpack_alone_are_read(call):
    assert str(call(OnlyDLPack(X), OnlyDLPack(Y))) == str(call(X, Y))


@pytest.mark.filterwarnings("ignore:Sparse (CSR|CSC) tensor support:UserWarning")
@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr", "to_sparse_csc"])
def test_sparse_tensors_of_every_layout(layout):
    torch = pytest.importorskip("torch")
    sparse = getattr(torch.from_numpy(X), layout)()
    with pytest.raises(TypeError, match=r"sparse tensor.*to_dense\(\)"):
        kl_divergence(sparse, Y)


@pytest.mark.parametrize(
    "law", [stats.poisson(4), stats.binom(9, 0.3), stats.geom(0.2), stats.randint]
)
def test_discrete_laws_are_refused(law):
    sample = stats.poisson(4).rvs(200, random_state=0)
    with pytest.raises(ValueError, match=r"discrete distribution.*chisquare"):
        ks_test(sample, law)
    drawn = stats.poisson(4).rvs(800, random_state=1)
    assert ks_test(sample, drawn, n_permutations=99).pvalue > 0.05


# Integers that float64 rounds


@pytest.mark.parametrize(
    ("dtype", "origin"),
    [
        (np.int64, 1_600_000_000_000_000_000),
        (np.int64, -(2**63)),
        (np.int64, 2**63 - 1 - 600),
        (np.uint64, 2**64 - 1 - 600),
    ],
)
def test_gaps_of_large_integers_are_exact(dtype, origin):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 500, (300, 2)), rng.integers(0, 600, (200, 2))
    large = [(rows.astype(object) + origin).astype(dtype) for rows in small]
    expected, found = ks_test(*small), ks_test(*large)
    np.testing.assert_array_equal(found.statistic, expected.statistic)
    np.testing.assert_array_equal(found.pvalue, expected.pvalue)
    back = [int(at) - origin for at in found.statistic_location]
    assert back == expected.statistic_location.astype(int).tolist()
    one = ks_test(large[0][:, 0], large[1][:, 0])
    assert one.statistic == expected.statistic[0]
    assert int(one.statistic_location) - origin == back[0]


def test_extremes_of_both_kinds_of_integers():
    x = np.array([2**63, 2**63 + 1, 2**64 - 1] * 4, dtype=np.uint64)
    y = np.array([-(2**63), 2**63 - 1, 5] * 4, dtype=np.int64)
    assert ks_test(x, y).statistic == 1


def test_divergences_of_large_integers_say_that_they_are_rounded():
    rng = np.random.default_rng(0)
    x, y = (2**62 + rng.integers(0, 2**50, 200) for _ in range(2))
    with pytest.warns(DivergenceWarning, match=r"rounds those beyond 2\*\*53"):
        kl_divergence(x, y, duplicates="drop")
    low = min(x.min(), y.min())
    assert abs(kl_divergence(x - low, y - low)) < 1


# Labels


LABELS = np.arange(60) % 3


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (
            [None, *LABELS[1:]],
            ValueError,
            "1 missing labels .None., the first",
        ),
        (np.array([*"ab" * 29, "a", np.nan], object), ValueError, "missing labels"),
        (np.array(["a", 1] * 30, object), TypeError, "mix int and str"),
        (X[:, 0], ValueError, "numbers with fractions, 60 different ones"),
        (X, ValueError, "one label for each of 60 rows"),
    ],
)
def test_labels_that_name_no_classes(labels, error, message):
    with pytest.raises(error, match=message):
        ConditionalKLScorer().fit((X, labels), (Y, LABELS[:50]))


def test_labels_and_rows_in_the_wrong_order():
    for train, aux in (
        ((LABELS, X), (Y, LABELS[:50])),
        ((X, LABELS), (LABELS[:50], Y)),
    ):
        with pytest.raises(ValueError, match=r"seems to be \(y, X\)"):
            ConditionalKLScorer().fit(train, aux)
    answers = np.eye(3)[LABELS[:50]]
    scorer = ConditionalKLScorer(transformer=None)
    scorer.fit((X[:, 0], LABELS), (Y[:, 0], answers))  # one feature
    assert len(scorer.score_per_class()) == 3
