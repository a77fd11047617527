"""ConditionalKLScorer: one number per class, and nothing lost on awkward input."""

import os
import threading
import warnings
from dataclasses import replace

import joblib
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from threadpoolctl import threadpool_info, threadpool_limits

from kldiv import ConditionalKLScorer, KNNDivergence, kl_divergence, ks_test
from kldiv._backends import BACKENDS
from kldiv._threads import in_workers, n_workers
from tests.labelled_samples import three_classes
from tests.tolerances import OTHER_ORDER

#: For what happens to samples before they are scored.
QUICK = KNNDivergence(correction="adaptive")


@pytest.fixture
def samples(rng):
    return three_classes(rng)


def test_equals_the_divergence_of_each_class(samples):
    (X, y), (A, a) = samples
    scorer = ConditionalKLScorer().fit((X, y), (A, a))
    expected = [kl_divergence(X[y == c], A[a == c]) for c in range(3)]
    np.testing.assert_array_equal(scorer.score_per_class(), expected)
    assert scorer.score_per_class()[2] == max(scorer.score_per_class())
    np.testing.assert_array_equal(scorer.classes_, [0, 1, 2])


def test_threads_over_classes_do_not_change_the_scores(samples):
    one, two = (
        ConditionalKLScorer(n_jobs=jobs).fit(*samples).score_per_class()
        for jobs in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(
    ("classes", "inside", "threads", "blas"), [(2, 2, 1, 1), (None, 2, 2, 1)]
)
def test_threads_across_classes_or_inside_one(
    classes, inside, threads, blas, scaled, samples, monkeypatch
):
    seen, knn_distances = [], BACKENDS["brute"].knn_distances

    def watched(*args, n_threads, **options):
        pools = [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]
        seen.append((n_threads, max(pools), threading.current_thread()))
        return knn_distances(*args, n_threads=n_threads, **options)

    for name, backend in BACKENDS.items():
        watcher = replace(backend, knn_distances=watched)
        monkeypatch.setitem(BACKENDS, name, watcher)
    estimator = KNNDivergence(correction="adaptive", n_jobs=inside)
    if scaled:
        estimator = make_pipeline(StandardScaler(), estimator)
    with threadpool_limits(2, user_api="blas"):
        ConditionalKLScorer(estimator, n_jobs=classes).fit(*samples)
    assert {(n, limit) for n, limit, _ in seen} == {(threads, blas)}
    in_main = {thread is threading.main_thread() for _, _, thread in seen}
    assert in_main == {classes is None}


def test_labels_of_any_kind(samples):
    (X, y), (A, a) = samples
    names = np.array(["zero", "one", "two"])
    scorer = ConditionalKLScorer(QUICK).fit((X, names[y]), (A, names[a]))
    assert scorer.classes_.tolist() == ["one", "two", "zero"]
    expected = ConditionalKLScorer(QUICK).fit((X, y), (A, a)).score_per_class()
    np.testing.assert_array_equal(scorer.score_per_class(), expected[[1, 2, 0]])


def test_probabilities_count_by_argmax(samples):
    train, (A, a) = samples
    hard = ConditionalKLScorer(QUICK).fit(train, (A, a)).score_per_class()
    soft = np.eye(3)[a] * 0.7 + 0.1
    scored = ConditionalKLScorer(QUICK).fit(train, (A, soft)).score_per_class()
    np.testing.assert_array_equal(scored, hard)


def test_victim_labels_the_auxiliary_rows(samples):
    (X, y), (A, _) = samples
    victim = LogisticRegression().fit(X, y)
    expected = ConditionalKLScorer(QUICK).fit((X, y), (A, victim.predict(A)))
    for asked in (victim, victim.predict, victim.predict_proba):
        scorer = ConditionalKLScorer(QUICK, victim=asked).fit((X, y), A)
        np.testing.assert_array_equal(
            scorer.score_per_class(), expected.score_per_class()
        )
    with pytest.raises(TypeError, match="callable on a batch"):
        ConditionalKLScorer(victim=3).fit((X, y), A)


def test_containers(samples):
    (X, y), (A, a) = samples
    pandas, torch = pytest.importorskip("pandas"), pytest.importorskip("torch")
    expected = ConditionalKLScorer(QUICK).fit((X, y), (A, a)).score_per_class()
    for train, aux in [
        (Bunch(data=X, target=y), Bunch(data=A, target=a)),
        ((X.tolist(), y.tolist()), [A.tolist(), a.tolist()]),
        ((pandas.DataFrame(X), pandas.Series(y)), (pandas.DataFrame(A), a)),
        ((torch.tensor(X), torch.tensor(y)), (torch.tensor(A), torch.tensor(a))),
        ((X.reshape(-1, 1, 2), y[:, None]), (A.reshape(-1, 2, 1), a)),
    ]:
        scorer = ConditionalKLScorer(QUICK).fit(train, aux)
        np.testing.assert_array_equal(scorer.score_per_class(), expected)


def test_transformers(rng):
    y = np.repeat([0, 1], 50)
    train = rng.normal(size=(100, 22)), y
    aux = rng.normal(size=(100, 22)), y
    auto = ConditionalKLScorer(QUICK).fit(train, aux)
    expected = "auto: PCA(15) of 22 features, fitted on train"
    assert auto.report().settings["transformer"] == expected
    narrow = ConditionalKLScorer(QUICK).fit(*((X[:, :15], y) for X, y in (train, aux)))
    assert narrow.report().settings["transformer"] == "auto: none, 15 features"
    given = ConditionalKLScorer(QUICK, transformer=PCA(15)).fit(train, aux)
    np.testing.assert_allclose(given.score_per_class(), auto.score_per_class())
    raw = ConditionalKLScorer(QUICK, transformer=None).fit(train, aux)
    first = [X[:50] for X, _ in (train, aux)]
    assert raw.score_per_class()[0] == kl_divergence(*first, correction="adaptive")
    with pytest.raises(ValueError, match="transformer, unless an object, must be"):
        ConditionalKLScorer(transformer="pca").fit(train, aux)


def test_pipeline_as_estimator(samples):
    (X, y), (A, a) = samples
    pipeline = make_pipeline(StandardScaler(), KNNDivergence(n_neighbors=2))
    scorer = ConditionalKLScorer(pipeline).fit((X, y), (A, a))
    fitted = pipeline.fit(A[a == 1])
    assert scorer.score_per_class()[1] == fitted.score(X[y == 1])
    with pytest.raises(TypeError, match="estimator must be a KNNDivergence"):
        ConditionalKLScorer(StandardScaler()).fit((X, y), (A, a))


def test_from_paper(samples):
    (X, y), (A, a) = samples
    scorer = ConditionalKLScorer.from_paper().fit((X, y), (A, a))
    expected = kl_divergence(X[y == 0], A[a == 0], n_neighbors=1, correction=None)
    assert scorer.score_per_class()[0] == expected


@pytest.mark.parametrize(
    ("train_rows", "aux_rows", "reason"),
    [
        (60, 0, "no auxiliary row"),
        (60, 4, "the victim put 4 in this class"),
        (5, 60, "at least 6 training rows; the class has 5"),
    ],
)
def test_small_classes_are_nan_with_a_reason(samples, train_rows, aux_rows, reason):
    (X, y), (A, a) = samples
    keep = [
        np.concatenate(
            [np.flatnonzero(labels != 1), np.flatnonzero(labels == 1)[:size]]
        )
        for labels, size in ((y, train_rows), (a, aux_rows))
    ]
    train, aux = (X[keep[0]], y[keep[0]]), (A[keep[1]], a[keep[1]])
    scorer = ConditionalKLScorer().fit(train, aux)
    assert np.isnan(scorer.score_per_class()).tolist() == [False, True, False]
    assert reason in scorer.report().reasons[1]
    with pytest.raises(ValueError, match=f"1 of 3 classes .*class 1: .*{reason}"):
        ConditionalKLScorer(on_unscored="raise").fit(train, aux)


def test_bad_input(samples):
    (X, y), (A, a) = samples
    fit = ConditionalKLScorer().fit
    with pytest.raises(ValueError, match="aux has 1 features"):
        fit((X, y), (A[:, :1], a))
    with pytest.raises(ValueError, match=r"hold \[9\], which the training labels lack"):
        fit((X, y), (A, np.where(a == 2, 9, a)))
    with pytest.raises(ValueError, match="sum to one"):
        fit((X, y), (A, np.full((180, 3), 0.4)))
    with pytest.raises(ValueError, match="one column for each class"):
        fit((X, y), (A, np.full((180, 2), 0.5)))
    with pytest.raises(ValueError, match="train holds 1 NaN"):
        fit((np.where(np.arange(360).reshape(180, 2) == 5, np.nan, X), y), (A, a))
    with pytest.raises(ValueError, match="one label for each of 180 rows"):
        fit((X, y[:-1]), (A, a))
    with pytest.raises(TypeError, match="train must be a pair"):
        fit(X, (A, a))
    with pytest.raises(TypeError, match="aux must be a pair"):
        fit((X, y), A)
    with pytest.raises(ValueError, match="conditioning must be one of"):
        ConditionalKLScorer(conditioning="both").fit((X, y), (A, a))


def test_shared_rows_are_found_before_and_after_the_transformer(rng):
    y = np.repeat([0, 1], 100)
    X, A = rng.normal(size=(200, 40)), rng.normal(size=(200, 40))
    A[5:8] = X[5:8]
    A[120] = A[121]
    with pytest.raises(ValueError, match="class 0: 3 rows of Y also occur in X"):
        ConditionalKLScorer().fit((X, y), (A, y))
    drop = KNNDivergence(duplicates="drop")
    report = ConditionalKLScorer(drop).fit((X, y), (A, y)).report()
    assert report.settings["shared rows"] == 3
    assert report["n_duplicates"].tolist() == [3, 1]


def test_constant_features(samples):
    (X, y), (A, a) = samples
    wide = [np.column_stack([s, np.zeros((len(s), 3))]) for s in (X, A)]
    scorer = ConditionalKLScorer().fit((wide[0], y), (wide[1], a))
    expected = ConditionalKLScorer().fit((X, y), (A, a)).score_per_class()
    np.testing.assert_allclose(scorer.score_per_class(), expected, atol=OTHER_ORDER)


def warn_and_count(number):
    warnings.warn("said in a worker", UserWarning, stacklevel=2)
    return number + 1, os.getpid()


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_backends_of_joblib_score_alike(backend, samples):
    alone = ConditionalKLScorer().fit(*samples)
    with joblib.parallel_config(backend, n_jobs=2):
        configured = ConditionalKLScorer().fit(*samples)
        relabelled = ks_test(
            *(X[:50] for X, _ in samples),
            method="rows",
            n_permutations=99,
            n_jobs=2,
            random_state=0,
        )
    np.testing.assert_array_equal(configured.score_per_class(), alone.score_per_class())
    assert configured.report().notes == alone.report().notes
    expected = ks_test(
        *(X[:50] for X, _ in samples), method="rows", n_permutations=99, random_state=0
    )
    assert relabelled.pvalue == expected.pvalue


def test_processes_work_and_their_warnings_are_heard():
    with joblib.parallel_config("loky"):
        assert n_workers(None) == 1
        with pytest.warns(UserWarning, match="said in a worker"):
            found = in_workers(warn_and_count, [(1,), (2,)], 2)
    numbers, processes = zip(*found, strict=True)
    assert numbers == (2, 3)
    assert os.getpid() not in processes
    with joblib.parallel_config("loky", n_jobs=2):
        assert n_workers(None) == 2
