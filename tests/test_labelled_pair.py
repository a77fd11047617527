"""Two labelled samples: labels of rows, features and keys of equal rows."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from kldiv._conditional._labelled_pair import labelled_pair, too_few
from kldiv._duplicates import row_keys


@pytest.fixture
def pair(rng):
    """Classes "a" and "b"; two auxiliary rows repeat training rows."""
    X, A = rng.normal(size=(9, 4)), rng.normal(size=(7, 4))
    A[:2] = X[3:5]
    answers = np.eye(2)[[0, 1, 1, 0, 1, 1, 1]]
    return labelled_pair((X, list("abaababab")), (A, answers), None, soft=False)


def test_answers_become_labels_of_the_training_classes(pair):
    assert pair.classes.tolist() == ["a", "b"]
    assert "".join(pair.aux_labels) == "abbabbb"
    assert [sizes.tolist() for sizes in pair.sizes()] == [[5, 4], [2, 5]]
    assert pair.train_answers is pair.aux_answers is None


def test_rows_of_a_class(pair):
    train, aux = pair.rows_of("b", all_aux=False)
    np.testing.assert_array_equal(train, pair.train[[1, 4, 6, 8]])
    np.testing.assert_array_equal(aux, pair.aux[[1, 2, 4, 5, 6]])
    assert pair.rows_of("b", all_aux=True)[1] is pair.aux


def test_equal_rows_get_equal_features(pair):
    features, shared = pair.transformed(PCA(2))
    assert shared == 2
    assert features.train.shape == (9, 2)
    np.testing.assert_array_equal(features.aux[:2], features.train[3:5])
    np.testing.assert_allclose(
        features.train, PCA(2).fit(pair.train).transform(pair.train)
    )
    assert pair.transformed(None) == (pair, 2)


def test_keys_tell_rows_apart(pair):
    train, aux = pair.keys_of("a", all_aux=False)
    again = pair.keys_of("a", all_aux=True)
    np.testing.assert_array_equal(train, again[0])
    assert set(aux) < set(again[1])
    assert not set(train) & set(pair.keys_of("b", all_aux=False)[0])
    rows = np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [1.0, 2.0]])
    keys = row_keys(rows)
    assert len(set(keys)) == 4
    np.testing.assert_array_equal(row_keys(rows[[1, 0, 2]]), keys[[1, 0, 2]])


@pytest.mark.parametrize(
    ("n", "m", "reason"),
    [(6, 5, ""), (6, 0, "no auxiliary row"), (5, 5, "has 5"), (6, 4, "put 4 in")],
)
def test_why_a_class_is_too_small(n, m, reason):
    found = too_few(n, m, 5)
    assert reason in found
    assert bool(found) == bool(reason)
