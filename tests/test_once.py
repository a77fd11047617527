"""What is found out about rows once, while they are compared with many others."""

import threading

import numpy as np
import pytest

from kldiv import ConditionalKLScorer, KNNDivergence
from kldiv._order import kept_in_mind, next_row_correlation, row_order
from kldiv._order._once import _kept, of_rows


@pytest.fixture
def counted():
    calls = []

    @of_rows
    def total(rows, power=1):
        calls.append(threading.get_ident())
        return (rows**power).sum()

    return total, calls


def test_rows_in_mind_are_asked_once_for_each_question(counted, rng):
    total, calls = counted
    rows = rng.normal(size=(5, 2))
    other = rows.copy()
    with kept_in_mind(rows):
        for sample in (rows, rows.reshape(5, 2), rows[:]):
            assert total(sample) == rows.sum()
        assert len(calls) == 1
        assert total(rows, power=2) == (rows**2).sum()
        assert total(rows[:3]) == rows[:3].sum()
        assert total(other) == total(other)
        assert len(calls) == 5
    total(rows)
    assert len(calls) == 6


def test_rows_are_forgotten_when_the_last_who_asked_is_done(counted, rng):
    total, calls = counted
    rows = rng.normal(size=(5, 2))
    with kept_in_mind(rows, rows):
        with pytest.raises(ZeroDivisionError), kept_in_mind(rows):
            raise ZeroDivisionError
        total(rows), total(rows)
        assert len(calls) == 1
    assert not _kept


def test_threads_wait_for_one_answer(counted, rng):
    total, calls = counted
    rows = rng.normal(size=(5, 2))
    with kept_in_mind(rows):
        threads = [threading.Thread(target=total, args=(rows,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(calls) == 1


@pytest.mark.filterwarnings("ignore::kldiv.DivergenceWarning")
def test_soft_scores_look_at_the_auxiliary_rows_once(rng, monkeypatch):
    """And say what each class says alone."""
    from kldiv._order import _by_contents

    y = np.repeat([0, 1, 2], 60)
    X, Z = rng.normal(size=(180, 3)) + y[:, None], rng.normal(1, 1.5, size=(150, 3))
    answers = [rng.dirichlet(np.ones(3), len(rows)) for rows in (X, Z)]
    looked, look = [], _by_contents._ranks_of

    def counting(sample):
        looked.append(len(sample))
        return look(sample)

    monkeypatch.setattr(_by_contents, "_ranks_of", counting)
    estimator = KNNDivergence(correction=None)
    scorer = ConditionalKLScorer(estimator, None, conditioning="soft", floors=False)
    scorer.fit((X, y, answers[0]), (Z, answers[1]))
    assert sorted(looked) == [60, 60, 60, 150]
    for c in range(3):
        alone = KNNDivergence(correction=None).fit(Z).estimate(X[y == c])
        assert scorer.terms_[c].marginal.value == alone.value
        assert scorer.terms_[c].marginal.notes == alone.notes


def test_an_estimate_ranks_each_sample_once(rng):
    rows = rng.normal(size=(200, 3))
    with kept_in_mind(rows):
        order, correlation = row_order(rows), next_row_correlation(rows)
    np.testing.assert_array_equal(row_order(rows), order)
    assert next_row_correlation(rows) == correlation
