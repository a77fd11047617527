"""What victims answer, and what defences make of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kldiv_attack.audit import DEFENCES
from kldiv_attack.audit.answers import Answers, join, read_alike, read_answers
from kldiv_attack.audit.defences import Defence, parse_defence

NAMES = ("a", "b", "c")
TABLE = np.array([[0.7, 0.2, 0.1], [0.34, 0.33, 0.33], [0.05, 0.05, 0.9]])


def generator():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    "raw",
    [
        np.array(["a", "c", "b"]),
        np.array([0, 2, 1]),
        np.array([0.0, 2.0, 1.0]),
        np.array([[0], [2], [1]]),
        np.eye(3)[[0, 2, 1]],
    ],
)
def test_labels_and_probabilities_are_read_alike(raw):
    assert read_answers(raw, 3, NAMES, None, "v").labels.tolist() == [0, 2, 1]


def test_names_of_classes_come_before_positions():
    found = read_answers(np.array([2, 1]), 2, ("1", "2"), None, "v")
    assert found.labels.tolist() == [1, 0]


def test_numbers_are_positions_where_some_can_only_be_these():
    names = ("1", "2", "10")
    first = read_answers(np.array([2, 1, 1]), 3, names, None, "v")
    second = read_answers(np.array([0, 2]), 2, names, None, "v")
    assert (first.by_position, second.by_position) == (False, True)
    assert read_alike([first], names, "v") == [first]
    assert join(read_alike([first, second], names, "v")).labels.tolist() == [
        2, 1, 1, 0, 2,
    ]  # fmt: skip
    again = read_answers(np.array([2, 1]), 2, names, None, "v", by_position=True)
    assert again.labels.tolist() == [2, 1]
    other = read_answers(np.array([10, 1]), 2, names, None, "v")
    with pytest.raises(ValueError, match="answered 10, which are names .*positions fr"):
        read_alike([other, second], names, "v")


def test_tables_that_name_the_classes_are_put_in_their_order():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(TABLE, columns=list(NAMES))
    for given_ in (table, table[["c", "a", "b"]]):
        found = read_answers(given_, 3, NAMES, None, "v")
        np.testing.assert_allclose(found.probabilities, TABLE)
    found = read_answers(table.set_axis(range(3), axis=1), 3, NAMES, None, "v")
    np.testing.assert_allclose(found.probabilities, TABLE)


async def slow(rows):
    return rows


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ({"logits": TABLE}, "dict"),
        ({0, 1, 2}, "set"),
        ((label for label in (0, 1, 2)), "generator"),
        (slow(TABLE), "coroutine"),
    ],
)
def test_what_is_no_array(raw, kind):
    with pytest.raises(ValueError, match=f"labels or of probabilities, got a {kind}"):
        read_answers(raw, 3, NAMES, None, "v")


def test_columns_are_put_in_the_order_of_the_classes():
    found = read_answers(np.array([[0.9, 0.1]]), 1, NAMES, ["c", "a"], "v")
    np.testing.assert_allclose(found.probabilities, [[0.1, 0, 0.9]])


@pytest.mark.parametrize(
    ("raw", "columns", "message"),
    [
        (np.eye(3)[:2], None, "one answer for each of 3 rows"),
        (np.ones((3, 3, 1)), None, "one answer for each of 3 rows"),
        (np.array(["a", "b", "z"]), None, "it answered z; expected one of the classes"),
        (np.array([0, 1, 3]), None, "it answered"),
        (np.eye(4)[:3], None, "of 3 classes, .* got 4 columns"),
        (np.full((3, 3), np.nan), None, "answer to row 0 holds NaN"),
        (np.full((3, 3), 2.0), None, "Apply a softmax"),
        (np.eye(3), ["a", "b", "z"], "answers the classes z"),
        (np.eye(3), ["a", "b", "b"], "answers the class b in two columns"),
        (np.eye(3), ["a", "b"], "for each of its 2 classes, got 3 columns"),
    ],
)
def test_answers_that_cannot_be_read(raw, columns, message):
    with pytest.raises(ValueError, match=message):
        read_answers(raw, 3, NAMES, columns, "v")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label_only", None),
        ("top_k:1", [[1, 0, 0], [1, 0, 0], [0, 0, 1]]),
        ("top_k:2", [[7 / 9, 2 / 9, 0], [34 / 67, 33 / 67, 0], [5 / 95, 0, 90 / 95]]),
        ("rounding:1", [[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3], [0, 0, 1]]),
        ("temperature:1", TABLE),
    ],
)
def test_defences_by_hand(text, expected):
    answers = Answers(TABLE.argmax(1), TABLE)
    found = parse_defence(text)(answers, generator())
    if expected is None:
        assert found.probabilities is None
        assert found.labels.tolist() == [0, 0, 2]
    else:
        np.testing.assert_allclose(found.probabilities, expected, atol=0.051)


def test_a_hot_victim_is_unsure_of_everything():
    found = parse_defence("temperature:1000")(
        Answers(TABLE.argmax(1), TABLE), generator()
    )
    np.testing.assert_allclose(found.probabilities, 1 / 3, atol=2e-3)
    assert found.labels.tolist() == [0, 0, 2]


def test_rejection_refuses_unsure_answers():
    found = parse_defence("rejection:0.5")(Answers(TABLE.argmax(1), TABLE), generator())
    assert found.answered.tolist() == [True, False, True]
    np.testing.assert_allclose(found.one_hot(3)[1], 1 / 3)


def test_tied_answers_are_guessed_and_not_the_first_class():
    table = np.tile([0.34, 0.33, 0.33], (3000, 1))
    found = parse_defence("rounding:0")(Answers(table.argmax(1), table), generator())
    counts = np.bincount(found.labels, minlength=3)
    assert counts.min() > 900


@given(
    arrays(np.float64, (5, 4), elements=st.floats(0.001, 1)),
    st.sampled_from(sorted(DEFENCES)),
)
def test_what_a_defence_answers_is_an_answer(weights, name):
    table = weights / weights.sum(1, keepdims=True)
    kind = DEFENCES[name]
    found = Defence(name, kind.default)(Answers(table.argmax(1), table), generator())
    assert len(found) == 5
    assert set(found.labels.tolist()) <= {-1, 0, 1, 2, 3}
    if found.probabilities is not None:
        kept = found.probabilities[found.answered]
        np.testing.assert_allclose(kept.sum(1), 1)
        assert (kept >= 0).all()


@pytest.mark.parametrize(
    "text",
    ["magic", "top_k:0", "top_k:1.5", "rejection:1", "temperature:0", "noise:x",
     "rounding:-1", "label_only:3", "noise:nan"],
)  # fmt: skip
def test_defences_that_do_not_exist(text):
    with pytest.raises(ValueError, match="expected"):
        parse_defence(text)


def test_labels_cannot_be_rounded():
    with pytest.raises(ValueError, match="answers labels only"):
        parse_defence("rounding:1")(Answers(np.array([0, 1])), generator())
