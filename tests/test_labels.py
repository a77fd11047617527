"""Labels and answers of odd kinds: the right classes, or what is needed instead."""

import datetime

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from kldiv import ConditionalKLScorer

Y = np.repeat([0, 1], 60)
PROBABILITIES = np.c_[1 - Y, Y] * 0.8 + 0.1


def rows(seed=0):
    return np.random.default_rng(seed).normal(size=(120, 2)) + seed / 5


def scores(train, aux, **parameters):
    scorer = ConditionalKLScorer(**{"floors": False, **parameters})
    return scorer.fit(train, aux).score_per_class(), scorer.classes_.tolist()


def objects(*kinds):
    labels = np.empty(120, dtype=object)
    labels[:] = [kinds[y] for y in Y]
    return labels


@pytest.fixture(scope="module")
def plain():
    return scores((rows(), Y), (rows(1), Y))[0]


DAYS = np.array(["2020-01-01", "2021-01-01"], "M8[D]")
KINDS = {
    "bytes": (np.array([b"a", b"b"])[Y], [b"a", b"b"]),
    "text of two types": (objects(np.str_("a"), "b"), [np.str_("a"), "b"]),
    "enumeration": (objects(1, True + 1), [1, 2]),
    "huge integers": (objects(10**30, 10**30 + 1), [10**30, 10**30 + 1]),
    "days": (DAYS[Y], [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)]),
    "nanoseconds": (DAYS.astype("M8[ns]")[Y], DAYS.astype("M8[us]").tolist()),
    "lengths of time": (
        np.array([1, 2], "m8[ms]").astype("m8[ns]")[Y],
        [datetime.timedelta(milliseconds=1), datetime.timedelta(milliseconds=2)],
    ),
    "negative zero": (np.where(Y == 0, -0.0, 1.0), [0.0, 1.0]),
    "complex": (Y + 1j, [1j, 1 + 1j]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_every_kind_give_the_same_scores(kind, plain):
    labels, classes = KINDS[kind]
    found, known = scores((rows(), labels), (rows(1), labels))
    assert str(known) == str(classes)
    np.testing.assert_array_equal(found, plain)


def test_dates_are_the_same_in_any_unit(plain):
    for ours, theirs in (("D", "ns"), ("ns", "D"), ("s", "us")):
        labels = DAYS.astype(f"M8[{ours}]")[Y], DAYS.astype(f"M8[{theirs}]")[Y]
        found, _ = scores((rows(), labels[0]), (rows(1), labels[1]))
        np.testing.assert_array_equal(found, plain)


class Nameless:
    """An object without an order."""

    def __repr__(self):
        return "Nameless()"


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (objects((0, 1), (1, 0)), TypeError, r"hold \(0, 1\) \(tuple\); a number, a w"),
        (np.zeros(120, dtype=[("a", int)]), TypeError, "hold .* a number, a word"),
        (objects(Nameless(), Nameless()), TypeError, "hold Nameless, which cannot be"),
        (objects(datetime.date(2020, 1, 1), 3), TypeError, "mix date and int, which"),
        (np.array(["2020", "NaT"], "M8[D]")[Y], ValueError, "60 missing labels .*NaT"),
        (np.array([1, 2], "M8[ns]")[Y], ValueError, "less than a microsecond"),
        ({0, 1}, TypeError, "one label for each row; got a set. Give a list"),
        (dict(enumerate(Y)), TypeError, "got a dict. Give a list or an array"),
        ((y for y in Y), TypeError, r"got a generator. .* give list\(labels\)"),
        (
            csr_matrix(Y[:, None]),
            TypeError,
            r"got a csr_matrix. Call toarray",
        ),
        (np.ma.array(Y, mask=Y > 0), ValueError, "60 masked values, the first in row"),
    ],
)
@pytest.mark.parametrize("sample", ["train", "aux"])
def test_labels_that_are_none(sample, labels, error, message):
    train = (rows(), labels if sample == "train" else Y)
    aux = (rows(1), labels if sample == "aux" else Y)
    with pytest.raises(error, match=f"the labels of {sample} .*{message}"):
        scores(train, aux)


def test_answers_that_name_the_classes_in_another_order_are_refused(plain):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(PROBABILITIES, columns=[0, 1])
    found, _ = scores((rows(), Y), (rows(1), table))
    np.testing.assert_array_equal(found, plain)
    message = "have the columns 1, 0; the order of classes_ is needed: 0, 1"
    with pytest.raises(ValueError, match=message):
        scores((rows(), Y), (rows(1), table[[1, 0]]))
    with pytest.raises(ValueError, match=message):
        scores((rows(), Y), rows(1), victim=lambda _: table[[1, 0]])


@pytest.mark.parametrize("kind", [str, complex])
def test_answers_that_are_no_probabilities(kind):
    with pytest.raises(TypeError, match="in 2 columns; one label for each row, or"):
        scores((rows(), Y), (rows(1), PROBABILITIES.astype(kind)))


class Victim:
    """Says what it was told to say, and may name the order of its classes."""

    def __init__(self, answers, **known):
        self.answers = answers
        self.__dict__.update(known)

    def predict_proba(self, _):
        return self.answers


def test_a_victim_may_have_another_order_of_classes(plain):
    victim = Victim(PROBABILITIES[:, ::-1], classes_=np.array([1, 0]))
    found, _ = scores((rows(), Y), rows(1), victim=victim)
    np.testing.assert_array_equal(found, plain)


def test_a_victim_that_writes_into_its_batch_changes_no_score(plain):
    def victim(batch):
        batch[:] = 0
        return Y

    X, A = rows(), rows(1)
    found, _ = scores((X, Y), A, victim=victim)
    np.testing.assert_array_equal(found, plain)
    np.testing.assert_array_equal(A, rows(1))


def test_victims_that_are_none():
    with pytest.raises(TypeError, match="victim is the class Victim; an instance"):
        scores((rows(), Y), rows(1), victim=Victim)
    with pytest.raises(TypeError, match="one label for each row; got a NoneType"):
        scores((rows(), Y), rows(1), victim=lambda _: None)
    for nothing in (None, (row for row in rows()), 3):
        with pytest.raises(TypeError, match="must be a pair"):
            scores((rows(), Y), nothing)
        with pytest.raises(TypeError, match="must be a pair"):
            scores(nothing, (rows(), Y))


def test_a_victim_is_not_asked_where_something_else_is_wrong():
    def victim(_):
        raise AssertionError("asked before the check")

    for wrong in (
        {"n_jobs": 0},
        {"random_state": "a"},
        {"random_state": -1},
        {"verbose": "loud"},
        {"confidence_level": "0.9"},
        {"floors": 3},
    ):
        (name,) = wrong
        with pytest.raises((TypeError, ValueError), match=name):
            scores((rows(), Y), rows(1), victim=victim, **wrong)
    with pytest.raises(ValueError, match="one label for each of 120 rows"):
        scores((rows(), Y[1:]), rows(1), victim=victim)
